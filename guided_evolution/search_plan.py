"""How a run searches, as users name it: a strategy, a selection, islands; and the standings that follow from it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from guided_evolution.checked_table import did_you_mean
from guided_evolution.errors import SettingsError
from guided_evolution.population import Standings
from guided_evolution.seed import Seed
from guided_evolution.selection import Selection
from guided_evolution.selection.baselines import BestOfN, HillClimb, RandomWalk
from guided_evolution.selection.islands import TOPOLOGIES, Archipelago
from guided_evolution.selection.map_elites import MapElites
from guided_evolution.selection.mate_choice import MateChoice
from guided_evolution.selection.nsga2 import NSGA2
from guided_evolution.selection.spea2 import SPEA2
from guided_evolution.selection.weighted import Weighted
from guided_evolution.settings import Settings

Strategy = Literal["evolve", "best-of-n", "random-walk", "hill-climb"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)

_BASELINES: Mapping[str, Callable[[], Selection]] = MappingProxyType(
    {"best-of-n": BestOfN, "random-walk": RandomWalk, "hill-climb": HillClimb}
)
_SELECTIONS: Mapping[str, Callable[[NSGA2], Selection]] = MappingProxyType(
    {
        "nsga2": lambda nsga2: nsga2,
        "spea2": lambda _: SPEA2(),
        "map-elites": lambda _: MapElites(),
        "weighted": lambda _: Weighted(),
        "mate-choice": lambda nsga2: MateChoice(basis=nsga2),
    }
)
SELECTIONS: tuple[str, ...] = tuple(_SELECTIONS)
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class SearchPlan:
    """What a user may say of the search; None takes the default for the budget.

    Attributes:
        strategy: ``evolve``, or a baseline on the same budget: ``best-of-n``, ``random-walk``, ``hill-climb``.
        selection: one of `SELECTIONS`, or ``module:Class``; only ``evolve`` has one.
        islands: most islands; more than the first are spawned when the search stalls.
        migration: who sends migrants to whom, one of `TOPOLOGIES`.
    """

    strategy: str = "evolve"
    selection: str | None = None
    islands: int | None = None
    migration: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {
            "strategy": self.strategy,
            "selection": self.selection,
            "islands": self.islands,
            "migration": self.migration,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> SearchPlan:
        """What `to_json` wrote; of a run older than search plans, the defaults."""
        return cls(**(stored or {}))


def search_plan(settings: Settings) -> SearchPlan:
    """What the settings say of the search."""
    return SearchPlan(settings.strategy, settings.selection, settings.islands, settings.migration)


def check_search(plan: SearchPlan) -> None:
    """Raises SettingsError, one sentence, for names that there aren't and for wishes that contradict each other."""
    if plan.strategy not in STRATEGIES:
        raise SettingsError(
            f'strategy "{plan.strategy}" is unknown; {did_you_mean(plan.strategy, STRATEGIES)}'
        )
    if plan.migration is not None and plan.migration not in TOPOLOGIES:
        raise SettingsError(
            f'migration "{plan.migration}" is unknown; {did_you_mean(plan.migration, TOPOLOGIES)}'
        )
    if plan.strategy != "evolve":
        for name in ("selection", "islands", "migration"):
            if getattr(plan, name) is not None:
                raise SettingsError(f"strategy {plan.strategy} keeps one program; it takes no {name}")
    if plan.selection is not None:
        load_selection(plan.selection, NSGA2())


def load_selection(name: str, nsga2: NSGA2) -> Selection:
    """The selection of this name; `nsga2` is NSGA-II as the budget wants it. Raises SettingsError."""
    if name in _SELECTIONS:
        return _SELECTIONS[name](nsga2)
    if not _OWN.fullmatch(name):
        raise SettingsError(
            f'selection "{name}" is unknown; {did_you_mean(name, SELECTIONS)} (or your own, as module:Class)'
        )
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except ModuleNotFoundError as problem:
        raise SettingsError(
            f'selection "{name}": there is no module {problem.name}; is it on PYTHONPATH?'
        ) from problem
    except Exception as problem:  # a user's module may raise anything
        raise SettingsError(f'selection "{name}" can\'t be made: {problem!r}') from problem
    for method in ("choose", "survive"):
        if not callable(getattr(made, method, None)):
            raise SettingsError(f'selection "{name}" has no method {method}; see guided_evolution.selection')
    if not isinstance(getattr(made, "name", None), str):
        raise SettingsError(f'selection "{name}" has no name; give the class an attribute name = "…"')
    return made  # type: ignore[no-any-return]


def standings(plan: SearchPlan, seed: Seed, *, evaluations: int | None, population: int | None) -> Standings:
    """Empty standings for a run of this many evaluations; one bounded by time alone counts as a middling one.

    `population` is the most programs on an island; None takes the default for the budget.
    """
    size = evaluations or 200
    if plan.strategy != "evolve":
        return Standings(seed, _BASELINES[plan.strategy](), 1)
    if size <= 50:
        ranked, uniform, usual, islands = 0.75, 0.15, 10, 1
    elif size <= 200:
        ranked, uniform, usual, islands = 0.7, 0.2, 15, 1
    else:
        ranked, uniform, usual, islands = 0.65, 0.25, 20, 1
    if plan.selection == "map-elites":
        usual = 100  # an archive of kinds needs room for those that score badly
    archipelago = Archipelago(most=plan.islands or islands, topology=plan.migration or "ring")
    selection = load_selection(plan.selection or "nsga2", NSGA2(ranked=ranked, uniform=uniform))
    return Standings(seed, selection, population or usual, archipelago)
