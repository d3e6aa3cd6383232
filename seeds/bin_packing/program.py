"""Online bin packing: which bin shall the next item go into?

The item goes where `priority` is highest. As it stands this is best fit: the fullest bin that can take it.
"""

import numpy as np


def choose(items, bins):
    """Choose a bin for one item of each of several separate packings.

    items: one size per packing. bins: per packing an array with the room in every bin that can take its
    item; the last one is empty. Returns one index per packing.
    """
    return [int(np.argmax(priority(item, room))) for item, room in zip(items, bins, strict=True)]


# EVOLVE-BLOCK-START
# Room and sizes are shares of the capacity.
# How good it is when this much room is left, as points (room, worth) of a curve; a falling line is best fit.
CURVE = [
    (0.0, 1.0),
    (0.02, 0.98),
    (0.05, 0.95),
    (0.1, 0.9),
    (0.2, 0.8),
    (0.3, 0.7),
    (0.45, 0.55),
    (1.0, 0.0),
]

# What the other terms weigh beside the curve
FRESH = 0.1
TWIN = 0.1
TWIN_SIZE = 1.0


def worth(left):
    """The curve's height at the room left in each bin."""
    room, height = np.transpose(CURVE)
    return np.interp(left, room, height)


def fresh(bins):
    """1 for a bin that nothing was put into yet."""
    return np.where(bins >= 1.0, 1.0, 0.0)


def twin(left, item):
    """1 where what is left takes another item of this size, less where it doesn't: room worth keeping."""
    return np.minimum(left / (item * TWIN_SIZE), 1.0)


def priority(item, bins):
    """How good it is to put `item` into each bin, higher is better.

    item: its size. bins: the room in every bin that can take it, an array; the last bin is empty, so its
    room is the capacity. Returns an array as long as `bins`.
    """
    item = item / bins.max()
    bins = bins / bins.max()
    left = bins - item
    score = worth(left)
    score = score - FRESH * fresh(bins)
    score = score - TWIN * twin(left, item)
    return score


# EVOLVE-BLOCK-END
