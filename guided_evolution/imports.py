"""Imports that an edit needs, put at the first evolvable place; those that stand already are left out."""

from __future__ import annotations

import ast
import re

from guided_evolution.bindings import first_line
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import FrozenRules, Span, evolvable_spans, line_starts
from guided_evolution.genome import Genome, lines_of, parse, tree_of
from guided_evolution.layout import Cut

_LINE_END = re.compile(r"\r\n|\r|\n")

Import = tuple[int, str, str, str]
"""Level, module, name and `as` name; for a plain `import` the level is -1 and the name empty."""


def with_imports(genome: Genome, path: str, statements: list[str], rules: FrozenRules) -> list[Cut]:
    """The cuts that bring these imports in. Raises EditRejected where one isn't an import or finds no place."""
    if path not in genome.paths:
        raise EditRejected("syntax", f"the program has no file {path}; it has {', '.join(genome.paths)}")
    text = genome.text(path)
    tree = tree_of(path, text)
    if tree is None:
        return []  # the check of its syntax says what is wrong
    standing = {one for node in tree.body for one in _imports(node)}
    wanted: dict[str, None] = {}
    for statement in statements:
        wanted.update(dict.fromkeys(_missing(path, statement, standing)))
    if not wanted:
        return []
    future = [line for line in wanted if line.startswith("from __future__")]
    others = [line for line in wanted if line not in future]
    spans = evolvable_spans(genome, path, rules)
    cuts = []
    for lines, place in ((future, _future_place), (others, _place)):
        if lines:
            at, indent = place(path, text, tree, spans)
            cuts.append((at, at, _written_out(text, at, [indent + line for line in lines])))
    return sorted(cuts, key=lambda cut: cut[0])


def newline_of(text: str) -> str:
    """The line end that the text uses first, a plain one where it has none."""
    found = _LINE_END.search(text)
    return found.group() if found else "\n"


def _written_out(text: str, at: int, lines: list[str]) -> str:
    newline = newline_of(text)
    before = newline if at and text[at - 1] not in "\r\n\ufeff" else ""
    return before + "".join(line + newline for line in lines)


def _missing(path: str, statement: str, standing: set[Import]) -> list[str]:
    tree = parse(statement.strip())
    nodes = tree.body if tree is not None else []
    if not nodes or not all(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes):
        raise EditRejected("syntax", f"{path}: {statement.strip()[:100]!r} isn't an import statement")
    return [_written(one) for node in nodes for one in _imports(node) if one not in standing]


def _imports(node: ast.stmt) -> list[Import]:
    if isinstance(node, ast.Import):
        return [(-1, alias.name, "", alias.asname or "") for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.level, node.module or "", alias.name, alias.asname or "") for alias in node.names]
    return []


def _written(one: Import) -> str:
    level, module, name, alias = one
    words = f"import {module}" if level < 0 else f"from {'.' * level}{module} import {name}"
    return f"{words} as {alias}" if alias else words


def _place(path: str, text: str, tree: ast.Module, spans: tuple[Span, ...]) -> tuple[int, str]:
    """Where an import can stand, and its indentation: below the first imports, else at the head of the first block."""
    starts = line_starts(text)
    head = 0
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom) and not _is_docstring(tree, node):
            break
        head = starts[node.end_lineno or 0]
    if head == 0:
        head = _first_code(text, tree, starts)
    if any(first <= head < behind or head == behind == len(text) for first, behind in spans):
        return head, ""
    inside: tuple[int, str] | None = None
    for first, _ in spans:
        line = starts.index(first) + 1
        around = [node for node in tree.body if first_line(node) < line <= (node.end_lineno or 0)]
        if not around and first >= head:
            return first, ""
        inside = inside or (_in_body(first, line, around[0], text) if around else None)
    if inside is None:
        raise EditRejected(
            "frozen", f"{path}: there is no evolvable place for an import; do without a new one"
        )
    return inside


def _future_place(path: str, text: str, tree: ast.Module, spans: tuple[Span, ...]) -> tuple[int, str]:
    starts = line_starts(text)
    documented = bool(tree.body) and _is_docstring(tree, tree.body[0])
    at = starts[tree.body[0].end_lineno or 0] if documented else _first_code(text, tree, starts)
    if not any(first <= at < behind or at == behind == len(text) for first, behind in spans):
        raise EditRejected(
            "frozen", f"{path}: a __future__ import has to stand in the first lines, which are frozen"
        )
    return at, ""


def _first_code(text: str, tree: ast.Module, starts: list[int]) -> int:
    """Behind the comments and blank lines at the top that aren't the first definition's own."""
    first = first_line(tree.body[0]) - 1 if tree.body else len(starts) - 2
    lines = lines_of(text)
    while first > 0 and lines[first - 1].lstrip().startswith("#") and not lines[first - 1].startswith("#!"):
        if "EVOLVE-BLOCK" in lines[first - 1] or "coding" in lines[first - 1]:
            break
        first -= 1
    return max(starts[first], 1 if text.startswith("\ufeff") else 0)


def _in_body(at: int, line: int, node: ast.stmt, text: str) -> tuple[int, str] | None:
    """The same place with the indentation of the function's body around it."""
    function: ast.AST | None = None
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.lineno < line <= (
            inner.end_lineno or 0
        ):
            function = inner
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    for statement in ast.walk(function):
        simple = isinstance(statement, ast.stmt) and not hasattr(statement, "body")
        if simple and statement.lineno < line <= (statement.end_lineno or 0):  # type: ignore[attr-defined]
            return None
    following = [one for one in function.body if first_line(one) >= line]
    if not following:
        return None
    own = lines_of(text)[first_line(following[0]) - 1]
    return at, own[: len(own) - len(own.lstrip())]


def _is_docstring(tree: ast.Module, node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return node is tree.body[0] and isinstance(value, ast.Constant) and isinstance(value.value, str)
