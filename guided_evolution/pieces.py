"""A file as pieces that parse on their own: one definition each, or the statements between two of them.

A child differs from its parent in a piece or two, so what is known of the others is kept: see `Piece`.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from guided_evolution.bindings import Definition, bindings, first_line
from guided_evolution.fingerprint import normal_forms
from guided_evolution.signatures import Signature, signatures

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_FILE = "<candidate>"  # under this name the compiler's warnings about candidates are told apart, and silenced
warnings.filterwarnings("ignore", module=re.escape(_FILE))
_one_at_a_time = threading.Lock()
"""CPython before 3.12 counts the depth of trees under construction for all threads together, and raises SystemError."""


@dataclass(frozen=True)
class Problem:
    """Why Python refuses a text; `line` is counted from 1, 0 where it isn't known."""

    message: str
    line: int


@dataclass(frozen=True)
class Piece:
    """What is known of a run of top-level lines, whatever stands around it.

    Attributes:
        definition: the top-level function or class that it is, "" for statements between two.
        genes: (label, lines) of its genes in order; the label "" stands for one named after what comes before.
        forms: the normal forms of its top-level statements.
        bound: how often each name is bound, by scope: "" is the module, "Net" the body of that class.
        signatures: how functions, classes, methods and assigned names are called, by dotted name.
        globals: names declared global in functions. `stored`: (target, attribute) pairs assigned to.
        stars: modules of which everything is imported.
        main_blocks: characters from and to of the blocks under `if __name__ == "__main__":`.
        problem: why it can't be compiled although it parses.
        needs_all: whether it can only be judged with the whole file.
    """

    source: str
    lines: int
    definition: str
    genes: tuple[tuple[str, str], ...]
    forms: tuple[str, ...]
    bound: Mapping[str, Mapping[str, int]]
    signatures: Mapping[str, Signature]
    globals: Mapping[str, int]
    stored: Mapping[tuple[str, str], int]
    stars: frozenset[str]
    main_blocks: tuple[tuple[int, int], ...]
    problem: Problem | None
    needs_all: bool


def lines_of(text: str) -> list[str]:
    """Lines as Python's tokenizer sees them, with their ends."""
    return _LINE.findall(text)


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a file, None if it doesn't parse."""
    try:
        return parse_or_raise(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse_or_raise(text: str) -> ast.Module:
    """The syntax tree of a file; raises SyntaxError, ValueError, RecursionError or MemoryError."""
    with _one_at_a_time:
        return ast.parse(text.removeprefix("\ufeff"), _FILE)


def problem_of(text: str) -> Problem | None:
    """Why Python can't compile a file's text, None where it can."""
    try:
        compile(text.removeprefix("\ufeff"), _FILE, "exec", dont_inherit=True)
    except SyntaxError as problem:
        return Problem(problem.msg, problem.lineno or 0)
    except UnicodeEncodeError:
        return Problem("it holds bytes that aren't UTF-8", 0)
    except (ValueError, RecursionError, MemoryError) as problem:
        return Problem(str(problem) or "it is nested too deeply", 0)
    return None


def pieces_of(text: str, *, is_first: bool = True) -> tuple[Piece, ...] | None:
    """The pieces of a file, or of some whole lines of one (`is_first` tells whether from its head).

    None if it doesn't parse. Joined, their sources are the text.
    """
    tree = parse(text) if is_first or not text.startswith("\ufeff") else None
    if tree is None:
        return None
    lines = lines_of(text)
    found: list[Piece] = []
    cuts = list(_cuts(tree.body, lines))
    for first, last in cuts:
        own = tree if len(cuts) == 1 else None
        piece = _piece(_Lines("".join(lines[first:last]), is_first and not found, own))
        if (
            piece is None
        ):  # no file is known whose pieces don't parse on their own; should one come, it is one piece
            whole = _piece(_Lines(text, is_first, tree))
            return None if whole is None else (whole,)
        found.append(piece)
    return tuple(found)


class _Lines:
    """A piece's source as a key, with its tree where somebody parsed it already."""

    __slots__ = ("key", "tree")

    def __init__(self, source: str, is_first: bool, tree: ast.Module | None) -> None:
        self.key = (source, is_first)
        self.tree = tree

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Lines) and self.key == other.key


@lru_cache(maxsize=4096)
def _piece(of: _Lines) -> Piece | None:
    source, is_first = of.key
    tree = of.tree if of.tree is not None else parse(source)
    of.tree = None  # the cache keeps the key, and a tree is large
    if tree is None:
        return None
    lines = lines_of(source)
    definitions = [node for node in tree.body if isinstance(node, Definition)]
    name = definitions[0].name if definitions else ""
    stored: Counter[tuple[str, str]] = Counter()
    declared: Counter[str] = Counter()
    stars = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            declared.update(node.names)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            stored[_dotted(node.value), node.attr] += 1
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            stars.add("." * node.level + (node.module or ""))
    return Piece(
        source,
        len(lines),
        name,
        tuple(_genes(definitions[0], lines)) if definitions else (("", source),),
        normal_forms(source, tree, is_first=is_first),
        {scope: bindings(body) for scope, body in _scopes(tree.body, "")},
        {
            scope + ("." if scope else "") + called: how
            for scope, body in _scopes(tree.body, "")
            for called, how in signatures(body, may_yield="yield" in source).items()
        },
        declared,
        stored,
        frozenset(stars),
        tuple(_main_blocks(tree, lines)),
        _compile_problem(tree),
        _needs_all(tree, is_first),
    )


