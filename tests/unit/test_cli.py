"""What commands print and refuse, in this process, on an archive whose scores are known."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_run import SEED_TEXT, SmallRun, small_seed

from guided_evolution import cli
from guided_evolution.cli.reference import renewed

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run a command in a folder of its own; returns exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gev", *arguments])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(ending.value.code, int)
        return ending.value.code, out, err

    return run


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallRun]:
    made = SmallRun(tmp_path / "guided-evolution.db")
    made.evaluate(1, None, "confirm", {"rate": 0.25, "size": 40.0})
    made.evaluate(4, None, "confirm", {"rate": 1.0, "size": 41.0})
    yield made
    made.archive.close()


def lines(text: str) -> list[str]:
    """Lines with single spaces between words, empty ones left out."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def read(call: Call, *arguments: str) -> Any:
    code, out, err = call(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_best(call: Call, small: SmallRun) -> None:
    code, out, err = call("best")
    assert (code, err) == (0, "")
    assert lines(out) == [
        f"program 4 of {small.run.name} (small), generation 2",
        "made by crossover: solve of 1",
        "seed program this one change",
        "rate ↑ 0.5 1.25 +0.75 (+150.0 %)",
        "held-out 0.25 1 +0.75 (+300.0 %)",
        "size ↓ 40 41 +1 (+2.5 %)",
        "held-out 40 41 +1 (+2.5 %)",
    ]


def test_best_by_another_objective_and_the_front(call: Call, small: SmallRun) -> None:
    assert lines(call("best", "--metric", "size")[1])[0].startswith("program 1 of ")
    assert lines(call("best", "--front")[1]) == [
        f"{small.run.name} small, 2 on the front",
        "program rate size rate, held-out size, held-out",
        "4 1.25 41 1 41",
        "1 0.5 40 0.25 40 the seed program",
    ]


def test_best_as_json(call: Call, small: SmallRun) -> None:
    assert read(call, "best") == {
        "run": small.run.name,
        "seed": "small",
        "self_scored": False,
        "objectives": [
            {"metric": "rate", "direction": "maximize", "primary": True},
            {"metric": "size", "direction": "minimize", "primary": False},
        ],
        "program": 4,
        "metrics": {"rate": 1.25, "size": 41.0},
        "keeps_constraints": True,
        "confirmed": {"rate": 1.0, "size": 41.0},
        "seed_program": {
            "program": 1,
            "metrics": {"rate": 0.5, "size": 40.0},
            "keeps_constraints": True,
            "confirmed": {"rate": 0.25, "size": 40.0},
        },
        "generation": 2,
        "operator": "crossover",
        "summary": "solve of 1",
        "files": {"program.py": SEED_TEXT.replace("0.5", "1.25")},
        "written": [],
    }
    assert [one["program"] for one in read(call, "best", "--front")["front"]] == [4, 1]


def test_lineage(call: Call, small: SmallRun) -> None:
    assert lines(call("lineage")[1]) == [
        f"program 4 of {small.run.name} (small), 2 steps from the seed program",
        "program made by rate size what changed",
        "1 seed 0.5 40 the seed program",
        "2 constant 0.75 +0.25 41 +1 0.5 -> 0.75",
        "4 crossover with 1 1.25 +0.5 41 solve of 1",
    ]
    steps = read(call, "lineage", "4")["steps"]
    assert [step["gains"] for step in steps] == [{}, {"rate": 0.25, "size": -1.0}, {"rate": 0.5, "size": 0.0}]
    assert "failed (raised)" in call("lineage", "3")[1]


def test_show(call: Call, small: SmallRun) -> None:
    text = call("show", "best")[1]
    assert lines(text)[:7] == [
        f"program 4 of {small.run.name} (small), generation 2, 43 bytes",
        "made by crossover from 2 (base), 1 (donor): solve of 1",
        "children 0",
        "score rate 1.25, size 41",
        "feedback well done",
        "took 0.25 s, 12 MB in a process sandbox",
        "held-out rate 1, size 41",
    ]
    assert "genes program.py::<head> program.py::solve" in lines(text)
    assert text.endswith(SEED_TEXT.replace("0.5", "1.25"))
    assert "failed (raised): ZeroDivisionError: division by zero" in call("show", "3")[1]
    assert call("show", "#4", "--source")[1] == SEED_TEXT.replace("0.5", "1.25")
    shown = read(call, "show", "4")
    assert (shown["parents"], shown["state"], shown["feedback"]) == (
        [{"program": 2, "role": "base"}, {"program": 1, "role": "donor"}],
        "scored",
        "well done",
    )
    assert [one["purpose"] for one in shown["evaluations"]] == ["search", "confirm"]


DIFF = """--- {a}/program.py
+++ {b}/program.py
@@ -1,4 +1,4 @@
-RATE = {old}
+RATE = {new}
 
 
 def solve():
"""


@pytest.mark.parametrize(
    ("arguments", "a", "old", "b", "new"),
    [
        (["best"], 1, "0.5", 4, "1.25"),
        (["4"], 2, "0.75", 4, "1.25"),
        (["2", "4"], 2, "0.75", 4, "1.25"),
        (["best", "seed"], 4, "1.25", 1, "0.5"),
    ],
)
@pytest.mark.usefixtures("small")
def test_diff(arguments: list[str], a: int, old: str, b: int, new: str, call: Call) -> None:
    assert call("diff", *arguments)[1] == DIFF.format(a=a, old=old, b=b, new=new)
    assert read(call, "diff", *arguments) == {
        "a": a,
        "b": b,
        "genes": {"changed": ["program.py::<head>"], "added": [], "removed": []},
        "diff": DIFF.format(a=a, old=old, b=b, new=new),
    }


def test_runs_and_status(call: Call, small: SmallRun) -> None:
    assert re.fullmatch(
        rf"{small.run.name} small interrupted 4 0 s \d{{4}}-\d\d-\d\d \d\d:\d\d", lines(call("runs")[1])[1]
    )
    assert lines(call("status")[1]) == [
        f"{small.run.name} small interrupted",
        "evaluated 4 of 4",
        "time 0 s",
        "failed 1 (raised 1)",
        "front 2",
        "seed program best change program",
        "rate ↑ 0.5 1.25 +0.75 (+150.0 %) 4",
        "held-out 0.25 1 +0.75 (+300.0 %)",
        "size ↓ 40 40 = 1",
        "held-out 40 40 =",
        f"its command is gone; `guided-evolution resume {small.run.name}` goes on",
    ]
    status = read(call, "status")
    assert {
        key: status[key] for key in ("evaluations", "scored", "failed", "rejected", "front", "at_work")
    } == {
        "evaluations": 4,
        "scored": 3,
        "failed": {"raised": 1},
        "rejected": {},
        "front": 2,
        "at_work": 0,
    }


def test_self_scored_runs_say_so_wherever_a_score_stands(call: Call, tmp_path: Path) -> None:
    made = SmallRun(tmp_path / "own.db", small_seed(self_scored=True, has_confirm=False))
    made.archive.close()
    for command in (["best"], ["best", "--front"], ["show", "best"], ["status"], ["lineage"]):
        assert "self-scored" in call(*command, "--archive", "own.db")[1], command


def test_a_hostile_program_cannot_speak_to_the_terminal(call: Call, small: SmallRun) -> None:
    small.add("constant", (1,), "evil \x1b[2J", "RATE = 1.5 # \x1b[31m\n", {"rate": 1.5, "size": 1.0})
    for command in (["best"], ["lineage"]):
        assert "\x1b" not in call(*command)[1]
    assert call("show", "best", "--source")[1] == "RATE = 1.5 # \x1b[31m\n", (
        "a pipe gets the bytes as they are"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "99"], "there is no run '99' in this archive"),
        (["show", "worst"], "there is no program 'worst'; say a number, best or seed"),
        (["show", "1" * 30], "there is no program"),
        (["diff", "1", "99"], "there is no program 99 in this archive"),
        (["diff", "seed"], "program 1 was made from no other"),
        (["lineage", "99"], "there is no program 99 in this archive"),
        (["best", "--front", "--write", "out"], "--front shows many programs"),
        (["pause"], "isn't at work, so there is nothing to pause"),
        (["stop"], "isn't at work, so there is nothing to stop"),
        (["resume", "--add", "0"], "--add 0: must be at least 1"),
        (["resume", "--add-time", "0s"], "--add-time 0s: must be more than 0 seconds"),
        (["resume", "--add-time", "soon"], 'must be a time like "90s"'),
        (["show"], "Missing argument"),
        (["best", "--nope"], "No such option: --nope"),
        (["evolve", "mnist1d", "--evaluations", "-3"], "--evaluations -3: evaluations must be at least 1"),
        (["evolve", "mnist1d", "--time", "soon"], 'must be a time like "90s"'),
        (["evolve", "mnist1d", "--patience", "0"], "--patience 0: patience must be at least 1"),
        (["evolve", "mnist1d", "--slots", "0"], "--slots 0: slots must be at least 1"),
        (["evolve", "mnist1d", "--target", "accuracy"], "must be METRIC=VALUE"),
        (["evolve", "mnist1d", "--operators", "constant=-1"], "a share below 0"),
        (["check", "mnist1d", "--repeat", "0"], "'--repeat'"),
        (["runs", "--archive", "."], "that is a folder; name a file"),
    ],
)
@pytest.mark.usefixtures("small")
def test_what_is_refused(arguments: list[str], words: str, call: Call) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("guided-evolution: ")
    assert words in err


