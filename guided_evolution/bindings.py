"""What a Python module binds at its top level, read from its syntax and never by running it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def bindings(body: list[ast.stmt]) -> Counter[str]:
    """How often each name is bound by the statements of one scope (a module's or a class's body).

    A name bound in both branches of an `if` counts twice: which one holds can't be read from the source.
    """
    return Counter(name for statement in body for name in _names(statement))


def count_bindings(tree: ast.Module, dotted: str) -> int:
    """How often "train" is bound in the module, or "Net.forward" in the top-level class Net."""
    body = class_body(tree, dotted)
    return bindings(body)[dotted.rpartition(".")[2]] if body is not None else 0


def class_body(tree: ast.Module, dotted: str) -> list[ast.stmt] | None:
    """The statements among which a dotted name is bound: the module's for "train", those of Net for "Net.forward".

    None where there isn't exactly one such class.
    """
    body = tree.body
    for part in dotted.split(".")[:-1]:
        classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name == part]
        if len(classes) != 1:
            return None
        body = classes[0].body
    return body


def top_level_functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions defined directly in the module, in order."""
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def first_line(node: ast.stmt) -> int:
    """The line, counted from 1, on which a statement begins: a decorated one at its first decorator."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def imported_modules(tree: ast.Module) -> list[str]:
    """The first names of the modules that are imported at the top and without condition, each once."""
    found: dict[str, None] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found.update((alias.name.partition(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found[node.module.partition(".")[0]] = None
    found.pop("__future__", None)
    return list(found)


def takes(function: ast.FunctionDef | ast.AsyncFunctionDef, count: int) -> bool:
    """Whether the function can be called with `count` positional arguments."""
    spec = function.args
    positional = len(spec.posonlyargs) + len(spec.args)
    needed = positional - len(spec.defaults)
    keywords_needed = any(default is None for default in spec.kw_defaults)
    return needed <= count and (count <= positional or spec.vararg is not None) and not keywords_needed


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, Definition):
        yield node.name
        for outside in _outside_its_scope(node):
            yield from _names(outside)
        return
    if isinstance(node, ast.Lambda):
        for default in (*node.args.defaults, *node.args.kw_defaults):
            yield from _names(default) if default is not None else ()
        return
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id  # `del` counts too: afterwards the name isn't what it was
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):  # its target lives in the comprehension
                yield from _names(part)
        else:
            yield from _names(child)


def _outside_its_scope(node: Definition) -> Iterator[ast.expr]:
    """The parts of a definition that run in the scope around it."""
    yield from node.decorator_list
    if isinstance(node, ast.ClassDef):
        yield from node.bases
        yield from (keyword.value for keyword in node.keywords)
        return
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default is not None)
