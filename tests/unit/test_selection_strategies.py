"""SPEA2, MAP-Elites, weights, mate choice, the baselines and islands, on arrays small enough to check by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.selection import Population, Selection
from guided_evolution.selection.baselines import BestOfN, HillClimb, RandomWalk
from guided_evolution.selection.islands import TOPOLOGIES, signal_after, targets
from guided_evolution.selection.map_elites import MapElites, cells
from guided_evolution.selection.mate_choice import MateChoice, inherited, traits
from guided_evolution.selection.nsga2 import NSGA2
from guided_evolution.selection.spea2 import SPEA2, dominates, elites, fitness
from guided_evolution.selection.weighted import Weighted, weights

EVERY: tuple[Selection, ...] = (
    NSGA2(),
    SPEA2(),
    MapElites(),
    Weighted(),
    MateChoice(),
    BestOfN(),
    RandomWalk(),
    HillClimb(),
)


def population(
    objectives: Sequence[Sequence[float]],
    *,
    violations: Sequence[float] | None = None,
    measures: Sequence[Sequence[float]] = (),
    children: Sequence[float] = (),
    preferences: Sequence[Sequence[float]] = (),
) -> Population:
    rows = np.array(objectives, dtype=np.float64)
    return Population(
        tuple(range(100, 100 + len(rows))),
        rows,
        np.array(violations if violations is not None else [0.0] * len(rows)),
        100,
        np.array(measures, dtype=np.float64) if measures else np.zeros((len(rows), 0)),
        np.array(children, dtype=np.float64),
        np.array(preferences, dtype=np.float64),
    )


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=20)


@pytest.mark.parametrize("selection", EVERY, ids=lambda one: one.name)
@given(rows=rows, size=st.integers(1, 8), count=st.integers(1, 3), seed=st.integers(0, 99))
def test_every_strategy_chooses_different_programs_and_keeps_no_more_than_it_may(
    selection: Selection, rows: list[tuple[int, int, int]], size: int, count: int, seed: int
) -> None:
    everyone = population(
        [(a, b) for a, b, _ in rows],
        violations=[float(v) for _, _, v in rows],
        measures=[(float(a), float("nan") if b == 0 else float(b)) for a, b, _ in rows],
        children=[float(b) for _, b, _ in rows],
        preferences=[(0.1, 0.5, 0.9, 0.2)] * len(rows),
    )
    chosen = selection.choose(everyone, count, random.Random(seed))
    assert chosen == selection.choose(everyone, count, random.Random(seed))
    assert 1 <= len(chosen) == len(set(chosen)) <= count
    assert set(chosen) <= set(everyone.ids)
    kept = selection.survive(everyone, size)
    assert 1 <= len(kept) == len(set(kept)) <= max(size, 1)
    assert set(kept) <= set(everyone.ids)


@pytest.mark.parametrize("selection", [NSGA2(), SPEA2(), MapElites(), Weighted(), MateChoice(), HillClimb()])
def test_the_best_always_survives(selection: Selection) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        everyone = population(generator.random((12, 2)).tolist(), measures=generator.random((12, 2)).tolist())
        best = everyone.ids[int(everyone.objectives[:, 0].argmin())]
        for size in (1, 3, 11):
            assert best in selection.survive(everyone, size)


def test_spea2_counts_those_that_dominate_one_by_their_strength() -> None:
    # 0 and 1 are the front; 0 dominates 2 and 3, 1 dominates 3 alone, 2 dominates 3.
    objectives = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    keeps = np.zeros(4)
    assert dominates(objectives, keeps).sum(axis=1).tolist() == [2, 1, 1, 0]
    assert np.floor(fitness(objectives, keeps)).tolist() == [0, 0, 2, 4]


def test_spea2_puts_constraints_first() -> None:
    objectives = np.array([[5.0], [0.0], [1.0]])
    violations = np.array([0.0, 0.2, 0.1])
    assert np.argsort(fitness(objectives, violations)).tolist() == [0, 2, 1]


def test_spea2_thins_its_front_where_it_is_densest_and_fills_it_by_fitness() -> None:
    front = np.array([[0.0, 10.0], [1.0, 9.0], [1.2, 8.8], [5.0, 5.0], [10.0, 0.0]])
    assert elites(front, np.zeros(5), 4).tolist() in ([0, 1, 3, 4], [0, 2, 3, 4])
    assert elites(front, np.zeros(5), 2).tolist()[0] == 0
    behind = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert elites(behind, np.zeros(3), 2).tolist() == [0, 1]


def test_cells_have_borders_at_multiples_of_a_power_of_two() -> None:
    def same(column: list[float], bins: int) -> list[list[int]]:
        cell = cells(np.array(column)[:, None], bins).tolist()
        return [[row for row in range(len(cell)) if cell[row] == one] for one in dict.fromkeys(cell)]

    assert same([0.0, 0.24, 0.26, 1.0], 4) == [[0, 1], [2], [3]]
    # A wider range by less than half changes no border.
    assert same([0.0, 0.24, 0.26, 0.8], 4) == [[0, 1], [2], [3]]
    assert same([0.0, 0.24, 0.26, 1.1], 4) == [[0, 1, 2], [3]]
    assert same([-0.1, 0.1, float("nan"), float("inf")], 2) == [[0], [1], [2, 3]]
    assert same([5.0, 5.0], 8) == [[0, 1]]
    grid = cells(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), 2)
    assert len(set(grid.tolist())) == 4


def test_map_elites_keeps_the_best_of_each_cell() -> None:
    everyone = population([[3], [1], [2], [5], [4]], measures=[[0.0], [0.05], [1.0], [0.5], [0.52]])
    assert MapElites(bins=3).survive(everyone, 10) == (101, 102, 104)
    assert MapElites(bins=3).survive(everyone, 2) == (101, 102)
    assert MapElites().survive(population([[3], [1], [2]]), 2) == (101, 102)


def test_map_elites_prefers_elites_with_few_children() -> None:
    everyone = population([[3], [1]], measures=[[0.0], [1.0]], children=[99, 0])
    rng = random.Random(0)
    chosen = Counter(MapElites(best=0.0).choose(everyone, 1, rng)[0] for _ in range(500))
    assert chosen[101] > 450


def test_weights_fall_with_rank_and_with_children() -> None:
    objectives = np.array([[2.0], [1.0], [3.0]])
    assert weights(objectives, np.zeros(3), np.array([0.0, 1.0, 3.0]), 0.5).tolist() == [0.5, 0.5, 0.0625]


def test_a_base_chooses_the_mate_that_is_nearest_to_its_ideal() -> None:
    # The base is the best; it looks for whoever is worst in the first objective and best in the second.
    everyone = population(
        [[0, 9], [1, 5], [9, 0], [5, 7]], preferences=[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    )
    picky = MateChoice(picky=1.0, met=10, basis=NSGA2(ranked=1.0, uniform=0.0, pressure=1.0))
    pairs = [picky.choose(everyone, 2, random.Random(seed)) for seed in range(60)]
    assert {mate for base, mate in pairs if base == 100} == {102}
    assert traits(everyone)[:, 0].tolist() == [0, 1 / 3, 1, 2 / 3]


def test_a_preference_comes_from_both_parents_and_changes_a_little() -> None:
    rng = random.Random(3)
    drawn = np.array([inherited([(0.2, 0.2), (0.8, 0.8)], 2, rng) for _ in range(400)])
    near_first, near_second = np.abs(drawn - 0.2) < 0.25, np.abs(drawn - 0.8) < 0.25
    assert 0.3 < near_first.mean() < 0.6
    assert 0.3 < near_second.mean() < 0.6
    assert len(inherited([], 3, rng)) == 3


def test_the_baselines_keep_the_seed_the_last_and_the_best() -> None:
    everyone = population([[2], [1], [1], [3]], violations=[0, 0, 0, 0])
    rng = random.Random(0)
    for selection, expected in ((BestOfN(), 100), (RandomWalk(), 103), (HillClimb(), 102)):
        assert selection.choose(everyone, 2, rng) == selection.survive(everyone, 1) == (expected,)
    broken = population([[2], [1]], violations=[0, 0.5])
    assert HillClimb().survive(broken, 1) == (100,)


@pytest.mark.parametrize(
    ("topology", "count", "expected"),
    [
        ("ring", 4, [(1,), (2,), (3,), (0,)]),
        ("ring", 2, [(1,), (0,)]),
        ("full", 3, [(1, 2), (0, 2), (0, 1)]),
        ("broadcast", 3, [(1, 2), (), ()]),
        ("lattice", 4, [(1, 2), (0, 3), (0, 3), (1, 2)]),
        ("lattice", 5, [(1, 3), (0, 2, 4), (1,), (0, 4), (1, 3)]),
        (
            "torus",
            9,
            [
                (1, 2, 3, 6),
                (0, 2, 4, 7),
                (0, 1, 5, 8),
                (0, 4, 5, 6),
                (1, 3, 5, 7),
                (2, 3, 4, 8),
                (0, 3, 7, 8),
                (1, 4, 6, 8),
                (2, 5, 6, 7),
            ],
        ),
        ("torus", 5, [(1, 2, 3), (0, 2, 4), (0, 1), (0, 4), (1, 3)]),
        ("full", 1, [()]),
    ],
)
def test_topologies(topology: str, count: int, expected: list[tuple[int, ...]]) -> None:
    assert [targets(topology, count, island) for island in range(count)] == expected


@given(st.sampled_from(TOPOLOGIES), st.integers(2, 30))
def test_migrants_reach_every_island_and_never_their_own(topology: str, count: int) -> None:
    reached = {0}
    frontier = [0]
    while frontier:
        for target in targets(topology, count, frontier.pop()):
            assert 0 <= target < count
            if target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(range(count))
    assert all(island not in targets(topology, count, island) for island in range(count))


def test_the_signal_of_progress_falls_with_every_outcome_and_rises_with_a_gain() -> None:
    signal = 1.0
    for _ in range(25):
        signal = signal_after(signal, 0.0, 25.0)
    assert signal == pytest.approx(np.exp(-1))
    assert signal_after(signal, 0.9, 25.0) == 0.9
    assert signal_after(0.9, 0.1, 25.0) == pytest.approx(0.9 * np.exp(-1 / 25))
