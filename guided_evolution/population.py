"""What the controller knows of a run's scores: islands of parents, and the front of all ever scored.

All of it follows from the outcomes of proposals in the order in which they came, so `resume` rebuilds it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from guided_evolution.errors import SettingsError
from guided_evolution.front import Front, Member, measure
from guided_evolution.seed import Seed
from guided_evolution.selection import Population, Selection
from guided_evolution.selection.islands import Archipelago, signal_after, targets
from guided_evolution.selection.mate_choice import inherited


@dataclass(frozen=True)
class Parent:
    """A member of an island, with what strategies may want to know beyond its score.

    Attributes:
        measures: by the names that the seed program reported, NaN where this one lacks one.
        preference: see `mate_choice`.
    """

    member: Member
    measures: tuple[float, ...]
    preference: tuple[float, ...]


class Standings:
    """The islands and the front of one run, fed with outcomes in the order in which they came.

    The first member told is the seed program. Work per outcome depends on the population's and the front's size
    alone. The outcome of proposal n belongs to island n modulo their number.
    """

    def __init__(
        self, seed: Seed, selection: Selection, size: int, archipelago: Archipelago | None = None
    ) -> None:
        self._seed = seed
        self._selection = selection
        self._size = size
        self._archipelago = archipelago or Archipelago()
        # What a user's own strategy needs isn't known, so it gets everything.
        self._keeps_the_best = bool(getattr(selection, "keeps_the_best", False))
        self._mates = bool(getattr(selection, "mates", True))
        self._islands: list[list[Parent]] = [[] for _ in range(self._archipelago.first)]
        self._front = Front()
        self._tables: dict[int, _Table] = {}
        self._children: Counter[int] = Counter()
        self._preferences: dict[int, tuple[float, ...]] = {}
        self._measures: tuple[str, ...] = ()
        self._outcomes = 0
        self.seed_member: Member | None = None
        self.signal = 1.0

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that may become parents now, on any island."""
        every = {one.member.program_id: one.member for island in self._islands for one in island}
        return tuple(every.values())

    @property
    def islands(self) -> tuple[tuple[int, ...], ...]:
        """The program ids on each island."""
        return tuple(tuple(one.member.program_id for one in island) for island in self._islands)

    @property
    def front(self) -> list[Member]:
        """Those of all ever scored that no other one beats."""
        return self._front.members

    @property
    def best(self) -> Member | None:
        """The best by the primary objective among those that keep the constraints; the first of equals."""
        return self._front.best_by(0)

    def best_by(self, objective: int) -> Member | None:
        """The best by the objective at this position (primary first)."""
        return self._front.best_by(objective)

    def parents_at(self, number: int) -> int:
        """How many parents proposal `number` can choose among."""
        return len(self._islands[number % len(self._islands)])

    def tell(
        self,
        program_id: int,
        metrics: Mapping[str, float],
        measures: Mapping[str, float] | None = None,
        *,
        number: int = 0,
        parents: Sequence[int] = (),
    ) -> bool:
        """Take a score in; True if the front grew."""
        member = measure(self._seed, program_id, metrics)
        if self.seed_member is None:
            self._begin(member, measures or {})
            return True
        island = number % len(self._islands)
        grew = self._front.join(member)
        gain = max(0.5, self._share_beaten(island, member)) if grew else 0.0
        if not self._hopeless(island, member):
            self._islands[island].append(self._parent(member, measures or {}, number, parents))
            self._survive(island)
        self._outcome(parents, gain)
        return grew

    def miss(self, parents: Sequence[int] = ()) -> None:
        """Take in an outcome without a score: a failure, a rejected edit, a program that was known."""
        self._outcome(parents, 0.0)

    def revise(self, program_id: int, metrics: Mapping[str, float]) -> None:
        """Replace a program's score, as after a repeat. It may lose its place on the front.

        A program that it kept off the front before doesn't come back there.
        """
        member = measure(self._seed, program_id, metrics)
        if self.seed_member is not None and self.seed_member.program_id == program_id:
            self.seed_member = member
        self._islands = [
            [replace(one, member=member) if one.member.program_id == program_id else one for one in island]
            for island in self._islands
        ]
        self._tables.clear()
        before = self._front.members
        self._front = Front()
        for one in before:
            self._front.join(member if one.program_id == program_id else one)
        for one in self.members:
            self._front.join(one)

    def choose(self, count: int, rng: random.Random, number: int = 0) -> tuple[int, ...]:
        """Program ids of up to `count` parents for proposal `number`, the base first.

        Raises:
            SettingsError: a strategy of the user's raised or chose something else.
        """
        population = self._arrays(number % len(self._islands))
        chosen = self._asked(lambda: self._selection.choose(population, count, rng), "choose", population)
        if not chosen:
            raise SettingsError(f"selection {self._selection.name}: choose returned no program")
        return chosen

    def _hopeless(self, island: int, member: Member) -> bool:
        """Whether strategies that keep the best would drop it at once: most newcomers of a long run, found cheaply."""
        table = self._tables.get(island)
        if not self._keeps_the_best or table is None or len(table.violations) < self._size:
            return False
        if table.violations.any():
            return False
        if member.violation > 0:
            return True
        own = np.array(member.objectives)
        return bool((table.objectives <= own).all() and (table.objectives < own).any(axis=1).all())

    def _share_beaten(self, island: int, member: Member) -> float:
        here = self._islands[island]
        return sum(_key(member) < _key(one.member) for one in here) / max(1, len(here))

    def _begin(self, member: Member, measures: Mapping[str, float]) -> None:
        self.seed_member = member
        self._measures = tuple(sorted(measures))
        self._front.join(member)
        founder = self._parent(member, measures, 0, ())
        for island in self._islands:
            island.append(founder)

    def _parent(
        self, member: Member, measures: Mapping[str, float], number: int, parents: Sequence[int]
    ) -> Parent:
        preference: tuple[float, ...] = ()
        if self._mates:
            rng = random.Random(f"preference/{number}")
            known = [self._preferences[one] for one in parents if one in self._preferences]
            preference = inherited(known, len(member.objectives) + len(self._measures), rng)
            self._preferences[member.program_id] = preference
        values = tuple(measures.get(name, float("nan")) for name in self._measures)
        return Parent(member, values, preference)

    def _outcome(self, parents: Sequence[int], gain: float) -> None:
        """What every outcome does, whatever it was."""
        if parents:
            self._children[parents[0]] += 1
        self._outcomes += 1
        most = 4 * self._size * len(self._islands) + 1000
        if len(self._children) > most or len(self._preferences) > most:
            self._forget()
        self.signal = signal_after(self.signal, gain, self._archipelago.horizon)
        if self.signal < self._archipelago.stalled:
            self._spawn()
        if len(self._islands) > 1 and self._outcomes % self._archipelago.every == 0:
            self._migrate()

    def _spawn(self) -> None:
        """A new island, by turns from the best and from the seed program; without room for one, only patience."""
        count = len(self._islands)
        if count < self._archipelago.most and self.seed_member is not None and self.best is not None:
            founder = self.best if count % 2 else self.seed_member
            every = {one.member.program_id: one for island in self._islands for one in island}
            known = every.get(founder.program_id)
            nothing = tuple(float("nan") for _ in self._measures)
            preference = self._preferences.get(founder.program_id, ())
            self._islands.append([known or Parent(founder, nothing, preference)])
            self.signal = 1.0

    def _migrate(self) -> None:
        """Every island sends a copy of its best to its neighbours; all leave before any arrive."""
        bests = [min(island, key=lambda one: _key(one.member)) for island in self._islands]
        for source, migrant in enumerate(bests):
            for target in targets(self._archipelago.topology, len(self._islands), source):
                there = self._islands[target]
                if all(one.member.program_id != migrant.member.program_id for one in there):
                    there.append(migrant)
                    self._survive(target)

    def _survive(self, island: int) -> None:
        population = self._arrays(island)
        kept = set(
            self._asked(lambda: self._selection.survive(population, self._size), "survive", population)
        )
        if not kept:
            raise SettingsError(f"selection {self._selection.name}: survive returned no program")
        if not kept.issuperset(population.ids):
            stay = np.array([one in kept for one in population.ids])
            self._islands[island] = [one for one in self._islands[island] if one.member.program_id in kept]
            self._tables[island] = self._tables[island].kept(stay)

    def _forget(self) -> None:
        """Drop what was kept about programs that can't become parents any more; children under way may still ask."""
        here = {one.member.program_id for island in self._islands for one in island}
        self._preferences = {one: value for one, value in self._preferences.items() if one in here}
        self._children = Counter({one: n for one, n in self._children.items() if one in here})

    def _asked(self, ask: Callable[[], Sequence[int]], what: str, population: Population) -> tuple[int, ...]:
        try:
            answer = tuple(ask())
        except Exception as problem:  # a user's strategy may raise anything
            raise SettingsError(f"selection {self._selection.name}: {what} raised {problem!r}") from problem
        strangers = set(answer) - set(population.ids) - {population.seed_id}
        if strangers:
            raise SettingsError(
                f"selection {self._selection.name}: {what} named {sorted(map(repr, strangers))[0]}, "
                "which isn't in the population"
            )
        return answer

    def _arrays(self, island: int) -> Population:
        """An island as strategies see it; only what is new since it was last asked for is turned into arrays."""
        assert self.seed_member is not None, "the seed program is scored before anything is chosen"
        here = self._islands[island]
        table = self._tables.get(island)
        if table is None:
            table = self._tables[island] = _Table.of(here)
        elif len(table.violations) < len(here):
            table = self._tables[island] = table.grown(here[len(table.violations) :])
        ids = tuple(one.member.program_id for one in here)
        children = np.fromiter((self._children[one] for one in ids), dtype=np.float64, count=len(ids))
        seed_id = self.seed_member.program_id
        return Population(
            ids, table.objectives, table.violations, seed_id, table.measures, children, table.preferences
        )


