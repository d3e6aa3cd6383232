"""Whole runs in this process: the real archive, Celery, operators and sandbox, on seeds that cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from guided_evolution.archive import Archive, open_archive, programs, runs
from guided_evolution.archive.leases import RunBusy
from guided_evolution.budget import Budget
from guided_evolution.errors import SeedError, SettingsError
from guided_evolution.genome import Genome
from guided_evolution.seed import Objective, Seed
from guided_evolution.session import Finished, Plan, resume_run, start_run

PROGRAM = b"""
START = 3.0
STEP = 0.5
ROUNDS = 4


def improve(x):
    x = x - STEP * x
    return x


def solve():
    x = START
    for _ in range(ROUNDS):
        x = improve(x)
    return x
"""

EVALUATE = """
from guided_evolution import Score

def evaluate(candidate, seed):
    x = candidate.call("solve")
    return Score({"loss": abs(float(x) - 1.0)}, feedback=f"x = {x}")

def confirm(candidate, seed):
    return Score({"loss": abs(float(candidate.call("solve")) - 1.0)})
"""


def seed_with(evaluate: str = EVALUATE, program: bytes = PROGRAM) -> Seed:
    return Seed(
        name="tiny",
        task="Bring x to 1.",
        files=("program.py",),
        program={"program.py": program},
        objectives=(Objective("loss", "minimize", True),),
        evaluator_source=textwrap.dedent(evaluate),
        protected=("solve",),
        has_confirm="def confirm" in evaluate,
    )


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = open_archive(str(tmp_path / "runs.db"), create=True)
    yield opened
    opened.close()


def evolve(
    archive: Archive, evaluations: int = 30, *, slots: int = 2, rng_seed: int = 1, seed: Seed | None = None
) -> Finished:
    return start_run(
        archive, seed or seed_with(), Plan(Budget(evaluations=evaluations), slots), rng_seed=rng_seed
    )


def all_programs(archive: Archive, run_id: int) -> list[dict[str, bytes]]:
    with archive.read() as connection:
        ids = (
            connection.execute(
                text("SELECT id FROM program WHERE run_id = :run ORDER BY id"), {"run": run_id}
            )
            .scalars()
            .all()
        )
        return [programs.sources(connection, one) for one in ids]


def rows(archive: Archive, query: str, **values: object) -> list[tuple[object, ...]]:
    with archive.read() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def test_a_run_gets_better_and_ends_on_exactly_its_budget(archive: Archive) -> None:
    finished = evolve(archive, 60)
    assert (finished.run.state, finished.run.reason) == ("finished", "budget of 60 evaluations reached")
    best = finished.progress.best["loss"]
    assert finished.progress.seed is not None
    assert best.metrics["loss"] < finished.progress.seed.metrics["loss"]
    counted = "SELECT count(*) FROM evaluation WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed')"
    assert rows(archive, counted) == [(60,)]
    assert rows(archive, "SELECT count(*) FROM evaluation WHERE state IN ('pending', 'running')") == [(0,)]
    confirmed = {
        row[0]
        for row in rows(
            archive, "SELECT program_id FROM evaluation WHERE purpose = 'confirm' AND state = 'scored'"
        )
    }
    assert confirmed == {finished.progress.seed.program_id, best.program_id}


def test_lineage_reaches_the_seed_program_from_everywhere(archive: Archive) -> None:
    finished = evolve(archive, 40)
    orphans = """SELECT count(*) FROM program p WHERE generation > 0
        AND NOT EXISTS (SELECT 1 FROM parentage WHERE child_id = p.id AND role = 'base')"""
    assert rows(archive, orphans) == [(0,)]
    wrong = """SELECT count(*) FROM program c WHERE generation > 0 AND generation !=
        1 + (SELECT max(p.generation) FROM parentage JOIN program p ON p.id = parent_id WHERE child_id = c.id)"""
    assert rows(archive, wrong) == [(0,)]
    for program in all_programs(archive, finished.run.id):
        assert Genome.split(program).join() == program


def test_with_one_slot_the_same_seed_gives_the_same_programs(archive: Archive) -> None:
    first, second, other = (evolve(archive, 25, slots=1, rng_seed=number) for number in (7, 7, 8))
    assert all_programs(archive, first.run.id) == all_programs(archive, second.run.id)
    assert all_programs(archive, first.run.id) != all_programs(archive, other.run.id)


def test_the_evaluation_seed_is_one_for_the_run_and_another_for_confirming(archive: Archive) -> None:
    finished = evolve(archive, 10)
    searched = rows(archive, "SELECT DISTINCT seed FROM evaluation WHERE purpose != 'confirm'")
    confirmed = rows(archive, "SELECT DISTINCT seed FROM evaluation WHERE purpose = 'confirm'")
    assert searched == [(finished.run.evaluation_seed,)]
    assert len(confirmed) == 1
    assert confirmed != searched


def test_resume_adds_to_the_budget_and_counts_what_is_there(archive: Archive) -> None:
    first = evolve(archive, 12)
    again = resume_run(archive, first.run, add=10)
    assert again.run.reason == "budget of 22 evaluations reached"
    assert again.progress.evaluations == 22
    assert again.progress.seed == first.progress.seed


def test_a_target_and_patience_end_a_run(archive: Archive) -> None:
    reached = start_run(
        archive, seed_with(), Plan(Budget(target=("loss", 0.7), evaluations=300), 2), rng_seed=3
    )
    assert reached.run.reason is not None
    assert reached.run.reason.startswith("target loss=0.7 reached with ")
    flat = seed_with(EVALUATE.replace("abs(float(x) - 1.0)}, feedback", "1.0}, feedback"))
    stuck = start_run(archive, flat, Plan(Budget(patience=15, evaluations=300), 2), rng_seed=3)
    assert stuck.run.reason == "no gain in the last 15 evaluations"
    with pytest.raises(SettingsError, match="target 'speed' is no objective of seed tiny; it has loss"):
        start_run(archive, seed_with(), Plan(Budget(target=("speed", 1.0)), 1))


def test_a_program_without_a_place_to_change_ends_the_run_with_that_reason(archive: Archive) -> None:
    barren = seed_with(
        program=b"def solve():\n    return None\n", evaluate=EVALUATE.replace("float(x)", "2.0")
    )
    finished = evolve(archive, 100, seed=replace(barren, frozen=("program.py",), has_confirm=False))
    assert finished.run.reason == "50 proposals in a row brought nothing new"
    assert finished.progress.evaluations == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('no data')", "no data"),
        ("return Score({'loss': float('nan')})", "evaluator"),
        ("return None", "evaluator"),
        ("return 'text'", "evaluator"),
        ("candidate.call('solve'); return Score({'speed': 1.0})", "no metric loss"),
        ("candidate.call('absent'); return Score({'loss': 1.0})", "absent"),
    ],
)
def test_a_seed_that_fails_its_own_evaluation_is_bad_input(archive: Archive, body: str, words: str) -> None:
    broken = seed_with(f"from guided_evolution import Score\ndef evaluate(candidate, seed):\n    {body}\n")
    with pytest.raises(SeedError, match=words):
        evolve(archive, 10, seed=broken)
    assert rows(archive, "SELECT state FROM run") == [("failed",)]


def test_candidates_that_fail_cost_only_themselves(archive: Archive) -> None:
    wild = b"""
