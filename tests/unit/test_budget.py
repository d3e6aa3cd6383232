"""Why runs end, in the words that users read."""

from __future__ import annotations

import pytest

from guided_evolution.budget import Budget, Spent, duration, ending, from_json, to_json
from guided_evolution.front import Member
from guided_evolution.seed import Objective, Seed

SEED = Seed(
    name="s",
    task="t",
    files=("program.py",),
    program={"program.py": b""},
    objectives=(Objective("loss", "minimize", True), Objective("accuracy", "maximize", False)),
    evaluator_source="",
)


def member(loss: float, accuracy: float, violation: float = 0.0) -> Member:
    return Member(1, {"loss": loss, "accuracy": accuracy}, (loss, -accuracy), violation)


@pytest.mark.parametrize(
    ("budget", "spent", "reason"),
    [
        (Budget(evaluations=5), Spent(evaluations=4), None),
        (Budget(evaluations=5), Spent(evaluations=5), "budget of 5 evaluations reached"),
        (Budget(seconds=90), Spent(seconds=90.2), "budget of 1 m 30 s reached"),
        (Budget(patience=7), Spent(since_growth=7), "no gain in the last 7 evaluations"),
        (Budget(evaluations=5), Spent(unproductive_in_a_row=50), "50 proposals in a row brought nothing new"),
        (Budget(evaluations=5), Spent(unproductive=50), "50 proposals brought nothing new"),
        (Budget(evaluations=6), Spent(unproductive=50), None),
    ],
)
def test_budgets_end_runs(budget: Budget, spent: Spent, reason: str | None) -> None:
    assert ending(budget, spent, SEED, {}) == reason


def test_a_target_counts_in_its_direction_and_only_where_constraints_hold() -> None:
    at = Budget(target=("loss", 0.5))
    assert ending(at, Spent(), SEED, {"loss": member(0.6, 0.9)}) is None
    assert ending(at, Spent(), SEED, {"loss": member(0.5, 0.9, violation=0.1)}) is None
    assert ending(at, Spent(), SEED, {"loss": member(0.25, 0.9)}) == "target loss=0.5 reached with 0.25"
    up = Budget(target=("accuracy", 0.9))
    assert ending(up, Spent(), SEED, {"accuracy": member(1.0, 0.9)}) == "target accuracy=0.9 reached with 0.9"


def test_budgets_come_back_from_the_archive_as_they_were() -> None:
    for budget in (Budget(), Budget(3, 4.5, ("loss", 0.1), 9)):
        assert from_json(to_json(budget)) == budget


def test_durations_read_as_people_say_them() -> None:
    assert [duration(value) for value in (0.2, 59, 60, 95, 3600, 7260)] == [
        "0 s",
        "59 s",
        "1 m",
        "1 m 35 s",
        "1 h",
        "2 h 1 m",
    ]
