"""Whatever is wrong with what a user gives: one sentence, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
from command import PROGRAM, SEED_TOML, gev, here, write_seed

HEAD = "from guided_evolution import Score\n\n\ndef evaluate(candidate, seed):\n    "


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One sentence on standard error that says these words, exit code 2, no traceback anywhere."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("guided-evolution: ")
    assert "Traceback" not in done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of a few programs in its archive."""
    folder = tmp_path_factory.mktemp("finished")
    write_seed(folder / "tiny")
    done = gev("evolve", "./tiny", "--evaluations", "4", "--slots", "1", "--rng-seed", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_unknown_seed(tmp_path: Path) -> None:
    refused(gev("evolve", "mnist2d", cwd=tmp_path), 'no seed "mnist2d"', 'did you mean "mnist1d"?')
    refused(here("check", "mnist2d", cwd=tmp_path), 'no seed "mnist2d"', 'did you mean "mnist1d"?')
    refused(here("evolve", "./nowhere", cwd=tmp_path), "./nowhere: no such folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = \n", ["seed.toml: isn't valid TOML"]),
        (SEED_TOML.format(name="x", seconds=1) + "colour = 1\n", ['unknown key "limits.colour"']),
        (SEED_TOML.format(name="x", seconds=1).replace('"minimize"', '"down"'), ["direction", '"down"']),
        (SEED_TOML.format(name="x", seconds=1).replace("program.py", "nope.py"), ["nope.py"]),
    ],
)
def test_broken_seed_toml(text: str, words: list[str], tmp_path: Path) -> None:
    write_seed(tmp_path / "x")
    (tmp_path / "x" / "seed.toml").write_text(text)
    refused(here("evolve", "./x", cwd=tmp_path), *words)
    assert not (tmp_path / "guided-evolution.db").exists()


def test_program_that_does_not_parse(tmp_path: Path) -> None:
    write_seed(tmp_path / "x", program="def solve(:\n    return 1\n")
    refused(here("check", "./x", cwd=tmp_path), "x/program.py:1: isn't valid Python")
    refused(gev("evolve", "./x", cwd=tmp_path), "x/program.py:1: isn't valid Python")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('raise ValueError("no data\\nat all")', ["its evaluator fails", "ValueError: no data at all"]),
        ("import time; time.sleep(60)", ["its evaluator fails"]),
        ('candidate.call("solve"); return Score({"loss": float("nan"), "rounds": 1})', ["loss is nan"]),
        ('candidate.call("solve")', ["returned NoneType, not a Score"]),
        ('candidate.call("solve"); return "good"', ["returned str, not a Score"]),
        ('candidate.call("solve"); return Score({"loss": 1})', ["no metric rounds"]),
    ],
)
def test_evaluator_that_fails(body: str, words: list[str], tmp_path: Path) -> None:
    write_seed(tmp_path / "x", evaluate=HEAD + body + "\n", seconds=1)
    refused(gev("evolve", "./x", "--evaluations", "3", cwd=tmp_path), "seed x: ", *words)
    refused(here("check", "./x", cwd=tmp_path), "seed x: ", *words, "--debug")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("def solve():\n    return 1 / 0\n", ["(raised)", "ZeroDivisionError: division by zero"]),
        ("def solve():\n    while True:\n        pass\n", ["(timeout)", "1 s"]),
        ("import os\n\n\ndef solve():\n    os._exit(3)\n", ["(exited)", "exit code 3"]),
    ],
)
def test_seed_program_that_fails_its_own_evaluation(program: str, words: list[str], tmp_path: Path) -> None:
    write_seed(tmp_path / "x", program=program, seconds=1)
    refused(gev("evolve", "./x", "--evaluations", "3", cwd=tmp_path), "its own program fails", *words)
    refused(here("check", "./x", cwd=tmp_path), "its own program fails", *words)


