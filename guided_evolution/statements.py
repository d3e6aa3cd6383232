"""Top-level statements of a module: what they bind, where they begin, and what stands for code that was left out."""

from __future__ import annotations

import ast
import re

from guided_evolution.passages import Text, indent_of

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

MARKER = re.compile(r"#\s*EVOLVE-BLOCK-(START|END)")
_ELIDED = re.compile(
    r"""\s*(?:\.\.\.|\#\s*(?:
        (?:\.\.\.|…).*
      | \W*(?:the\s+)?(?:rest|remainder|remaining)\s+(?:of\s+)?(?:the\s+)?
        (?:code|file|function|method|class|implementation|body)s?\b.*
      | \W*(?:existing|previous|original|other|same)\s+(?:code|methods?|functions?|implementation|body)\b.*
      | .*\b(?:unchanged|omitted|stays\s+the\s+same|remains?\s+the\s+same|as\s+before)\b\W*
    ))\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_DOTTED = re.compile(
    r"^([ \t]*(?:async[ \t]+)?def[ \t]+)([A-Za-z_]\w*)\.([A-Za-z_]\w*)(?=[ \t]*\()", re.MULTILINE
)


def undotted(code: str) -> tuple[str, dict[str, str]]:
    """Code with `def Net.forward(` written as `def forward(`, and the owners: {"forward": "Net"}."""
    owners = {match[3]: match[2] for match in _DOTTED.finditer(code)}
    return _DOTTED.sub(r"\1\3", code), owners


def first_line(node: ast.stmt) -> int:
    """The first line of a statement from 0, decorators included."""
    lines: list[int] = [one.lineno for one in getattr(node, "decorator_list", [])]
    return min([node.lineno, *lines]) - 1


def bound_names(node: ast.stmt) -> list[str]:
    """The names that a definition, an import or a plain assignment binds; none for any other statement."""
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    names: list[str] = []
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        if not all(isinstance(part, ast.Name) for part in parts):
            return []
        names += [part.id for part in parts if isinstance(part, ast.Name)]
    return names


def is_main_guard(node: ast.stmt) -> bool:
    """Whether this is an `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


def is_docstring(node: ast.stmt) -> bool:
    """Whether this is a text that stands alone."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def elided(source: str) -> str | None:
    """The first line that stands for code left out, as `# ... rest unchanged`; None if there is none."""
    return next((line.strip() for line in source.split("\n") if _ELIDED.fullmatch(line)), None)


def takes_self(node: Function) -> bool:
    """Whether a function looks like a method."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    return bool(arguments) and arguments[0].arg in ("self", "cls")


def comments_above(text: Text, line: int) -> int:
    """How many comment lines stand directly above, with the same indentation; a marker ends them."""
    count = 0
    indent = indent_of(text.lines[line])
    while line - count > 0:
        above = text.lines[line - count - 1]
        if not above.lstrip().startswith("#") or indent_of(above) != indent or MARKER.search(above):
            break
        count += 1
    return count


def with_comments(text: Text, node: ast.stmt) -> str:
    """A statement's lines with the comments directly above."""
    first = first_line(node)
    first -= comments_above(text, first)
    start, end = text.span(first, (node.end_lineno or 1) - 1)
    return text.text[start:end]


def leading_comments(source: str) -> int:
    """How many comment lines a source begins with."""
    lines = source.split("\n")
    return next((n for n, line in enumerate(lines) if not line.lstrip().startswith("#")), 0)
