from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from in_process import SEEDS, InProcess, evaluator, program
from mnist1d.data import make_dataset

from guided_evolution.seed import load_seed


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    return evaluator("mnist1d")


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.ones(shape, dtype=dtype)


def guessing(train_body: str, predict_body: str = "return np.zeros(len(x), dtype=int)") -> InProcess:
    return InProcess(
        f"import numpy as np\n"
        f"def train(x, y, seed):\n    {train_body}\n"
        f"def predict(weights, x):\n    {predict_body}\n"
    )


# The seed itself


def test_the_seed_says_what_it_is():
    seed = load_seed("mnist1d")
    assert [(o.metric, o.direction, o.primary) for o in seed.objectives] == [
        ("accuracy", "maximize", True),
        ("parameters", "minimize", False),
    ]
    assert [(c.metric, c.at_most, c.at_least) for c in seed.constraints] == [("seconds", 2.0, None)]
    assert seed.protected == ("train", "predict")
    assert seed.limits.program_kb == 16
    assert seed.has_confirm
    assert sum(map(len, seed.evaluator_files.values())) < 2_000_000


def test_the_seed_program_is_a_middling_classifier(evaluate):
    score = evaluate.evaluate(InProcess(program("mnist1d")), 3)
    assert 0.5 < score.metrics["accuracy"] < 0.75
    assert score.metrics["parameters"] == 12 * 32 + 32 + 32 * 10 + 10
    assert score.metrics["seconds"] > 0
    assert "Worst digits: " in score.feedback
    assert "Parameters: 746" in score.feedback
    assert "underfits" in score.feedback


def test_the_same_seed_gives_the_same_accuracy_and_another_seed_another(evaluate):
    accuracies = [
        evaluate.evaluate(InProcess(program("mnist1d")), seed).metrics["accuracy"] for seed in (5, 5, 6)
    ]
    assert accuracies[0] == accuracies[1] != accuracies[2]


def test_confirm_gives_the_same_metrics_on_the_published_set(evaluate):
    candidate = guessing("return {'w': np.ones(3, np.float32)}", "return np.full(len(x), 7)")
    score = evaluate.confirm(candidate, 0)
    published = np.load(SEEDS / "mnist1d" / "published.npz")
    assert score.metrics["accuracy"] == np.mean(published["y_test"] == 7)
    assert score.metrics["parameters"] == 3
    (_, _, (x, y), _), *_ = candidate.calls
    assert np.array_equal(x, published["x_train"])
    assert np.array_equal(y, published["y_train"])


# The data


def test_the_published_set_is_the_package_s():
    data = make_dataset()
    published = np.load(SEEDS / "mnist1d" / "published.npz")
    assert published["x_train"].shape == (4000, 40)
    assert published["x_test"].shape == (1000, 40)
    for ours, theirs in (("x_train", "x"), ("x_test", "x_test")):
        np.testing.assert_allclose(published[ours], data[theirs], rtol=1e-5, atol=1e-6)
    for ours, theirs in (("y_train", "y"), ("y_test", "y_test")):
        assert np.array_equal(published[ours], data[theirs])


def test_the_search_set_shares_no_signal_with_the_published_one():
    search = np.load(SEEDS / "mnist1d" / "search.npz")
    published = np.load(SEEDS / "mnist1d" / "published.npz")
    assert search["x"].shape == (10_000, 40)
    assert np.array_equal(np.bincount(search["y"]), np.full(10, 1_000))
    theirs = np.concatenate([published["x_train"], published["x_test"]]).astype(np.float16)
    rows = {row.tobytes() for row in search["x"]}
    assert len(rows) == 10_000
    assert not rows & {row.tobytes() for row in theirs}


def test_the_search_set_looks_like_the_published_one():
    search = np.load(SEEDS / "mnist1d" / "search.npz")
    published = np.load(SEEDS / "mnist1d" / "published.npz")
    x = search["x"].astype(np.float64)
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1) < 0.01
    for digit in range(10):
        ours = np.abs(np.fft.rfft(x[search["y"] == digit])).mean(axis=0)
        theirs = np.abs(np.fft.rfft(published["x_train"][published["y_train"] == digit])).mean(axis=0)
        assert np.abs(ours - theirs).max() < 0.15 * theirs.max()


# What the program is told


def test_the_program_sees_no_label_of_the_validation(evaluate):
    candidate = InProcess(program("mnist1d"))
    evaluate.evaluate(candidate, 1)
    (trained, train, (x, y), told), (asked, predict, (weights, unseen), more) = candidate.calls
    assert (train, predict) == ("train", "predict")
    assert trained != asked
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4000, 40), np.float32, (4000,), np.int64)
    assert set(weights) == {"filters", "bias", "readout", "offset"}
    assert more == {}
    assert list(told) == ["seed"]
    known = {row.tobytes() for row in x}
    assert [row.tobytes() in known for row in unseen] == [False] * 6000 + [True] * 1000


