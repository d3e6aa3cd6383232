"""Genes of a second parent put in the place of the first one's, with what they depend on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guided_evolution.edit import Edit, FrozenRules, Splice
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import Span, evolvable_spans, is_evolvable
from guided_evolution.genome import Genome
from guided_evolution.imports import newline_of
from guided_evolution.operators.blend import blended
from guided_evolution.operators.units import Module, Unit, module_of

_BLEND = 0.25


class CrossoverOperator:
    """Takes some of the functions, methods, classes and constants in which two programs differ from the second one.

    Where they differ in one only, a swap would give the second parent again: then the two versions are blended.
    """

    name = "crossover"
    parents = 2

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where the parents differ in nothing evolvable."""
        base, donor = parents[0], parents[1]
        swaps = [swap for path in base.paths if (swap := _swap(base, donor, path, rules)) is not None]
        units = [(swap, name) for swap in swaps for name in swap.differing]
        if not units:
            raise EditRejected("no-site", "the two parents don't differ in anything that can be swapped")
        if len(units) == 1:
            return _blend_one(*units[0], rng)
        taken = rng.sample(units, rng.randint(1, len(units) - 1))
        for swap, name in sorted(taken, key=lambda one: one[1]):
            swap.take(name)
        edits = [swap.edit(rng) for swap in swaps if swap.taken]
        return Edit(
            tuple(splice for edit in edits for splice in edit.splices),
            "; ".join(edit.summary for edit in edits),
            tuple(one for edit in edits for one in edit.imports),
        )


@dataclass
class _Swap:
    """What two programs can exchange in one file."""

    path: str
    text: str
    base: Module
    donor: Module
    spans: tuple[Span, ...]
    differing: list[str]
    taken: dict[str, None] = field(default_factory=dict)
    brought: dict[str, None] = field(default_factory=dict)

    def take(self, name: str) -> None:
        """Take a unit from the donor, and what it depends on."""
        if name in self.taken:
            return
        unit = self.donor.units[name]
        if unit.owner and self._misses_attributes(unit) and unit.owner in self.base.units:
            self.taken.setdefault(unit.owner)
            unit = self.donor.units[unit.owner]
        self.taken.setdefault(name)
        self._bring(unit)
        self._keep_calls(unit)

    def _misses_attributes(self, unit: Unit) -> bool:
        owner = self.base.units.get(unit.owner)
        return owner is not None and any(one not in owner.source for one in unit.attributes)

    def _bring(self, unit: Unit) -> None:
        """Names that the base doesn't know come along, and what they depend on themselves."""
        for name in sorted(unit.reads - self.base.bound):
            if name in self.brought or name not in self.donor.bound:
                continue
            if name in self.donor.units:
                self.brought.setdefault(name)
                self._bring(self.donor.units[name])
            elif name in self.donor.imports:
                self.brought.setdefault(name)

    def _keep_calls(self, unit: Unit) -> None:
        """A function that is called in another way than before is taken together with its callers, and the reverse."""
        for name in self.differing:
            if name in self.taken:
                continue
            other = self.donor.units[name]
            calls = self._called_otherwise(name) and name in unit.reads
            is_called = self._called_otherwise(unit.name) and unit.name in other.reads
            if calls or is_called:
                self.take(name)

    def _called_otherwise(self, name: str) -> bool:
        before, after = self.base.units.get(name), self.donor.units.get(name)
        return before is not None and after is not None and before.parameters != after.parameters

    def edit(self, rng: random.Random) -> Edit:
        """The edit that makes the swaps."""
        names = [name for name in self.taken if not (name.partition(".")[0] in self.taken and "." in name)]
        splices, words = [], []
        for name in names:
            old, new = self.base.units[name], self.donor.units[name]
            mixed = (
                blended(old.source, new.source, rng) if len(names) == 1 and rng.random() < _BLEND else None
            )
            source = mixed if mixed is not None else _fitted(new.source, self.text)
            splices.append(Splice(self.path, old.start, old.end, source))
            words.append(f"{name} {'blended' if mixed is not None else 'taken'}")
        brought = self._brought_text()
        if brought:
            top = min(self.base.units[name].top for name in names)
            splices.insert(0, Splice(self.path, self._place(top), self._place(top), brought))
        words += [f"{name} brought along" for name in self.brought]
        imports = tuple(
            (self.path, self.donor.imports[name]) for name in self.brought if name in self.donor.imports
        )
        return Edit(tuple(splices), f"{self.path}: {', '.join(words)}", imports)

    def _brought_text(self) -> str:
        units = sorted(
            (self.donor.units[name] for name in self.brought if name in self.donor.units),
            key=lambda unit: unit.start,
        )
        newline = newline_of(self.text)
        return "".join(
            _fitted(unit.source, self.text) + (newline * 2 if unit.parameters is not None else newline)
            for unit in units
        )

    def _place(self, top: int) -> int:
        if any(first <= top <= behind for first, behind in self.spans):
            return top
        tops = {unit.top for unit in self.base.units.values()}
        free = [at for at in sorted(tops) if any(first <= at <= behind for first, behind in self.spans)]
        if not free:
            raise EditRejected(
                "no-site", f"{self.path}: there is no evolvable place for what the swap brings along"
            )
        return free[0]


def _swap(base: Genome, donor: Genome, path: str, rules: FrozenRules) -> _Swap | None:
    if path not in donor.paths or base.text(path) == donor.text(path):
        return None
    spans = evolvable_spans(base, path, rules)
    old, new = module_of(path, base.text(path)), module_of(path, donor.text(path))
    if not spans or old is None or new is None:
        return None
    return _Swap(path, base.text(path), old, new, spans, list(_differing(old, new, spans)))


def _differing(old: Module, new: Module, spans: tuple[Span, ...]) -> Iterator[str]:
    """Units that both have, with another source; of a class its methods if these are all that differs."""
    for name, unit in old.units.items():
        other = new.units.get(name)
        if other is None or other.source == unit.source or not is_evolvable(spans, unit.start, unit.end):
            continue
        methods = [one for one in old.units if one.startswith(f"{name}.")]
        if not methods or _without_methods(old, name) != _without_methods(new, name):
            yield name


def _without_methods(module: Module, name: str) -> str:
    owner = module.units[name]
    source = owner.source
    for unit in module.units.values():
        if unit.owner == name:
            source = source.replace(unit.source, f"<{unit.name}>", 1)
    return source


def _fitted(source: str, text: str) -> str:
    """The source with the line ends of the file that it goes into."""
    newline = newline_of(text)
    plain = source.replace("\r\n", "\n").replace("\r", "\n")
    plain = plain if plain.endswith("\n") else plain + "\n"
    return (
        plain.replace("\n", newline)
        if newline_of(source) != newline or not source.endswith(newline)
        else source
    )


def _blend_one(swap: _Swap, name: str, rng: random.Random) -> Edit:
    old, new = swap.base.units[name], swap.donor.units[name]
    mixed = blended(old.source, new.source, rng)
    if mixed is None:
        raise EditRejected(
            "no-site", f"the parents differ in {name} alone, and its two versions can't be blended"
        )
    return Edit((Splice(swap.path, old.start, old.end, mixed),), f"{swap.path}: {name} blended")
