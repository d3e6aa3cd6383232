"""Standings: islands, migrants, stagnation, and that all of it follows from the outcomes in their order."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from guided_evolution.errors import SettingsError
from guided_evolution.population import Standings
from guided_evolution.search_plan import SELECTIONS, SearchPlan, check_search, load_selection, standings
from guided_evolution.seed import Constraint, Objective, Seed
from guided_evolution.selection import Population
from guided_evolution.selection.islands import Archipelago
from guided_evolution.selection.nsga2 import NSGA2

SEED = Seed(
    name="two",
    task="Both down.",
    files=("program.py",),
    program={"program.py": b"X = 1\n"},
    objectives=(Objective("loss", "minimize", True), Objective("size", "minimize", False)),
    evaluator_source="",
    constraints=(Constraint("seconds", at_most=1),),
)


def scored(loss: float, size: float = 1.0, seconds: float = 0.5) -> dict[str, float]:
    return {"loss": loss, "size": size, "seconds": seconds}


def begun(archipelago: Archipelago | None = None, size: int = 4) -> Standings:
    made = Standings(SEED, NSGA2(), size, archipelago)
    made.tell(1, scored(10.0), {"depth": 3.0})
    return made


def test_the_first_score_is_the_seed_s_and_founds_every_island() -> None:
    made = begun(Archipelago(first=3, most=3))
    assert made.islands == ((1,), (1,), (1,))
    assert [member.program_id for member in made.members] == [1]
    assert made.seed_member is not None
    assert made.choose(2, random.Random(0), number=5) == (1,)


def test_an_outcome_belongs_to_the_island_of_its_number() -> None:
    made = begun(Archipelago(first=2, most=2, every=1000))
    made.tell(2, scored(9.0), number=1, parents=(1,))
    made.tell(3, scored(8.0), number=2, parents=(1,))
    assert made.islands == ((1, 3), (1, 2))
    assert {made.choose(1, random.Random(seed), number=1)[0] for seed in range(40)} == {1, 2}
    assert made.parents_at(4) == 2


def test_migrants_are_copies_of_the_best_and_all_leave_before_any_arrive() -> None:
    made = begun(Archipelago(first=3, most=3, topology="ring", every=3))
    for number, loss in ((0, 7.0), (1, 5.0), (2, 6.0)):
        made.tell(10 + number, scored(loss), number=number, parents=(1,))
    assert made.islands == ((1, 10, 12), (1, 11, 10), (1, 12, 11))


def test_a_stalled_search_spawns_islands_by_turns_from_the_best_and_from_the_seed() -> None:
    made = begun(Archipelago(most=3, horizon=10.0, stalled=0.05, every=1000))
    made.tell(2, scored(5.0), number=1, parents=(1,))
    for _ in range(29):
        made.miss((2,))
    assert made.islands == ((1, 2),)
    made.miss((2,))
    assert made.islands == ((1, 2), (2,))
    for _ in range(30):
        made.miss()
    assert made.islands == ((1, 2), (2,), (1,))
    for _ in range(100):
        made.miss()
    assert len(made.islands) == 3


def test_rejected_edits_let_the_signal_fall_and_a_gain_lifts_it() -> None:
    made = begun(Archipelago(horizon=10.0))
    for _ in range(10):
        made.miss((1,))
    low = made.signal
    assert low < 0.4
    made.tell(2, scored(20.0, 20.0), number=1, parents=(1,))
    assert made.signal < low
    made.tell(3, scored(5.0), number=2, parents=(1,))
    assert made.signal == 1.0


def test_children_are_counted_for_the_base_whatever_came_of_them() -> None:
    class Few:
        name = "few"

        def choose(self, population: Population, count: int, rng: random.Random) -> tuple[int, ...]:
            return (population.ids[int(population.children.argmin())],)

        def survive(self, population: Population, size: int) -> tuple[int, ...]:
            return population.ids

    made = Standings(SEED, Few(), 4)
    made.tell(1, scored(10.0))
    made.tell(2, scored(9.0), number=1, parents=(1,))
    made.miss((2, 1))
    made.miss((2, 1))
    assert made.choose(1, random.Random(0)) == (1,)
    made.miss((1,))
    made.miss((1,))
    assert made.choose(1, random.Random(0)) == (2,)


def history(length: int, seed: int) -> list[tuple[int, float, float, tuple[int, ...]]]:
    rng = random.Random(seed)
    return [(n, rng.gauss(0, 1), rng.random(), (rng.randint(1, n), 1)) for n in range(2, length)]


@pytest.mark.parametrize("name", SELECTIONS)
def test_standings_told_the_same_outcomes_are_the_same(name: str) -> None:
    def told() -> tuple[object, ...]:
        plan = SearchPlan(selection=name, islands=3, migration="torus")
        made = standings(plan, SEED, evaluations=300, population=6)
        made.tell(1, scored(0.0), {"depth": 0.5})
        for number, loss, size, parents in history(300, 7):
            if loss > 1:
                made.miss(parents)
            else:
                made.tell(number, scored(loss, size), {"depth": size * loss}, number=number, parents=parents)
        chosen = [made.choose(2, random.Random(seed), number=seed) for seed in range(20)]
        return made.islands, made.signal, [one.program_id for one in made.front], chosen

    first = told()
    assert first == told()
    islands = first[0]
    assert isinstance(islands, tuple)
    assert len(islands) > 1
    assert all(1 <= len(island) <= 6 for island in islands)


def test_a_revised_score_moves_a_program_and_may_cost_it_its_place_on_the_front() -> None:
    made = begun()
    made.tell(2, scored(5.0), number=1, parents=(1,))
    made.tell(3, scored(6.0), number=2, parents=(1,))
    assert made.best is not None
    assert made.best.program_id == 2
    made.revise(2, scored(8.0))
    assert made.best.program_id == 3
    assert [one.program_id for one in made.front] == [3]
    assert {one.program_id: one.metrics["loss"] for one in made.members} == {1: 10.0, 2: 8.0, 3: 6.0}


def test_work_and_memory_do_not_grow_with_the_number_of_outcomes() -> None:
    made = begun()
    for number in range(2, 6000):
        made.tell(number, scored(10.0 + number, 10.0 + number), number=number, parents=(number - 1,))
    assert len(made.members) == 4
    assert len(made._preferences) < 1100
    assert len(made._children) < 1100


OWN = """
class Newest:
    name = "newest"

    def choose(self, population, count, rng):
        return population.ids[-count:]

    def survive(self, population, size):
        return population.ids[-size:]


