"""How the functions, classes and methods of a scope can be called."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from guided_evolution.bindings import Definition

_CHANGES_CALL = re.compile(
    r"(?:^|\.)(?:staticmethod|classmethod|property|cached_property|contextmanager|asynccontextmanager|"
    r"setter|getter|deleter|singledispatch|singledispatchmethod|overload)$"
)


@dataclass(frozen=True)
class Signature:
    """How a name can be called.

    Attributes:
        kind: ``def``, ``async def``, ``class``, ``lambda``, or ``value`` for what can't be read.
        parameters: with `*` and `/` where they stand, and `=` behind those that have a default.
        yields: whether a call returns a generator.
        decorators: those that change how it is called.
    """

    kind: str
    parameters: tuple[str, ...] = ()
    yields: bool = False
    decorators: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = {"value": "a value", "class": "class"}.get(self.kind, self.kind)
        words = f"{kind}({', '.join(self.parameters)})" if self.kind != "value" else kind
        words += ", a generator" if self.yields else ""
        return words + "".join(f", @{one}" for one in self.decorators)


def signatures(body: list[ast.stmt], *, may_yield: bool = True) -> dict[str, Signature]:
    """How each name that the statements of one scope bind can be called, as far as definitions and assignments tell.

    `may_yield` is False where the source doesn't even hold the word, which saves a search.
    """
    found: dict[str, Signature] = {}
    for statement in _all_statements(body):
        if isinstance(statement, Definition):
            found[statement.name] = _of_definition(statement, may_yield)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            value = statement.value
            how = (
                Signature("lambda", _parameters(value.args))
                if isinstance(value, ast.Lambda)
                else Signature("value")
            )
            found |= {target.id: how for target in targets if isinstance(target, ast.Name)}
    return found


def _all_statements(body: list[ast.stmt]) -> list[ast.stmt]:
    found = []
    for statement in body:
        found.append(statement)
        if not isinstance(statement, Definition):
            for inner in ("body", "orelse", "finalbody"):
                found += _all_statements(getattr(statement, inner, None) or [])
            for handler in getattr(statement, "handlers", ()):
                found += _all_statements(handler.body)
    return found


def _of_definition(node: Definition, may_yield: bool) -> Signature:
    decorators = []
    for one in node.decorator_list:
        called = one.func if isinstance(one, ast.Call) else one
        name = ast.unparse(called)
        if _CHANGES_CALL.search(name):
            decorators.append(name)
    if isinstance(node, ast.ClassDef):
        made = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        return Signature("class", _parameters(made[-1].args) if made else (), decorators=tuple(decorators))
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return Signature(kind, _parameters(node.args), may_yield and _yields(node), tuple(decorators))


def _parameters(spec: ast.arguments) -> tuple[str, ...]:
    plain = [*spec.posonlyargs, *spec.args]
    first_default = len(plain) - len(spec.defaults)
    shown = [one.arg + ("=" if index >= first_default else "") for index, one in enumerate(plain)]
    if spec.posonlyargs:
        shown.insert(len(spec.posonlyargs), "/")
    if spec.vararg:
        shown.append(f"*{spec.vararg.arg}")
    elif spec.kwonlyargs:
        shown.append("*")
    for one, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        shown.append(one.arg + ("=" if default is not None else ""))
    return (*shown, *([f"**{spec.kwarg.arg}"] if spec.kwarg else []))


def _yields(node: ast.AST) -> bool:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition | ast.Lambda):
            continue
        if isinstance(child, ast.Yield | ast.YieldFrom) or _yields(child):
            return True
    return False
