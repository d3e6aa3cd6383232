"""What the controller knows of a run's scores: a bounded population of parents, and the front of all ever scored."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from guided_evolution.front import Front, Member, measure
from guided_evolution.seed import Seed
from guided_evolution.selection import Population, Selection


class Standings:
    """The population and the front of one run, fed in the order in which scores came in.

    The first member told is the seed program. Work per score depends on the population's and the front's size alone.
    """

    def __init__(self, seed: Seed, selection: Selection, size: int) -> None:
        self._seed = seed
        self._selection = selection
        self._size = size
        self._members: list[Member] = []
        self._front = Front()
        self.seed_member: Member | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that may become parents now."""
        return tuple(self._members)

    @property
    def front(self) -> list[Member]:
        """Those of all ever scored that no other one beats."""
        return self._front.members

    @property
    def best(self) -> Member | None:
        """The best by the primary objective among those that keep the constraints; the first of equals."""
        return self._front.best_by(0)

    def best_by(self, objective: int) -> Member | None:
        """The best by the objective at this position (primary first)."""
        return self._front.best_by(objective)

    def tell(self, program_id: int, metrics: Mapping[str, float]) -> bool:
        """Take a score in; True if the front grew."""
        member = measure(self._seed, program_id, metrics)
        if self.seed_member is None:
            self.seed_member = member
        grew = self._front.join(member)
        self._members.append(member)
        if len(self._members) > self._size:
            kept = set(self._selection.survive(self._arrays(), self._size))
            self._members = [one for one in self._members if one.program_id in kept]
        return grew

    def choose(self, count: int, rng: random.Random) -> tuple[int, ...]:
        """Program ids of `count` parents, the base first."""
        return self._selection.choose(self._arrays(), count, rng)

    def _arrays(self) -> Population:
        assert self.seed_member is not None, "the seed program is scored before anything is chosen"
        return Population(
            ids=tuple(member.program_id for member in self._members),
            objectives=np.array([member.objectives for member in self._members], dtype=np.float64),
            violations=np.array([member.violation for member in self._members], dtype=np.float64),
            seed_id=self.seed_member.program_id,
        )
