"""Scores as points, and the front of a run: the programs that no other one beats in everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guided_evolution.seed import Objective, Seed

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


class Front:
    """Fed in the order in which scores came in; of programs with equal scores it keeps the first."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def join(self, member: Member) -> bool:
        """Take a score in; True if the front grew."""
        for other in self.members:
            same = other.objectives == member.objectives and other.violation == member.violation
            if same or other.dominates(member):
                return False
        self.members = [other for other in self.members if not member.dominates(other)]
        self.members.append(member)
        if len(self.members) > FRONT_SIZE:
            self._thin()
        return True

    def best_by(self, objective: int) -> Member | None:
        """The best by the objective at this position (primary first) among those that keep the constraints."""
        return min(
            self.members, key=lambda member: (member.violation, member.objectives[objective]), default=None
        )

    def _thin(self) -> None:
        # Late: reading commands build fronts too, and seldom one so large that NumPy is needed.
        import numpy as np

        from guided_evolution.selection.nsga2 import crowding

        objectives = np.array([member.objectives for member in self.members])
        lonely = crowding(objectives, np.zeros(len(self.members), dtype=np.int64))
        del self.members[int(np.argmin(lonely))]
