"""Equal programs, equal prints: a hash over normalised source that is the same on every Python that we support.

Comments, docstrings, layout, redundant parentheses and the spelling of strings and numbers don't count. `ast.dump`
won't do: its output differs between versions of Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable

VERSION = "1"

_WITH_DOCSTRING = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def fingerprint(files: tuple[tuple[str, str], ...], trees: tuple[ast.Module | None, ...]) -> str:
    """The print of a program.

    Args:
        files: (path, text) pairs; their order doesn't count.
        trees: the syntax tree of each file, None for one that isn't Python; that one counts to the letter.
    """
    return combined(
        (path, (text,) if tree is None else normal_forms(text, tree))
        for (path, text), tree in zip(files, trees, strict=True)
    )


def combined(files: Iterable[tuple[str, Iterable[str]]]) -> str:
    """The print of a program from the paths of its files and the normal forms of their statements, in any order."""
    digest = hashlib.blake2b(digest_size=16)
    for path, statements in sorted(files, key=lambda item: item[0]):
        forms = tuple(statements)
        for part in (path, str(len(forms)), *forms):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
    return f"{VERSION}:{digest.hexdigest()}"


def normal_forms(text: str, tree: ast.Module, *, is_first: bool = True) -> tuple[str, ...]:
    """The normal form of each top-level statement, as hex digits; `is_first` tells whether a docstring may come first.

    For what is nested too deeply, the text itself.
    """
    try:
        return tuple(_normal_form(node) for node in (_body(tree) if is_first else tree.body))
    except RecursionError:
        return (text,)


def _normal_form(node: ast.stmt) -> str:
    parts: list[str] = []
    _dump(node, parts.append)
    return hashlib.blake2b("".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _body(node: ast.AST) -> list[ast.stmt]:
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body


def _dump(node: ast.AST, write: Callable[[str], None]) -> None:
    """The node's type and its fields that aren't empty: what newer versions add is empty in older programs."""
    write(f"{type(node).__name__}(")
    if isinstance(node, ast.Constant):
        write(f"value={_constant(node.value)})")
        return
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, _WITH_DOCSTRING):
            value = _body(node)
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(node)
        elif name == "format_spec" and isinstance(value, ast.JoinedStr) and not value.values:
            continue
        if value is None or value == []:
            continue
        write(f"{name}=")
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, ast.AST):
                _dump(part, write)
            else:
                write(f"{part!a},")
    write(")")


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
