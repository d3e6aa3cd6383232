"""Folders that `best --write` leaves are seeds, and judge as the run did."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.errors import ArchiveError, SeedError
from guided_evolution.seed import (
    Constraint,
    Environment,
    Limits,
    Objective,
    Seed,
    builtin_seed_folder,
    load_seed,
)
from guided_evolution.seed_writer import ORIGIN, Origin, is_hostile, read_origin, write_program

ORIGIN_HERE = Origin("calm-fjord", 12, 99, {"accuracy": 0.1 + 0.2, "parameters": 746.0})


@pytest.mark.parametrize("name", ["mnist1d", "bin_packing", "circle_packing"])
def test_a_written_folder_is_the_same_seed(name: str, tmp_path: Path) -> None:
    seed = load_seed(name)
    write_program(seed, seed.program, ORIGIN_HERE, tmp_path / "out")
    again = load_seed(str(tmp_path / "out"))
    assert again == seed
    assert again.scoring_version == seed.scoring_version
    assert read_origin(tmp_path / "out") == ORIGIN_HERE


def test_the_program_that_is_written_is_the_one_given(tmp_path: Path) -> None:
    seed = load_seed("bin_packing")
    changed = seed.program["program.py"] + b"\n# mine\n"
    written = write_program(seed, {"program.py": changed}, ORIGIN_HERE, tmp_path / "out")
    assert (tmp_path / "out" / "program.py").read_bytes() == changed
    assert {path.name for path in written} == {
        "seed.toml",
        "task.md",
        "evaluate.py",
        "program.py",
        ORIGIN,
    } | {Path(path).name for path in seed.evaluator_files}
    assert load_seed(str(tmp_path / "out")).scoring_version == seed.scoring_version


def test_an_openevolve_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "initial_program.py").write_text("X = 1\n")
    (task / "evaluator.py").write_text("def evaluate(path):\n    return {'combined_score': 1.0}\n")
    (task / "config.yaml").write_text("evaluator:\n  timeout: 7\n")
    (task / "helper.py").write_text("Y = 2\n")
    seed = load_seed(str(task))
    write_program(seed, {"initial_program.py": b"X = 2\n"}, ORIGIN_HERE, tmp_path / "out" / "task")
    names = {path.name for path in (tmp_path / "out" / "task").iterdir()}
    assert names == {"initial_program.py", "evaluator.py", "config.yaml", "helper.py", ORIGIN}
    again = load_seed(str(tmp_path / "out" / "task"))
    assert again.program == {"initial_program.py": b"X = 2\n"}
    assert (again.support, again.evaluator_source, again.limits) == (
        seed.support,
        seed.evaluator_source,
        seed.limits,
    )


def test_what_is_there_already_is_kept_unless_it_was_written_so(tmp_path: Path) -> None:
    seed = load_seed("bin_packing")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ArchiveError, match="is there already and isn't an empty folder"):
        write_program(seed, seed.program, ORIGIN_HERE, mine)
    assert (mine / "thesis.txt").read_text() == "precious"
    assert list(mine.iterdir()) == [mine / "thesis.txt"]
    write_program(seed, seed.program, ORIGIN_HERE, tmp_path / "out")
    write_program(seed, {"program.py": b"def priority(): ...\n"}, ORIGIN_HERE, tmp_path / "out")
    assert (tmp_path / "out" / "program.py").read_bytes() == b"def priority(): ...\n"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match=r"file/out: can't be written: Not a directory"):
        write_program(load_seed("bin_packing"), {"program.py": b""}, ORIGIN_HERE, tmp_path / "file" / "out")


@pytest.mark.parametrize("path", ["../evil.py", "/tmp/evil.py", "a/../../evil.py"])
def test_no_file_lands_outside_the_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="lies outside its folder"):
        write_program(load_seed("bin_packing"), {path: b""}, ORIGIN_HERE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_note_of_origin_is_said(tmp_path: Path) -> None:
    shutil.copytree(builtin_seed_folder() / "bin_packing", tmp_path / "out")
    assert read_origin(tmp_path / "out") is None
    (tmp_path / "out" / ORIGIN).write_text("run = 3\n")
    with pytest.raises(SeedError, match=r"\.guided-evolution\.toml: run must be text"):
        read_origin(tmp_path / "out")


_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    task=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip),
    metric=_names,
    bound=_numbers,
    seconds=st.floats(0.1, 86400.0),
    memory=st.integers(32, 10**6),
)
def test_whatever_a_seed_says_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    task: str,
    metric: str,
    bound: float,
    seconds: float,
    memory: int,
) -> None:
    seed = Seed(
        name="any",
        task=task,
        files=("program.py", "net/layers.py"),
        program={"program.py": b"def go(): ...\n", "net/layers.py": b""},
        objectives=(Objective(metric, "minimize", True),),
        constraints=(Constraint(metric, at_least=bound),),
        limits=Limits(seconds=seconds, memory_mb=memory),
        candidate=Environment(("numpy>=1.26",), ("math",)),
        evaluator_source='def evaluate(candidate, seed):\n    return "\\u00e9\\x7f"\n',
        evaluator_files={"data/a b.csv": b"1,2\n"},
        support={"fixed.json": b"{}"},
        protected=("go",),
        frozen=("program.py::go",),
    )
    folder = tmp_path_factory.mktemp("seed") / "out"
    write_program(seed, seed.program, ORIGIN_HERE, folder)
    assert load_seed(f"{folder}/seed.toml") == seed


def test_a_folder_says_whether_its_program_may_run_without_walls(tmp_path: Path) -> None:
    seed = load_seed("bin_packing")
    write_program(seed, seed.program, ORIGIN_HERE, tmp_path / "mine")
    write_program(seed, seed.program, replace(ORIGIN_HERE, hostile=True), tmp_path / "models")
    assert not is_hostile(str(tmp_path / "mine"))
    assert is_hostile(str(tmp_path / "models"))
    assert read_origin(tmp_path / "models") == replace(ORIGIN_HERE, hostile=True)
    assert not is_hostile("bin_packing")
