"""MAP-Elites (Mouret & Clune 2015): the best of each kind, where kinds are cells of the measures.

A program that scores worse but behaves like no other stays, so a search can cross valleys and plateaus.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import best_index


def cells(measures: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """(n,) the cell of each row of (n, k) measures; rows that lack a measure share cells of their own.

    A part of a measure is as wide as the least power of two of which `bins` cover all that is there. So borders stay
    where they are until the range has doubled; with borders that move, what has just crossed one is pulled back.
    (Parts by rank would be even, but an archive thinned by them crowds together where scores are good.)
    """
    result = np.zeros(len(measures), dtype=np.int64)
    for column in measures.T:
        there = np.isfinite(column)
        part = np.full(len(column), -1, dtype=np.int64)
        if there.any():
            low, high = column[there].min(), column[there].max()
            width = 2.0 ** np.ceil(np.log2((high - low) / bins)) if high > low else 1.0
            part[there] = np.floor(column[there] / width) - np.floor(low / width)
        result = result * (bins + 3) + part + 1
    return result


@dataclass(frozen=True)
class MapElites:
    """One elite a cell; parents are elites that had few children so far.

    Without measures every program is a kind of its own, and the best survive.

    Attributes:
        bins: most parts of each measure, at least half as many; with more than two measures the first two count.
        best: share of bases that are simply the best by the primary objective.
    """

    mates: ClassVar[bool] = False
    name: str = "map-elites"
    bins: int = 16
    best: float = 0.2

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        left = list(range(len(population.ids)))
        children = population.children if population.children.size else np.zeros(len(left))
        chosen: list[int] = []
        if count and rng.random() < self.best:
            chosen.append(best_index(population))
            left.remove(chosen[0])
        while left and len(chosen) < count:
            weights = [1.0 / (1.0 + float(children[row])) for row in left]
            chosen.append(rng.choices(left, weights)[0])
            left.remove(chosen[-1])
        return tuple(population.ids[row] for row in chosen)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The best of each cell; if these are too many, the best of them."""
        count = len(population.ids)
        # Of equals the oldest: its children are counted, so the search goes where it has seldom been.
        order = np.lexsort((np.arange(count), population.objectives[:, 0], population.violations))
        if population.measures.size:
            cell = cells(population.measures[:, :2], self.bins)
            order = order[np.sort(np.unique(cell[order], return_index=True)[1])]
        return tuple(population.ids[row] for row in np.sort(order[:size]))
