"""What the controller knows of a run's scores: a bounded population of parents, and the front of all ever scored."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from guided_evolution.seed import Objective, Seed
from guided_evolution.selection import Population, Selection

FRONT_SIZE = 100
"""Most programs that the hall of fame keeps; beyond it the most crowded go."""


@dataclass(frozen=True)
class Member:
    """A scored program: its metrics as reported, and its objectives turned so that less is better, primary first."""

    program_id: int
    metrics: Mapping[str, float]
    objectives: tuple[float, ...]
    violation: float

    def dominates(self, other: Member) -> bool:
        """Constraints first; then at least as good everywhere and better somewhere."""
        if self.violation > 0 or other.violation > 0:
            return self.violation < other.violation
        pairs = list(zip(self.objectives, other.objectives, strict=True))
        return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


def ordered_objectives(seed: Seed) -> tuple[Objective, ...]:
    """The objectives, the primary one first."""
    return tuple(sorted(seed.objectives, key=lambda objective: not objective.primary))


def measure(seed: Seed, program_id: int, metrics: Mapping[str, float]) -> Member:
    """Turn metrics into a member. All objectives' and constraints' metrics must be there."""
    objectives = tuple(
        -metrics[objective.metric] if objective.direction == "maximize" else metrics[objective.metric]
        for objective in ordered_objectives(seed)
    )
    violation = 0.0
    for constraint in seed.constraints:
        value = metrics[constraint.metric]
        for excess, bound in (
            (value - constraint.at_most if constraint.at_most is not None else 0.0, constraint.at_most),
            (constraint.at_least - value if constraint.at_least is not None else 0.0, constraint.at_least),
        ):
            if excess > 0 and bound is not None:
                violation += excess / max(abs(bound), 1e-12)
    return Member(program_id, metrics, objectives, violation)


class Standings:
    """The population and the front of one run, fed in the order in which scores came in.

    The first member told is the seed program. Work per score depends on the population's and the front's size alone.
    """

    def __init__(self, seed: Seed, selection: Selection, size: int) -> None:
        self._seed = seed
        self._selection = selection
        self._size = size
        self._members: list[Member] = []
        self.front: list[Member] = []
        self.seed_member: Member | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that may become parents now."""
        return tuple(self._members)

    @property
    def best(self) -> Member | None:
        """The best by the primary objective among those that keep the constraints; the first of equals."""
        return min(self.front, key=lambda member: (member.violation, member.objectives[0]), default=None)

    def best_by(self, objective: int) -> Member | None:
        """The best by the objective at this position (primary first)."""
        return min(
            self.front, key=lambda member: (member.violation, member.objectives[objective]), default=None
        )

    def tell(self, program_id: int, metrics: Mapping[str, float]) -> bool:
        """Take a score in; True if the front grew."""
        member = measure(self._seed, program_id, metrics)
        if self.seed_member is None:
            self.seed_member = member
        grew = self._join_front(member)
        self._members.append(member)
        if len(self._members) > self._size:
            kept = set(self._selection.survive(self._arrays(), self._size))
            self._members = [one for one in self._members if one.program_id in kept]
        return grew

    def choose(self, count: int, rng: random.Random) -> tuple[int, ...]:
        """Program ids of `count` parents, the base first."""
        return self._selection.choose(self._arrays(), count, rng)

    def _join_front(self, member: Member) -> bool:
        for other in self.front:
            same = other.objectives == member.objectives and other.violation == member.violation
            if same or other.dominates(member):
                return False
        self.front = [other for other in self.front if not member.dominates(other)]
        self.front.append(member)
        if len(self.front) > FRONT_SIZE:
            self._thin_front()
        return True

    def _thin_front(self) -> None:
        from guided_evolution.selection.nsga2 import crowding

        objectives = np.array([member.objectives for member in self.front])
        lonely = crowding(objectives, np.zeros(len(self.front), dtype=np.int64))
        del self.front[int(np.argmin(lonely))]

    def _arrays(self) -> Population:
        assert self.seed_member is not None, "the seed program is scored before anything is chosen"
        return Population(
            ids=tuple(member.program_id for member in self._members),
            objectives=np.array([member.objectives for member in self._members], dtype=np.float64),
            violations=np.array([member.violation for member in self._members], dtype=np.float64),
            seed_id=self.seed_member.program_id,
        )
