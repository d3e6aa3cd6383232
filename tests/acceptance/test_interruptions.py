"""Whoever ends a run, and how: what is finished is kept, the exit code says it, and `resume` goes on."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import document, gev, here, start, write_seed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_seed(tmp_path / "slow", wait=0.15)
    return tmp_path


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the slow seed's run; whatever is left of it when the test ends is killed."""
    children = []

    def start_it(home: Path, *arguments: str) -> subprocess.Popen[str]:
        children.append(start("evolve", "./slow", "--slots", "2", *arguments, cwd=home))
        return children[-1]

    yield start_it
    for child in children:
        child.kill()
        child.communicate()


Begin = Callable[..., subprocess.Popen[str]]


def begun(begin: Begin, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run that has evaluated something and goes on."""
    child = begin(home, *arguments)
    wait_for(child, home, lambda count: count["scored"] + count["failed"] >= 3)
    return child


def wait_for(child: subprocess.Popen[str], home: Path, done: Callable[[Counter[str]], bool]) -> None:
    """Wait until `done` is true of the numbers of evaluations by state; reads the archive without a command."""
    give_up = time.monotonic() + 120
    counts: Counter[str] = Counter()
    while time.monotonic() < give_up:
        time.sleep(0.05)
        if child.poll() is not None:
            raise AssertionError(f"the run has ended with {child.returncode}: {child.communicate()}")
        if not (home / "guided-evolution.db").exists():
            continue
        with contextlib.closing(sqlite3.connect(home / "guided-evolution.db", timeout=30)) as archive:
            try:
                counts = Counter(
                    dict(archive.execute("SELECT state, count(*) FROM evaluation GROUP BY state").fetchall())
                )
            except sqlite3.OperationalError:
                continue  # the tables aren't made yet
        if done(counts):
            return
    raise AssertionError(f"it never came to that: {counts}")


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.parametrize(
    ("number", "name", "code"),
    [(signal.SIGINT, "Ctrl-C", 0), (signal.SIGTERM, "SIGTERM", 3), (signal.SIGHUP, "SIGHUP", 3)],
)
def test_a_signal_stops_cleanly_and_resume_goes_on(
    begin: Begin, home: Path, number: int, name: str, code: int
) -> None:
    child = begun(begin, home, "--evaluations", "25")
    child.send_signal(number)
    left, out, err = ended(child)
    assert (left, err) == (code, ""), (out, err)
    assert f"stopped by {name}" in out
    assert "guided-evolution resume" in out
    stopped = document("status", cwd=home)
    assert (stopped["state"], stopped["reason"]) == ("stopped", f"stopped by {name}")
    assert 3 <= stopped["evaluations"] < 25
    assert stopped["at_work"] == 0, "what was at work is finished, what wasn't begun isn't made"
    assert here("doctor", cwd=home).returncode == 0
    done = gev("resume", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    finished = document("status", cwd=home)
    assert (finished["run"], finished["state"], finished["evaluations"]) == (stopped["run"], "finished", 25)
    assert here("doctor", cwd=home).returncode == 0


def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(begin: Begin, tmp_path: Path) -> None:
    write_seed(tmp_path / "slow", wait=2, seconds=60)
    child = begin(tmp_path, "--evaluations", "3")
    wait_for(child, tmp_path, lambda count: count["scored"] == 1 and count["running"] > 0)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None, "the first one waits for what is at work"
    child.send_signal(signal.SIGINT)
    code, out, err = ended(child)
    assert code == 3, (out, err)
    assert "ended at once" in err
    assert "guided-evolution resume" in err
    assert document("runs", cwd=tmp_path)[0]["state"] == "interrupted"
    assert here("doctor", cwd=tmp_path).returncode == 0
    done = gev("resume", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert document("status", cwd=tmp_path)["evaluations"] == 3


def test_pause_resume_and_stop_from_elsewhere(begin: Begin, home: Path) -> None:
    child = begun(begin, home, "--evaluations", "500")
    assert "is paused" in gev("pause", cwd=home).stdout
    wait_for(child, home, lambda count: count["running"] == 0)
    paused = document("status", cwd=home)
    assert paused["state"] == "paused"
    time.sleep(0.5)
    assert document("status", cwd=home)["evaluations"] == paused["evaluations"]
    refused = gev("resume", "--add", "5", cwd=home)
    assert refused.returncode == 2
    assert "is driven by" in refused.stderr
    assert "goes on where it runs" in gev("resume", cwd=home).stdout
    wait_for(child, home, lambda count: count["scored"] + count["failed"] > paused["evaluations"])
    assert "is stopped" in gev("stop", cwd=home).stdout
    code, out, err = ended(child)
    assert (code, err) == (0, "")
    assert "stopped by command" in out


def test_a_killed_run_is_interrupted_and_goes_on(begin: Begin, home: Path) -> None:
    child = begun(begin, home, "--evaluations", "15")
    child.kill()
    child.communicate()
    killed = document("status", cwd=home)
    assert killed["state"] == "interrupted"
    assert "goes on" in here("status", cwd=home).stdout
    done = gev("resume", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert document("status", cwd=home)["evaluations"] == 15
    assert here("doctor", cwd=home).returncode == 0


def test_a_finished_run_takes_more_budget_and_confirms_nothing_twice(tmp_path: Path) -> None:
    write_seed(tmp_path / "tiny")
    gev("evolve", "./tiny", "--evaluations", "5", "--slots", "1", cwd=tmp_path)
    assert gev("resume", cwd=tmp_path).returncode == 0
    seed = document("show", "seed", cwd=tmp_path)
    assert [one["purpose"] for one in seed["evaluations"]] == ["seed", "confirm"]
    done = gev("resume", "--add", "4", cwd=tmp_path)
    assert "budget of 9 evaluations reached" in done.stdout
    done = gev("resume", "--add-time", "1s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    gev("evolve", "./tiny", "--time", "1s", cwd=tmp_path)
    refused = gev("resume", "--add", "4", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--add-time" in refused.stderr


def test_a_run_outlives_whoever_reads_its_output(begin: Begin, home: Path) -> None:
    child = begin(home, "--evaluations", "12")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert (child.stderr.read(), child.wait(60)) == ("", 0)
    assert document("status", cwd=home)["evaluations"] == 12
