"""A program as an ordered list of genes, over one or several files. Splitting is lossless.

A gene is a top-level function, a class's header, one method, or the run of statements between two definitions.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from guided_evolution.fingerprint import fingerprint

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Gene:
    """A piece of a file's text. `start` is its offset there, in characters."""

    name: str
    path: str
    source: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind it, in characters."""
        return self.start + len(self.source)


def gene_hash(source: str) -> str:
    """The content hash under which the archive keeps a gene: 16 bytes as hex."""
    return hashlib.blake2b(source.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a file, None if it doesn't parse."""
    try:
        return ast.parse(
            text.removeprefix("\ufeff"), "<candidate>"
        )  # a name by which its warnings are silenced
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@dataclass(frozen=True)
class Genome:
    """An immutable program: (path, text) pairs in the order given."""

    files: tuple[tuple[str, str], ...]

    @classmethod
    def split(cls, program: Mapping[str, bytes]) -> Genome:
        """The genome of a program's files; any bytes will do."""
        return cls(
            tuple((path, content.decode("utf-8", "surrogateescape")) for path, content in program.items())
        )

    def join(self) -> dict[str, bytes]:
        """The files, to the byte."""
        return {path: text.encode("utf-8", "surrogateescape") for path, text in self.files}

    @property
    def paths(self) -> tuple[str, ...]:
        """The files in order; the first one is the entry."""
        return tuple(path for path, _ in self.files)

    def text(self, path: str) -> str:
        """The text of a file. Raises KeyError for one that isn't there."""
        return dict(self.files)[path]

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """All genes, file by file, in order."""
        return tuple(gene for path, text in self.files for gene in _genes(path, text))

    def sources(self, path: str) -> list[str]:
        """The sources of a file's genes in order; joined they are its text."""
        return [gene.source for gene in _genes(path, self.text(path))]

    def gene(self, name: str) -> Gene:
        """The gene of that name. Raises KeyError for one that isn't there."""
        return {gene.name: gene for gene in self.genes}[name]

    def replace(self, path: str, text: str) -> Genome:
        """The same program with another text in one file."""
        return Genome(tuple((one, text if one == path else old) for one, old in self.files))

    @cached_property
    def fingerprint(self) -> str:
        """Equal for programs that differ only in comments, docstrings and layout; begins with its version."""
        return fingerprint(self.files, tuple(tree_of(path, text) for path, text in self.files))

    @cached_property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(len(content) for content in self.join().values())


@dataclass(frozen=True)
class GeneDiff:
    """Names of the genes in which two programs differ."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def gene_diff(old: Genome, new: Genome) -> GeneDiff:
    """Which genes of `new` have another source than in `old`, which are new, and which are gone."""
    before = {gene.name: gene.source for gene in old.genes}
    after = {gene.name: gene.source for gene in new.genes}
    return GeneDiff(
        changed=tuple(name for name, source in after.items() if name in before and before[name] != source),
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
    )


def unified_diff(old: Genome, new: Genome, *, old_name: str = "a", new_name: str = "b") -> str:
    """A unified diff over all files, in their order; empty for equal programs."""
    before, after = dict(old.files), dict(new.files)
    parts: list[str] = []
    for path in dict.fromkeys((*before, *after)):
        lines = difflib.unified_diff(
            lines_of(before.get(path, "")),
            lines_of(after.get(path, "")),
            f"{old_name}/{path}" if path in before else "/dev/null",
            f"{new_name}/{path}" if path in after else "/dev/null",
        )
        for line in lines:
            parts.append(line if line.endswith(("\n", "\r")) else line + "\n\\ No newline at end of file\n")
    return "".join(parts)


def lines_of(text: str) -> list[str]:
    """A text's lines as Python's tokenizer sees them, with their ends."""
    return _LINE.findall(text)


@lru_cache(maxsize=8)
def tree_of(path: str, text: str) -> ast.Module | None:
    """The syntax tree of a program's file, None if it isn't Python or doesn't parse. It is shared: don't change it."""
    # Few: a tree is large, and genes and fingerprint of one text are asked for one after the other.
    return parse(text) if path.endswith(".py") else None


@lru_cache(maxsize=256)
def _genes(path: str, text: str) -> tuple[Gene, ...]:
    tree = tree_of(path, text)
    if tree is None:
        return (Gene(path, path, text, 0),)
    lines = lines_of(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    genes = []
    taken: Counter[str] = Counter()
    for first, last, label in _cuts(tree, lines):
        taken[label] += 1
        name = f"{path}::{label}" + (f"#{taken[label]}" if taken[label] > 1 else "")
        genes.append(Gene(name, path, text[starts[first] : starts[last]], starts[first]))
    return tuple(genes)


def _cuts(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """(first line, line behind the last, label) of each gene, lines counted from 0; together they cover the file."""
    yield from _scope(tree.body, lines, 0, len(lines), owner="", head="<head>")


def _scope(
    body: list[ast.stmt], lines: list[str], first: int, last: int, *, owner: str, head: str
) -> Iterator[tuple[int, int, str]]:
    """Cut lines first…last, which hold `body`, at its definitions. `head` names what stands before the first one."""
    at, label = first, head
    definitions = [node for node in body if isinstance(node, _Definition)]
    for node in definitions:
        before = [one.end_lineno or 0 for one in body if one.lineno < node.lineno]
        begin = max(at, _begin(node, lines, max(before, default=0)))
        end = min(last, _end(node, body, lines, last))
        if begin > at:
            yield at, begin, label
        name = owner + node.name
        if isinstance(node, ast.ClassDef) and not owner:
            yield from _class(node, lines, begin, end)
        else:
            yield begin, end, name
        at, label = end, f"<after {name}>"
    if at < last or (not definitions and not owner):
        yield at, last, label


def _class(node: ast.ClassDef, lines: list[str], first: int, last: int) -> Iterator[tuple[int, int, str]]:
    """A class's header, then its methods and what stands between them."""
    inner_first = node.body[0].lineno - 1
    if inner_first < node.lineno or not any(isinstance(one, _Definition) for one in node.body):
        yield first, last, node.name
        return
    cuts = list(_scope(node.body, lines, first, last, owner=f"{node.name}.", head=node.name))
    yield from cuts


def _begin(node: ast.stmt, lines: list[str], floor: int) -> int:
    """First line of a definition, its decorators and the comments directly above, not before line `floor`."""
    assert isinstance(node, _Definition)
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    indent = _indent(lines[first])
    while first > floor and lines[first - 1].lstrip().startswith("#") and _indent(lines[first - 1]) == indent:
        first -= 1
    return first


def _end(node: ast.stmt, body: list[ast.stmt], lines: list[str], last: int) -> int:
    """The line behind a definition: what shares its last line and the blank lines after it belong to it."""
    assert node.end_lineno is not None
    end = node.end_lineno
    for other in body:
        if other.lineno == end and other.end_lineno is not None:
            end = max(end, other.end_lineno)
    while end < last and not lines[end].strip():
        end += 1
    return end


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
