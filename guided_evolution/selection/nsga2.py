"""NSGA-II's order (Deb et al. 2002: rank, then crowding), bent towards exploiting.

With a proposer that can't see, uniform choice barely beats mutating the seed again and again, while a small
population with the best as parent most of the time comes near hill climbing; hence `NSGA2.ranked` and the
tournament's size.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population


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
            result[feasible] = np.unique(objectives[feasible, 0], return_inverse=True)[1]
        else:
            result[feasible] = moocore.pareto_rank(objectives[feasible])
        behind = int(result[feasible].max()) + 1
    if not feasible.all():
        result[~feasible] = behind + np.unique(violations[~feasible], return_inverse=True)[1]
    return result


def crowding(objectives: NDArray[np.float64], rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Crowding distance within each rank: (n,) floats, larger is lonelier, infinite at both ends of a front."""
    distance = np.zeros(len(rank))
    for level in np.unique(rank):
        members = np.flatnonzero(rank == level)
        for column in range(objectives.shape[1]):
            values = objectives[members, column]
            order = members[np.argsort(values, kind="stable")]
            low, high = objectives[order[0], column], objectives[order[-1], column]
            distance[order[0]] = distance[order[-1]] = np.inf
            if high > low and len(order) > 2:
                sorted_values = objectives[order, column]
                distance[order[1:-1]] += (sorted_values[2:] - sorted_values[:-2]) / (high - low)
    return distance


@dataclass(frozen=True)
class NSGA2:
    """Parents by rank, exploiting first.

    Attributes:
        ranked: share of parents taken from the top (half of them by the primary objective, half by crowding).
        uniform: share taken from anywhere in the population; the rest is the run's seed program.
        pressure: share of the population that meets in one tournament.
    """

    name: str = "nsga2"
    ranked: float = 0.7
    uniform: float = 0.2
    pressure: float = 0.5

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        rank = ranks(population.objectives, population.violations)
        lonely = crowding(population.objectives, rank)
        chosen: list[int] = []
        while len(chosen) < min(count, len(population.ids)):
            left = [index for index in range(len(population.ids)) if population.ids[index] not in chosen]
            chosen.append(self._one(population, left, rank, lonely, rng))
        return tuple(chosen)

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
                return population.seed_id
        if draw >= self.ranked:
            return population.ids[rng.choice(left)]
        entrants = rng.sample(left, max(1, round(self.pressure * len(left))))
        if rng.random() < 0.5:
            return population.ids[min(entrants, key=lambda i: (rank[i], population.objectives[i, 0], i))]
        return population.ids[min(entrants, key=lambda i: (rank[i], -lonely[i], rng.random()))]

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The best by rank and crowding, the best by the primary objective always among them."""
        if len(population.ids) <= size:
            return population.ids
        rank = ranks(population.objectives, population.violations)
        lonely = crowding(population.objectives, rank)
        order = sorted(range(len(rank)), key=lambda i: (rank[i], -lonely[i], population.objectives[i, 0], i))
        best = min(range(len(rank)), key=lambda i: (rank[i], population.objectives[i, 0], i))
        kept = {best, *order[: size - 1]}
        for index in order:
            if len(kept) == size:
                break
            kept.add(index)
        return tuple(population.ids[index] for index in sorted(kept))
