"""Which programs become parents: pure choices on plain arrays, with the caller's random numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def _none() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class Population:
    """The programs that may become parents, in the order in which they were scored.

    Attributes:
        ids: n program ids; ids[i] belongs to row i of the arrays.
        objectives: (n, m) floats, all to be minimised; column 0 is the primary objective.
        violations: (n,) floats; 0 where all constraints hold, else by how much they are missed.
        seed_id: the program that the run started from; it needn't be among `ids` any more.
        measures: (n, k) floats that describe programs without being goals, NaN where one is missing; or empty.
        children: (n,) children that each had as the base of an edit so far, failed ones too; or empty for none.
        preferences: (n, m + k) what each looks for in a mate, 0 to 1 a trait (see `mate_choice`); or empty.
    """

    ids: tuple[int, ...]
    objectives: NDArray[np.float64]
    violations: NDArray[np.float64]
    seed_id: int
    measures: NDArray[np.float64] = field(default_factory=_none)
    children: NDArray[np.float64] = field(default_factory=_none)
    preferences: NDArray[np.float64] = field(default_factory=_none)


class Selection(Protocol):
    """A strategy of choosing parents. It keeps no state: what it needs stands in the population.

    Two class attributes are optional: `keeps_the_best` (True: of a full population it drops a newcomer that all others
    beat, so it needn't be asked) and `mates` (False: it doesn't look at preferences).
    """

    @property
    def name(self) -> str:
        """What it is called in messages; a plain attribute will do."""
        ...

    def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
        """`count` different program ids where the population has so many, the base first."""
        ...

    def survive(self, population: Population, size: int) -> tuple[int, ...]:
        """The ids that stay when the population may hold `size`; asked after every score, full or not."""
        ...
