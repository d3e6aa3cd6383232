"""What the controller remembers for prompts, how many proposals it keeps open, and that questions follow their seed."""

from __future__ import annotations

import random

import pytest

from guided_evolution.archive.proposals import Settled
from guided_evolution.briefing import Briefing, Known
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.operators import builtin_operators, model_operators
from guided_evolution.pace import Pace
from guided_evolution.prompts import Prompts
from guided_evolution.seed import Objective, Seed
from guided_evolution.trials import Material, Trials

SEED = Seed(
    name="tiny",
    task="t",
    files=("program.py",),
    program={"program.py": b"A = 1\n\n\ndef f(x):\n    return x\n\n\ndef solve():\n    return f(A)\n"},
    objectives=(Objective("loss", "minimize", True),),
    evaluator_source="",
    protected=("solve",),
)


def test_no_operator_has_the_name_of_another() -> None:
    assert not set(builtin_operators()) & set(model_operators())
    assert list(model_operators()) == ["mutate", "merge", "draft", "repair"]


@pytest.mark.parametrize("name", ["mutate", "merge", "draft", "repair"])
def test_the_same_number_asks_the_same_question(name: str) -> None:
    genome = Genome.split(SEED.program)
    other = genome.replace("program.py", genome.text("program.py").replace("return x", "return x + 1"))
    briefing = Briefing(
        SEED, FrozenRules(("solve",)), Known(1, genome, {"loss": 1.0}), Known(2, other, {"loss": 2.0})
    )
    operator = model_operators()[name]

    def asked(seed: str) -> object:
        return operator.ask(briefing, Prompts(None, 9000), random.Random(seed), None)

    assert asked("5/1/ask") == asked("5/1/ask")
    assert len({str(asked(f"5/{number}/ask")) for number in range(20)}) > 2


def test_material_names_what_was_tried_and_what_led_here() -> None:
    trials = Trials()
    trials.tell(10, "seed", (), "scored", 1)
    trials.tell(11, "mutate", (1,), "scored", 2)
    trials.tell(12, "mutate", (1,), "rejected", None)
    trials.tell(13, "constant", (2,), "failed", 3)
    trials.tell(14, "merge", (2, 1), "known", 1)
    trials.tell(15, "mutate", (2,), "scored", 4)
    assert trials.material(1) == Material(tried=(12, 11), chain=(10,))
    assert trials.material(2, inspirations=(9,), best=4, seed=1) == Material(
        (15, 14, 13), (11, 10), (9,), 4, 1
    )
    assert trials.material(4) == Material((), (15, 11, 10))
    stored = trials.material(2, best=4).to_json()
    assert Material.from_json(stored) == trials.material(2, best=4)
    assert Material.from_json(None) == Material()


def test_a_failed_program_is_repaired_twice_at_most_and_a_repair_of_a_repair_not_again() -> None:
    trials = Trials()
    assert not trials.has_failed
    trials.tell(1, "mutate", (1,), "failed", 5)
    trials.tell(2, "mutate", (1,), "failed", 6)
    assert trials.failed() == 6
    trials.repaired(6)
    assert trials.failed() == 5
    trials.repaired(5)
    trials.repaired(5)
    assert trials.failed() == 6
    trials.tell(3, "repair", (6,), "failed", 7)
    trials.repaired(6)
    assert trials.failed() == 7
    trials.tell(4, "repair", (7,), "failed", 8)
    trials.repaired(7)
    trials.repaired(7)
    assert not trials.has_failed


def test_a_repair_that_scores_takes_its_program_off_the_list() -> None:
    trials = Trials()
    trials.tell(1, "mutate", (1,), "failed", 5)
    trials.tell(2, "repair", (5,), "scored", 6)
    assert not trials.has_failed


def test_memory_is_bounded() -> None:
    trials = Trials()
    for number in range(10_000):
        trials.tell(number, "mutate", (number,), "failed", number + 1)
    assert len(trials._tried) <= 2000
    assert len(trials._chains) <= 2000
    assert len(trials._failed) <= 24
    assert len(trials.material(10_000).chain) <= 4


def settled(proposing: float, evaluating: float | None, parents: tuple[int, ...] = (1,)) -> Settled:
    state = "rejected" if evaluating is None else "scored"
    return Settled(1, 1, "mutate", state, None, None, None, parents, None, proposing, evaluating)


def test_as_many_proposals_are_open_as_the_slots_can_use() -> None:
    pace = Pace(32)
    pace.tell(settled(0.0, 0.2, ()))  # the seed program tells the time of an evaluation, not the model's
    for _ in range(100):
        pace.tell(settled(1.0, 0.2))
    # 2 slots take 10 a second, so 10 calls of 1 s are in flight, some more as they come unevenly; 2 at work, 4 waiting
    assert 10 + 6 < pace.open_at_once(2) <= 10 * 1.5 + 6


def test_slow_evaluations_hold_the_model_back_and_rejections_let_it_go_on() -> None:
    slow = Pace(32)
    for _ in range(100):
        slow.tell(settled(1.0, 60.0))
    assert slow.open_at_once(2) == 4 + 2 + 1
    wasteful = Pace(32)
    for number in range(300):
        wasteful.tell(settled(1.0, 0.5 if number % 2 else None))
    thrifty = Pace(32)
    for _ in range(300):
        thrifty.tell(settled(1.0, 0.5))
    assert wasteful.open_at_once(2) > thrifty.open_at_once(2)


def test_calls_in_flight_are_bounded_by_the_setting() -> None:
    pace = Pace(4)
    for _ in range(100):
        pace.tell(settled(30.0, 0.01))
    assert pace.open_at_once(2) == 4 + 2 + 4
