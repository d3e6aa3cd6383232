"""What has paid: changes made again, shares that follow gains; and the operator that makes a change again."""

from __future__ import annotations

import random

import pytest

from guided_evolution.edit import FrozenRules, apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.gains import Gains
from guided_evolution.genome import Genome
from guided_evolution.operators.again import AgainOperator, moved

SHARES = {"constant": 0.5, "statement": 0.3, "function": 0.2}


def genome(text: str) -> Genome:
    return Genome.split({"program.py": text.encode()})


def again(target: str, after: str, before: str, seed: int = 0, rules: FrozenRules | None = None) -> str:
    parents = [genome(target), genome(after), genome(before)]
    rules = rules or FrozenRules()
    edit = AgainOperator().propose(parents, rules, random.Random(seed))
    return apply_edit(parents[0], edit, rules).join()["program.py"].decode()


def test_a_gain_by_a_number_can_be_made_again_three_times() -> None:
    gains = Gains()
    assert not gains.any
    gains.tell("statement", (1,), 2, evaluated=True, gain=0.1)
    gains.tell("constant", (1,), 3, evaluated=True, gain=0.0)
    assert not gains.any
    gains.tell("constant", (1,), 4, evaluated=True, gain=0.1)
    assert gains.pair(random.Random(0)) == (4, 1)
    for _ in range(2):
        gains.tell("again", (4, 4, 1), 5, evaluated=True, gain=0.0)
        assert gains.any
    gains.tell("again", (4, 4, 1), None, evaluated=False, gain=0.0)
    assert not gains.any


def test_only_the_newest_gains_are_remembered() -> None:
    gains = Gains()
    for program in range(2, 9):
        gains.tell("constant", (program - 1,), program, evaluated=True, gain=0.1)
    assert {gains.pair(random.Random(seed)) for seed in range(50)} == {(6, 5), (7, 6), (8, 7)}


def test_shares_follow_gains_and_keep_their_sum() -> None:
    gains = Gains()
    assert gains.adapted(SHARES) == pytest.approx(SHARES)
    for program in range(60):
        gains.tell("constant", (1,), program, evaluated=True, gain=0.1 * (program % 5 == 0))
        gains.tell("statement", (1,), program, evaluated=True, gain=0.0)
    moved_shares = gains.adapted(SHARES)
    assert sum(moved_shares.values()) == pytest.approx(1.0)
    assert moved_shares["constant"] > 0.6
    assert 0.01 < moved_shares["statement"] < 0.15
    for program in range(400):
        gains.tell("constant", (1,), program, evaluated=True, gain=0.0)
        gains.tell("statement", (1,), program, evaluated=True, gain=0.1 * (program % 5 == 0))
    later = gains.adapted(SHARES)
    assert later["statement"] > later["constant"]


def test_a_change_that_gains_next_to_nothing_is_not_made_again_and_earns_little() -> None:
    gains = Gains()
    gains.tell("statement", (1,), 2, evaluated=True, gain=0.1)
    for program in range(3, 30):
        gains.tell("constant", (1,), program, evaluated=True, gain=1e-9)
    assert not gains.any
    assert gains.adapted(SHARES)["statement"] > gains.adapted(SHARES)["constant"]


def test_rejected_edits_cost_an_operator_nothing() -> None:
    gains = Gains()
    for _ in range(50):
        gains.tell("statement", (1,), None, evaluated=False, gain=0.0)
    assert gains.adapted(SHARES) == pytest.approx(SHARES)


@pytest.mark.parametrize(
    ("source", "after", "before", "share", "expected"),
    [
        ("RATE = 0.2\n", "RATE = 0.2\n", "RATE = 0.1\n", 1.0, "RATE = 0.4\n"),
        ("RATE = 0.2\n", "RATE = 0.2\n", "RATE = 0.1\n", 2.0, "RATE = 0.8\n"),
        ("RATE = 0.5\n", "RATE = 0.2\n", "RATE = 0.1\n", 1.0, "RATE = 1.0\n"),
        ("N = 3\n", "N = 3\n", "N = 2\n", 0.5, "N = 4\n"),
        ("N = 100\n", "N = 100\n", "N = 101\n", 0.5, "N = 99\n"),
        ("N = 0\n", "N = 0\n", "N = 1\n", 1.0, "N = 0\n"),
        ("X = 0.0\n", "X = 0.5\n", "X = 0.0\n", 1.0, "X = 0.5\n"),
        ("f(3, 4, 5)\n", "f(3, 8, 5)\n", "f(3, 4, 5)\n", 1.0, "f(3, 8, 5)\n"),
        ("f(3, x)\n", "f(4, y)\n", "f(3, y)\n", 1.0, "f(3, x)\n"),
    ],
)
def test_numbers_move_on_by_the_same_factor_or_step(
    source: str, after: str, before: str, share: float, expected: str
) -> None:
    assert moved(source, after, before, share)[0] == expected


def test_a_change_is_made_again_in_the_program_itself_and_in_another() -> None:
    before, after = "RATE = 0.1\nN = 3\n", "RATE = 0.2\nN = 3\n"
    assert {again(after, after, before, seed) for seed in range(30)} == {
        "RATE = 0.28284\nN = 3\n",
        "RATE = 0.4\nN = 3\n",
        "RATE = 0.8\nN = 3\n",
    }
    other = "RATE = 0.1\nN = 7\n\n\ndef f():\n    return RATE\n"
    assert again(other, after, before).endswith("N = 7\n\n\ndef f():\n    return RATE\n")


def test_methods_change_by_themselves() -> None:
    text = "class Net:\n    def f(self):\n        return 0.5\n\n    def g(self):\n        return {}\n"
    made = again(text.format("1.0"), text.format("2.0"), text.format("1.0"), 1)
    assert made.startswith("class Net:\n    def f(self):\n        return 0.5\n\n    def g(self):\n")
    assert made != text.format("1.0")


@pytest.mark.parametrize(
    ("target", "after", "before"),
    [
        ("RATE = 0.1\n", "RATE = 0.1\n", "RATE = 0.1\n"),
        ("OTHER = 0.1\n", "RATE = 0.2\n", "RATE = 0.1\n"),
        ("RATE = f(1)\n", "RATE = 0.2\n", "RATE = 0.1\n"),
        ("def f():\n    return 1\n", "def f():\n    return 2 + 1\n", "def f():\n    return 1\n"),
    ],
)
def test_without_a_number_in_the_same_place_there_is_nothing_to_do(
    target: str, after: str, before: str
) -> None:
    with pytest.raises(EditRejected) as caught:
        again(target, after, before)
    assert caught.value.kind == "no-site"


def test_frozen_lines_are_left_alone() -> None:
    text = "RATE = {}\n# EVOLVE-BLOCK-START\nN = 1\n# EVOLVE-BLOCK-END\n"
    with pytest.raises(EditRejected):
        again(text.format(0.2), text.format(0.2), text.format(0.1))