import os, time
HOW = 0


def solve():
    how = HOW + 0.0
    if how > 30:
        os._exit(0)
    if how > 3:
        raise ValueError("too much")
    if how < -3:
        return float("nan")
    if how < 0:
        return "text"
    return how
"""
    finished = evolve(archive, 60, seed=seed_with(program=wild))
    assert finished.progress.evaluations == 60
    assert finished.progress.failures
    assert finished.progress.scored + sum(finished.progress.failures.values()) == 60


def test_a_second_controller_is_kept_out_and_told_who_is_in(archive: Archive) -> None:
    slow = seed_with(EVALUATE.replace("    x =", "    import time; time.sleep(0.3)\n    x ="))
    started = threading.Event()
    done: list[Finished] = []

    def first() -> None:
        watch = lambda progress: started.set()  # noqa: E731
        done.append(
            start_run(archive, slow, Plan(Budget(evaluations=8), 2), watch=watch, command="evolve tiny")
        )

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(20)
    with archive.read() as connection:
        run = runs.find(connection, None)
    with pytest.raises(RunBusy, match="`evolve tiny`"):
        resume_run(archive, run)
    thread.join(30)
    assert done[0].progress.evaluations == 8


def test_pause_resume_and_stop_are_obeyed(archive: Archive) -> None:
    slow = seed_with(EVALUATE.replace("    x =", "    import time; time.sleep(0.05)\n    x ="))
    done: list[Finished] = []
    thread = threading.Thread(
        target=lambda: done.append(start_run(archive, slow, Plan(Budget(evaluations=5000), 2)))
    )
    thread.start()

    def wait_for(query: str) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if rows(archive, query):
                return
            time.sleep(0.05)
        raise AssertionError(f"never: {query}")

    def command(kind: str) -> None:
        with archive.write() as connection:
            runs.command(connection, runs.find(connection, None).id, kind)

    wait_for("SELECT 1 FROM evaluation WHERE state = 'scored' AND purpose = 'search'")
    command("pause")
    wait_for("SELECT 1 FROM run WHERE state = 'paused'")
    time.sleep(0.5)
    before = rows(archive, "SELECT count(*) FROM proposal")
    time.sleep(0.5)
    assert rows(archive, "SELECT count(*) FROM proposal") == before
    command("resume")
    wait_for("SELECT 1 FROM run WHERE state = 'running'")
    command("stop")
    thread.join(30)
    assert (done[0].run.state, done[0].run.reason) == ("stopped", "stopped by command")


CHILD = """
import sys, json
from guided_evolution.archive import open_archive, runs
from guided_evolution.budget import Budget
from guided_evolution.session import Plan, start_run, resume_run
from guided_evolution.seed import Seed
archive = open_archive(sys.argv[1], create=True)
if sys.argv[2] == "start":
    start_run(archive, Seed.from_json(sys.stdin.read()), Plan(Budget(evaluations=int(sys.argv[3])), 2), rng_seed=5)