def _compile_problem(tree: ast.Module) -> Problem | None:
    """What the compiler refuses of a text that parses, such as a return outside a function."""
    try:
        compile(tree, _FILE, "exec", dont_inherit=True)
    except SyntaxError as problem:
        return Problem(problem.msg, problem.lineno or 0)
    except (ValueError, RecursionError, MemoryError) as problem:
        return Problem(str(problem) or "it is nested too deeply", 0)
    return None


def _needs_all(tree: ast.Module, is_first: bool) -> bool:
    """Statements that the compiler judges by what stands before them in the file."""
    return any(
        isinstance(node, ast.Global)
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__" and not is_first)
        for node in _outside_functions(tree.body)
    )


def _outside_functions(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if not isinstance(node, Definition):
            for inner in ("body", "orelse", "finalbody"):
                yield from _outside_functions(getattr(node, inner, None) or [])


def _scopes(body: list[ast.stmt], name: str) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The module's body and those of classes, by dotted name; of two classes of one name neither."""
    yield name, body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    counts = Counter(node.name for node in classes)
    for node in classes:
        if counts[node.name] == 1:
            yield from _scopes(node.body, f"{name}.{node.name}" if name else node.name)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return before and f"{before}.{node.attr}"
    return ""


def _main_blocks(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, int]]:
    for node in tree.body:
        if _is_main(node):
            start = sum(map(len, lines[: node.lineno - 1]))
            yield start, start + sum(map(len, lines[node.lineno - 1 : node.end_lineno]))


def _is_main(node: ast.stmt) -> bool:
    test = node.test if isinstance(node, ast.If) else None
    if not isinstance(test, ast.Compare) or len(test.comparators) != 1:
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


# Where to cut


def _cuts(body: list[ast.stmt], lines: list[str]) -> Iterator[tuple[int, int]]:
    """(first line, line behind the last) of each piece, lines counted from 0; together they cover the file."""
    at = 0
    for begin, end, _ in _definitions(body, lines, 0, len(lines)):
        if begin > at:
            yield at, begin
        yield begin, end
        at = end
    if at < len(lines) or not lines:
        yield at, len(lines)


def _genes(node: Definition, lines: list[str]) -> Iterator[tuple[str, str]]:
    """(label, source) of a definition's genes: itself, or a class's header, its methods and what stands between."""
    inner = node.body[0].lineno - 1 >= node.lineno and any(isinstance(one, Definition) for one in node.body)
    if not isinstance(node, ast.ClassDef) or not inner:
        yield node.name, "".join(lines)
        return
    at, label = 0, node.name
    for begin, end, name in _definitions(node.body, lines, 0, len(lines)):
        if begin > at:
            yield label, "".join(lines[at:begin])
        yield f"{node.name}.{name}", "".join(lines[begin:end])
        at, label = end, f"<after {node.name}.{name}>"
    if at < len(lines):
        yield label, "".join(lines[at:])


def _definitions(
    body: list[ast.stmt], lines: list[str], first: int, last: int
) -> Iterator[tuple[int, int, str]]:
    """The lines of each definition of a body, with its decorators, comments directly above and blank lines behind."""
    at = first
    for index, node in enumerate(body):
        if isinstance(node, Definition):
            floor = _behind(lines, max((one.end_lineno or 0 for one in body[:index]), default=0))
            begin = max(at, _begin(node, lines, floor))
            end = min(last, _end(node, body, lines, last))
            yield begin, end, node.name
            at = end


def _begin(node: Definition, lines: list[str], floor: int) -> int:
    first = first_line(node) - 1
    indent = _indent(lines[first])
    while first > floor and lines[first - 1].lstrip().startswith("#") and _indent(lines[first - 1]) == indent:
        first -= 1
    return first


def _end(node: Definition, body: list[ast.stmt], lines: list[str], last: int) -> int:
    """The line behind a definition: what shares its last line and the blank lines after it belong to it."""
    assert node.end_lineno is not None
    end = node.end_lineno
    for other in body:
        if other.lineno == end and other.end_lineno is not None:
            end = max(end, other.end_lineno)
    end = _behind(lines, end)
    while end < last and not lines[end].strip():
        end += 1
    return end


def _behind(lines: list[str], end: int) -> int:
    """The line behind a statement, which goes on over a backslash even where only a comment follows."""
    while 0 < end < len(lines) and lines[end - 1].rstrip("\r\n").endswith("\\") and "#" not in lines[end - 1]:
        end += 1
    return end


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
