"""NSGA-II's order and the bent towards exploiting, on arrays small enough to check by hand."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.selection import Population
from guided_evolution.selection.nsga2 import NSGA2, crowding, ranks


def population(
    objectives: list[list[float]], violations: list[float] | None = None, seed_id: int = 100
) -> Population:
    rows = np.array(objectives, dtype=np.float64)
    bad = np.array(violations if violations is not None else [0.0] * len(rows))
    return Population(tuple(range(100, 100 + len(rows))), rows, bad, seed_id)


def test_ranks_put_feasible_programs_first_and_order_the_others_by_violation() -> None:
    objectives = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    violations = np.array([0.0, 0.0, 0.0, 0.5, 0.1])
    assert ranks(objectives, violations).tolist() == [0, 0, 1, 3, 2]


def test_ranks_of_one_objective_are_its_order() -> None:
    assert ranks(np.array([[3.0], [1.0], [2.0], [1.0]]), np.zeros(4)).tolist() == [2, 0, 1, 0]


def test_crowding_is_infinite_at_the_ends_and_adds_up_gaps_between() -> None:
    objectives = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    distance = crowding(objectives, np.zeros(4, dtype=np.int64))
    assert distance[[0, 3]].tolist() == [np.inf, np.inf]
    assert distance[1] == pytest.approx(3 / 4 + 3 / 4)
    assert distance[2] == pytest.approx(3 / 4 + 2 / 4)


def test_the_best_is_parent_most_of_the_time_and_the_seed_sometimes() -> None:
    everyone = population([[float(value)] for value in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)])
    rng = random.Random(1)
    chosen = Counter(NSGA2().choose(everyone, 1, rng)[0] for _ in range(2000))
    assert chosen[109] > 700
    assert 200 < chosen[100] < 400
    assert len(chosen) == 10


def test_two_parents_differ_and_a_single_program_is_all_there_is() -> None:
    pair = population([[1.0, 0.0], [0.0, 1.0]])
    assert all(len(set(NSGA2().choose(pair, 2, random.Random(seed)))) == 2 for seed in range(50))
    assert NSGA2().choose(population([[1.0]]), 2, random.Random(0)) == (100,)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_survivors_hold_the_best_and_are_as_many_as_asked(
    rows: list[tuple[int, int, int]], size: int
) -> None:
    everyone = population([[a, b] for a, b, _ in rows], [float(v) for _, _, v in rows])
    kept = NSGA2().survive(everyone, size)
    assert len(kept) == min(size, len(rows)) == len(set(kept))
    rank = ranks(everyone.objectives, everyone.violations)
    best = min(range(len(rows)), key=lambda i: (rank[i], everyone.objectives[i, 0]))
    kept_rows = [everyone.ids.index(one) for one in kept]
    assert (rank[best], everyone.objectives[best, 0]) in {
        (rank[i], everyone.objectives[i, 0]) for i in kept_rows
    }
