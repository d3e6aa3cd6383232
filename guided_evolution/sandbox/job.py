"""What goes into a sandbox and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from guided_evolution.score import Score

Purpose = Literal["evaluate", "confirm"]


@dataclass(frozen=True)
class Job:
    """One evaluation: the program's files and the seed that the evaluator gets."""

    program: Mapping[str, bytes]
    seed: int
    purpose: Purpose = "evaluate"


@dataclass(frozen=True)
class Outcome:
    """What came of a job. Who is to blame for what: `sandbox/blame.py` at the top of the repository.

    Attributes:
        state: ``scored``, ``failed`` (the candidate's doing; `kind` says how) or ``fault`` (the evaluator's).
        rungs: the scores that a generator evaluator yielded, the last one included; kept when a later one failed.
        output: what the candidate printed, its middle cut where it is long.
        evaluator_output: what the evaluator printed.
        seconds: wall-clock time of the evaluation.
        memory_mb: the candidate's peak of resident memory, with the interpreter and preloaded libraries.
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

    @property
    def notices(self) -> tuple[str, ...]:
        """What doesn't hold here, a sentence each; complete after the first job."""
        ...

    def run(self, job: Job) -> Outcome:
        """Run one job. Raises SandboxBroken only for broken infrastructure; whatever a candidate does is an
        outcome."""
        ...

    def close(self) -> None:
        """End every process of it; safe to call twice, and while a job runs."""
        ...
