"""What has paid in a run: changes that may be made again, and which syntactic operators deserve more proposals.

It follows from the outcomes of proposals in their order, so `resume` rebuilds it.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence

AGAIN = "again"
"""The operator that makes a change of numbers once more: see `operators/again.py`."""

_OF_NUMBERS = ("constant", AGAIN)
_NEWEST = 3
_TRIES = 3
_PRIOR = 8.0
_DECAY = 0.99
_WORTH_REPEATING = 0.05
"""Of the mean gain; without a bound, a change that gains next to nothing every time takes the whole run."""


class Gains:
    """Fed with outcomes; work per outcome doesn't depend on their number."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[int, int]] = deque(maxlen=_NEWEST)
        self._tries: Counter[tuple[int, int]] = Counter()
        self._won: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._mean = 0.0
        self._count = 0

    def tell(
        self, operator: str, parents: Sequence[int], program_id: int | None, *, evaluated: bool, gain: float
    ) -> None:
        """Take an outcome in. Edits that were rejected cost nothing.

        `gain` is by how much the program beats the best so far in the primary objective, as a share of the seed
        program's score; 0 for one that doesn't.
        """
        if operator == AGAIN and len(parents) == 3:
            pair = (parents[1], parents[2])
            self._tries[pair] += 1
            if self._tries[pair] >= _TRIES and pair in self._pairs:
                self._pairs.remove(pair)
                del self._tries[pair]
        if not evaluated:
            return
        for counts in (self._won, self._tried):
            for name in counts:
                counts[name] *= _DECAY
        self._tried[operator] = self._tried.get(operator, 0.0) + 1.0
        if gain <= 0:
            return
        self._count += 1
        self._mean += (gain - self._mean) / self._count
        self._won[operator] = self._won.get(operator, 0.0) + min(1.0, gain / self._mean)
        worth = gain >= _WORTH_REPEATING * self._mean
        if worth and operator in _OF_NUMBERS and program_id is not None and parents:
            self._pairs.append((program_id, parents[0]))
            self._tries = Counter({pair: n for pair, n in self._tries.items() if pair in self._pairs})

    @property
    def any(self) -> bool:
        """Whether there is a change to make again."""
        return bool(self._pairs)

    def pair(self, rng: random.Random) -> tuple[int, int]:
        """A program that gained by a change of numbers, and the one that it was made from."""
        return rng.choice(self._pairs)

    def adapted(self, shares: Mapping[str, float]) -> dict[str, float]:
        """The shares moved towards operators that gained more often than others; their sum stays."""
        weights = {name: share * self._rate(name) for name, share in shares.items()}
        total = sum(weights.values())
        scale = sum(shares.values()) / total if total > 0 else 0.0
        return {name: weight * scale for name, weight in weights.items()}

    def _rate(self, name: str) -> float:
        return (self._won.get(name, 0.0) + 1.0) / (self._tried.get(name, 0.0) + _PRIOR)
