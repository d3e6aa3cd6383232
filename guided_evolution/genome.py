"""A program as an ordered list of genes, over one or several files. Splitting is lossless.

A gene is a top-level function, a class's header, one method, or the run of statements between two definitions.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from guided_evolution.fingerprint import combined
from guided_evolution.layout import Cut, Layout, layout_of, respliced
from guided_evolution.pieces import lines_of, parse

__all__ = [
    "Gene",
    "GeneDiff",
    "Genome",
    "gene_diff",
    "gene_hash",
    "lines_of",
    "parse",
    "tree_of",
    "unified_diff",
]


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
        return tuple(gene for path in self.paths for gene in self.genes_of(path))

    def genes_of(self, path: str) -> tuple[Gene, ...]:
        """The genes of a file in order; joined their sources are its text."""
        layout = self.layouts[path]
        if layout is None:
            return (Gene(path, path, self.text(path), 0),)
        genes, at = [], 0
        for label, source in layout.genes():
            genes.append(Gene(f"{path}::{label}", path, source, at))
            at += len(source)
        return tuple(genes)

    def sources(self, path: str) -> list[str]:
        """The sources of a file's genes in order; joined they are its text."""
        return [gene.source for gene in self.genes_of(path)]

    def gene(self, name: str) -> Gene:
        """The gene of that name. Raises KeyError for one that isn't there."""
        return {gene.name: gene for gene in self.genes}[name]

    def replace(self, path: str, text: str) -> Genome:
        """The same program with another text in one file."""
        return Genome(tuple((one, text if one == path else old) for one, old in self.files))

    def splice(self, path: str, cuts: Sequence[Cut]) -> Genome:
        """The same program after cuts in one file, sorted and without overlap. Only what they touch is read again."""
        text, parts, at = self.text(path), [], 0
        for start, end, new in cuts:
            parts += [text[at:start], new]
            at = end
        child = self.replace(path, "".join([*parts, text[at:]]))
        layout = self.layouts[path]
        known = {
            **self.layouts,
            path: layout_of(child.text(path)) if layout is None else respliced(layout, cuts),
        }
        child.__dict__["layouts"] = (
            known if path.endswith(".py") else self.layouts
        )  # as cached_property would
        return child

    @cached_property
    def layouts(self) -> Mapping[str, Layout | None]:
        """The layout of each file, None for one that isn't Python or doesn't parse."""
        return {path: layout_of(text) if path.endswith(".py") else None for path, text in self.files}

    @cached_property
    def fingerprint(self) -> str:
        """Equal for programs that differ only in comments, docstrings and layout; begins with its version."""
        return combined(
            (path, (text,) if (layout := self.layouts[path]) is None else layout.forms)
            for path, text in self.files
        )

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


@lru_cache(maxsize=8)
def tree_of(path: str, text: str) -> ast.Module | None:
    """The syntax tree of a program's file, None if it isn't Python or doesn't parse. It is shared: don't change it."""
    # Few, for a tree is large.
    return parse(text) if path.endswith(".py") else None