class Nameless:
    def choose(self, population, count, rng): ...
    def survive(self, population, size): ...


class Deaf:
    name = "deaf"
    def choose(self, population, count, rng): ...


class Broken(Newest):
    name = "broken"
    def choose(self, population, count, rng):
        raise KeyError("nobody")


class Stranger(Newest):
    name = "stranger"
    def choose(self, population, count, rng):
        return (999,)


class Empty(Newest):
    name = "empty"
    def choose(self, population, count, rng):
        return ()


class Needy(Newest):
    def __init__(self, what): ...
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_selections.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_selections", None)
    return "own_selections"


def test_a_selection_of_one_s_own_is_named_by_module_and_class(own: str) -> None:
    made = standings(SearchPlan(selection=f"{own}:Newest"), SEED, evaluations=50, population=2)
    made.tell(1, scored(1.0))
    for number in (2, 3):
        made.tell(number, scored(9.0), number=number, parents=(1,))
    assert made.islands == ((2, 3),)
    assert made.choose(1, random.Random(0)) == (3,)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{own}:Nameless", "has no name"),
        ("{own}:Deaf", "has no method survive"),
        ("{own}:Needy", "can't be made: TypeError"),
        ("{own}:Absent", "can't be made: AttributeError"),
        ("absent_module:Class", "there is no module absent_module"),
        ("nsga3", 'selection "nsga3" is unknown; did you mean "nsga2"?'),
        ("a b:c", "or your own, as module:Class"),
    ],
)
def test_a_selection_that_cannot_be_used_is_told(own: str, name: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_selection(name.format(own=own), NSGA2())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Broken", r"selection broken: choose raised KeyError\('nobody'\)"),
        ("Stranger", "selection stranger: choose named 999, which isn't in the population"),
        ("Empty", "selection empty: choose returned no program"),
    ],
)
def test_a_selection_that_errs_is_told_by_its_name(own: str, name: str, said: str) -> None:
    made = standings(SearchPlan(selection=f"{own}:{name}"), SEED, evaluations=50, population=2)
    made.tell(1, scored(1.0))
    with pytest.raises(SettingsError, match=said):
        made.choose(1, random.Random(0))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (SearchPlan("hillclimb"), 'strategy "hillclimb" is unknown; did you mean "hill-climb"?'),
        (SearchPlan(migration="rings"), 'migration "rings" is unknown; did you mean "ring"?'),
        (SearchPlan("best-of-n", islands=2), "strategy best-of-n keeps one program; it takes no islands"),
    ],
)
def test_plans_that_make_no_sense_are_refused(plan: SearchPlan, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_search(plan)
    assert str(caught.value) == said


def test_a_plan_survives_the_archive_and_an_old_run_has_the_defaults() -> None:
    plan = SearchPlan("evolve", "spea2", 3, "torus")
    assert SearchPlan.from_json(plan.to_json()) == plan
    assert SearchPlan.from_json(None) == SearchPlan()


@pytest.mark.parametrize(
    ("strategy", "losses", "parents"),
    [
        ("best-of-n", [5.0, 9.0, 4.0], [1, 1, 1]),
        ("random-walk", [5.0, 9.0, 4.0], [2, 3, 4]),
        ("hill-climb", [5.0, 9.0, 4.0], [2, 2, 4]),
        ("hill-climb", [10.0, 11.0, 10.0], [2, 2, 4]),
    ],
)
def test_baselines_have_one_parent(strategy: str, losses: Sequence[float], parents: list[int]) -> None:
    made = standings(SearchPlan(strategy), SEED, evaluations=50, population=None)
    made.tell(1, scored(10.0))
    chosen = []
    for number, loss in enumerate(losses, 2):
        made.tell(number, scored(loss), number=number, parents=(1,))
        chosen += made.choose(2, random.Random(0), number)
        assert made.parents_at(number) == 1
    assert chosen == parents
