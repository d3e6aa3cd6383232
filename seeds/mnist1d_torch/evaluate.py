"""Scores a PyTorch network for MNIST-1D by accuracy on signals it hasn't seen and by the size of its weights.

`train` runs in one process and hands back its weights; `predict` runs in another that gets these weights
and unlabelled signals, and nothing else. So what `predict` knows was counted here, or stands in the
program's text.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from guided_evolution import Score

DIGITS = 10
TRAINING_SIGNALS = 4_000
KNOWN_SIGNALS_ASKED = 1_000
FOLDER = Path(__file__).parent

FLOATS = ("float16", "float32", "float64")
BYTES_PER_PARAMETER = 4
MOST_ARRAYS = 64
MOST_AXES = 4
MOST_DEPTH = 4
FREE_NAME_BYTES = 128
"""Names could carry information too: all of them together are free up to here, then count as weights."""

SEARCH = np.load(FOLDER / "search.npz")
SEARCH_X, SEARCH_Y = SEARCH["x"].astype(np.float32), SEARCH["y"].astype(np.int64)


def evaluate(candidate, seed):
    """The metrics on a split of the search set drawn from `seed`: 4,000 to train on, 6,000 to validate."""
    order = np.random.default_rng(seed).permutation(len(SEARCH_X))
    training, validation = order[:TRAINING_SIGNALS], order[TRAINING_SIGNALS:]
    return score(
        candidate,
        seed,
        (SEARCH_X[training], SEARCH_Y[training]),
        (SEARCH_X[validation], SEARCH_Y[validation]),
    )


def confirm(candidate, seed):
    """The same metrics on the published set: its 4,000 for training, its 1,000 for test."""
    published = np.load(FOLDER / "published.npz")
    return score(
        candidate,
        seed,
        (published["x_train"], published["y_train"].astype(np.int64)),
        (published["x_test"], published["y_test"].astype(np.int64)),
    )


def score(candidate, seed, training, held_out):
    x_train, y_train = training
    x, y = held_out
    # Not `seed` itself: what the program is told must say nothing about the split.
    program_seed = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])

    start = time.perf_counter()
    weights = candidate.call("train", x_train, y_train, seed=program_seed)
    seconds = time.perf_counter() - start
    counted = count_parameters(weights)

    # Some training signals are asked about too: their accuracy tells overfitting from underfitting.
    asked = np.concatenate([x, x_train[:KNOWN_SIGNALS_ASKED]])
    answers = candidate.fresh().call("predict", weights, asked)
    labels = checked_labels(answers, len(asked))
    accuracy = float(np.mean(labels[: len(x)] == y))
    training_accuracy = float(np.mean(labels[len(x) :] == y_train[:KNOWN_SIGNALS_ASKED]))
    return Score(
        metrics={"accuracy": accuracy, "parameters": counted, "seconds": seconds},
        measures={"training_accuracy": training_accuracy},
        feedback="\n".join(
            [
                accuracy_line(accuracy, training_accuracy),
                worst_digits_line(labels[: len(x)], y),
                f"Parameters: {counted:,} ({shapes_line(weights)}). Training took {seconds:.2f} s.",
            ]
        ),
    )


def count_parameters(weights) -> int:
    """The size of `weights` in units of 4 bytes, rounded up.

    Raises ValueError, naming the place, for anything but finite, non-empty float arrays in dicts and lists.
    """
    if not isinstance(weights, dict | list | tuple):
        raise ValueError(f"train must return a dict or list of float arrays, not {described(weights)}")
    arrays = list(leaves(weights, "weights", 1))
    if not arrays:
        raise ValueError("train returned no arrays")
    if len(arrays) > MOST_ARRAYS:
        raise ValueError(f"train returned {len(arrays)} arrays; at most {MOST_ARRAYS} are allowed")
    for place, array in arrays:
        check_array(place, array)
    size = sum(array.nbytes for _, array in arrays)
    size += max(0, sum(name_bytes(weights)) - FREE_NAME_BYTES)
    return math.ceil(size / BYTES_PER_PARAMETER)


def leaves(value, place: str, depth: int) -> Iterator[tuple[str, object]]:
    """Every value in nested dicts and lists that is neither, with the place it stands at."""
    if not isinstance(value, dict | list | tuple):
        yield place, value
        return
    # An empty container, or one more level of them, is a bit that would cost nothing.
    if not value:
        raise ValueError(f"{place} is an empty {type(value).__name__}")
    if depth > MOST_DEPTH:
        raise ValueError(f"{place} is nested more than {MOST_DEPTH} levels deep")
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and not isinstance(key, str):
            raise ValueError(f"{place} has the key {key!r}; names of arrays must be text")
        yield from leaves(inner, f"{place}[{key!r}]"[:80], depth + 1)


def name_bytes(value) -> Iterator[int]:
    if isinstance(value, dict):
        yield from (len(key.encode("utf-8", "surrogatepass")) for key in value)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from name_bytes(inner)


def check_array(place: str, array: object) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.name not in FLOATS:
        raise ValueError(
            f"{place} is {described(array)}; train may return only float16, float32 and float64 arrays, "
            "so that every byte of the weights is counted"
        )
    # The shape of an array without numbers, or with many axes, would tell something free of charge.
    if array.size == 0 or array.ndim > MOST_AXES:
        raise ValueError(
            f"{place} has the shape {array.shape}; use 1 number or more and at most {MOST_AXES} axes"
        )
    if not np.isfinite(array).all():
        wrong = array.size - np.count_nonzero(np.isfinite(array))
        raise ValueError(f"{place} holds {wrong} numbers that are NaN or infinite")


def checked_labels(labels, count: int) -> np.ndarray:
    """The labels as an integer array; raises ValueError unless there are `count` whole numbers."""
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"predict must return {count} labels in one axis, not the shape {labels.shape}")
    if labels.dtype.kind not in "iuf" or not np.array_equal(labels, np.floor(labels)):
        raise ValueError(f"predict must return whole numbers from 0 to 9, not {described(labels)}")
    return np.clip(labels.astype(np.float64), -1, DIGITS).astype(np.int64)


def described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name}"
    return f"of type {type(value).__name__}"


def accuracy_line(accuracy: float, training_accuracy: float) -> str:
    gap = training_accuracy - accuracy
    if gap > 0.05:
        verdict = "It fits its training signals better than others: it overfits."
    elif training_accuracy < 0.9:
        verdict = "It doesn't fit its training signals either: it underfits."
    else:
        verdict = "Both are close."
    return f"Accuracy {accuracy:.2%}; on the training signals {training_accuracy:.2%}. {verdict}"


def worst_digits_line(labels: np.ndarray, y: np.ndarray) -> str:
    """The three digits named worst, each with what it is mistaken for most often."""
    right = np.array([np.mean(labels[y == digit] == digit) for digit in range(DIGITS)])
    parts = []
    for digit in np.argsort(right, kind="stable")[:3]:
        wrong = labels[(y == digit) & (labels != digit)]
        if len(wrong):
            named, times = np.unique(wrong, return_counts=True)
            parts.append(f"{digit} ({right[digit]:.0%}, taken for {named[times.argmax()]})")
    return "Worst digits: " + ", ".join(parts) + "." if parts else "Every digit is named right."


def shapes_line(weights) -> str:
    arrays = leaves(weights, "weights", 1)
    parts = [f"{place.removeprefix('weights')} {array.shape}" for place, array in arrays]
    return ", ".join(parts[:8]) + (", ..." if len(parts) > 8 else "")
