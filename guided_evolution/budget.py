"""When a run ends, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guided_evolution.front import Member
from guided_evolution.seed import Seed

UNPRODUCTIVE_IN_A_ROW = 50
UNPRODUCTIVE_PER_EVALUATION = 10


@dataclass(frozen=True)
class Budget:
    """What a run may spend; None is no bound.

    Attributes:
        evaluations: final evaluations, failed ones and the seed program's too.
        seconds: time of work, over all sessions of the run.
        target: (metric, value) that ends the run when reached by a program that keeps the constraints.
        patience: evaluations without growth of the front.
    """

    evaluations: int | None = None
    seconds: float | None = None
    target: tuple[str, float] | None = None
    patience: int | None = None


@dataclass(frozen=True)
class Spent:
    """What a run has used so far. `unproductive` proposals were rejected or known already."""

    evaluations: int = 0
    seconds: float = 0.0
    unproductive: int = 0
    unproductive_in_a_row: int = 0
    since_growth: int = 0


def ending(budget: Budget, spent: Spent, seed: Seed, best: Mapping[str, Member | None]) -> str | None:
    """Why the run is over, in words for the user; None while it isn't.

    Args:
        best: for each objective's metric, the best member by it.
    """
    if budget.target and (reached := _target_reached(budget.target, seed, best)):
        return reached
    if budget.evaluations is not None and spent.evaluations >= budget.evaluations:
        return f"budget of {budget.evaluations} evaluations reached"
    if budget.seconds is not None and spent.seconds >= budget.seconds:
        return f"budget of {duration(budget.seconds)} reached"
    if budget.patience is not None and spent.since_growth >= budget.patience:
        return f"no gain in the last {budget.patience} evaluations"
    if spent.unproductive_in_a_row >= UNPRODUCTIVE_IN_A_ROW:
        return f"{UNPRODUCTIVE_IN_A_ROW} proposals in a row brought nothing new"
    if (
        budget.evaluations is not None
        and spent.unproductive >= UNPRODUCTIVE_PER_EVALUATION * budget.evaluations
    ):
        return f"{spent.unproductive} proposals brought nothing new"
    return None


def _target_reached(target: tuple[str, float], seed: Seed, best: Mapping[str, Member | None]) -> str | None:
    metric, value = target
    member = best.get(metric)
    if member is None or member.violation > 0:
        return None
    direction = next(objective.direction for objective in seed.objectives if objective.metric == metric)
    got = member.metrics[metric]
    reached = got >= value if direction == "maximize" else got <= value
    return f"target {metric}={value:g} reached with {got!r}" if reached else None


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``1 m 30 s``, ``2 h 5 m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} m" if whole % 3600 // 60 else "")


def to_json(budget: Budget) -> dict[str, Any]:
    """The budget as the archive keeps it."""
    target = list(budget.target) if budget.target else None
    return {
        "evaluations": budget.evaluations,
        "seconds": budget.seconds,
        "target": target,
        "patience": budget.patience,
    }


def from_json(stored: Mapping[str, Any]) -> Budget:
    """The budget that `to_json` wrote."""
    target = (str(stored["target"][0]), float(stored["target"][1])) if stored["target"] else None
    return Budget(stored["evaluations"], stored["seconds"], target, stored["patience"])
