"""Which programs become parents: pure choices on plain arrays, with the caller's random numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Population:
    """The programs that may become parents, in the order in which they were scored.

    Attributes:
        ids: n program ids; ids[i] belongs to row i of the arrays.
        objectives: (n, m) floats, all to be minimised; column 0 is the primary objective.
        violations: (n,) floats; 0 where all constraints hold, else by how much they are missed.
        seed_id: the program that the run started from; it needn't be among `ids` any more.
    """

    ids: tuple[int, ...]
    objectives: NDArray[np.float64]
    violations: NDArray[np.float64]
    seed_id: int


class Selection(Protocol):
    """A strategy of choosing parents."""

    name: str

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """`count` different program ids where the population has so many, the base first."""
        ...

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The ids that stay when the population may hold `size`."""
        ...
