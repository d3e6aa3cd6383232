"""ExquisiteNetV2, trained end to end on a tiny archive of CIFAR-10's own format."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from in_process import SEEDS, InProcess, load, program

from guided_evolution.seed import load_seed

FILES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
SETTINGS = {"epochs": 6, "block": 4, "image-size": 32, "device": "cpu", "precision": "float32"}


def batch(count: int, seed: int) -> dict[bytes, object]:
    """Images whose class is their colour, with noise, as CIFAR-10 stores them: rows of 3072 bytes."""
    generator = np.random.default_rng(seed)
    labels = [index % 10 for index in range(count)]
    colours = np.random.default_rng(0).integers(30, 226, (10, 3))
    images = colours[labels][:, :, None] + generator.integers(-25, 26, (count, 3, 1024))
    return {
        b"batch_label": b"a batch",
        b"labels": labels,
        b"data": images.reshape(count, 3072).astype(np.uint8),
        b"filenames": [b"image.png"] * count,
    }


def write_archive(place: Path, *, each: int = 40, **other: object) -> Path:
    """Five batches and a test batch, pickled as of Python 2; `other` replaces a file's content by its name."""
    with tarfile.open(place, "w:gz") as archive:
        for number, name in enumerate(FILES):
            content = other.get(name, batch(each, number))
            packed = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(packed)
            archive.addfile(member, io.BytesIO(packed))
    return place


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SEEDS / "exquisitenet" / "prepare.py"), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seed, made ready for a tiny archive."""
    place = tmp_path_factory.mktemp("exquisitenet")
    archive = write_archive(place / "cifar-10-python.tar.gz")
    settings = [text for key, value in SETTINGS.items() for text in (f"--{key}", str(value))]
    done = prepare(place / "mine", "--archive", str(archive), *settings)
    assert done.returncode == 0, done.stderr
    return place / "mine"


def evaluator_in(folder: Path) -> ModuleType:
    sys.modules.pop("cifar10", None)
    sys.path.insert(0, str(folder))
    try:
        return load(
            "evaluate_exquisitenet", (folder / "evaluate.py").read_text(), str(folder / "evaluate.py")
        )
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def evaluate(folder: Path) -> ModuleType:
    return evaluator_in(folder)


@pytest.fixture(scope="module")
def source() -> str:
    """The seed program, with batches small enough that a tiny archive gives several an epoch."""
    torch = pytest.importorskip(
        "torch", reason="PyTorch isn't installed: pip install 'guided-evolution[torch]'"
    )
    torch.set_num_threads(1)  # two threads on busy cores are slower than one
    return program("exquisitenet").replace("BATCH = 216", "BATCH = 20").replace("WARM_UP = 40", "WARM_UP = 4")


def test_the_seed_says_what_it_is():
    seed = load_seed("exquisitenet")
    assert [(o.metric, o.direction) for o in seed.objectives] == [
        ("accuracy", "maximize"),
        ("parameters", "minimize"),
    ]
    assert seed.protected == ("begin", "train", "predict")
    assert seed.has_confirm
    assert set(seed.evaluator_files) == {"cifar10.py", "training.toml"}


def test_the_network_has_exactly_the_published_number_of_parameters(source):
    module = load("program", source, "program.py")
    model = module.ExquisiteNetV2(10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 518_230
    parts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.features.named_children()
    }
    assert list(parts.values()) == [180, 600, 1248, 5856, 4800, 20928, 18816, 78720, 74496, 304896, 3840]


@pytest.mark.parametrize("size", [16, 30, 32, 34, 224])
def test_the_network_takes_any_even_size(source, size):
    import torch

    module = load("program", source, "program.py")
    model = module.ExquisiteNetV2(10).eval()
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_min_pool_and_pools_with_a_rest_do_what_they_say(source):
    import torch

    module = load("program", source, "program.py")
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert module.max_pool(x)[0, 0].tolist() == [[4, 5], [7, 8]]
    assert module.min_pool(x)[0, 0].tolist() == [[0, 2], [6, 8]]


def test_it_trains_end_to_end_with_a_rung_a_block(evaluate, source):
    candidate = InProcess(source)
    rungs = list(evaluate.evaluate(candidate, 3))
    assert [rung.measures["epochs"] for rung in rungs] == [4, 6]
    last = rungs[-1]
    assert last.metrics["parameters"] == 518_230
    assert last.metrics["accuracy"] > 0.3
    assert "after 6 epochs" in last.feedback
    calls = [(generation, name) for generation, name, _, _ in candidate.calls]
    assert calls == [(0, "begin"), (0, "train"), (0, "predict"), (0, "train"), (1, "predict")]


def test_training_validation_and_test_are_kept_apart(evaluate, source):
    data = evaluate.LOADED[1]
    searched, confirmed = InProcess(source), InProcess(source)
    list(evaluate.evaluate(searched, 3))
    evaluate.confirm(confirmed, 4)
    for candidate, held_out, count in ((searched, None, 40), (confirmed, data.test, 40)):
        shown = candidate.calls[0][2][0]
        asked = candidate.calls[-1][2][2][:count]
        assert len(shown) == 160
        assert not rows(shown) & rows(asked)
        assert rows(shown) < rows(data.training.x)
        assert rows(asked) == rows(held_out.x) if held_out else rows(asked) < rows(data.training.x)
        assert "labels" not in candidate.calls[-1][3]


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_the_split_has_a_fifth_of_every_class_and_depends_on_the_seed(evaluate):
    data = evaluate.LOADED[1]
    first, second = evaluate.cifar10.split(data.training, 1, 0.2)
    assert np.bincount(first.y).tolist() == [16] * 10
    assert np.bincount(second.y).tolist() == [4] * 10
    other = evaluate.cifar10.split(data.training, 2, 0.2)[1]
    assert rows(second.x) != rows(other.x)


def test_images_come_out_of_the_archive_as_they_went_in(evaluate):
    data = evaluate.LOADED[1]
    first = batch(40, 0)
    assert data.training.x.shape == (200, 3, 32, 32)
    assert np.array_equal(data.training.x[:40].reshape(40, 3072), first[b"data"])
    assert data.training.y[:40].tolist() == first[b"labels"]
    assert np.array_equal(data.test.x.reshape(40, 3072), batch(40, 5)[b"data"])


def test_an_unpacked_folder_is_as_good(evaluate, tmp_path):
    with tarfile.open(write_archive(tmp_path / "a.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    for place in (tmp_path, tmp_path / "cifar-10-batches-py"):
        assert np.array_equal(evaluate.cifar10.load(place).training.x, evaluate.LOADED[1].training.x)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(evaluate.cifar10.ArchiveError, match="lacks data_batch_3"):
        evaluate.cifar10.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no pickle", "data_batch_2 is damaged"),
        (pickle.dumps(subprocess.Popen, protocol=2), r"damaged: it holds commands\.Popen"),
        ({b"data": np.zeros((4, 3071), np.uint8), b"labels": [0] * 4}, r"data of shape \(4, 3071\)"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}, r"labels of shape \(3,\)"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [10] * 4}, "whole numbers from 0 to 9"),
        ({b"labels": [0]}, "damaged"),
    ],
)
def test_a_damaged_archive_is_told_and_runs_no_code(evaluate, tmp_path, content, said):
    place = write_archive(tmp_path / "bad.tar.gz", data_batch_2=content)
    with pytest.raises(evaluate.cifar10.ArchiveError, match=said):
        evaluate.cifar10.load(place)


def test_a_file_that_is_no_archive_is_told(evaluate, tmp_path):
    place = tmp_path / "cifar-10-python.tar.gz"
    place.write_text("hello")
    with pytest.raises(evaluate.cifar10.ArchiveError, match="can't be read"):
        evaluate.cifar10.load(place)


def test_without_the_archive_evaluate_says_where_it_looked_and_what_to_do(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "seed")
    edit(copy / "training.toml", "archive = ", 'archive = "/nowhere/cifar.tar.gz"')
    module = evaluator_in(copy)
    with pytest.raises(module.cifar10.ArchiveError, match=r"isn't at /nowhere/cifar\.tar\.gz.*--download"):
        next(module.evaluate(InProcess("def begin(): pass"), 0))


@pytest.mark.parametrize(
    ("key", "line", "said"),
    [
        ("epochs = ", "epochs = 0", "must be at least 1"),
        ("epochs = ", 'epochs = "3"', "epochs must be a whole number"),
        ("epochs = ", "epocs = 3", "epochs is missing"),
        ("image_size = ", "image_size = 31", "image_size must be an even number"),
        ("device = ", 'device = "tpu"', "device must be auto, cpu, cuda or cuda:N"),
        ("precision = ", 'precision = "half"', "precision must be one of auto, float32, mixed"),
        ("block = ", "block = ", r"isn't valid TOML"),
    ],
)
def test_wrong_settings_are_told_by_key(evaluate, folder, tmp_path, key, line, said):
    place = shutil.copy(folder / "training.toml", tmp_path / "training.toml")
    edit(Path(place), key, line)
    with pytest.raises(ValueError, match=said):
        evaluate.read_settings(Path(place))


def edit(place: Path, start: str, line: str) -> None:
    lines = place.read_text().splitlines()
    place.write_text("\n".join(line if one.startswith(start) else one for one in lines))


def test_parameters_are_counted_from_the_arrays(evaluate):
    count = evaluate.count_parameters
    assert count([np.ones((3, 4), np.float32), np.ones(5, np.float32)]) == 17
    assert count([np.ones(5, np.float64)]) == 10
    assert count([np.ones(5, np.float16)]) == 5
    for wrong in ([], [np.ones(3, np.int64)], [[1.0]], [np.zeros(0, np.float32)], [np.array([np.nan])]):
        with pytest.raises(ValueError, match=r"weights|arrays"):
            count(wrong)


def test_a_device_that_is_not_there_is_named(source):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    candidate = InProcess(source)
    images, labels = np.zeros((10, 3, 32, 32), np.uint8), np.arange(10)
    with pytest.raises(RuntimeError, match='asks for device "cuda", but PyTorch sees no CUDA device'):
        candidate.call("begin", images, labels, 10, 32, "cuda", "auto", 0)


def test_mixed_precision_and_another_size_train_too(source):
    candidate = InProcess(source)
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32)).astype(np.uint8)
    labels = np.arange(30) % 10
    candidate.call("begin", images, labels, 10, 48, "cpu", "mixed", 0)
    result = candidate.call("train", 1)
    assert result["epochs"] == 1
    assert np.isfinite(result["loss"])
    named = candidate.fresh().call("predict", result["weights"], images, images, 10, 48, "cpu", "mixed")
    assert named.shape == (30,)


def test_the_learning_rate_warms_up_and_falls_on_a_plateau(source):
    module = load("program", source.replace("WARM_UP = 4", "WARM_UP = 40"), "program.py")
    schedule = module.Schedule()
    assert schedule.at(0) == pytest.approx(0.1 / 40)
    assert schedule.at(39) == schedule.at(1000) == pytest.approx(0.1)
    over = [schedule.epoch_ended(1.0) for _ in range(6)]
    assert (over, schedule.rate) == ([False] * 6, pytest.approx(0.07))
    ended = 6
    while not schedule.epoch_ended(1.0):
        ended += 1
    assert schedule.rate < 0.001
    assert ended == 6 + 5 * 12 - 1


def test_prepare_refuses_a_folder_that_is_there(folder):
    done = prepare(folder)
    assert done.returncode == 2
    assert "exists already" in done.stderr
