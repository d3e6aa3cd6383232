from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from in_process import InProcess, evaluator, program

from guided_evolution.seed import load_seed

BEST_FIT = """
import numpy as np
def choose(items, bins):
    return [int(np.argmax(item - room)) for item, room in zip(items, bins)]
"""
FIRST_FIT = """
def choose(items, bins):
    return [0] * len(items)
"""
ALWAYS_OPEN = """
def choose(items, bins):
    return [len(room) - 1 for room in bins]
"""


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    return evaluator("bin_packing")


def test_the_seed_says_what_it_is():
    seed = load_seed("bin_packing")
    assert [(o.metric, o.direction, o.primary) for o in seed.objectives] == [("excess", "minimize", True)]
    assert seed.protected == ("choose", "priority")
    assert seed.has_confirm
    assert b"EVOLVE-BLOCK-START" in seed.program["program.py"].partition(b"def priority")[0]
    assert b"EVOLVE-BLOCK-START" in seed.program["program.py"].partition(b"def choose")[2]


def test_the_seed_program_is_best_fit_on_the_published_packings(evaluate):
    score = evaluate.confirm(InProcess(program("bin_packing")), 0)
    assert round(score.metrics["excess"], 3) == 3.997
    assert set(score.measures) == {"excess_1000", "excess_10000"}
    assert score.measures["excess_10000"] < score.measures["excess_1000"]


def test_first_fit_gives_the_known_figure_on_the_published_packings(evaluate):
    assert round(evaluate.confirm(InProcess(FIRST_FIT), 0).metrics["excess"], 3) == 4.375


def test_the_published_packings_follow_the_published_recipe(evaluate):
    generator = np.random.RandomState(2024)
    for packing in evaluate.published_packings():
        drawn = generator.weibull(3, 5000)
        assert np.array_equal(packing.items, np.round(np.clip(drawn * 45, 1, 100)))


def test_every_choice_of_the_seed_program_is_best_fit_s(evaluate):
    ours, plain = InProcess(program("bin_packing")), InProcess(BEST_FIT)
    packings = evaluate.drawn(np.random.default_rng(11), 12, 1000)
    twins = evaluate.drawn(np.random.default_rng(11), 12, 1000)
    evaluate.pack(ours, packings)
    evaluate.pack(plain, twins)
    for packing, twin in zip(packings, twins, strict=True):
        assert np.array_equal(packing.room, twin.room)


def test_packings_are_drawn_from_the_seed(evaluate):
    excesses = [evaluate.evaluate(InProcess(BEST_FIT), seed).metrics["excess"] for seed in (1, 1, 2)]
    assert excesses[0] == excesses[1] != excesses[2]


def test_items_have_the_sizes_of_weibull_5k(evaluate):
    items = np.concatenate([packing.items for packing in evaluate.drawn(np.random.default_rng(0), 20, 1000)])
    assert items.min() >= 1
    assert items.max() <= 100
    assert abs(items.mean() - 40.2) < 0.5


def test_excess_is_percent_over_the_bound_of_the_sum(evaluate):
    packing = evaluate.Packing(np.array([60, 60, 60, 60, 10]))
    assert packing.bound == 3
    evaluate.pack(InProcess(BEST_FIT), [packing])
    assert packing.opened == 4
    assert packing.excess == pytest.approx(100 / 3)
    assert packing.room.tolist() == [30, 40, 40, 40, 100]


def test_a_bin_for_every_item_is_the_worst(evaluate):
    packings = evaluate.drawn(np.random.default_rng(0), 2, 200)
    evaluate.pack(InProcess(ALWAYS_OPEN), packings)
    assert [packing.opened for packing in packings] == [200, 200]


def test_the_program_is_shown_one_item_of_each_packing_and_only_bins_that_take_it(evaluate):
    long, short = evaluate.drawn(np.random.default_rng(3), 1, 50) + evaluate.drawn(
        np.random.default_rng(4), 1, 20
    )
    candidate = InProcess(BEST_FIT)
    evaluate.pack(candidate, [long, short])
    assert len(candidate.calls) == 50
    for step, (_, name, (items, bins), _) in enumerate(candidate.calls):
        assert name == "choose"
        assert items == [packing.items[step] for packing in (long, short) if step < len(packing.items)]
        assert len(bins) == len(items)
        for item, room in zip(items, bins, strict=True):
            assert room.min() >= item
            assert room[-1] == 100
            assert np.count_nonzero(room == 100) == 1


def test_what_the_program_does_to_its_arrays_changes_no_bin(evaluate):
    honest, meddling = (evaluate.drawn(np.random.default_rng(5), 3, 100) for _ in range(2))
    evaluate.pack(InProcess(FIRST_FIT), honest)
    evaluate.pack(
        InProcess(FIRST_FIT.replace("    return", "    [room.fill(100) for room in bins]\n    return")),
        meddling,
    )
    assert [p.room.tolist() for p in honest] == [p.room.tolist() for p in meddling]


@pytest.mark.parametrize(
    "answer",
    ["None", "0", "'0' * 12", "[0] * 11", "[0] * 13", "{}", "[[0]] * 12"],
)
def test_answers_that_are_no_list_of_indices_are_refused(evaluate, answer):
    with pytest.raises(ValueError, match="choose "):
        evaluate.evaluate(InProcess(f"def choose(items, bins):\n    return {answer}"), 0)


@pytest.mark.parametrize(
    "index", ["-1", "len(bins[0])", "10**30", "0.0", "True", "None", "float('nan')", "'0'"]
)
def test_an_index_outside_the_bins_is_refused(evaluate, index):
    with pytest.raises(ValueError, match=r"choose returned .*; it must be an index from 0 to 0"):
        evaluate.evaluate(InProcess(f"def choose(items, bins):\n    return [{index}] * 12"), 0)


def test_indices_may_come_as_an_array(evaluate):
    source = "import numpy as np\ndef choose(items, bins):\n    return np.zeros(len(items), dtype=np.int32)"
    assert evaluate.evaluate(InProcess(source), 1) == evaluate.evaluate(InProcess(FIRST_FIT), 1)


def test_a_priority_of_nan_or_of_one_number_still_names_a_bin():
    for body in ("return bins * np.nan", "return 1.0", "return np.inf * (bins - item)"):
        candidate = InProcess(program("bin_packing") + f"\ndef priority(item, bins):\n    {body}\n")
        assert candidate.call("choose", [30, 40], [np.array([50.0, 100.0]), np.array([100.0])])[1] == 0


def test_feedback_tells_where_room_is_lost(evaluate):
    score = evaluate.evaluate(InProcess(BEST_FIT), 1)
    assert f"Excess {score.metrics['excess']:.3f} %" in score.feedback
    assert "5 to 19: " in score.feedback
    assert len(score.feedback) < 600
