from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from in_process import InProcess, evaluator, program

from guided_evolution.seed import load_seed

# Found with SLSQP from random starts, then shrunk by 1e-12: the sum of radii is the best that is known.
BEST_KNOWN = [
    (0.31311580997042, 0.09239155157097, 0.09239155156998),
    (0.68594302198679, 0.09259209495143, 0.09259209495045),
    (0.49942836913906, 0.09392733727744, 0.09392733727645),
    (0.11077901279072, 0.11077901279071, 0.11077901278973),
    (0.88884382058956, 0.11115617941045, 0.11115617940945),
    (0.23971052792756, 0.23632643061665, 0.06918067635626),
    (0.75935240156094, 0.23704113634600, 0.06944019371027),
    (0.40335878360270, 0.25758295049835, 0.09584232574450),
    (0.59521973293974, 0.25795055653940, 0.09601897575726),
    (0.09573232930702, 0.31674146502688, 0.09573232930602),
    (0.90384866595424, 0.31791995706741, 0.09615133404478),
    (0.27162985148601, 0.40236520361229, 0.09989835059178),
    (0.72690571431159, 0.40395729809186, 0.10060036781773),
    (0.49866807550340, 0.47003658024682, 0.13701043012277),
    (0.10306052014158, 0.51539919734805, 0.10306052014059),
    (0.89653276664204, 0.51740441778946, 0.10346723335696),
    (0.29474605904893, 0.61307644659034, 0.11207708894925),
    (0.70260960369903, 0.61833415554736, 0.11514888015902),
    (0.49553176067433, 0.72465738322854, 0.11762968804557),
    (0.10679014462861, 0.72521671664916, 0.10679014462761),
    (0.89481743973126, 0.72604716037604, 0.10518256026776),
    (0.70230952508916, 0.86674142722918, 0.13325857276982),
    (0.29460948878183, 0.86977889893479, 0.13022110106423),
    (0.91507373754510, 0.91507373754510, 0.08492626245391),
    (0.08463950069578, 0.91536049930422, 0.08463950069479),
    (0.49728444620410, 0.92113962708403, 0.07886037291496),
]
GRID = [((i % 6 + 0.5) / 6, (i // 6 + 0.5) / 6, 0.08) for i in range(26)]


def answering(rows: object) -> InProcess:
    """A candidate that answers with these rows for any n."""
    return InProcess(f"from math import inf, nan\n\ndef pack(n):\n    return {rows!r}")


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    return evaluator("circle_packing")


def test_the_seed_says_what_it_is():
    seed = load_seed("circle_packing")
    assert [(o.metric, o.direction, o.primary) for o in seed.objectives] == [("radii", "maximize", True)]
    assert seed.protected == ("pack",)
    assert seed.has_confirm


def test_the_best_known_packing_is_accepted_and_touches_nearly_everywhere(evaluate):
    score = evaluate.evaluate(answering(BEST_KNOWN), 0)
    assert round(score.metrics["radii"], 10) == 2.6359830849
    assert score.measures["contacts"] == 78
    assert f"Sum of radii {score.metrics['radii']!r}" in score.feedback


def test_the_seed_program_packs_well_below_the_best_and_any_number_of_circles(evaluate):
    score = evaluate.evaluate(InProcess(program("circle_packing")), 0)
    assert 2.3 < score.metrics["radii"] < 2.5
    assert 0 < score.metrics["seconds"] < 6
    confirmed = evaluate.confirm(InProcess(program("circle_packing")), 1)
    assert confirmed.metrics["radii"] == score.metrics["radii"]
    assert set(confirmed.measures) == {"radii_21", "radii_32"}


def test_a_program_that_packs_no_other_number_is_confirmed_without_those_measures(evaluate):
    source = f"def pack(n):\n    return {BEST_KNOWN!r}"
    score = evaluate.confirm(InProcess(source), 0)
    assert round(score.metrics["radii"], 10) == 2.6359830849
    assert score.measures == {}
    assert "21 circles: pack must return 21 rows" in score.feedback


def test_an_overlap_of_one_unit_in_the_last_place_is_refused(evaluate):
    # Two circles of radius 1/4 side by side touch exactly; the next float up overlaps by 5.6e-17.
    touching = np.array([[0.25, 0.5, 0.25], [0.75, 0.5, 0.25]])
    assert evaluate.broken_rules(touching) == []
    touching[0, 2] = math.nextafter(0.25, 1)
    assert evaluate.broken_rules(touching) == [
        "circle 0 leaves the square by 5.55e-17",
        "circles 0 and 1 overlap by 0",
    ]
    # In floats 0.1 + 0.2 is more than 0.3 and 0.1 + 0.7 less than 0.8: only fractions tell who overlaps.
    apart = np.array([[0.1, 0.5, 0.05], [0.1 + 0.2, 0.5, 0.15]])
    assert evaluate.broken_rules(apart) == []


@pytest.mark.parametrize(
    ("circle", "said"),
    [
        ((0.1, 0.5, 0.2), "circle 0 leaves the square by 0.1"),
        ((0.9375, 0.5, 0.125), "circle 0 leaves the square by 0.0625"),
        ((0.5, 0.5, -0.125), "circle 0 has the radius -0.125, less than 0"),
        ((1.5, 0.5, 0.0), "circle 0 leaves the square by 0.5"),
    ],
)
def test_a_circle_outside_the_square_or_inside_out_is_refused(evaluate, circle, said):
    assert evaluate.broken_rules(np.array([circle])) == [said]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_nan_and_infinity_are_refused_wherever_they_stand(evaluate, number, column):
    rows = [list(row) for row in GRID]
    rows[7][column] = number
    with pytest.raises(ValueError, match="circle 7 holds a NaN or an infinity; 1 of 26 do"):
        evaluate.evaluate(answering(rows), 0)


@pytest.mark.parametrize(
    "answer",
    [None, 0, [], "circles", GRID[:25], [*GRID, GRID[0]], [row[:2] for row in GRID], [[1, 2], [3]], {}],
)
def test_answers_that_are_no_rows_of_numbers_are_refused(evaluate, answer):
    with pytest.raises(ValueError, match=r"pack must return 26 rows \(x, y, radius\)"):
        evaluate.evaluate(answering(answer), 0)


def test_an_overlap_names_the_circles_and_a_long_list_is_cut(evaluate):
    rows = [list(row) for row in GRID]
    rows[1][0] = rows[0][0] + 0.125
    with pytest.raises(ValueError, match=r"no valid packing: circles 0 and 1 overlap by 0\.035"):
        evaluate.evaluate(answering(rows), 0)
    with pytest.raises(ValueError, match=r"; and 321 more$"):
        evaluate.evaluate(answering([(0.5, 0.5, 0.1)] * 26), 0)


def test_circles_of_radius_nothing_are_valid_and_worth_nothing(evaluate):
    score = evaluate.evaluate(answering([(0.5, 0.5, 0.0)] * 26), 0)
    assert score.metrics["radii"] == 0.0


def test_feedback_says_what_touches_and_what_could_grow(evaluate):
    feedback = evaluate.evaluate(answering(GRID), 0).feedback
    assert "0 contacts" in feedback
    assert "Could grow where they stand: 7 at (0.250, 0.250) by 0.00667" in feedback
    assert len(feedback) < 900
