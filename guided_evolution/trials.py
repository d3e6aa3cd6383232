"""What the controller remembers of what was tried from where, so that a prompt can show it. Bounded at any size."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PROGRAMS = 2000
_TRIED = 5
_CHAIN = 4
_FAILED = 24
_REPAIRS = 2

REMEMBERED = 1000
"""So many of a run's last proposals are looked at when it is resumed."""


@dataclass(frozen=True)
class Material:
    """What a prompt shows besides the parents, by id.

    Attributes:
        tried: proposals that changed the base, the newest first.
        chain: the proposals that led to the base, its own first.
        inspirations: other good programs.
        best: the best program at this time; seed: the run's seed program.
    """

    tried: tuple[int, ...] = ()
    chain: tuple[int, ...] = ()
    inspirations: tuple[int, ...] = ()
    best: int | None = None
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As a proposal's row keeps it."""
        return {
            "tried": list(self.tried),
            "chain": list(self.chain),
            "inspirations": list(self.inspirations),
            "best": self.best,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Material:
        """What `to_json` wrote; nothing for a row without."""
        if stored is None:
            return cls()
        return cls(
            tuple(stored["tried"]),
            tuple(stored["chain"]),
            tuple(stored["inspirations"]),
            stored["best"],
            stored["seed"],
        )


class Trials:
    """Fed with outcomes in the order in which they came."""

    def __init__(self) -> None:
        self._tried: OrderedDict[int, deque[int]] = OrderedDict()
        self._chains: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._failed: OrderedDict[int, int] = OrderedDict()
        self._depths: OrderedDict[int, int] = OrderedDict()

    def tell(
        self, proposal_id: int, operator: str, parents: Sequence[int], state: str, program_id: int | None
    ) -> None:
        """Take an outcome in: ``scored``, ``failed``, ``rejected`` or ``known``."""
        base = parents[0] if parents else None
        if base is not None:
            self._tried.setdefault(base, deque(maxlen=_TRIED)).appendleft(proposal_id)
            self._tried.move_to_end(base)
        if program_id is not None and state in ("scored", "failed"):
            before = self._chains.get(base, ()) if base is not None else ()
            self._chains[program_id] = (proposal_id, *before)[:_CHAIN]
        if state == "failed" and program_id is not None and base is not None:
            self._fail(program_id, operator, base)
        elif state == "scored" and operator == "repair" and base is not None:
            self._failed.pop(base, None)
        for kept in (self._tried, self._chains, self._depths):
            while len(kept) > _PROGRAMS:
                kept.popitem(last=False)

    def _fail(self, program_id: int, operator: str, base: int) -> None:
        """Remember a failed program for repair, unless it is the repair of a repair."""
        depth = 1 + self._depths.get(base, 0) if operator == "repair" else 0
        self._depths[program_id] = depth
        if depth < _REPAIRS:
            self._failed[program_id] = 0
            while len(self._failed) > _FAILED:
                self._failed.popitem(last=False)

    @property
    def has_failed(self) -> bool:
        """Whether there is a failed program that may still be repaired."""
        return bool(self._failed)

    def repaired(self, program_id: int) -> None:
        """A repair of this program is begun; after the second it isn't offered again."""
        if program_id in self._failed:
            self._failed[program_id] += 1
            if self._failed[program_id] >= _REPAIRS:
                del self._failed[program_id]

    def failed(self) -> int:
        """The failed program to repair next: the newest of those least tried."""
        least = min(self._failed.values())
        return next(one for one in reversed(self._failed) if self._failed[one] == least)

    def material(
        self, base: int, *, inspirations: Sequence[int] = (), best: int | None = None, seed: int | None = None
    ) -> Material:
        """What a prompt about this program shows."""
        return Material(
            tuple(self._tried.get(base, ())), self._chains.get(base, ()), tuple(inspirations), best, seed
        )
