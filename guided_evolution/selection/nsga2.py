"""NSGA-II's order (Deb et al. 2002: rank, then crowding), bent towards exploiting.

With a proposer that can't see, uniform choice barely beats mutating the seed again and again, while a small
population with the best as parent most of the time comes near hill climbing; hence `NSGA2.ranked` and the
tournament's size.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population


def places(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) places in ascending order from 0, equal values in one place."""
    order = np.argsort(values, kind="stable")
    result = np.empty(len(values), dtype=np.int64)
    result[order] = np.cumsum(np.diff(values[order], prepend=values[order[:1]]) > 0)
    return result


def ranks(objectives: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Constrained Pareto ranks.

    Args:
        objectives: (n, m), minimised.
        violations: (n,), 0 where feasible.

    Returns:
        (n,) whole numbers, 0 is best. Feasible rows by Pareto rank; behind them the others by how much they violate.
    """
    import moocore

    result = np.zeros(len(violations), dtype=np.int64)
    feasible = violations <= 0
    behind = 0
    if feasible.any():
        if objectives.shape[1] == 1:
            result[feasible] = places(objectives[feasible, 0])
        else:
            result[feasible] = moocore.pareto_rank(objectives[feasible])
        behind = int(result[feasible].max()) + 1
    if not feasible.all():
        result[~feasible] = behind + places(violations[~feasible])
    return result


def crowding(objectives: NDArray[np.float64], rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Crowding distance within each rank: (n,) floats, larger is lonelier, infinite at both ends of a front."""
    count = len(rank)
    distance = np.zeros(count)
    if count == 0:
        return distance
    for values in objectives.T:
        # All ranks at once: sorted by rank, then value, each rank is one stretch.
        order = np.lexsort((values, rank))
        starts = np.flatnonzero(np.diff(rank[order], prepend=rank[order[0]] - 1))
        lengths = np.diff(starts, append=count)
        ends = starts + lengths - 1
        sorted_values = values[order]
        span = np.repeat(sorted_values[ends] - sorted_values[starts], lengths)
        gap = np.zeros(count)
        gap[1:-1] = sorted_values[2:] - sorted_values[:-2]
        distance[order] += np.divide(gap, span, out=np.zeros(count), where=span > 0)
        distance[order[starts]] = distance[order[ends]] = np.inf
    return distance


def best_index(population: Population, among: NDArray[np.int64] | None = None) -> int:
    """The row that is best by constraints, then the primary objective, then age."""
    rows = np.arange(len(population.ids)) if among is None else among
    order = np.lexsort((rows, population.objectives[rows, 0], population.violations[rows]))
    return int(rows[order[0]])


@dataclass(frozen=True)
class NSGA2:
    """Parents by rank, exploiting first.

    Attributes:
        ranked: share of parents taken from the top (half of them by the primary objective, half by crowding).
        uniform: share taken from anywhere in the population; the rest is the run's seed program.
        pressure: share of the population that meets in one tournament.
    """

    keeps_the_best: ClassVar[bool] = True
    mates: ClassVar[bool] = False
    name: str = "nsga2"
    ranked: float = 0.7
    uniform: float = 0.2
    pressure: float = 0.5

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        rank = ranks(population.objectives, population.violations)
        lonely = crowding(population.objectives, rank)
        left = list(range(len(population.ids)))
        chosen: list[int] = []
        while left and len(chosen) < count:
            chosen.append(self._one(population, left, rank, lonely, rng))
            left.remove(chosen[-1])
        return tuple(population.ids[row] for row in chosen)

    def _one(
        self,
        population: Population,
        left: list[int],
        rank: NDArray[np.int64],
        lonely: NDArray[np.float64],
        rng: random.Random,
    ) -> int:
        draw = rng.random()
        if draw >= self.ranked + self.uniform and population.seed_id in population.ids:
            seed = population.ids.index(population.seed_id)
            if seed in left:
                return seed
        if draw >= self.ranked:
            return rng.choice(left)
        entrants = np.array(rng.sample(left, max(1, round(self.pressure * len(left)))))
        if rng.random() < 0.5:
            order = np.lexsort((entrants, population.objectives[entrants, 0], rank[entrants]))
        else:
            ties = np.array([rng.random() for _ in entrants])
            order = np.lexsort((ties, -lonely[entrants], rank[entrants]))
        return int(entrants[order[0]])

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The best by rank and crowding, the best by the primary objective always among them."""
        left = np.arange(len(population.ids))
        if len(left) <= size:
            return population.ids
        rank = ranks(population.objectives, population.violations)
        best = np.lexsort((left, population.objectives[:, 0], rank))[0]
        if len(left) > size + 1:
            lonely = crowding(population.objectives, rank)
            order = np.lexsort((left, population.objectives[:, 0], -lonely, rank))
            kept = [best, *(row for row in order if row != best)][:size]
            return tuple(population.ids[row] for row in sorted(kept))
        # One too many, as after every score: of the last rank the most crowded goes.
        last = left[(rank == rank.max()) & (left != best)]
        if len(last) > 1:
            lonely = crowding(population.objectives[last], np.zeros(len(last), dtype=np.int64))
            last = last[np.lexsort((-last, -population.objectives[last, 0], lonely))]
        return tuple(one for row, one in enumerate(population.ids) if row != last[0])
