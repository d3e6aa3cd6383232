from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from in_process import SEEDS, InProcess, evaluator, program

from guided_evolution.seed import load_seed


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    return evaluator("mnist1d_torch")


@pytest.fixture(scope="module")
def source() -> str:
    torch = pytest.importorskip(
        "torch", reason="PyTorch isn't installed: pip install 'guided-evolution[torch]'"
    )
    torch.set_num_threads(1)
    return program("mnist1d_torch")


def test_the_seed_says_what_it_is():
    seed = load_seed("mnist1d_torch")
    assert [(o.metric, o.direction) for o in seed.objectives] == [
        ("accuracy", "maximize"),
        ("parameters", "minimize"),
    ]
    assert seed.constraints[0].at_most == 5
    assert seed.has_confirm


def test_its_signals_are_those_of_mnist1d():
    for name in ("search.npz", "published.npz"):
        ours, theirs = (SEEDS / seed / name for seed in ("mnist1d_torch", "mnist1d"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_seed_program_beats_a_linear_model_and_leaves_room(evaluate, source):
    candidate = InProcess(source)
    score = evaluate.evaluate(candidate, 1)
    assert 0.45 < score.metrics["accuracy"] < 0.75
    assert score.metrics["parameters"] == 16 * 5 + 16 + 24 * 16 * 3 + 24 + 24 * 24 * 3 + 24 + 10 * 120 + 10
    assert [(generation, name) for generation, name, _, _ in candidate.calls] == [
        (0, "train"),
        (1, "predict"),
    ]
    (x, y), asked = candidate.calls[0][2], candidate.calls[1][2][1]
    assert (x.shape, y.shape, asked.shape) == ((4000, 40), (4000,), (7000, 40))
    assert not {row.tobytes() for row in x} & {row.tobytes() for row in asked[:6000]}


def test_the_same_seed_trains_the_same_network(source):
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((200, 40)).astype(np.float32), np.arange(200) % 10
    first, second, other = (InProcess(source).call("train", x, y, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_network_whose_arrays_do_not_fit_is_refused(source):
    weights = InProcess(source).call("train", np.ones((64, 40), np.float32), np.arange(64) % 10, seed=0)
    with pytest.raises(ValueError, match="zip"):
        InProcess(source).call("predict", weights[:-1], np.ones((3, 40), np.float32))
