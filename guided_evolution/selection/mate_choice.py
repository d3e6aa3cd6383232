"""Mate choice: each program carries an evolving picture of its ideal mate (after "All You Need Is Sex for Diversity").

A trait is a program's place, 0 to 1, in the order of an objective or a measure. A preference is the traits
that a base looks for; it is inherited with small changes and proves itself by the children that come of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import NSGA2, places

CHANGE = 0.15
"""Spread of what a preference changes by from parent to child."""


def ranked(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) places from 0 to 1, equal values in one place."""
    place = places(column).astype(np.float64)
    return np.asarray(place / max(1.0, place.max()))


def traits(population: Population) -> NDArray[np.float64]:
    """(n, m + k) places from 0 to 1 in objectives and measures; a missing measure counts as the middle."""
    columns = [ranked(column) for column in population.objectives.T]
    for column in population.measures.T:
        there = np.isfinite(column)
        place = np.full(len(column), 0.5)
        place[there] = ranked(column[there]) if there.any() else 0.5
        columns.append(place)
    return np.stack(columns, axis=1)


def inherited(parents: Sequence[Sequence[float]], count: int, rng: random.Random) -> tuple[float, ...]:
    """A child's preference over `count` traits: each from one of its parents, a little changed.

    A child without parents looks for anything.
    """
    drawn = [rng.choice(parents)[trait] if parents else rng.random() for trait in range(count)]
    return tuple(min(1.0, max(0.0, value + rng.gauss(0.0, CHANGE))) for value in drawn)


@dataclass(frozen=True)
class MateChoice:
    """Bases and survivors as in NSGA-II; the others are chosen by the base.

    Attributes:
        picky: share of mates that the base chooses; the rest comes as in NSGA-II.
        met: how many it meets before it chooses.
    """

    keeps_the_best: ClassVar[bool] = True
    name: str = "mate-choice"
    picky: float = 0.8
    met: int = 5
    basis: NSGA2 = field(default_factory=NSGA2)

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        chosen = self.basis.choose(population, count, rng)
        if len(chosen) < 2 or not population.preferences.size or rng.random() >= self.picky:
            return chosen
        base = population.ids.index(chosen[0])
        ideal = population.preferences[base]
        trait = traits(population)
        left = [row for row in range(len(population.ids)) if row != base]
        mates: list[int] = []
        while left and len(mates) < len(chosen) - 1:
            met = rng.sample(left, min(self.met, len(left)))
            mates.append(min(met, key=lambda row: (float(np.abs(trait[row] - ideal).sum()), row)))
            left.remove(mates[-1])
        return (chosen[0], *(population.ids[row] for row in mates))

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """See `NSGA2.survive`."""
        return self.basis.survive(population, size)
