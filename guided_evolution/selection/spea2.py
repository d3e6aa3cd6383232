"""SPEA2's order (Zitzler et al. 2001): how many dominate one, and how dense it is around it; and its elites."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import best_index


def dominates(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n, n): row dominates column. Constraints first, as everywhere here."""
    no_worse = (objectives[:, None] <= objectives[None]).all(axis=2)
    better = (objectives[:, None] < objectives[None]).any(axis=2)
    closer = violations[:, None] < violations[None]
    both_keep = (violations[:, None] <= 0) & (violations[None] <= 0)
    return np.asarray(np.where(both_keep, no_worse & better, closer), dtype=np.bool_)


def scaled(objectives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column from 0 to 1, so that distances don't depend on units."""
    low, high = objectives.min(axis=0), objectives.max(axis=0)
    return np.asarray((objectives - low) / np.where(high > low, high - low, 1.0))


def distances(objectives: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n) distances in scaled objectives, infinite on the diagonal."""
    points = scaled(objectives)
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart)


def fitness(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) floats, less is better; below 1 for those that nobody dominates."""
    over = dominates(objectives, violations)
    strength = over.sum(axis=1)
    raw = (over * strength[:, None]).sum(axis=0)
    if len(raw) < 2:
        return np.asarray(raw, dtype=np.float64)
    near = min(len(raw) - 2, int(np.sqrt(len(raw))))
    density = np.partition(distances(objectives), near, axis=1)[:, near]
    return np.asarray(raw + 1.0 / (density + 2.0))


def elites(objectives: NDArray[np.float64], violations: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Rows of the `size` elites, in ascending order.

    All that nobody dominates; too many of them are thinned out where they stand closest together, too few are
    filled up by fitness.
    """
    value = fitness(objectives, violations)
    order = np.argsort(value, kind="stable")
    front = np.flatnonzero(value < 1)
    if len(front) <= size:
        return np.sort(order[:size])
    # The best by the primary objective is never thinned out.
    keep = front[np.lexsort((front, objectives[front, 0]))[0]]
    left = list(front)
    apart = distances(objectives[front])
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

    name: str = "spea2"
    entrants: int = 3
    best: float = 0.3

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        value = fitness(population.objectives, population.violations)
        left = list(range(len(population.ids)))
        chosen: list[int] = []
        if count and rng.random() < self.best:
            chosen.append(best_index(population))
            left.remove(chosen[0])
        while left and len(chosen) < count:
            entrants = rng.sample(left, min(self.entrants, len(left)))
            chosen.append(min(entrants, key=lambda row: (value[row], row)))
            left.remove(chosen[-1])
        return tuple(population.ids[row] for row in chosen)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """SPEA2's elites."""
        if len(population.ids) <= size:
            return population.ids
        kept = elites(population.objectives, population.violations, size)
        return tuple(population.ids[row] for row in kept)
