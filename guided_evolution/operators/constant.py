"""Numbers changed: mostly a little, so that small gains are found, now and then a lot."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.errors import EditRejected
from guided_evolution.genome import Gene, Genome
from guided_evolution.operators.sites import Change, Number, merged, places

STEPS = ((0.03, 2), (0.1, 3), (0.3, 3), (1.0, 2))
"""Spread of the logarithm of a change, and how often it is drawn: small steps climb, large ones leave a hill."""

_ALONE, _SEVERAL = 0.65, 3
_SIGN = 0.03
_DIGITS = 5
_MOVED = 0.4
_FLOAT = re.compile(r"-?\d*\.\d*(?:[eE][-+]?\d+)?")
_TRIES = 8
_BASES: dict[str, Callable[[int], str]] = {"0x": hex, "0o": oct, "0b": bin}


class ConstantOperator:
    """Changes one number, sometimes two or three, or several of one list."""

    name = "constant"
    parents = 1

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where no number stands."""
        found = list(places(parents[0], rules, lambda sites: sites.numbers))
        if not found:
            raise EditRejected("no-site", "the evolvable part of the program holds no number")
        first = rng.choices(found, weights=[number.weight for _, number in found])[0]
        chosen = [first, *self._others(first, found, rng)]
        chosen.sort(key=lambda one: (one[0].path, one[0].start + one[1].start))
        spread = rng.choices([step for step, _ in STEPS], weights=[often for _, often in STEPS])[0]
        return merged(
            [(gene, _changed(number, spread, _scale(gene, number, found), rng)) for gene, number in chosen]
        )

    def _others(
        self, first: tuple[Gene, Number], found: list[tuple[Gene, Number]], rng: random.Random
    ) -> list[tuple[Gene, Number]]:
        if rng.random() < _ALONE:
            return []
        gene, number = first
        near = [one for one in found if one[0] == gene and one[1].group == number.group and one != first]
        pool = (
            near if number.group and near else [one for one in found if one != first and one[1].weight == 1]
        )
        return rng.sample(pool, min(len(pool), rng.randint(1, _SEVERAL - 1)))


def _scale(gene: Gene, number: Number, found: list[tuple[Gene, Number]]) -> float:
    """The largest of the numbers that stand in one list with this one, 0 for one that stands alone."""
    if not number.group:
        return 0.0
    near = (one.text for other, one in found if other is gene and one.group == number.group)
    sizes = [abs(float(text)) for text in near if _FLOAT.fullmatch(text)]
    return max(sizes, default=0.0)


def _changed(number: Number, spread: float, scale: float, rng: random.Random) -> Change:
    moved = scale > 0 and _FLOAT.fullmatch(number.text) is not None and rng.random() < _MOVED
    new = (
        moved_number(number.text, spread * scale, rng) if moved else changed_number(number.text, spread, rng)
    )
    return Change(((number.start, number.end, new),), f"{number.text} -> {new}")


def moved_number(text: str, step: float, rng: random.Random) -> str:
    """The float literal `text` plus about `step`: a point of a curve moves by the curve's size, not by its own."""
    value = float(text)
    for _ in range(_TRIES):
        new = _written(value + rng.gauss(0.0, step))
        if float(new) != value:
            return new
        step *= 2
    return changed_number(text, 1.0, rng)


def changed_number(text: str, spread: float, rng: random.Random) -> str:
    """Another number of the same type as the literal `text`, about `spread` of its size away."""
    if text in ("True", "False"):
        return "False" if text == "True" else "True"
    sign, digits = ("-", text[1:].strip()) if text.startswith("-") else ("", text)
    plain = digits.replace("_", "").lower()
    written = _BASES.get(plain[:2])
    if written is not None or plain.isdigit():
        number = int(plain, 0) if written is not None else int(plain)
        new = _whole(-number if sign else number, spread, rng)
        return ("-" if new < 0 else "") + (written or str)(abs(new))
    value = float(sign + plain)
    for _ in range(_TRIES):
        new_text = _written(_real(value, spread, rng))
        if float(new_text) != value:
            return new_text
        spread *= 2  # so close to zero that rounding took the step away
    return "1.0"


def _whole(value: int, spread: float, rng: random.Random) -> int:
    if value == 0:
        return rng.choices((1, 2, -1), weights=(8, 1, 1))[0]
    if rng.random() < _SIGN and abs(value) > 1:
        return -value
    step = (
        round(abs(value) * abs(math.expm1(min(rng.gauss(0.0, spread), 2.0)))) if abs(value) < 1 << 52 else 1
    )
    new = abs(value) + max(1, step) * (1 if abs(value) == 1 and rng.random() < 0.7 else rng.choice((-1, 1)))
    return max(new, 0) * (1 if value > 0 else -1)


def _real(value: float, spread: float, rng: random.Random) -> float:
    if not math.isfinite(value):
        return 1.0
    if value == 0.0:
        return rng.choice((1, 1, -1)) * math.pow(10.0, rng.uniform(-3.0, 0.0))
    if rng.random() < _SIGN:
        return -value
    step = rng.gauss(0.0, spread)
    # A share close to 1, such as a momentum, moves by what it lacks: .9 to .91 is a tenth of that.
    near_one = 0.5 < abs(value) < 1.0 and rng.random() < 0.5
    size = 1.0 - (1.0 - abs(value)) * math.exp(step) if near_one else abs(value) * math.exp(step)
    return math.copysign(size if size > 0 else abs(value) / 2, value)


def _written(value: float) -> str:
    """A float literal of few digits."""
    if not math.isfinite(value):
        return "1.0"
    return repr(float(f"{value:.{_DIGITS}g}"))
