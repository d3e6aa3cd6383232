"""Scores a network for CIFAR-10 by its accuracy on images it wasn't trained on, and by its parameters.

The candidate trains; what it hands back is counted; and in another process, which gets these arrays and
unlabelled images and nothing else, it predicts. The search sees 10,000 of the training set as validation;
the test set is touched by `confirm` alone.

After each block of epochs there is a rung, predicted in the training process on a part of the validation
images: cheaper, and never mixed with the score.
"""

import math
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from guided_evolution import Score

FOLDER = Path(__file__).resolve().parent
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

import cifar10  # noqa: E402 - it lies beside this file

VALIDATION = 0.2
RUNG_IMAGES = 2_000
KNOWN_IMAGES = 2_000
"""Unlabelled training images from which `predict` takes its norms' statistics."""

MOST_ARRAYS = 2_000
BYTES_PER_PARAMETER = 4
FLOATS = ("float16", "float32", "float64")
DEVICES = "auto, cpu, cuda or cuda:N"
PRECISIONS = ("auto", "float32", "mixed")


@dataclass(frozen=True)
class Settings:
    """training.toml."""

    archive: str
    epochs: int
    block: int
    image_size: int
    device: str
    precision: str
    images: int

    @property
    def machine(self) -> dict[str, object]:
        """What the program is told, in `begin` and in `predict`."""
        return {
            "classes": cifar10.CLASSES,
            "image_size": self.image_size,
            "device": self.device,
            "precision": self.precision,
        }


def read_settings(place: Path) -> Settings:
    """training.toml, checked; raises ValueError that names the key."""
    try:
        values = tomllib.loads(place.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"training.toml isn't valid TOML: {problem}") from None
    kinds = {"archive": str, "device": str, "precision": str}
    kinds |= dict.fromkeys(("epochs", "block", "image_size", "images"), int)
    for key in sorted(values.keys() ^ kinds.keys()):
        raise ValueError(f"training.toml: {key} is {'missing' if key in kinds else 'unknown'}")
    for key, kind in kinds.items():
        if type(values[key]) is not kind:
            raise ValueError(f"training.toml: {key} must be {'text' if kind is str else 'a whole number'}")
    settings = Settings(**values)
    if min(settings.epochs, settings.block) < 1 or settings.images < 0:
        raise ValueError("training.toml: epochs and block must be at least 1, images at least 0")
    if settings.image_size < 16 or settings.image_size % 2:
        raise ValueError("training.toml: image_size must be an even number from 16 on")
    if settings.device.partition(":")[0] not in ("auto", "cpu", "cuda"):
        raise ValueError(f"training.toml: device must be {DEVICES}, not {settings.device!r}")
    if settings.precision not in PRECISIONS:
        raise ValueError(f"training.toml: precision must be one of {', '.join(PRECISIONS)}")
    return settings


def find_archive(settings: Settings) -> Path:
    """Where the archive lies; raises ArchiveError that says where it may lie."""
    named = settings.archive or os.environ.get("CIFAR10_ARCHIVE", "")
    name = "cifar-10-python.tar.gz"
    places = [Path(named)] if named else [Path("/data") / name, _cache() / name]
    for place in places:
        if os.access(place, os.R_OK):
            return place
    raise cifar10.ArchiveError(
        f"CIFAR-10 isn't at {' or '.join(map(str, places))}, or may not be read; fetch it with "
        f"`python {FOLDER.name}/prepare.py FOLDER --download`, or name it as archive in training.toml"
    )


def _cache() -> Path:
    return Path(os.path.expanduser("~")) / ".cache" / "guided-evolution"


def _load() -> tuple[Settings, cifar10.Cifar10] | Exception:
    """Data and settings, or what is wrong with them: told by `evaluate`, which people see."""
    try:
        settings = read_settings(FOLDER / "training.toml")
        return settings, cifar10.load(find_archive(settings))
    except (ValueError, OSError, cifar10.ArchiveError) as problem:
        return problem


LOADED = _load()
"""Read once, when this module is imported; every evaluation shares it."""


def evaluate(candidate, seed):
    """The metrics on a fifth of the training set, drawn from `seed`; one rung for every block before the last."""
    settings, data = loaded()
    training, validation = cifar10.split(data.training, seed, VALIDATION)
    yield from score(candidate, seed, settings, training, validation)


def confirm(candidate, seed):
    """The same training on another draw, and the metrics on the test set."""
    settings, data = loaded()
    training, _ = cifar10.split(data.training, seed, VALIDATION)
    *_, last = score(candidate, seed, settings, training, data.test)
    return last


