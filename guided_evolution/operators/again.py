"""A change of numbers that paid, made once more: a line search along gains, and their transfer to another program.

A blind change of a number gains about one time in ten; the next step in the direction of a gain far more often.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from guided_evolution.edit import Edit, FrozenRules, Splice
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import evolvable_spans, is_evolvable
from guided_evolution.genome import Genome
from guided_evolution.operators.blend import NUMBER, plain_number
from guided_evolution.operators.units import Module, module_of

SHARES = ((1.0, 3), (2.0, 2), (0.5, 2))
"""How far to go again, as a share of the change that paid, and how often that is drawn."""


class AgainOperator:
    """Parents: the program to change, one that gained, and what that one was made from."""

    name = "again"
    parents = 3

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where the gain changed no number that it has."""
        target, after, before = parents
        share = rng.choices([one for one, _ in SHARES], weights=[often for _, often in SHARES])[0]
        splices: list[Splice] = []
        words: list[str] = []
        for path in target.paths:
            for splice, said in _repeated(path, target, after, before, rules, share):
                splices.append(splice)
                words.append(f"{path}: {said}")
        if not splices:
            raise EditRejected(
                "no-site", "the gain changed no number that this program has in the same place"
            )
        return Edit(tuple(splices), f"again x {share:g}: {'; '.join(words)}")


def _repeated(
    path: str, target: Genome, after: Genome, before: Genome, rules: FrozenRules, share: float
) -> Iterator[tuple[Splice, str]]:
    if path not in after.paths or path not in before.paths or after.text(path) == before.text(path):
        return
    modules = [module_of(path, one.text(path)) for one in (target, after, before)]
    spans = evolvable_spans(target, path, rules)
    ours, new, old = modules
    if ours is None or new is None or old is None:
        return
    for name in _changed(new, old):
        unit = ours.units.get(name)
        if unit is None or not is_evolvable(spans, unit.start, unit.end):
            continue
        source, words = moved(unit.source, new.units[name].source, old.units[name].source, share)
        if source != unit.source:
            yield Splice(path, unit.start, unit.end, source), f"{name}: {words}"


def _changed(new: Module, old: Module) -> list[str]:
    """Units that both have, with another source; of a class its methods, not the class around them."""
    found = [
        name
        for name, unit in new.units.items()
        if name in old.units and old.units[name].source != unit.source
    ]
    return [name for name in found if not any(other.startswith(f"{name}.") for other in found)]


def moved(source: str, after: str, before: str, share: float) -> tuple[str, str]:
    """`source` with the numbers that changed from `before` to `after` changed by a share of that again; and in words.

    The three must be alike but for numbers; else `source` comes back as it was.
    """
    ours, new, old = (NUMBER.split(one) for one in (source, after, before))
    if not ours[::2] == new[::2] == old[::2]:
        return source, ""
    words = []
    for index in range(1, len(ours), 2):
        if new[index] != old[index]:
            number = _further(ours[index], new[index], old[index], share)
            words.append(f"{ours[index]} -> {number}")
            ours[index] = number
    return "".join(ours), ", ".join(words)


def _further(number: str, after: str, before: str, share: float) -> str:
    """By the same factor where there is one, else by the same difference."""
    at, new, old = plain_number(number), plain_number(after), plain_number(before)
    if new > 0 and old > 0 and at > 0:
        value = at * min(1e6, max(1e-6, new / old)) ** share
    else:
        value = at + share * (new - old)
        if value < 0:  # a sign before the number would be another token
            value = at / 2
    if number.replace("_", "").isdigit():
        whole = round(value)
        step = 1 if new > old else -1
        return str(max(0, whole if whole != round(at) else round(at) + step))
    return repr(float(f"{value:.5g}"))
