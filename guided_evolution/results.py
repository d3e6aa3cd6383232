"""What a run has found: its seed program's score, its front, its best, and how those were confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from guided_evolution.archive import evaluations, reading, runs
from guided_evolution.errors import ArchiveError
from guided_evolution.front import Front, Member, measure, ordered_objectives
from guided_evolution.seed import Objective, Seed


@dataclass(frozen=True)
class Results:
    """A run's scores as the archive has them.

    Attributes:
        objectives: the primary one first.
        seed_member: the seed program's score; None while it isn't scored.
        front: the programs that no other one beats, best by the primary objective first.
        confirmed: by program id, the metrics found on held-out cases (or on another seed, for evaluators without any).
    """

    run: runs.StoredRun
    seed: Seed
    objectives: tuple[Objective, ...]
    seed_member: Member | None
    front: tuple[Member, ...]
    confirmed: Mapping[int, Mapping[str, float]]

    def best(self, metric: str | None = None) -> Member:
        """The best program by an objective, the primary one for None.

        Raises:
            ArchiveError: no such objective, or nothing scored yet.
        """
        metrics = [objective.metric for objective in self.objectives]
        if metric is not None and metric not in metrics:
            raise ArchiveError(
                f"run {self.run.name} has no objective {metric!r}; it has {', '.join(metrics)}"
            )
        if not self.front:
            raise ArchiveError(f"run {self.run.name} has no scored program yet")
        column = metrics.index(metric) if metric else 0
        return min(self.front, key=lambda member: (member.violation, member.objectives[column]))


def read_results(connection: Connection, run: runs.StoredRun) -> Results:
    """Read all scores of a run: some 10 µs a program, no sources."""
    seed = runs.seed_of(connection, run)
    front, seed_member = Front(), None
    for one in evaluations.scored(connection, run.id):
        member = measure(seed, one.program_id, one.metrics)
        seed_member = seed_member or member
        front.join(member)
    found = reading.confirmed(connection, run.id)
    return Results(
        run=run,
        seed=seed,
        objectives=ordered_objectives(seed),
        seed_member=seed_member,
        front=tuple(sorted(front.members, key=lambda member: (member.violation, member.objectives))),
        confirmed={program_id: one.metrics for program_id, one in found.items() if one.metrics is not None},
    )
