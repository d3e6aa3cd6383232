"""SPEA2's order (Zitzler et al. 2001): how many dominate one, and how dense it is around it; and its elites."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import best_index


def dominates(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n, n): row dominates column. Constraints first, as everywhere here."""
    count = len(violations)
    no_worse, better = np.ones((count, count), dtype=np.bool_), np.zeros((count, count), dtype=np.bool_)
    for column in objectives.T:
        no_worse &= column[:, None] <= column
        better |= column[:, None] < column
    over = no_worse & better
    broken = violations > 0
    if broken.any():
        over = np.where(broken[:, None] | broken, violations[:, None] < violations, over)
    return over


def scaled(objectives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column from 0 to 1, so that distances don't depend on units."""
    low, high = objectives.min(axis=0), objectives.max(axis=0)
    return np.asarray((objectives - low) / np.where(high > low, high - low, 1.0))


def distances(objectives: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k, n) distances from these rows to all, in scaled objectives; infinite from one to itself."""
    points = scaled(objectives)
    apart = np.zeros((len(rows), len(points)))
    for column in points.T:
        apart += (column[rows][:, None] - column) ** 2
    apart[np.arange(len(rows)), rows] = np.inf
    return np.sqrt(apart)


def raw_fitness(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the strengths of all that dominate one, added up; 0 for those that nobody dominates."""
    over = dominates(objectives, violations)
    return np.asarray(
        np.count_nonzero(over, axis=1).astype(np.float32) @ over.astype(np.float32), dtype=np.float64
    )


def density(objectives: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k,) how dense it is around these rows, above 0 and at most 1/2."""
    if len(objectives) < 2:
        return np.zeros(len(rows))
    near = min(len(objectives) - 2, int(np.sqrt(len(objectives))))
    return np.asarray(1.0 / (np.partition(distances(objectives, rows), near, axis=1)[:, near] + 2.0))


def fitness(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) floats, less is better; below 1 for those that nobody dominates."""
    return raw_fitness(objectives, violations) + density(objectives, np.arange(len(violations)))


def elites(objectives: NDArray[np.float64], violations: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Rows of the `size` elites, in ascending order.

    All that nobody dominates; too many of them are thinned out where they stand closest together, too few are
    filled up by fitness.
    """
    raw = raw_fitness(objectives, violations)
    front = np.flatnonzero(raw == 0)
    if len(front) <= size:
        # Only those that the cut goes through need their density.
        last = np.sort(raw)[min(size, len(raw)) - 1]
        tied = np.flatnonzero(raw == last)
        value = raw.copy()
        value[tied] += density(objectives, tied)
        return np.sort(np.argsort(value, kind="stable")[:size])
    # The best by the primary objective is never thinned out.
    keep = front[np.lexsort((front, objectives[front, 0]))[0]]
    left = list(front)
    apart = distances(objectives[front], np.arange(len(front)))
    rows = list(range(len(front)))
    while len(left) > size:
        near = np.sort(apart[np.ix_(rows, rows)], axis=1)
        for position in np.lexsort(near.T[::-1]):
            if left[position] != keep:
                del left[position], rows[position]
                break
    return np.sort(np.array(left, dtype=np.int64))


@dataclass(frozen=True)
class SPEA2:
    """Elites survive; parents meet in tournaments by fitness.

    Attributes:
        entrants: how many meet in a tournament.
        best: share of bases that are simply the best by the primary objective.
    """

    keeps_the_best: ClassVar[bool] = True
    mates: ClassVar[bool] = False
    name: str = "spea2"
    entrants: int = 3
    best: float = 0.3

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        raw = raw_fitness(population.objectives, population.violations)
        left = list(range(len(population.ids)))
        chosen: list[int] = []
        if count and rng.random() < self.best:
            chosen.append(best_index(population))
            left.remove(chosen[0])
        while left and len(chosen) < count:
            entrants = np.array(rng.sample(left, min(self.entrants, len(left))))
            value = raw[entrants] + density(population.objectives, entrants)
            chosen.append(int(entrants[np.lexsort((entrants, value))[0]]))
            left.remove(chosen[-1])
        return tuple(population.ids[row] for row in chosen)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """SPEA2's elites."""
        if len(population.ids) <= size:
            return population.ids
        kept = elites(population.objectives, population.violations, size)
        return tuple(population.ids[row] for row in kept)
