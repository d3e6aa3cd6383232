"""What the evaluator relies on in a program: protected names, bound exactly once, that keep their parameters."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from guided_evolution.bindings import Definition, bindings, class_body

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


def times_bound(tree: ast.Module, dotted: str) -> int:
    """How often "train" is bound in the module, or "Net.forward" in the class Net, by any statement of the file.

    Also counted: `global train` in a function, `del train`, and an assignment to `Net.forward` or `train.__code__`.
    What is only known by running it, such as `globals()["train"] = …`, can't be seen.
    """
    body = class_body(tree, dotted)
    if body is None:
        return 0
    owner, _, last = dotted.rpartition(".")
    count = bindings(body)[last]
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            count += not owner and last in node.names
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            count += _rebinds(node, owner, last)
    return count


def _rebinds(node: ast.Attribute, owner: str, last: str) -> bool:
    target = ast.unparse(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else ""
    if target == owner and owner:
        return node.attr == last
    return target == (f"{owner}.{last}" if owner else last) and node.attr.startswith("__")


def signature(tree: ast.Module, dotted: str) -> Signature | None:
    """How the name can be called, None where it isn't bound."""
    body = class_body(tree, dotted) or []
    last = dotted.rpartition(".")[2]
    for statement in _all_statements(body):
        if isinstance(statement, Definition) and statement.name == last:
            return _of_definition(statement)
        value = _assigned(statement, last)
        if value is not None:
            return (
                Signature("lambda", _parameters(value.args))
                if isinstance(value, ast.Lambda)
                else Signature("value")
            )
    return Signature("value") if bindings(body)[last] else None


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


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    found = any(isinstance(target, ast.Name) and target.id == name for target in targets)
    return statement.value if found and isinstance(statement, ast.Assign | ast.AnnAssign) else None


def _of_definition(node: Definition) -> Signature:
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
    return Signature(kind, _parameters(node.args), _yields(node), tuple(decorators))


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
