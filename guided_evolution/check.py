"""`check`: a seed's own program through its evaluator, as a run would do it, without an archive."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from guided_evolution.archive.evaluations import Result
from guided_evolution.evaluation import judge
from guided_evolution.sandbox import Job, Outcome, Purpose, Sandbox
from guided_evolution.seed import Seed
from guided_evolution.session import confirm_seed


@dataclass(frozen=True)
class Trial:
    """One evaluation: what the sandbox returned, and what a run would keep of it."""

    seed: int
    outcome: Outcome
    result: Result

    @property
    def scored(self) -> bool:
        return self.result.state == "scored"


@dataclass(frozen=True)
class Spread:
    """A metric over the repeats. `deviation` is the sample's standard deviation, None for a single value."""

    mean: float
    deviation: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Checked:
    """All trials of a check: the repeats up to the first that failed, and the confirmation if it came to that."""

    seed: Seed
    trials: tuple[Trial, ...]
    confirmation: Trial | None

    @property
    def failure(self) -> Trial | None:
        """The trial that failed, None if all is well."""
        every = [*self.trials, *([self.confirmation] if self.confirmation else [])]
        return next((trial for trial in every if not trial.scored), None)

    def spreads(self) -> dict[str, Spread]:
        """Each metric that all scored repeats have, over them."""
        found = [trial.result.metrics for trial in self.trials if trial.result.metrics is not None]
        shared = [name for name in (found[0] if found else {}) if all(name in metrics for metrics in found)]
        return {name: _spread([metrics[name] for metrics in found]) for name in shared}


def check_seed(
    seed: Seed,
    sandbox: Sandbox,
    *,
    first_seed: int,
    repeats: int = 1,
    tell: Callable[[str], None] = lambda _said: None,
) -> Checked:
    """Evaluate the seed's program `repeats` times, each with another evaluation seed, then confirm it if it can be.

    Stops at the first failure. `tell` hears what is about to happen.

    Raises:
        SandboxBroken: the sandbox doesn't work here.
    """
    trials: list[Trial] = []
    for number in range(repeats):
        tell(f"evaluation {number + 1} of {repeats}" if repeats > 1 else "evaluation")
        trials.append(_try(seed, sandbox, repeat_seed(first_seed, number), "evaluate"))
        if not trials[-1].scored:
            return Checked(seed, tuple(trials), None)
    if not seed.has_confirm:
        return Checked(seed, tuple(trials), None)
    tell("confirmation")
    return Checked(seed, tuple(trials), _try(seed, sandbox, confirm_seed(first_seed), "confirm"))


def repeat_seed(first: int, number: int) -> int:
    """The evaluation seed of a repeat: the first one's own, then others drawn from it."""
    if number == 0:
        return first
    digest = hashlib.sha256(f"{first}/repeat/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _try(seed: Seed, sandbox: Sandbox, evaluation_seed: int, purpose: Purpose) -> Trial:
    outcome = sandbox.run(Job(program=seed.program, seed=evaluation_seed, purpose=purpose))
    return Trial(evaluation_seed, outcome, judge(seed, outcome, sandbox.kind, held_out=purpose == "confirm"))


def _spread(values: list[float]) -> Spread:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, min(values), max(values))
