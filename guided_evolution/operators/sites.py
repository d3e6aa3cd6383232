"""Where a gene can be changed. LibCST finds the places once per gene text; proposing is then splicing at positions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from guided_evolution.edit import Edit, FrozenRules, Splice
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import evolvable_spans
from guided_evolution.genome import Gene, Genome

Piece = tuple[int, int, str]
"""Characters `start` to `end` of the gene, and what stands there instead."""


@dataclass(frozen=True)
class Number:
    """A number, with its sign, or True or False.

    `weight` is how useful a change of it is likely to be: less for an axis or an index than for a rate.
    `group` tells the elements of one list, tuple or dict from those of others; 0 stands for none.
    """

    start: int
    end: int
    text: str
    weight: float = 1.0
    group: int = 0


@dataclass(frozen=True)
class Change:
    """One change, in words too."""

    pieces: tuple[Piece, ...]
    words: str
    weight: float = 1.0


@dataclass(frozen=True)
class Site:
    """A place with the changes that can be made there, at least one."""

    changes: tuple[Change, ...]


@dataclass(frozen=True)
class GeneSites:
    """All places of a gene, by the operator that they are for."""

    numbers: tuple[Number, ...] = ()
    operators: tuple[Site, ...] = ()
    functions: tuple[Site, ...] = ()
    statements: tuple[Site, ...] = ()


Place = TypeVar("Place", Number, Site)


@lru_cache(maxsize=4096)
def gene_sites(source: str) -> GeneSites:
    """The places of a gene, none where it isn't Python."""
    # LibCST takes a quarter of a second to import, and a run that only resumes or shows never needs it.
    from guided_evolution.operators.scan import scan

    return scan(source)


def places(
    genome: Genome, rules: FrozenRules, kind: Callable[[GeneSites], Sequence[Place]]
) -> Iterator[tuple[Gene, Place]]:
    """The places of all genes that lie wholly in evolvable spans; of a site the changes that do."""
    for path in genome.paths:
        spans = evolvable_spans(genome, path, rules) if path.endswith(".py") else ()
        if not spans:
            continue
        for gene in genome.genes:
            if gene.path != path or not any(first < gene.end and gene.start < end for first, end in spans):
                continue
            whole = any(first <= gene.start and gene.end <= end for first, end in spans)
            for place in kind(gene_sites(gene.source)):
                kept = place if whole else _inside(place, gene, spans)
                if kept is not None:
                    yield gene, kept


def _inside(place: Place, gene: Gene, spans: tuple[tuple[int, int], ...]) -> Place | None:
    def free(start: int, end: int) -> bool:
        return any(first <= gene.start + start and gene.start + end <= behind for first, behind in spans)

    if isinstance(place, Number):
        return place if free(place.start, place.end) else None
    kept = tuple(
        change for change in place.changes if all(free(start, end) for start, end, _ in change.pieces)
    )
    return Site(kept) if kept else None


def choose_change(
    genome: Genome,
    rules: FrozenRules,
    rng: random.Random,
    kind: Callable[[GeneSites], Sequence[Site]],
    wanted: str,
) -> Edit:
    """The edit of a change drawn evenly from the places. Raises EditRejected("no-site") where there is none."""
    found = list(places(genome, rules, kind))
    if not found:
        raise EditRejected(
            "no-site", f"the evolvable part of the program holds no place to change: not {wanted}"
        )
    gene, site = rng.choice(found)
    change = rng.choices(site.changes, weights=[change.weight for change in site.changes])[0]
    return merged([(gene, change)])


def merged(chosen: Sequence[tuple[Gene, Change]]) -> Edit:
    """One edit that makes all these changes."""
    splices = tuple(
        Splice(gene.path, gene.start + start, gene.start + end, text)
        for gene, change in chosen
        for start, end, text in change.pieces
    )
    words: dict[str, list[str]] = {}
    for gene, change in chosen:
        words.setdefault(gene.name, []).append(change.words)
    return Edit(splices, "; ".join(f"{name}: {', '.join(changes)}" for name, changes in words.items()))
