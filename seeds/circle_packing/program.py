"""Packs circles into the unit square so that the sum of their radii is large, in NumPy alone.

Centres start in rows and are pushed about by overlaps while the radii swell; what comes of it is made valid
at the end.
"""

import numpy as np

# The start
ROWS = 5
MARGIN = 0.1
SHIFT = 0.5
JITTER = 0.02
LUCK = 1

# The pushing
STEPS = 150
STEP = 0.003
FINAL_STEP = 0.0005
MOMENTUM = 0.5
SWELL = 1.0
STIFFNESS = 20.0
FINAL_STIFFNESS = 60.0

# The end
ROUNDS = 1
HAIR = 1e-12


def start(n, rng):
    """Centres (n, 2) in rows, every other row shifted, and radii (n,) too small to touch."""
    row, column = np.divmod(np.arange(n), -(-n // ROWS))
    across = (column + SHIFT * (row % 2) + 0.5) / (column.max() + 1)
    up = (row + 0.5) / (row.max() + 1)
    centres = MARGIN + (1.0 - 2.0 * MARGIN) * np.stack([across, up], axis=1)
    centres = centres + JITTER * rng.standard_normal((n, 2))
    return np.clip(centres, 0.0, 1.0), np.full(n, 0.2 / np.sqrt(n))


def distances(centres):
    """Offsets (n, n, 2) and distances (n, n) between centres; no circle is near itself."""
    offsets = centres[:, None, :] - centres[None, :, :]
    apart = np.sqrt((offsets**2).sum(axis=2))
    np.fill_diagonal(apart, 9.0)
    return offsets, np.maximum(apart, 1e-9)


def push(centres, radii, stiffness):
    """The way downhill: how centres (n, 2) and radii (n,) shall move."""
    offsets, apart = distances(centres)
    overlap = np.maximum(radii[:, None] + radii[None, :] - apart, 0.0)
    low = np.maximum(radii[:, None] - centres, 0.0)
    high = np.maximum(radii[:, None] + centres - 1.0, 0.0)
    move = (overlap[:, :, None] * offsets / apart[:, :, None]).sum(axis=1) + low - high
    squeeze = overlap.sum(axis=1) + (low + high).sum(axis=1)
    return stiffness * move, SWELL - stiffness * squeeze


def schedule(progress, first, last):
    """From `first` to `last` while progress goes from 0 to 1."""
    return first + (last - first) * progress


def relax(centres, radii):
    """Swell and push; circles may overlap a little afterwards."""
    drift, growth = np.zeros_like(centres), np.zeros_like(radii)
    for step in range(STEPS):
        progress = step / STEPS
        rate = schedule(progress, STEP, FINAL_STEP)
        move, swell = push(centres, radii, schedule(progress, STIFFNESS, FINAL_STIFFNESS))
        drift = MOMENTUM * drift + rate * move
        growth = MOMENTUM * growth + rate * swell
        centres = np.clip(centres + drift, 0.0, 1.0)
        radii = np.maximum(radii + growth, 0.0)
    return centres, radii


def fit(centres, radii):
    """Shrink circles until none overlaps or leaves the square."""
    wall = np.minimum(centres, 1.0 - centres).min(axis=1)
    radii = np.minimum(radii, wall)
    _, apart = distances(centres)
    share = apart / np.maximum(radii[:, None] + radii[None, :], 1e-9)
    return radii * np.minimum(share.min(axis=1), 1.0)


def fill(centres, radii):
    """Let circles grow in turn, the largest first, until each touches something."""
    wall = np.minimum(centres, 1.0 - centres).min(axis=1)
    _, apart = distances(centres)
    for _ in range(ROUNDS):
        for i in np.argsort(-radii):
            room = np.minimum((apart[i] - radii).min(), wall[i])
            radii[i] = np.maximum(radii[i], room)
    return radii


def pack(n):
    """A valid packing of n circles: an array of rows (x, y, radius)."""
    rng = np.random.default_rng(LUCK)
    centres, radii = start(n, rng)
    centres, radii = relax(centres, radii)
    radii = fill(centres, fit(centres, radii))
    return np.column_stack([centres, np.maximum(radii * (1.0 - HAIR) - HAIR, 0.0)])
