"""CIFAR-10 as it is published: the archive of Python pickles, read without trusting them.

The archive is `cifar-10-python.tar.gz` or the folder that it unpacks to, `cifar-10-batches-py`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
FOLDER = "cifar-10-batches-py"
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
SHAPE = (3, 32, 32)
CLASSES = 10
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class ArchiveError(Exception):
    """The archive isn't there or isn't CIFAR-10; one sentence that says how to mend it."""


@dataclass(frozen=True)
class Images:
    """n images as bytes (n, 3, 32, 32) and their labels (n,), 0 to 9."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def at(self, rows: np.ndarray) -> Images:
        return Images(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class Cifar10:
    """The published training and test sets."""

    training: Images
    test: Images


def load(place: Path) -> Cifar10:
    """Read the archive or the unpacked folder. Raises ArchiveError."""
    try:
        files = _from_folder(place) if place.is_dir() else _from_archive(place)
    except (OSError, tarfile.TarError, EOFError) as problem:
        raise ArchiveError(f"CIFAR-10 at {place} can't be read: {problem}") from problem
    batches = [_batch(name, files[name]) for name in (*TRAINING, TEST)]
    training = Images(
        np.concatenate([batch.x for batch in batches[:-1]]),
        np.concatenate([batch.y for batch in batches[:-1]]),
    )
    return Cifar10(training, batches[-1])


def _from_folder(place: Path) -> dict[str, bytes]:
    inner = place / FOLDER if (place / FOLDER).is_dir() else place
    missing = [name for name in (*TRAINING, TEST) if not (inner / name).is_file()]
    if missing:
        raise ArchiveError(f"CIFAR-10 at {place} lacks {', '.join(missing)}; unpack the whole archive there")
    return {name: (inner / name).read_bytes() for name in (*TRAINING, TEST)}


def _from_archive(place: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(place) as archive:
        for member in archive:
            folder, _, name = member.name.removeprefix("./").rpartition("/")
            content = archive.extractfile(member) if member.isfile() else None
            if folder == FOLDER and name in (*TRAINING, TEST) and content is not None:
                files[name] = content.read()
    missing = [name for name in (*TRAINING, TEST) if name not in files]
    if missing:
        raise ArchiveError(f"CIFAR-10 at {place} lacks {FOLDER}/{missing[0]}; fetch the archive anew: {URL}")
    return files


class _Careful(pickle.Unpickler):
    """Arrays, lists, texts and numbers; nothing that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which CIFAR-10 doesn't")
        return super().find_class(module, name)


def _batch(name: str, content: bytes) -> Images:
    try:
        batch = _Careful(io.BytesIO(content), encoding="bytes").load()
        x = np.asarray(batch[b"data"] if b"data" in batch else batch["data"])
        y = np.asarray(batch[b"labels"] if b"labels" in batch else batch["labels"])
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ArchiveError(f"CIFAR-10's {name} is damaged: {problem}") from problem
    if x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != np.prod(SHAPE) or y.shape != (len(x),):
        raise ArchiveError(f"CIFAR-10's {name} has data of shape {x.shape} and labels of shape {y.shape}")
    if y.dtype.kind not in "iu" or len(y) == 0 or y.min() < 0 or y.max() >= CLASSES:
        raise ArchiveError(f"CIFAR-10's {name} has labels that aren't whole numbers from 0 to 9")
    return Images(x.reshape(-1, *SHAPE), y.astype(np.int64))


def download(place: Path) -> None:
    """Fetch the archive (170 MB) to `place`; nothing is left there unless its checksum is right."""
    part = place.with_name(place.name + ".part")
    digest = hashlib.sha256()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(URL, timeout=60) as source, part.open("wb") as target:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != SHA256:
            raise ArchiveError(f"{URL} gave a file with another checksum than CIFAR-10's; try again")
        part.replace(place)
    except OSError as problem:
        raise ArchiveError(f"{URL} can't be fetched to {place}: {problem}") from problem
    finally:
        part.unlink(missing_ok=True)


def split(images: Images, seed: int, share: float) -> tuple[Images, Images]:
    """Two parts drawn from `seed`; the second has this share of every class."""
    generator = np.random.default_rng(seed)
    first, second = [], []
    for label in range(CLASSES):
        rows = generator.permutation(np.flatnonzero(images.y == label))
        cut = round(share * len(rows))
        second.append(rows[:cut])
        first.append(rows[cut:])
    return images.at(np.sort(np.concatenate(first))), images.at(np.sort(np.concatenate(second)))
