"""Means, intervals, the probability of improvement and the verdict, on arrays; arms as users name them."""

from __future__ import annotations

import numpy as np
import pytest

from guided_evolution.bootstrap import Contrast, Estimate, contrast, improvement, interval, mean
from guided_evolution.compare import Arm, Comparison, Trial, parse_arm
from guided_evolution.errors import SettingsError
from guided_evolution.search_plan import SearchPlan


def test_the_interval_is_the_middle_of_what_was_drawn() -> None:
    estimate = interval(50.0, np.arange(101.0))
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((2.5, 50.0, 97.5))


def test_the_mean_s_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 100)
    estimate = mean({"task": values})
    error = values.std(ddof=0) / 10
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.05)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.05)


def test_tasks_weigh_the_same_however_many_runs_they_have() -> None:
    assert mean({"few": np.array([0.0, 0.0]), "many": np.full(50, 1.0)}) == Estimate(0.5, 0.5, 0.5)


def test_the_probability_of_improvement_counts_pairs_and_halves_ties() -> None:
    assert improvement(np.array([2.0, 3.0]), np.array([1.0, 1.0])) == 1.0
    assert improvement(np.array([1.0]), np.array([1.0, 2.0])) == 0.25
    assert improvement(np.array([1.0, 4.0]), np.array([2.0, 3.0])) == 0.5


def test_verdicts() -> None:
    generator = np.random.default_rng(0)
    low, high = generator.normal(0.0, 1.0, 10), generator.normal(3.0, 1.0, 10)
    better, worse = contrast({"t": high}, {"t": low}), contrast({"t": low}, {"t": high})
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.difference.low > 0
    assert better.improvement.value > 0.9
    same = contrast({"t": low}, {"t": low})
    assert same.verdict == "no difference"
    assert same.difference.value == 0.0
    assert same.improvement.value == 0.5
    assert same.improvement.low < 0.5 < same.improvement.high


def test_a_verdict_is_seldom_wrong_where_there_is_no_difference() -> None:
    generator = np.random.default_rng(5)
    wrong = sum(
        contrast({"t": generator.normal(size=10)}, {"t": generator.normal(size=10)}).verdict
        != "no difference"
        for _ in range(60)
    )
    assert wrong <= 10


def test_draws_stay_within_their_task() -> None:
    # Pooled, the tasks' different levels would swamp the difference; within each task it is plain.
    ours = {"low": np.array([1.1, 1.2, 1.1]), "high": np.array([100.2, 100.1, 100.3])}
    theirs = {"low": np.array([1.0, 1.0, 1.0]), "high": np.array([100.0, 100.0, 100.0])}
    assert contrast(ours, theirs).verdict == "better"


def trial(arm: str, repetition: int, confirmed: float, task: str = "t") -> Trial:
    return Trial(task, arm, repetition, f"run-{arm}-{repetition}", confirmed + 1, confirmed, 10.0, False)


def test_gains_are_shares_of_the_seed_s_score_in_the_right_direction() -> None:
    trials = (trial("a", 0, 12.0), trial("a", 1, 14.0), trial("b", 0, 9.0), trial("b", 1, 9.0))
    up = Comparison(("a", "b"), trials, {"t": "maximize"})
    down = Comparison(("a", "b"), trials, {"t": "minimize"})
    assert up.gains("a")["t"].tolist() == pytest.approx([0.2, 0.4])
    assert down.gains("a")["t"].tolist() == pytest.approx([-0.2, -0.4])
    assert up.contrast("a", "b").verdict == "better"
    assert down.contrast("a", "b").verdict == "worse"
    assert isinstance(up.contrast("a", "b", "t"), Contrast)
    assert up.confirmed("a", "t") == Estimate(13.0, 12.0, 14.0)
    assert up.searched("b", "t") == 10.0


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("evolve", Arm("evolve", SearchPlan())),
        ("hill-climb", Arm("hill-climb", SearchPlan("hill-climb"))),
        (
            "evolve:selection=spea2:islands=3:migration=torus:population=30",
            Arm(
                "evolve:selection=spea2:islands=3:migration=torus:population=30",
                SearchPlan("evolve", "spea2", 3, "torus"),
                30,
            ),
        ),
        (
            "evolve:selection=guided_evolution.selection.spea2:SPEA2",
            Arm(
                "evolve:selection=guided_evolution.selection.spea2:SPEA2",
                SearchPlan("evolve", "guided_evolution.selection.spea2:SPEA2"),
            ),
        ),
    ],
)
def test_arms(text: str, arm: Arm) -> None:
    assert parse_arm(text) == arm


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evolv", 'arm "evolv": strategy "evolv" is unknown; did you mean "evolve"?'),
        ("evolve:size=3", 'arm "evolve:size=3": "size=3" must be KEY=VALUE with one of selection, islands'),
        ("evolve:islands", 'arm "evolve:islands": "islands" must be KEY=VALUE'),
        ("evolve:islands=0", 'arm "evolve:islands=0": islands must be a whole number from 1 on, not "0"'),
        ("best-of-n:islands=2", 'arm "best-of-n:islands=2": strategy best-of-n keeps one program'),
        ("evolve:selection=nsga", 'arm "evolve:selection=nsga": selection "nsga" is unknown'),
    ],
)
def test_arms_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_arm(text)
    assert str(caught.value).startswith(said)