def test_the_seed_told_is_not_the_seed_of_the_split(evaluate):
    seeds = []
    for seed in (1, 2, 2**63 - 1):
        candidate = guessing("return [np.ones(1)]")
        evaluate.evaluate(candidate, seed)
        seeds.append(candidate.calls[0][3]["seed"])
    assert len({*seeds, 1, 2}) == 5
    assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)


# What is counted


@pytest.mark.parametrize(
    ("weights", "parameters"),
    [
        ({"a": floats(3, 4), "b": floats(2)}, 14),
        ({"a": floats(7, dtype="float16")}, 4),
        ({"a": floats(1, dtype="float16"), "b": floats(1, dtype="float16")}, 1),
        ({"a": floats(5, dtype="float64")}, 10),
        ([floats(2), [floats(3), {"deep": floats(4)}]], 9),
        ({"a": np.array(1.5, dtype=np.float32)}, 1),
        ({"n" * 128: floats(1)}, 1),
        ({"n" * 132: floats(1)}, 2),
        ({"\N{GREEK SMALL LETTER ALPHA}" * 66: floats(1)}, 2),
        ([{"n" * 100: floats(1)}, {"n" * 100: floats(1)}], 2 + 18),
    ],
)
def test_parameters_are_bytes_in_units_of_four(evaluate, weights, parameters):
    assert evaluate.count_parameters(weights) == parameters


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (None, "dict or list of float arrays, not of type NoneType"),
        ("weights", "not of type str"),
        (floats(3), "not an array of float32"),
        ({}, "weights is an empty dict"),
        ({"a": floats(2), "rest": []}, r"weights\['rest'\] is an empty list"),
        ({"a": np.arange(3)}, r"weights\['a'\] is an array of int64"),
        ({"a": np.ones(3, dtype=bool)}, "array of bool"),
        ({"a": np.ones(3, dtype=complex)}, "array of complex128"),
        ({"a": np.array(["text"])}, r"array of str\d+"),
        ({"a": 1.5}, r"weights\['a'\] is of type float"),
        ({"a": 3}, "is of type int"),
        ({"a": b"packed"}, "is of type bytes"),
        ({"a": [floats(2), "packed"]}, r"weights\['a'\]\[1\] is of type str"),
        ({1: floats(2)}, "weights has the key 1; names of arrays must be text"),
        ({"a": floats(0, 1234567)}, r"shape \(0, 1234567\)"),
        ({"a": floats(1, 1, 1, 1, 2)}, "at most 4 axes"),
        ({"a": np.array([1.0, np.nan, np.inf])}, "2 numbers that are NaN or infinite"),
        ([floats(1)] * 65, "65 arrays; at most 64"),
        ([[[[[floats(1)]]]]], "nested more than 4 levels deep"),
    ],
)
def test_other_weights_are_refused_with_the_place(evaluate, weights, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate.count_parameters(weights)


def test_refused_weights_fail_the_evaluation_before_predict(evaluate):
    candidate = guessing("return {'bits': np.arange(9)}")
    with pytest.raises(ValueError, match="every byte of the weights is counted"):
        evaluate.evaluate(candidate, 0)
    assert [name for _, name, _, _ in candidate.calls] == ["train"]


# What is answered


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("np.zeros(5, dtype=int)", r"must return 7000 labels in one axis, not the shape \(5,\)"),
        ("np.zeros((len(x), 10))", r"not the shape \(7000, 10\)"),
        ("None", r"not the shape \(\)"),
        ("np.full(len(x), 0.5)", "whole numbers from 0 to 9"),
        ("np.full(len(x), np.nan)", "whole numbers from 0 to 9"),
        ("np.full(len(x), '3')", "whole numbers from 0 to 9"),
        ("np.ones(len(x), dtype=bool)", "not an array of bool"),
    ],
)
def test_wrong_labels_are_refused(evaluate, answer, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate.evaluate(guessing("return [np.ones(1)]", f"return {answer}"), 0)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "uint64"])
def test_whole_numbers_of_any_type_are_labels(evaluate, dtype):
    candidate = guessing("return [np.ones(1)]", f"return np.full(len(x), 4, dtype='{dtype}')")
    accuracy = evaluate.evaluate(candidate, 0).metrics["accuracy"]
    assert 0.08 < accuracy < 0.12


@pytest.mark.parametrize("label", ["10", "-1", "-7e300", "np.inf", "2**63"])
def test_labels_that_are_no_digits_are_wrong_answers(evaluate, label):
    candidate = guessing("return [np.ones(1)]", f"return np.full(len(x), {label})")
    assert evaluate.evaluate(candidate, 0).metrics["accuracy"] == 0


def test_feedback_stays_short_whatever_the_arrays_are_called(evaluate):
    candidate = guessing(r"return {'x' * 9000 + chr(10) + str(i): np.ones(1) for i in range(60)}")
    score = evaluate.evaluate(candidate, 0)
    assert len(score.feedback) < 1500
    assert score.feedback.count("\n") == 2
