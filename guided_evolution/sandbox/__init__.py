"""The sandbox seam: a job goes in, an outcome comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from guided_evolution.score import Score
from guided_evolution.seed import Seed

Purpose = Literal["evaluate", "confirm"]


@dataclass(frozen=True)
class Job:
    """One evaluation: the program's files and the seed that the evaluator gets."""

    program: Mapping[str, bytes]
    seed: int
    purpose: Purpose = "evaluate"


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    `state` is ``scored``, ``failed`` (the candidate's doing; `kind` says how) or ``fault`` (the evaluator's).
    `rungs` are the scores that a generator evaluator yielded, the last one included.
    """

    state: Literal["scored", "failed", "fault"]
    score: Score | None = None
    rungs: tuple[Score, ...] = ()
    kind: str | None = None
    error: str | None = None
    output: str = ""
    evaluator_output: str = ""
    seconds: float = 0.0
    memory_mb: float = 0.0


class Sandbox(Protocol):
    """A warm place for jobs of one seed, one job at a time."""

    kind: str

    def run(self, job: Job) -> Outcome:
        """Run one job. Raises SandboxBroken only for broken infrastructure; whatever a candidate does is an outcome."""
        ...

    def close(self) -> None:
        """End every process of it; safe to call twice, and while a job runs."""
        ...


def open_sandbox(kind: str, seed: Seed) -> Sandbox:
    """A sandbox of this kind for programs of this seed. Raises SandboxBroken where it can't be had."""
    raise NotImplementedError