@dataclass(frozen=True)
class _Table:
    """The arrays of an island's members, as far as they never change."""

    objectives: NDArray[np.float64]
    violations: NDArray[np.float64]
    measures: NDArray[np.float64]
    preferences: NDArray[np.float64]

    @classmethod
    def of(cls, members: Sequence[Parent]) -> _Table:
        return cls(
            np.array([one.member.objectives for one in members], dtype=np.float64),
            np.array([one.member.violation for one in members], dtype=np.float64),
            np.array([one.measures for one in members], dtype=np.float64),
            np.array([one.preference for one in members], dtype=np.float64),
        )

    def grown(self, newcomers: Sequence[Parent]) -> _Table:
        new = _Table.of(newcomers)
        return _Table(
            np.concatenate([self.objectives, new.objectives]),
            np.concatenate([self.violations, new.violations]),
            np.concatenate([self.measures, new.measures]),
            np.concatenate([self.preferences, new.preferences]),
        )

    def kept(self, stay: NDArray[np.bool_]) -> _Table:
        return _Table(
            self.objectives[stay], self.violations[stay], self.measures[stay], self.preferences[stay]
        )


def _key(member: Member) -> tuple[float, float]:
    """The order of the primary objective, constraints first."""
    return member.violation, member.objectives[0]
