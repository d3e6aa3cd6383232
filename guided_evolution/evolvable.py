"""Which parts of a program an edit may touch, and whether it left the others as they stood.

Frozen are: the lines outside EVOLVE-BLOCK markers in a file that has some (the marker lines too), the genes that the
rules name, and blocks under `if __name__ == "__main__":`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from guided_evolution.genome import Gene, Genome, lines_of
from guided_evolution.layout import Layout

START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"

Span = tuple[int, int]
"""Offsets in a file's text, in characters: the first one, and the one behind the last."""


@dataclass(frozen=True)
class FrozenRules:
    """What no edit may touch: see `Seed.protected` and `Seed.frozen`; EVOLVE-BLOCK markers are read from the text."""

    protected: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    program_kb: int = 64


def evolvable_spans(genome: Genome, path: str, rules: FrozenRules) -> tuple[Span, ...]:
    """The parts of a file that an edit may touch, in order, whole lines each; empty where all is frozen."""
    return _spans(genome, path, rules.frozen)


def is_evolvable(spans: tuple[Span, ...], start: int, end: int) -> bool:
    """Whether the characters from `start` to `end` lie in one of the spans."""
    return any(first <= start and end <= behind for first, behind in spans)


def evolvable_genes(genome: Genome, rules: FrozenRules) -> dict[str, bool]:
    """The genes that can change, by name in order: True for one that is evolvable as a whole, else False."""
    found: dict[str, bool] = {}
    for path in genome.paths:
        spans = evolvable_spans(genome, path, rules)
        for gene in genome.genes:
            if gene.path != path:
                continue
            if is_evolvable(spans, gene.start, gene.end):
                found[gene.name] = True
            elif any(first < gene.end and gene.start < behind for first, behind in spans):
                found[gene.name] = False
    return found


def frozen_genes(genome: Genome, frozen: tuple[str, ...]) -> list[Gene]:
    """The genes that these names freeze: a gene's name, a class's (with all its methods) or a file's path."""
    named = {full_name(one, genome.paths) for one in frozen}
    if not named:
        return []
    return [gene for gene in genome.genes if named & _names_of(gene)]


def full_name(name: str, paths: tuple[str, ...]) -> str:
    """A gene's name or a path as it is; another name belongs to the first file."""
    return name if "::" in name or name in paths else f"{paths[0]}::{name}"


def segments(text: str) -> list[tuple[bool, Span]]:
    """The text cut at its markers: (evolvable?, span) one after the other; one evolvable one without markers."""
    if START not in text and END not in text:
        return [(True, (0, len(text)))]
    found: list[tuple[bool, Span]] = []
    inside, at, begin = False, 0, 0
    for line in lines_of(text):
        starts, ends = START in line, END in line
        if inside and (starts or ends):
            found.append((True, (begin, at)))
            begin, inside = at, False
        at += len(line)
        if starts and not ends:
            found.append((False, (begin, at)))
            begin, inside = at, True
    found.append((inside, (begin, len(text))))
    return found


def main_blocks(layout: Layout | None) -> list[Span]:
    """The spans of the top-level blocks under `if __name__ == "__main__":`, whole lines."""
    if layout is None:
        return []
    return [
        (at + first, at + behind)
        for at, piece in zip(layout.starts, layout.pieces, strict=False)
        for first, behind in piece.main_blocks
    ]


def line_starts(text: str) -> list[int]:
    """The offset of every line, and behind them the length of the text twice."""
    starts = [0]
    for line in lines_of(text):
        starts.append(starts[-1] + len(line))
    starts.append(starts[-1])
    return starts


@lru_cache(maxsize=256)
def _spans(genome: Genome, path: str, frozen: tuple[str, ...]) -> tuple[Span, ...]:
    text = genome.text(path)
    spans = [span for free, span in segments(text) if free and (span[0] < span[1] or not text)]
    closed = main_blocks(genome.layouts[path])
    closed += [(gene.start, gene.end) for gene in frozen_genes(genome, frozen) if gene.path == path]
    for start, end in closed:
        spans = [part for span in spans for part in _without(span, start, end)]
    return tuple(spans)


def _without(span: Span, start: int, end: int) -> list[Span]:
    first, behind = span
    parts = [(first, min(behind, start)), (max(first, end), behind)]
    return [(low, high) for low, high in parts if low < high]


def _names_of(gene: Gene) -> set[str]:
    path, _, label = gene.name.partition("::")
    owner = label.partition(".")[0].removeprefix("<after ")
    inside = "." in label
    return {gene.name, path, f"{path}::{owner}"} if inside else {gene.name, path}
