"""Makes the two data files of this seed. Maintenance only: no run ever imports it.

search.npz      10,000 signals of the MNIST-1D generator, drawn from 624 words of fresh system randomness that
                are not kept, so nobody, a candidate least of all, can draw the same signals and labels again.
                float16: its rounding is 40 times below the generator's own noise.
published.npz   the published set: `make_dataset()` with its defaults (seed 42), 4,000 for training and 1,000
                for test, in float32. Only `confirm` reads it.

Needs `pip install mnist1d==0.0.2.post1`. Running it again replaces the search set: a new scoring version.
"""

from __future__ import annotations

import os
from pathlib import Path

import mnist1d.data
import numpy as np

SEARCH_SIGNALS = 10_000
FOLDER = Path(__file__).parent


def seed_from_the_system(_seed: int) -> None:
    np.random.seed(np.frombuffer(os.urandom(4 * 624), dtype=np.uint32))


def write_published() -> None:
    data = mnist1d.data.make_dataset()
    np.savez_compressed(
        FOLDER / "published.npz",
        x_train=data["x"].astype(np.float32),
        y_train=data["y"].astype(np.uint8),
        x_test=data["x_test"].astype(np.float32),
        y_test=data["y_test"].astype(np.uint8),
    )


def write_search() -> None:
    arguments = mnist1d.data.get_dataset_args()
    arguments.num_samples = SEARCH_SIGNALS
    mnist1d.data.set_seed = seed_from_the_system
    data = mnist1d.data.make_dataset(arguments)
    np.savez_compressed(
        FOLDER / "search.npz",
        x=np.concatenate([data["x"], data["x_test"]]).astype(np.float16),
        y=np.concatenate([data["y"], data["y_test"]]).astype(np.uint8),
    )


if __name__ == "__main__":
    write_published()
    write_search()
