"""How many proposals to keep open: enough that no evaluation slot waits for a model, few enough to keep ideas fresh."""

from __future__ import annotations

import math

from guided_evolution.archive.proposals import Settled

_FIRST_GUESS = 5.0
"""Seconds that a model may take, until it has answered."""

_SPARE = 1.1
"""So many times the mean number of calls in flight, as they don't come evenly."""

_SHORTEST = 0.001


class Pace:
    """Fed with outcomes. By Little's law, what is in flight is a rate times a time.

    Args:
        calls: most proposals at work at a model at once.
    """

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self._proposing: float | None = None
        self._evaluating: float | None = None
        self._fruitful = 0.9

    def tell(self, one: Settled) -> None:
        """Take in what a proposal took; the seed program's tells only how long an evaluation takes."""
        if one.evaluating is not None:
            self._evaluating = _mean(self._evaluating, max(one.evaluating, _SHORTEST), 0.1)
        if one.parents:
            if one.proposing is not None:
                self._proposing = _mean(self._proposing, max(one.proposing, _SHORTEST), 0.1)
            self._fruitful = _mean(self._fruitful, float(one.evaluating is not None), 0.05)

    def open_at_once(self, slots: int) -> int:
        """Proposals that may be open, those included whose program waits for one of `slots` or has it."""
        waiting = 2 * slots
        if self._evaluating is None:
            return waiting + self.calls
        proposing = _FIRST_GUESS if self._proposing is None else self._proposing
        rate = slots / self._evaluating / max(self._fruitful, 0.2)
        flying = math.ceil(rate * proposing * _SPARE)
        return waiting + slots + min(max(flying, 1), self.calls)


def _mean(before: float | None, value: float, weight: float) -> float:
    return value if before is None else before + weight * (value - before)
