"""Scores a packing of circles in the unit square by the sum of their radii, with no tolerance at all.

Every float is a fraction, so containment and distance are compared as fractions: a packing is valid or it
isn't, and nothing is gained by an overlap of one unit in the last place.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np

from guided_evolution import CandidateFailed, Score

CIRCLES = 26
OTHER_SIZES = (21, 32)
"""Numbers of circles for `confirm`: is it a method, or one packing learnt by heart?"""

BEST_KNOWN = 2.6359830849
TOUCHING = 1e-6
MOST_NAMED = 4


def evaluate(candidate, seed):
    """The sum of 26 radii. The task is one and the same whatever `seed`."""
    start = time.perf_counter()
    answer = candidate.call("pack", CIRCLES)
    seconds = time.perf_counter() - start
    circles = checked(answer, CIRCLES)
    return Score(
        {"radii": sum_of_radii(circles), "seconds": seconds},
        feedback=feedback(circles),
        measures={"contacts": float(len(contacts(circles))), "smallest": float(circles[:, 2].min())},
    )


def confirm(candidate, seed):
    """The sum again; as measures, the sums for numbers of circles that the search never asked for."""
    circles = checked(candidate.call("pack", CIRCLES), CIRCLES)
    measures, notes = {}, [feedback(circles)]
    for count in OTHER_SIZES:
        try:
            others = checked(candidate.fresh().call("pack", count), count)
        except (CandidateFailed, ValueError) as problem:
            notes.append(f"{count} circles: {problem}")
        else:
            measures[f"radii_{count}"] = sum_of_radii(others)
    return Score({"radii": sum_of_radii(circles)}, feedback="\n".join(notes), measures=measures)


def checked(answer, count: int) -> np.ndarray:
    """The circles as a float64 array of rows (x, y, radius); raises ValueError unless it is a valid packing."""
    try:
        circles = np.array(answer, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as problem:
        raise ValueError(f"pack must return {count} rows (x, y, radius) of numbers: {problem}") from None
    if circles.shape != (count, 3):
        raise ValueError(f"pack must return {count} rows (x, y, radius), not the shape {circles.shape}")
    if not np.isfinite(circles).all():
        rows = np.flatnonzero(~np.isfinite(circles).all(axis=1))
        raise ValueError(f"circle {rows[0]} holds a NaN or an infinity; {len(rows)} of {count} do")
    wrong = broken_rules(circles)
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise ValueError("no valid packing: " + "; ".join(wrong[:MOST_NAMED]) + more)
    return circles


def broken_rules(circles: np.ndarray) -> list[str]:
    """What is wrong with a finite packing, one sentence each; empty where it is valid. Exact."""
    exact = [tuple(Fraction(number) for number in row) for row in circles.tolist()]
    wrong = []
    for i, (x, y, radius) in enumerate(exact):
        if radius < 0:
            wrong.append(f"circle {i} has the radius {float(radius)!r}, less than 0")
        outside = max(radius - x, radius - y, x + radius - 1, y + radius - 1)
        if outside > 0:
            wrong.append(f"circle {i} leaves the square by {float(outside):.3g}")
    for i, (x, y, radius) in enumerate(exact):
        for j in range(i + 1, len(exact)):
            other_x, other_y, other_radius = exact[j]
            reach = radius + other_radius
            if (x - other_x) ** 2 + (y - other_y) ** 2 < reach**2:
                # Rounded, the overlap of two floats may look like 0; it is one.
                overlap = float(reach) - math.hypot(float(x - other_x), float(y - other_y))
                wrong.append(f"circles {i} and {j} overlap by {max(overlap, 0.0):.3g}")
    return wrong


def sum_of_radii(circles: np.ndarray) -> float:
    """Rounded once, so the order of the circles doesn't count."""
    return math.fsum(circles[:, 2].tolist())


def gaps(circles: np.ndarray) -> np.ndarray:
    """(n, n + 4) distances from rim to rim, infinite on the diagonal; the last columns are the four walls."""
    centres, radii = circles[:, :2], circles[:, 2]
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    between = apart - radii[:, None] - radii[None]
    np.fill_diagonal(between, np.inf)
    walls = np.concatenate([centres, 1 - centres], axis=1) - radii[:, None]
    return np.concatenate([between, walls], axis=1)


def contacts(circles: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (circle, what it touches); a number from n on is a wall: left, bottom, right, top."""
    return [(int(i), int(j)) for i, j in np.argwhere(gaps(circles) < TOUCHING) if i < j]


def feedback(circles: np.ndarray) -> str:
    """How full the square is, and which circles still have room or touch little."""
    gap = gaps(circles)
    touching = (gap < TOUCHING).sum(axis=1)
    room = gap.min(axis=1)
    loosest = [int(i) for i in np.argsort(-room, kind="stable")[:3] if room[i] >= TOUCHING]
    few = [int(i) for i in np.flatnonzero(touching < 3)]
    smallest, largest = int(circles[:, 2].argmin()), int(circles[:, 2].argmax())
    total = sum_of_radii(circles)
    lines = [
        f"Sum of radii {total!r}; best known {BEST_KNOWN} ({BEST_KNOWN - total:+.6f} to go).",
        f"{len(contacts(circles))} contacts; a rigid packing of {len(circles)} circles has about "
        f"{2 * len(circles)} or more.",
        f"Radii from {circles[smallest, 2]:.5f} (circle {smallest} at {place(circles, smallest)}) "
        f"to {circles[largest, 2]:.5f} (circle {largest} at {place(circles, largest)}).",
    ]
    if loosest:
        free = ", ".join(f"{i} at {place(circles, i)} by {room[i]:.5f}" for i in loosest)
        lines.append(f"Could grow where they stand: {free}.")
    if few:
        lines.append(f"Touch fewer than 3 others or walls, so they can move: {', '.join(map(str, few))}.")
    return "\n".join(lines)


def place(circles: np.ndarray, index: int) -> str:
    return f"({circles[index, 0]:.3f}, {circles[index, 1]:.3f})"
