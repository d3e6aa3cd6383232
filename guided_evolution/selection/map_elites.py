"""MAP-Elites (Mouret & Clune 2015): the best of each kind, where kinds are cells of the measures.

A program that scores worse but behaves like no other stays, so a search can cross valleys and plateaus.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import best_index


def ranked(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) places from 0 to 1, equal values in one place; so an uneven measure fills its cells evenly."""
    places = np.unique(column, return_inverse=True)[1].astype(np.float64)
    return np.asarray(places / max(1.0, places.max()))


def ranged(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the value between the least and the largest, 0 to 1."""
    low, high = column.min(), column.max()
    return (column - low) / (high - low) if high > low else np.zeros(len(column))


def cells(measures: NDArray[np.float64], bins: int, by_rank: bool) -> NDArray[np.int64]:
    """(n,) the cell of each row of (n, k) measures; rows that lack a measure share cells of their own.

    Args:
        bins: parts that each measure is divided into.
        by_rank: divide by places instead of values.
    """
    result = np.zeros(len(measures), dtype=np.int64)
    for column in measures.T:
        there = np.isfinite(column)
        part = np.full(len(column), bins, dtype=np.int64)
        if there.any():
            scale = ranked(column[there]) if by_rank else ranged(column[there])
            part[there] = np.minimum((scale * bins).astype(np.int64), bins - 1)
        result = result * (bins + 1) + part
    return result


@dataclass(frozen=True)
class MapElites:
    """One elite a cell; parents are elites that had few children so far.

    Without measures there is one cell for each place in the order of the primary objective, and it is a plain
    population.

    Attributes:
        bins: parts of each measure; with more than two measures the first two count.
        by_rank: divide measures by places instead of values.
        best: share of bases that are simply the best by the primary objective.
    """

    name: str = "map-elites"
    bins: int = 8
    by_rank: bool = True
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
        order = np.lexsort((np.arange(count), population.objectives[:, 0], population.violations))
        if population.measures.size:
            cell = cells(population.measures[:, :2], self.bins, self.by_rank)
            order = order[np.sort(np.unique(cell[order], return_index=True)[1])]
        return tuple(population.ids[row] for row in np.sort(order[:size]))