else:
    with archive.read() as connection: run = runs.find(connection, None)
    resume_run(archive, run)
"""


def test_killed_and_resumed_a_run_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    where = str(tmp_path / "killed.db")
    slow = seed_with(EVALUATE.replace("    x =", "    import time; time.sleep(0.02)\n    x ="))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, where, "start", "60"], stdin=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    child.stdin.write(slow.to_json())
    child.stdin.close()
    deadline = time.monotonic() + 30
    archive = None
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if archive is None and Path(where).exists():
            try:
                archive = open_archive(where)
            except Exception:  # noqa: BLE001 - the child is still making it
                continue
        if (
            archive is not None
            and len(rows(archive, "SELECT 1 FROM evaluation WHERE state = 'scored'")) >= 10
        ):
            break
    assert archive is not None
    children = descendants(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = rows(
        archive,
        "SELECT id, metrics, finished_at FROM evaluation WHERE state IN ('scored', 'failed') ORDER BY id",
    )
    assert len(kept) >= 10
    subprocess.run([sys.executable, "-c", CHILD, where, "resume"], check=True, timeout=60)
    final = rows(
        archive,
        "SELECT id, metrics, finished_at FROM evaluation WHERE state IN ('scored', 'failed') ORDER BY id",
    )
    assert [row for row in final if row in kept] == kept
    counted = "FROM evaluation WHERE purpose != 'confirm' AND state IN ('scored', 'failed')"
    assert rows(archive, f"SELECT count(*), count(DISTINCT program_id) {counted}") == [(60, 60)]
    ending = ("finished", "budget of 60 evaluations reached")
    assert rows(archive, "SELECT state, reason FROM run") == [ending]
    assert not [pid for pid in children if alive(pid)]
    archive.close()


def descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat")).read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
