"""Equal programs, equal prints: a hash over normalised source that is the same on every Python that we support.

Comments, docstrings, layout, redundant parentheses and the spelling of strings and numbers don't count. `ast.dump`
won't do: its output differs between versions of Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache

VERSION = "1"

_WITH_DOCSTRING = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def fingerprint(files: tuple[tuple[str, str], ...], trees: tuple[ast.Module | None, ...]) -> str:
    """The print of a program.

    Args:
        files: (path, text) pairs; their order doesn't count.
        trees: the syntax tree of each file, None for one that isn't Python; that one counts to the letter.
    """
    digest = hashlib.blake2b(digest_size=16)
    for (path, text), tree in sorted(zip(files, trees, strict=True), key=lambda item: item[0][0]):
        for part in (path, *_normal_forms(text, tree)):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
    return f"{VERSION}:{digest.hexdigest()}"


def _normal_forms(text: str, tree: ast.Module | None) -> list[str]:
    if tree is None:
        return [text]
    lines = (
        text.removeprefix("\ufeff")
        .encode("utf-8", "surrogateescape")
        .replace(b"\r\n", b"\n")
        .replace(b"\r", b"\n")
    )
    by_line = lines.split(b"\n")
    try:
        return [_cached(_Statement(by_line, node)) for node in _body(tree)]
    except RecursionError:
        return [text]


class _Statement:
    """A top-level statement as a key: equal where its source is, so that a child costs only what it changed."""

    __slots__ = ("node", "source")

    def __init__(self, lines: list[bytes], node: ast.stmt) -> None:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        self.source = (node.col_offset, node.end_col_offset, b"\n".join(lines[first - 1 : node.end_lineno]))
        self.node: ast.stmt | None = node

    def __hash__(self) -> int:
        return hash(self.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Statement) and self.source == other.source


@lru_cache(maxsize=4096)
def _cached(statement: _Statement) -> str:
    assert statement.node is not None
    form = "".join(_dump(statement.node))
    statement.node = None  # the cache keeps the key, and a tree is large
    return hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _body(node: ast.AST) -> list[ast.stmt]:
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body


def _dump(node: ast.AST) -> Iterator[str]:
    """The node's type and its fields that aren't empty: what newer versions add is empty in older programs."""
    yield f"{type(node).__name__}("
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(node, ast.Constant):
            if name == "value":
                yield _constant(value)
            continue
        if name == "body" and isinstance(node, _WITH_DOCSTRING):
            value = _body(node)
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(node)
        if value is None or value == []:
            continue
        yield f"{name}="
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, ast.AST):
                yield from _dump(part)
            else:
                yield f"{part!a},"
    yield ")"


def _joined(node: ast.JoinedStr) -> list[ast.expr]:
    """The parts of an f-string with neighbouring texts made one: versions cut them differently."""
    parts: list[ast.expr] = []
    for part in node.values:
        last = parts[-1] if parts else None
        if not isinstance(part, ast.Constant):
            parts.append(part)
        elif isinstance(last, ast.Constant):
            parts[-1] = ast.Constant(str(last.value) + str(part.value))
        elif part.value != "":
            parts.append(part)
    return parts


def _constant(value: object) -> str:
    if type(value) is int:
        return f"int:{value:x},"  # decimal text of very large numbers is refused
    return f"{type(value).__name__}:{value!a},"