def loaded() -> tuple[Settings, cifar10.Cifar10]:
    if isinstance(LOADED, Exception):
        raise LOADED
    return LOADED


def score(candidate, seed, settings, training, held_out) -> Iterator[Score]:
    # Not `seed` itself: what the program is told must say nothing about the split.
    program_seed = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
    if settings.images and settings.images < len(training):
        training = cifar10.split(training, seed, settings.images / len(training))[1]
    known = training.x[:KNOWN_IMAGES]
    start, done = time.perf_counter(), 0
    candidate.call("begin", training.x, training.y, seed=program_seed, **settings.machine)
    while True:
        block = min(settings.block, settings.epochs - done)
        result = checked_result(candidate.call("train", block), block)
        done += result["epochs"]
        seconds = (time.perf_counter() - start) / done
        last = result["over"] or done >= settings.epochs
        judged = held_out if last else held_out.at(np.arange(min(RUNG_IMAGES, len(held_out))))
        asked = np.concatenate([judged.x, known])
        process = candidate.fresh() if last else candidate
        labels = process.call("predict", result["weights"], known, asked, **settings.machine)
        labels = checked_labels(labels, len(asked))
        yield described(judged, labels, training, result, done, seconds)
        if last:
            return


def described(judged, labels, training, result, done: int, seconds: float) -> Score:
    own, rest = labels[: len(judged)], labels[len(judged) :]
    accuracy = float(np.mean(own == judged.y))
    training_accuracy = float(np.mean(rest == training.y[: len(rest)]))
    parameters = count_parameters(result["weights"])
    lines = [
        f"Accuracy {accuracy:.2%} after {done} epochs; on training images {training_accuracy:.2%}; "
        f"training loss {result['loss']:.4f}.",
        worst_classes_line(own, judged.y),
        f"Parameters: {parameters:,} in {len(result['weights'])} arrays. {seconds:.1f} s an epoch.",
    ]
    return Score(
        {"accuracy": accuracy, "parameters": parameters},
        feedback="\n".join(lines),
        measures={
            "training_accuracy": training_accuracy,
            "epochs": float(done),
            "seconds_per_epoch": seconds,
        },
    )


def checked_result(result, block: int) -> dict:
    """What `train` returned; raises ValueError unless it is complete."""
    wanted = {"weights": list, "loss": float, "epochs": int, "over": bool}
    if not isinstance(result, dict) or any(
        not isinstance(result.get(key), kind) for key, kind in wanted.items()
    ):
        raise ValueError(
            "train must return a dict of weights (list), loss (float), epochs (int), over (bool)"
        )
    if not 1 <= result["epochs"] <= block:
        raise ValueError(f"train says it made {result['epochs']} epochs; it was asked for {block}")
    if not math.isfinite(result["loss"]):
        raise ValueError("the training diverged: its loss is NaN or infinite")
    return result


def count_parameters(weights: list) -> int:
    """The numbers in a list of arrays; one of 8 bytes counts twice, one of 2 bytes no less than once.

    Raises ValueError, naming the place, for anything but finite, non-empty float arrays.
    """
    if not 1 <= len(weights) <= MOST_ARRAYS:
        raise ValueError(f"train returned {len(weights)} arrays; 1 to {MOST_ARRAYS} are allowed")
    total = 0
    for index, array in enumerate(weights):
        if not isinstance(array, np.ndarray) or array.dtype.name not in FLOATS:
            raise ValueError(f"weights[{index}] is no array of floats")
        if array.size == 0 or not np.isfinite(array).all():
            raise ValueError(f"weights[{index}] is empty or holds NaN or infinite numbers")
        total += max(array.size, math.ceil(array.nbytes / BYTES_PER_PARAMETER))
    return total


def checked_labels(labels, count: int) -> np.ndarray:
    """The labels as integers; raises ValueError unless there are `count` whole numbers."""
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"predict must return {count} whole numbers in one axis, not {labels.shape}")
    return labels


def worst_classes_line(labels: np.ndarray, y: np.ndarray) -> str:
    """The three classes named worst, each with what it is mistaken for most often."""
    parts = []
    present = np.unique(y)
    right = np.array([np.mean(labels[y == one] == one) for one in present])
    for position in np.argsort(right, kind="stable")[:3]:
        one = present[position]
        wrong = labels[(y == one) & (labels != one)]
        wrong = wrong[(wrong >= 0) & (wrong < cifar10.CLASSES)]
        if len(wrong):
            taken = cifar10.NAMES[np.bincount(wrong).argmax()]
            parts.append(f"{cifar10.NAMES[one]} ({right[position]:.0%}, taken for {taken})")
    return "Worst classes: " + ", ".join(parts) + "." if parts else "Every class is named right."
