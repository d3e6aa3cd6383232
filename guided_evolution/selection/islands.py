"""Islands: who sends migrants to whom, and when a search has stalled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Topology = Literal["ring", "full", "broadcast", "lattice", "torus"]
TOPOLOGIES: tuple[str, ...] = get_args(Topology)


@dataclass(frozen=True)
class Archipelago:
    """How many islands there are and how they trade.

    Attributes:
        first: islands at the start, all from the seed program.
        most: islands at most; each further one is spawned on stagnation, by turns from the best and from the seed.
        topology: who sends migrants to whom.
        every: outcomes between two migrations.
        horizon: outcomes over which the signal of progress falls to 1/e when nothing gets better.
        stalled: signal below which the search has stalled.
    """

    first: int = 1
    most: int = 1
    topology: str = "ring"
    every: int = 40
    horizon: float = 25.0
    stalled: float = 0.05


def targets(topology: str, count: int, island: int) -> tuple[int, ...]:
    """The islands of `count` that get a copy of this island's best.

    ``ring``: the next one. ``full``: all others. ``broadcast``: island 0 sends to all, the others to none.
    ``lattice``: neighbours left, right, above and below in a grid as square as can be. ``torus``: the same, with
    edges that meet.
    """
    if count < 2:
        return ()
    if topology == "ring":
        return ((island + 1) % count,)
    others = tuple(other for other in range(count) if other != island)
    if topology == "full":
        return others
    if topology == "broadcast":
        return others if island == 0 else ()
    width = math.ceil(math.sqrt(count))
    height = math.ceil(count / width)
    row, column = divmod(island, width)
    found: set[int] = set()
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        at_row, at_column = row + down, column + right
        if topology == "torus":
            at_row, at_column = _wrapped(at_row, at_column, down, width, height, count)
        elif not (0 <= at_row < height and 0 <= at_column < width):
            continue
        other = at_row * width + at_column
        if 0 <= other < count and other != island:
            found.add(other)
    return tuple(sorted(found))


def _wrapped(row: int, column: int, down: int, width: int, height: int, count: int) -> tuple[int, int]:
    """The place on the other side; the last row of the grid may be shorter than the others."""
    if down:
        rows = height if (height - 1) * width + column < count else height - 1
        return row % rows, column
    length = width if row < height - 1 else count - (height - 1) * width
    return row, column % length


def signal_after(signal: float, gain: float, horizon: float) -> float:
    """The signal of progress after one more outcome, whatever it was: a rejected edit lets it fall too.

    Args:
        signal: before; 1 at the start of a search.
        gain: 0 for no progress, else the share of the population that the newcomer beats. Shares are the same
            on every scale of scores.
        horizon: outcomes over which it falls to 1/e.
    """
    return max(gain, signal * math.exp(-1.0 / horizon))
