"""The way of a newcomer: evolve, look, take home, check, bring a program of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import document, gev, here, start, write_seed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run of 40 evaluations has finished."""
    folder = tmp_path_factory.mktemp("home")
    write_seed(folder / "tiny")
    done = gev("evolve", "./tiny", "--evaluations", "40", "--slots", "1", "--rng-seed", "3", cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "finished, budget of 40 evaluations reached: 40 evaluated" in done.stdout
    for words in ("loss ↓", "rounds ↓", "held-out", "guided-evolution diff best", "guided-evolution resume"):
        assert words in done.stdout
    return folder


def test_the_run_is_listed_and_stands_where_it_ended(home: Path) -> None:
    runs = document("runs", cwd=home)
    assert [(run["seed"], run["state"], run["evaluations"], run["rng_seed"]) for run in runs] == [
        ("tiny", "finished", 40, 3)
    ]
    status = document("status", cwd=home)
    assert status["run"] == runs[0]["run"]
    assert status["scored"] + sum(status["failed"].values()) == 40
    assert status["budget"] == {"evaluations": 40, "seconds": None, "target": None, "patience": None}
    assert status["best"]["loss"]["metrics"]["loss"] < status["seed_program"]["metrics"]["loss"]
    assert status["seed_program"]["metrics"] == {"loss": 0.8125, "rounds": 4.0}
    assert status["at_work"] == 0


def test_the_best_is_confirmed_and_its_story_adds_up(home: Path) -> None:
    best = document("best", cwd=home)
    assert best["confirmed"]["loss"] == best["metrics"]["loss"]
    assert best["seed_program"]["confirmed"] == {"loss": 0.8125, "rounds": 4.0}
    assert best["self_scored"] is False
    story = document("lineage", cwd=home)
    assert (story["program"], story["steps"][0]["operator"]) == (best["program"], "seed")
    gains = sum(step["gains"].get("loss", 0.0) for step in story["steps"])
    assert gains == pytest.approx(0.8125 - best["metrics"]["loss"])
    shown = document("show", "best", cwd=home)
    assert (shown["program"], shown["metrics"], shown["files"]) == (
        best["program"],
        best["metrics"],
        best["files"],
    )


def test_every_front_program_stands_unbeaten(home: Path) -> None:
    front = document("best", "--front", cwd=home)["front"]
    points = [(one["metrics"]["loss"], one["metrics"]["rounds"]) for one in front]
    assert points == sorted(points)
    assert len({rounds for _, rounds in points}) == len(points)
    assert min(points) == (document("best", cwd=home)["metrics"]["loss"], points[0][1])


def test_the_diff_turns_the_seed_program_into_the_best(home: Path) -> None:
    changed = document("diff", "best", cwd=home)
    assert changed["a"] == document("show", "seed", cwd=home)["program"]
    done = here("diff", "best", cwd=home)
    assert done.stdout == changed["diff"]
    assert done.stdout.startswith(f"--- {changed['a']}/program.py\n+++ {changed['b']}/program.py\n@@ ")
    assert set(here("diff", "best", "--genes", cwd=home).stdout.split()) >= {
        "changed",
        *changed["genes"]["changed"],
    }
    backwards = document("diff", "best", "seed", cwd=home)
    assert (backwards["a"], backwards["b"]) == (changed["b"], changed["a"])


def test_the_source_alone_is_the_file_to_the_byte(home: Path) -> None:
    assert here("show", "seed", "--source", cwd=home).stdout == (home / "tiny" / "program.py").read_text()


def test_what_is_written_is_scored_the_same(home: Path) -> None:
    done = here("best", "--write", "out", cwd=home)
    assert "wrote out: " in done.stdout
    best, checked = document("best", cwd=home), document("check", "out", cwd=home)
    assert checked["metrics"] == best["metrics"]
    assert checked["confirmed"]["metrics"] == best["confirmed"]
    assert checked["origin"] == {"run": best["run"], "program": best["program"]}
    assert "the same score as program" in here("check", "out", cwd=home).stdout
    again = gev("evolve", "./out", "--evaluations", "2", "--slots", "1", "--archive", "again.db", cwd=home)
    assert again.returncode == 0, again.stderr


def test_the_same_seed_gives_the_same_programs(home: Path) -> None:
    done = gev(
        *(
            "evolve",
            "./tiny",
            "--evaluations",
            "40",
            "--slots",
            "1",
            "--rng-seed",
            "3",
            "--archive",
            "twin.db",
        ),
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    twin = document("best", "--archive", "twin.db", cwd=home)
    best = document("best", cwd=home)
    assert (twin["files"], twin["operator"], twin["summary"]) == (
        best["files"],
        best["operator"],
        best["summary"],
    )


def test_the_archive_is_well(home: Path) -> None:
    assert document("doctor", cwd=home) == {"runs": 1, "problems": []}
    assert here("doctor", cwd=home).stdout == "all is well: 1 run examined\n"


def test_a_new_seed_runs_at_once(tmp_path: Path) -> None:
    assert gev("init", "mine", cwd=tmp_path).returncode == 0
    checked = document("check", "./mine", "--repeat", "3", cwd=tmp_path)
    assert checked["state"] == "scored"
    assert len({one["seed"] for one in checked["evaluations"]}) == 3
    assert checked["spread"]["error"] > 0
    assert checked["spread"]["parameters"] == 0
    text = gev("check", "./mine", "--repeat", "2", cwd=tmp_path).stdout
    assert "a gain below it is noise" in text
    done = gev("evolve", "./mine", "--evaluations", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_program_of_ones_own_becomes_a_seed(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("SIZE = 3\n\n\ndef train(x):\n    return x * SIZE\n")
    done = gev("init", "mine", "--from", "model.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "TODO" in done.stdout
    assert (tmp_path / "mine" / "model.py").read_text() == (tmp_path / "model.py").read_text()
    assert document("check", "./mine", cwd=tmp_path)["metrics"] == {"loads": 1.0}


def test_an_openevolve_folder_runs_and_is_labelled(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "initial_program.py").write_text(
        "# EVOLVE-BLOCK-START\nRATE = 0.5\n# EVOLVE-BLOCK-END\n\n\ndef solve():\n    return RATE\n"
    )
    (task / "evaluator.py").write_text(
        "import importlib.util\n\n\ndef evaluate(program_path):\n"
        "    spec = importlib.util.spec_from_file_location('p', program_path)\n"
        "    program = importlib.util.module_from_spec(spec)\n    spec.loader.exec_module(program)\n"
        "    return {'combined_score': 1.0 - abs(program.solve() - 1.0)}\n"
    )
    done = gev("evolve", "task", "--evaluations", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "self-scored" in done.stdout
    for arguments in (["status"], ["best"], ["best", "--front"], ["show", "best"], ["check", "task"]):
        assert "self-scored" in here(*arguments, cwd=tmp_path).stdout, arguments
        assert document(*arguments, cwd=tmp_path)["self_scored"] is True
    assert here("best", "--write", "out/task", cwd=tmp_path).returncode == 0
    best = document("best", cwd=tmp_path)
    assert document("check", "out/task", cwd=tmp_path)["metrics"] == best["metrics"]


def test_target_and_patience_end_a_run(tmp_path: Path) -> None:
    write_seed(tmp_path / "tiny")
    done = gev("evolve", "./tiny", "--target", "loss=0.9", "--slots", "1", cwd=tmp_path)
    assert "target loss=0.9 reached with 0.8125" in done.stdout
    done = gev("evolve", "./tiny", "--patience", "3", "--slots", "1", cwd=tmp_path)
    assert "no gain in the last 3 evaluations" in done.stdout
    assert [run["state"] for run in document("runs", cwd=tmp_path)] == ["finished", "finished"]


def test_settings_come_from_flags_then_variables_then_a_file(tmp_path: Path) -> None:
    write_seed(tmp_path / "tiny")
    (tmp_path / "guided-evolution.toml").write_text('archive = "file.db"\nevaluations = 3\nslots = 1\n')
    assert "budget of 3 evaluations" in gev("evolve", "./tiny", cwd=tmp_path).stdout
    done = gev("evolve", "./tiny", cwd=tmp_path, GUIDED_EVOLUTION_EVALUATIONS="4")
    assert "budget of 4 evaluations" in done.stdout
    done = gev("evolve", "./tiny", "--evaluations", "5", cwd=tmp_path, GUIDED_EVOLUTION_EVALUATIONS="4")
    assert "budget of 5 evaluations" in done.stdout
    assert not (tmp_path / "guided-evolution.db").exists()
    assert len(document("--archive", "file.db", "runs", cwd=tmp_path)) == 3


def test_a_reader_that_goes_away_is_no_error(home: Path) -> None:
    child = start("show", "best", cwd=home)
    assert child.stdout is not None
    child.stdout.close()
    assert child.wait(60) == 0
    assert child.stderr is not None
    assert child.stderr.read() == ""


def test_the_python_call_finds_the_same(home: Path) -> None:
    code = """
import guided_evolution as ge
result = ge.evolve("./tiny", archive="python.db", evaluations=40, slots=1, rng_seed=3)
print(result.state, result.evaluations, result.best.metrics["loss"], result.best.confirmed["loss"])
print(result.best.files["program.py"], end="")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)
    best = document("best", cwd=home)
    head, _, source = done.stdout.partition("\n")
    assert head == f"finished 40 {best['metrics']['loss']} {best['confirmed']['loss']}"
    assert source == best["files"]["program.py"]