def test_a_program_of_another_run_is_not_taken_for_one_of_this(call: Call, small: SmallRun) -> None:
    from guided_evolution.archive import runs

    with small.archive.write() as connection:
        other = runs.create(
            connection,
            small_seed(has_confirm=False),
            settings=small.run.settings,
            rng_seed=1,
            evaluation_seed=2,
            sandbox="process",
        )
    assert (
        f"program 4 belongs to run {small.run.name}, not to {other.name}"
        in call("show", "4", "--run", other.name)[2]
    )
    assert call("show", "4", "--run", str(small.run.id))[0] == 0
    assert "has no scored program yet" in call("best")[2]


def test_archive_and_settings_may_stand_before_the_command(call: Call, tmp_path: Path) -> None:
    made = SmallRun(tmp_path / "other.db")
    made.archive.close()
    assert read(call, "--archive", "other.db", "runs")[0]["run"] == made.run.name
    (tmp_path / "mine.toml").write_text('archive = "other.db"\n')
    assert read(call, "--settings", "mine.toml", "runs")[0]["run"] == made.run.name
    assert read(call, "runs", "--settings", "mine.toml")[0]["run"] == made.run.name


def test_help_and_version_load_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys; sys.argv = ['gev', '--help']\n"
        "from guided_evolution import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as ending:\n    assert ending.code == 0\n"
        "heavy = {'celery', 'libcst', 'numpy', 'moocore', 'sqlalchemy', 'sqlmodel', 'pydantic', 'litellm', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "evolve" in done.stdout


def test_the_page_on_the_command_line_is_up_to_date() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == renewed(page), "run `python -m guided_evolution.cli.reference docs/cli.md`"
