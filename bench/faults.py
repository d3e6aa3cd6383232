"""Kill a run at random moments and see that nothing is lost: `python -m bench.faults [--schedules N] [--first SEED]`.

A schedule is a run of 300 evaluations through the real command, hit by one to four faults: the command, the runner, a
zygote or a candidate is killed; the command gets SIGTERM or SIGHUP; or everything is stopped for some seconds. Whenever
the command ends early, `resume` goes on. Then: every result seen after a fault is still there, each program counts
once, the budget is met exactly, `doctor` finds nothing, and no process is left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import empty_folder
from bench.processes import adopt_orphans, descendants, left_over
from bench.startup import command
from guided_evolution.archive import open_archive
from guided_evolution.doctor import examine

EVALUATIONS = 300
FAULTS = ("kill command", "kill runner", "kill zygote", "kill candidate", "SIGTERM", "SIGHUP", "sleep")
_DEPTH = {"kill runner": 1, "kill zygote": 2, "kill candidate": 3}
_SLOTS = 3
_PATIENCE = 120.0

_SEED_TOML = """
name = "faults"
files = ["program.py"]
protected = ["solve"]
[[objectives]]
metric = "loss"
direction = "minimize"
"""
_PROGRAM = """
START = 3.0
STEP = 0.5
ROUNDS = 4


def improve(x):
    return x - STEP * x


def solve():
    x = START
    for _ in range(ROUNDS):
        x = improve(x)
    return float(x)
"""
_EVALUATE = """
import random
import time
from guided_evolution import Score

def evaluate(candidate, seed):
    time.sleep(0.005 + 0.03 * random.random())
    return Score({"loss": abs(candidate.call("solve") - 1.0)})
"""


@dataclass
class Report:
    """What a schedule did and what was wrong afterwards; `problems` should be empty."""

    number: int
    faults: list[str] = field(default_factory=list)
    resumed: int = 0
    final: int = 0
    problems: list[str] = field(default_factory=list)


def schedule(number: int, folder: Path, *, evaluations: int = EVALUATIONS, sleep: float = 3.0) -> Report:
    """Run one schedule in an empty folder; the same number gives the same faults, if not the same moments."""
    rng = random.Random(number)
    report = Report(number)
    seed, archive = write_seed(folder), folder / "runs.db"
    faults = [rng.choice(FAULTS) for _ in range(rng.randint(1, 4))]
    if number % 2 == 0:
        faults[0] = "kill command"  # the one that everything else is measured by
    moments = sorted(rng.randrange(evaluations) for _ in faults)
    if number % 5 == 4:
        moments[0] = -1  # while the command still starts
    planned = list(zip(moments, faults, strict=True))
    words = ["evolve", str(seed), "--evaluations", str(evaluations), "--slots", str(_SLOTS)]
    kept: dict[int, tuple[object, ...]] = {}
    while True:
        process = _start(words, archive)
        ended = _hit(process, planned, archive, rng, report, kept, sleep)
        kept |= _final(archive, report, kept)
        if left := left_over():
            report.problems.append(f"left behind: {[_words(pid) for pid in left]}")
        if ended == 0 and _state(archive) == "finished":
            break
        if report.resumed > len(report.faults) + 3:
            report.problems.append(f"never finished; last exit {ended}: {_said(folder)}")
            break
        if _state(archive) is not None:
            words = ["resume"]
            report.resumed += 1
    _judge(archive, evaluations, report)
    return report


def _hit(
    process: subprocess.Popen[bytes],
    planned: list[tuple[int, str]],
    archive: Path,
    rng: random.Random,
    report: Report,
    kept: dict[int, tuple[object, ...]],
    sleep: float,
) -> int:
    """Hit the running command when so many evaluations are finished, or (at -1) soon; its exit code."""
    while planned:
        moment, fault = planned[0]
        while moment >= 0 and len(_final(archive, report, kept)) < moment:
            if _ended_within(process, 0.02):
                return process.returncode
        if _ended_within(process, rng.uniform(0, 0.1 if moment >= 0 else 1.5)):
            return process.returncode
        planned.pop(0)
        report.faults.append(fault)
        _strike(process.pid, fault, rng, sleep)
        kept |= _final(archive, report, kept)
        if fault in ("kill command", "SIGTERM", "SIGHUP"):
            break
    if not _ended_within(process, _PATIENCE):
        report.problems.append(f"the command hung for {_PATIENCE:g} s")
        process.kill()
    return process.wait()


def _strike(pid: int, fault: str, rng: random.Random, sleep: float) -> None:
    if fault == "sleep":
        everything = [pid, *(child for _, child in descendants(pid))]
        _signal(everything, signal.SIGSTOP)
        time.sleep(sleep)
        _signal(everything, signal.SIGCONT)
    elif fault in ("SIGTERM", "SIGHUP"):
        _signal([pid], signal.Signals[fault])
    elif fault == "kill command":
        _signal([pid], signal.SIGKILL)
    else:
        at_depth = [child for depth, child in descendants(pid) if depth == _DEPTH[fault]]
        if at_depth:
            _signal([rng.choice(at_depth)], signal.SIGKILL)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _start(words: list[str], archive: Path) -> subprocess.Popen[bytes]:
    with (archive.parent / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [command(), *words, "--archive", str(archive)],
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _final(
    archive: Path, report: Report, kept: dict[int, tuple[object, ...]]
) -> dict[int, tuple[object, ...]]:
    """The final evaluations as they stand now; those seen earlier must be as they were."""
    if not archive.exists():
        return {}
    connection = sqlite3.connect(f"file:{archive}?mode=ro", uri=True)
    try:
        query = "SELECT id, program_id, state, metrics, finished_at FROM evaluation WHERE state IN ('scored', 'failed')"
        now = {row[0]: tuple(row) for row in connection.execute(query)}
    except sqlite3.OperationalError:  # the tables aren't there yet
        return {}
    finally:
        connection.close()
    lost = [row for row, value in kept.items() if now.get(row) != value]
    if lost:
        report.problems.append(f"{len(lost)} finished evaluations lost or changed: {lost[:5]}")
    return now


def _state(archive: Path) -> str | None:
    """The state of the archive's run; None if it was killed before there was one."""
    if not archive.exists():
        return None
    connection = sqlite3.connect(f"file:{archive}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT state FROM run").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])


