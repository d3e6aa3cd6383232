"""Scores a rule for online bin packing by how many bins it opens beyond the lower bound.

The packings live here, not in the program. Several of them run side by side, step by step: one call shows
the program the next item of each, and nothing of the items to come. So whatever the program does, it packs
online, and a call per step instead of one per item keeps an evaluation short.
"""

from __future__ import annotations

import numpy as np

from guided_evolution import Score

CAPACITY = 100
SEARCH_PACKINGS, SEARCH_ITEMS = 12, 1_000
PUBLISHED_SEED, PUBLISHED_PACKINGS, PUBLISHED_ITEMS = 2024, 5, 5_000
OTHER_SIZES = ((10, 1_000), (2, 10_000))
"""Packings and items of each, for `confirm`: does the rule hold at sizes that the search never saw?"""


class Packing:
    """One packing under way: the room in its bins, of which the first `opened` are in use."""

    def __init__(self, items: np.ndarray):
        self.items = items
        self.room = np.full(len(items), CAPACITY, dtype=np.int64)
        self.opened = 0

    @property
    def bound(self) -> int:
        """The L1 lower bound: no packing needs fewer bins than the items' sum fills."""
        return -(-int(self.items.sum()) // CAPACITY)

    @property
    def excess(self) -> float:
        return 100 * (self.opened / self.bound - 1)

    def choices(self, step: int) -> np.ndarray:
        """The bins that can take the item of this step, in the order they were opened, and an empty one."""
        return np.flatnonzero(self.room[: self.opened + 1] >= self.items[step])

    def put(self, step: int, place: int) -> None:
        self.room[place] -= self.items[step]
        self.opened = max(self.opened, place + 1)


def evaluate(candidate, seed):
    """The mean excess over packings drawn from `seed`."""
    packings = drawn(np.random.default_rng(seed), SEARCH_PACKINGS, SEARCH_ITEMS)
    pack(candidate, packings)
    return Score(
        {"excess": mean_excess(packings)},
        feedback=feedback(packings),
        measures={"fullest": share_full(packings)},
    )


def confirm(candidate, seed):
    """The excess on the published packings; as measures, that on fewer and more items drawn from `seed`."""
    published = published_packings()
    generator = np.random.default_rng(seed)
    others = [drawn(generator, packings, items) for packings, items in OTHER_SIZES]
    pack(candidate, [*published, *(packing for group in others for packing in group)])
    measures = {
        f"excess_{items}": mean_excess(group) for (_, items), group in zip(OTHER_SIZES, others, strict=True)
    }
    return Score({"excess": mean_excess(published)}, feedback=feedback(published), measures=measures)


def drawn(generator: np.random.Generator, packings: int, items: int) -> list[Packing]:
    return [Packing(sizes(generator.weibull(3, items))) for _ in range(packings)]


def published_packings() -> list[Packing]:
    """Weibull 5k as published: one stream of NumPy's legacy generator with the seed 2024."""
    generator = np.random.RandomState(PUBLISHED_SEED)
    return [Packing(sizes(generator.weibull(3, PUBLISHED_ITEMS))) for _ in range(PUBLISHED_PACKINGS)]


def sizes(weibull: np.ndarray) -> np.ndarray:
    return np.round(np.clip(weibull * 45, 1, CAPACITY)).astype(np.int64)


def pack(candidate, packings: list[Packing]) -> None:
    """Pack all of them side by side; one that has no items left stays out of the later steps."""
    for step in range(max(len(packing.items) for packing in packings)):
        under_way = [packing for packing in packings if step < len(packing.items)]
        choices = [packing.choices(step) for packing in under_way]
        items = [int(packing.items[step]) for packing in under_way]
        rooms = [
            packing.room[places].astype(np.float64)
            for packing, places in zip(under_way, choices, strict=True)
        ]
        chosen = checked(candidate.call("choose", items, rooms), rooms)
        for packing, places, index in zip(under_way, choices, chosen, strict=True):
            packing.put(step, int(places[index]))


def checked(chosen, rooms: list[np.ndarray]) -> list[int]:
    """The indices as integers; raises ValueError unless there is one for each packing, inside its array."""
    chosen = chosen.tolist() if isinstance(chosen, np.ndarray) else chosen
    if not isinstance(chosen, list | tuple) or len(chosen) != len(rooms):
        raise ValueError(f"choose must return a list of {len(rooms)} indices, one for each packing")
    for index, room in zip(chosen, rooms, strict=True):
        whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not whole or not 0 <= index < len(room):
            raise ValueError(f"choose returned {index!r:.40}; it must be an index from 0 to {len(room) - 1}")
    return [int(index) for index in chosen]


def mean_excess(packings: list[Packing]) -> float:
    """Percent over the bound, the mean of the packings'."""
    return float(np.mean([packing.excess for packing in packings]))


def share_full(packings: list[Packing]) -> float:
    """The share of bins opened that ended without any room."""
    return float(np.mean(np.concatenate([packing.room[: packing.opened] for packing in packings]) == 0))


def feedback(packings: list[Packing]) -> str:
    """Where the lost room is."""
    room = np.concatenate([packing.room[: packing.opened] for packing in packings])
    groups = [
        ("none", 0, 0),
        ("1 to 4", 1, 4),
        ("5 to 19", 5, 19),
        ("20 to 49", 20, 49),
        ("50 or more", 50, CAPACITY),
    ]
    lost = max(1, int(room.sum()))
    parts = [
        f"{name}: {np.mean(inside):.0%} of the bins, {room[inside].sum() / lost:.0%} of the lost room"
        for name, low, high in groups
        for inside in [(room >= low) & (room <= high)]
    ]
    excesses = sorted(packing.excess for packing in packings)
    return (
        f"Excess {np.mean(excesses):.3f} % "
        f"({excesses[0]:.3f} to {excesses[-1]:.3f} over {len(packings)} packings). "
        f"Room left in the bins at the end: {'; '.join(parts)}."
    )
