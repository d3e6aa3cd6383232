"""Two versions of one gene mixed: some of the lines in which they differ, or numbers between and beyond theirs."""

from __future__ import annotations

import difflib
import random
import re

from guided_evolution.genome import lines_of

NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.])")
_SHARES = (0.5, 0.25, 0.75, 1.5, -0.5)
"""How far to go from the first number to the second: between them, beyond the second, or away from it."""


def blended(old: str, new: str, rng: random.Random) -> str | None:
    """A mix of two versions that is neither of them, None where there is none."""
    hunks = _hunks(old, new)
    if len(hunks) > 1:
        count = rng.randint(1, len(hunks) - 1)
        chosen = set(rng.sample(range(len(hunks)), count))
        return _joined(old, new, hunks, chosen)
    return _between(old, new, rng)


def _hunks(old: str, new: str) -> list[tuple[int, int, int, int]]:
    matcher = difflib.SequenceMatcher(None, lines_of(old), lines_of(new), autojunk=False)
    return [(a, b, c, d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]


def _joined(old: str, new: str, hunks: list[tuple[int, int, int, int]], chosen: set[int]) -> str:
    before, after = lines_of(old), lines_of(new)
    parts: list[str] = []
    at = 0
    for index, (a, b, c, d) in enumerate(hunks):
        parts += before[at:a]
        parts += after[c:d] if index in chosen else before[a:b]
        at = b
    return "".join([*parts, *before[at:]])


def _between(old: str, new: str, rng: random.Random) -> str | None:
    first, second = NUMBER.split(old), NUMBER.split(new)
    if len(first) != len(second) or first[::2] != second[::2]:
        return None
    share = rng.choice(_SHARES)
    mixed = list(first)
    for index in range(1, len(first), 2):
        if first[index] != second[index]:
            mixed[index] = _number(first[index], second[index], share)
    text = "".join(mixed)
    return text if text not in (old, new) else None


def plain_number(text: str) -> float:
    """The value of a number as `NUMBER` finds it."""
    return float(text.replace("_", ""))


def _number(first: str, second: str, share: float) -> str:
    start, end = plain_number(first), plain_number(second)
    value = start + share * (end - start)
    if value < 0:  # a sign before the number would be another token
        value = min(start, end) / 2
    if first.replace("_", "").isdigit() and second.replace("_", "").isdigit():
        return str(round(value))
    return repr(float(f"{value:.5g}"))