def _judge(archive: Path, evaluations: int, report: Report) -> None:
    connection = sqlite3.connect(archive)
    counted = "FROM evaluation WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed')"
    final, programs = connection.execute(f"SELECT count(*), count(DISTINCT program_id) {counted}").fetchone()
    connection.close()
    report.final = final
    if (final, programs) != (evaluations, evaluations):
        report.problems.append(f"{final} results over {programs} programs for a budget of {evaluations}")
    opened = open_archive(str(archive))
    report.problems += [f"doctor: {where}: {problem}" for where, problem in examine(opened)]
    opened.close()


def write_seed(folder: Path) -> Path:
    """A seed whose evaluation takes some milliseconds; its folder."""
    seed = folder / "faults"
    seed.mkdir()
    for name, text in (
        ("seed.toml", _SEED_TOML),
        ("task.md", "Bring x to 1."),
        ("program.py", _PROGRAM),
        ("evaluate.py", _EVALUATE),
    ):
        (seed / name).write_text(text)
    return seed


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return f"process {pid}"


def _said(folder: Path) -> str:
    return (folder / "said.txt").read_text(errors="replace")[-400:]


def main() -> int:
    """Run the schedules one after the other; 1 if any had a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sleep", type=float, default=3.0, help="seconds that a stopped run sleeps")
    options = parser.parse_args()
    adopt_orphans()
    struck: Counter[str] = Counter()
    bad = 0
    for number in range(options.first, options.first + options.schedules):
        with empty_folder() as folder:
            report = schedule(number, folder, sleep=options.sleep)
        struck.update(report.faults)
        bad += bool(report.problems)
        faults = ", ".join(report.faults) or "none in time"
        print(f"{number}: {faults}; resumed {report.resumed}; {report.final} final", flush=True)
        for problem in report.problems:
            print(f"   {problem}", flush=True)
    summary = ", ".join(f"{count} x {fault}" for fault, count in struck.most_common())
    print(f"{options.schedules - bad} of {options.schedules} schedules without a problem ({summary})")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
