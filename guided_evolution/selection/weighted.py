"""Every program may become a parent, the better the likelier, and the less likely the more children it had."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import NSGA2, ranks


def weights(
    objectives: NDArray[np.float64],
    violations: NDArray[np.float64],
    children: NDArray[np.float64],
    decay: float,
) -> NDArray[np.float64]:
    """(n,) positive weights: `decay` a place in the order of (rank, primary objective), shared among 1 + children."""
    rank = ranks(objectives, violations)
    order = np.lexsort((np.arange(len(rank)), objectives[:, 0], rank))
    place = np.empty(len(rank))
    place[order] = np.arange(len(rank))
    return np.asarray(np.maximum(decay**place, 1e-12) / (1.0 + children))


@dataclass(frozen=True)
class Weighted:
    """Parents by rank and by children already had; survival as in NSGA-II.

    Attributes:
        decay: how much less likely each place makes it.
    """

    keeps_the_best: ClassVar[bool] = True
    mates: ClassVar[bool] = False
    name: str = "weighted"
    decay: float = 0.7

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """See `Selection.choose`."""
        children = population.children if population.children.size else np.zeros(len(population.ids))
        weight = weights(population.objectives, population.violations, children, self.decay)
        left = list(range(len(population.ids)))
        chosen: list[int] = []
        while left and len(chosen) < count:
            chosen.append(rng.choices(left, weight[left].tolist())[0])
            left.remove(chosen[-1])
        return tuple(population.ids[row] for row in chosen)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """See `NSGA2.survive`."""
        return NSGA2().survive(population, size)
