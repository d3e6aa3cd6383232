"""What evolution has to beat on an equal budget: best of n, a random walk, hill climbing.

Each keeps one program, so operators that need two parents never come up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from guided_evolution.selection import Population


@dataclass(frozen=True)
class BestOfN:
    """Every child is a child of the seed program."""

    mates: ClassVar[bool] = False
    name: str = "best-of-n"

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """The seed program."""
        return (population.seed_id,)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The seed program."""
        return (population.seed_id,)


@dataclass(frozen=True)
class RandomWalk:
    """Every child is a child of the last program that was scored, better or worse."""

    mates: ClassVar[bool] = False
    name: str = "random-walk"

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """The last one."""
        return (population.ids[-1],)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The last one."""
        return (population.ids[-1],)


@dataclass(frozen=True)
class HillClimb:
    """Every child is a child of the best program so far; of equals the newest, so that plateaus are crossed."""

    mates: ClassVar[bool] = False
    name: str = "hill-climb"

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """The best one."""
        return (self._best(population),)

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The best one."""
        return (self._best(population),)

    def _best(self, population: Population) -> int:
        newest_first = -np.arange(len(population.ids))
        order = np.lexsort((newest_first, population.objectives[:, 0], population.violations))
        return population.ids[int(order[0])]
