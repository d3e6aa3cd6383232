"""Is one way of searching better than another? Means, intervals and the probability of improvement, on plain arrays.

Strata are tasks: resampling is done within each, and every task weighs the same (Agarwal et al. 2021).
Larger is better throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
COVERAGE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval (percentile bootstrap, `COVERAGE`)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Contrast:
    """One arm against another.

    Attributes:
        difference: of the means, ours minus theirs.
        improvement: the probability that a run of ours beats a run of theirs; ties count half.
        verdict: ``better``, ``worse`` or ``no difference`` (the interval of the difference holds 0).
    """

    difference: Estimate
    improvement: Estimate
    verdict: Literal["better", "worse", "no difference"]


def resampled(values: Floats, rng: np.random.Generator) -> Floats:
    """(RESAMPLES, n) draws with replacement from (n,) values."""
    return np.asarray(values[rng.integers(0, len(values), (RESAMPLES, len(values)))])


def interval(value: float, draws: Floats) -> Estimate:
    """The figure with the middle `COVERAGE` of (RESAMPLES,) resampled ones."""
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(float(value), float(low), float(high))


def mean(strata: Mapping[str, Floats], seed: int = 0) -> Estimate:
    """The mean over the strata of each one's mean, and its stratified interval."""
    rng = np.random.default_rng(seed)
    draws = [resampled(values, rng).mean(axis=1) for values in strata.values()]
    return interval(
        float(np.mean([values.mean() for values in strata.values()])), np.asarray(np.mean(draws, axis=0))
    )


def improvement(ours: Floats, theirs: Floats) -> float:
    """The probability that one of (n,) ours is larger than one of (k,) theirs; ties count half."""
    above = (ours[:, None] > theirs[None]).mean()
    return float(above + 0.5 * (ours[:, None] == theirs[None]).mean())


def contrast(ours: Mapping[str, Floats], theirs: Mapping[str, Floats], seed: int = 0) -> Contrast:
    """Ours against theirs over the same strata."""
    rng = np.random.default_rng(seed)
    differences, probabilities, drawn_differences, drawn_probabilities = [], [], [], []
    for task, values in ours.items():
        others = theirs[task]
        a, b = resampled(values, rng), resampled(others, rng)
        differences.append(values.mean() - others.mean())
        drawn_differences.append(a.mean(axis=1) - b.mean(axis=1))
        probabilities.append(improvement(values, others))
        above = (a[:, :, None] > b[:, None, :]).mean(axis=(1, 2))
        drawn_probabilities.append(above + 0.5 * (a[:, :, None] == b[:, None, :]).mean(axis=(1, 2)))
    difference = interval(float(np.mean(differences)), np.asarray(np.mean(drawn_differences, axis=0)))
    verdict: Literal["better", "worse", "no difference"] = (
        "better" if difference.low > 0 else "worse" if difference.high < 0 else "no difference"
    )
    probability = interval(float(np.mean(probabilities)), np.asarray(np.mean(drawn_probabilities, axis=0)))
    return Contrast(difference, probability, verdict)
