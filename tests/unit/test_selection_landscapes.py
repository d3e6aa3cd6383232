"""QD-suite's three problems in small: a deceptive slope, a plateau, a measure that is biased. Archives must cope.

A program is a number from 0 to 1, an edit moves it a little; what it measures says where it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from guided_evolution.selection import Population, Selection
from guided_evolution.selection.baselines import HillClimb
from guided_evolution.selection.map_elites import MapElites
from guided_evolution.selection.nsga2 import NSGA2

STEP = 0.03
SIZE = 40


def search(
    selection: Selection,
    loss: Callable[[float], float],
    measure: Callable[[float], float],
    *,
    start: float,
    outcomes: int,
    seed: int,
) -> tuple[list[float], float]:
    """The places of those that survive, and the least loss ever seen."""
    rng = random.Random(seed)
    places, children = {0: start}, {0: 0}
    ids: tuple[int, ...] = (0,)
    best = loss(start)

    def population(members: tuple[int, ...]) -> Population:
        here = [places[one] for one in members]
        return Population(
            members,
            np.array([[loss(one)] for one in here]),
            np.zeros(len(here)),
            0,
            np.array([[measure(one)] for one in here]),
            np.array([float(children[one]) for one in members]),
        )

    for number in range(1, outcomes):
        base = selection.choose(population(ids), 1, rng)[0]
        children[base] += 1
        places[number] = min(1.0, max(0.0, places[base] + rng.gauss(0.0, STEP)))
        children[number] = 0
        best = min(best, loss(places[number]))
        ids = selection.survive(population((*ids, number)), SIZE)
    return [places[one] for one in ids], best


def deceptive(x: float) -> float:
    """Downhill to 0.3, up over a ridge, and behind it the goal at 0.95."""
    return 0.5 + abs(x - 0.3) if x < 0.8 else 4 * abs(x - 0.95)


def plateau(x: float) -> float:
    """The same everywhere but near the goal."""
    return 0.0 if x > 0.93 else 1.0


def biased(x: float) -> float:
    """Most places measure about 0."""
    return x**12


@pytest.mark.parametrize("seed", range(3))
def test_a_deceptive_slope_holds_a_hill_climber_and_not_an_archive(seed: int) -> None:
    arguments = {"start": 0.1, "outcomes": 1000, "seed": seed}
    _, climbed = search(HillClimb(), deceptive, lambda x: x, **arguments)  # type: ignore[arg-type]
    _, ranked = search(NSGA2(), deceptive, lambda x: x, **arguments)  # type: ignore[arg-type]
    elites, mapped = search(MapElites(bins=32), deceptive, lambda x: x, **arguments)  # type: ignore[arg-type]
    assert climbed >= 0.5
    assert ranked >= 0.5
    assert mapped < 0.1
    assert max(elites) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_an_archive_crosses_a_plateau(seed: int) -> None:
    _, found = search(
        MapElites(bins=32, best=0.0), plateau, lambda x: x, start=0.05, outcomes=1000, seed=seed
    )
    assert found == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_an_archive_fills_its_cells_where_most_programs_measure_the_same(seed: int) -> None:
    def filled(selection: Selection) -> int:
        # All losses are the same: what stays is up to the measure alone.
        kept, _ = search(selection, lambda x: 0.0, biased, start=0.2, outcomes=1200, seed=seed)
        return len({min(9, int(10 * biased(one))) for one in kept})

    assert filled(MapElites(bins=32, best=0.0)) >= 9
    assert filled(NSGA2()) <= 5