def test_check_debug_shows_everything(tmp_path: Path) -> None:
    write_seed(
        tmp_path / "x",
        evaluate=HEAD + 'print("the evaluator speaks"); candidate.call("solve"); raise KeyError("deep")\n',
        program=PROGRAM.replace("    return", '    print("the program speaks")\n    return'),
    )
    done = here("check", "./x", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    for word in ("the evaluator speaks", "the program speaks", "KeyError: 'deep'", 'File "'):
        assert word in done.stdout


def test_archive_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary, this is a text of more than sixteen bytes")
    refused(here("runs", "--archive", "notes.txt", cwd=tmp_path), "no archive of guided-evolution")
    refused(
        gev("evolve", "mnist1d", "--archive", "notes.txt", cwd=tmp_path), "no archive of guided-evolution"
    )
    assert (tmp_path / "notes.txt").read_text().startswith("dear diary")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE song (name TEXT)")
    refused(here("best", "--archive", "other.db", cwd=tmp_path), "holds other tables")
    refused(gev("evolve", "mnist1d", "--archive", "other.db", cwd=tmp_path), "holds other tables")
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("song",)]


def test_archive_that_is_not_there(tmp_path: Path) -> None:
    for arguments in (
        ["runs"],
        ["status"],
        ["best"],
        ["show", "best"],
        ["diff", "best"],
        ["lineage"],
        ["resume"],
    ):
        refused(here(*arguments, cwd=tmp_path), "there is no such file", "guided-evolution evolve")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(here("evolve", "mnist1d", "--archive", "file/runs.db", cwd=tmp_path), "file", "make it first")
    refused(
        gev("evolve", "mnist1d", "--archive", "/proc/runs.db", cwd=tmp_path),
        "/proc/runs.db",
        "can't be written",
    )
    refused(gev("evolve", "mnist1d", cwd=Path("/proc")), "can't be written", "--archive")
    refused(here("init", "/proc/mine", cwd=tmp_path), "/proc/mine: can't be written")


def test_a_folder_that_is_not_empty_stays_as_it_is(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    out = str(tmp_path / "out")
    refused(here("best", "--write", out, cwd=archive), "isn't an empty folder")
    refused(here("init", out, cwd=archive), "isn't an empty folder")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--evaluations", "0"], ["--evaluations 0", "at least 1"]),
        (["--evaluations", "many"], ["--evaluations", "integer"]),
        (["--time", "0"], ["--time", "more than 0 seconds"]),
        (["--target", "glory=1"], ["'glory' is no objective", "accuracy, parameters"]),
        (["--operators", "magic=1"], ['unknown operator "magic"']),
        (["--sandbox", "castle"], ["must be one of auto, process"]),
        (["--colour", "red"], ["No such option: --colour"]),
    ],
)
def test_settings_that_cannot_be_used(flags: list[str], words: list[str], tmp_path: Path) -> None:
    refused(gev("evolve", "mnist1d", *flags, cwd=tmp_path), *words)


def test_unknown_setting_wherever_it_stands(tmp_path: Path) -> None:
    refused(
        gev("evolve", "mnist1d", cwd=tmp_path, GUIDED_EVOLUTION_EVALUATION="3"),
        "unknown environment variable GUIDED_EVOLUTION_EVALUATION",
        "did you mean GUIDED_EVOLUTION_EVALUATIONS?",
    )
    (tmp_path / "guided-evolution.toml").write_text("evaluation = 3\n")
    refused(gev("evolve", "mnist1d", cwd=tmp_path), "guided-evolution.toml", 'unknown key "evaluation"')
    refused(here("runs", "--settings", "none.toml", cwd=tmp_path), "none.toml: no such file")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["best", "nobody"], ["there is no run 'nobody'", "guided-evolution runs"]),
        (["show", "9999"], ["there is no program 9999"]),
        (["best", "--metric", "los"], ["no objective 'los'", "loss, rounds"]),
        (["stop"], ["isn't at work", "finished"]),
        (["bset"], ["No such command 'bset'"]),
    ],
)
def test_unknown_names_and_numbers(arguments: list[str], words: list[str], archive: Path) -> None:
    refused(gev(*arguments, cwd=archive), *words)
