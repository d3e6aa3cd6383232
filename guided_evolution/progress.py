"""What a run looks like from outside, at one moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from guided_evolution.front import Member


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run for the live view.

    Attributes:
        best: for each objective's metric the best member by it.
        failures: failed evaluations by kind.
        rejected: rejected edits by kind; programs known already under ``known``.
        per_second: finished evaluations a second over the last seconds.
        model_calls, model_tokens, model_cost: what models were asked so far, in requests, tokens and US dollars.
    """

    run_name: str
    state: str
    evaluations: int
    seconds: float
    scored: int
    running: int
    seed: Member | None
    best: Mapping[str, Member]
    front: tuple[Member, ...]
    failures: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    per_second: float = 0.0
    model_calls: int = 0
    model_tokens: int = 0
    model_cost: float = 0.0


Watcher = Callable[[Progress], None]


def nobody(_progress: Progress) -> None:
    """A watcher that doesn't look."""
