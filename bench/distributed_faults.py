"""Kill anything of a run on several processes, Redis and PostgreSQL, and see that nothing is lost.

    python -m bench.distributed_faults [--schedules N] [--first SEED] [--evaluations N] [--faults N]

A schedule is a run of 500 evaluations, half of them proposed by a model, with two propose and two evaluate workers. At
random moments something is killed with `kill -9` and started again: the controller, a worker, a runner, Redis (which
then has forgotten everything), PostgreSQL; or Redis is emptied, a worker is stopped for some seconds, or gets SIGTERM.
Then: every result seen after a fault is still there, each program counts once, no reply was bought twice, the budget is
met exactly, `doctor` finds nothing, and no process is left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.instant_model import instant_model
from bench.processes import adopt_orphans, descendants, left_over
from guided_evolution.archive import open_archive
from guided_evolution.doctor import examine
from tests.cluster import Cluster, write_seed
from tests.services import PostgreSQL, Redis

EVALUATIONS = 500
FAULTS = (
    "kill controller",
    "kill propose worker",
    "kill evaluate worker",
    "kill runner",
    "kill redis",
    "empty redis",
    "kill postgres",
    "restart postgres",
    "stop worker",
    "SIGTERM worker",
)
_EACH = 2
_SLOTS = 2
_PATIENCE = 300.0
_CHANGED = "purpose, state, metrics::text, finished_at"


@dataclass
class Report:
    """What a schedule did and what was wrong afterwards; `problems` should be empty."""

    number: int
    faults: list[str] = field(default_factory=list)
    final: int = 0
    lost_attempts: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Fleet:
    """The processes of one run by role; what was killed is started again, as a supervisor would."""

    def __init__(self, cluster: Cluster, words: list[str]) -> None:
        self.cluster = cluster
        self.workers = {
            queue: [self._worker(queue) for _ in range(_EACH)] for queue in ("propose", "evaluate")
        }
        self.controller = cluster.start(*words)
        self._words = words

    def keep_up(self) -> bool:
        """Start again what has ended; False once the run is over."""
        for queue, processes in self.workers.items():
            for place, process in enumerate(processes):
                if process.poll() is not None:
                    processes[place] = self._worker(queue)
        if self.controller.poll() is None:
            return True
        if self.controller.returncode == 0:
            return False
        self.controller = self.cluster.start(*(["resume"] if self.has_run() else self._words))
        return True

    def has_run(self) -> bool:
        try:
            return bool(self.cluster.rows("SELECT 1 FROM lease"))
        except Exception:  # noqa: BLE001 - no server or no tables: there is none yet
            return False

    def end(self) -> list[int]:
        """Exit codes of the workers, told to end by SIGTERM."""
        every = [process for processes in self.workers.values() for process in processes]
        for process in every:
            process.terminate()
        return [process.wait(60) for process in every]

    def _worker(self, queue: str) -> subprocess.Popen[bytes]:
        more = ["--grace", "5"]
        return self.cluster.start(
            "worker", "--queue", queue, "--concurrency", str(_SLOTS), *more, log=queue, OPENAI_API_KEY="none"
        )


def schedule(
    number: int, services: tuple[PostgreSQL, Redis], evaluations: int, faults: int, wait: float
) -> Report:
    """Run one schedule; the same number gives the same faults, if not the same moments."""
    rng = random.Random(number)
    report = Report(number)
    began = time.monotonic()
    postgres, redis = services
    redis.flush()
    planned = [rng.choice(FAULTS) for _ in range(faults)]
    with tempfile.TemporaryDirectory(prefix="ge-faults-") as folder, instant_model(0.1) as model:
        cluster = Cluster(postgres, redis, Path(folder))
        seed = write_seed(cluster.folder, wait)
        words = [
            "evolve",
            str(seed),
            "--evaluations",
            str(evaluations),
            "--rng-seed",
            str(number),
            "--sandbox",
        ]
        words += ["process", "--model", "instant", "--base-url", model.url, "--no-cap"]
        words += ["--operators", "mutate=1,constant=1"]
        fleet = Fleet(cluster, words)
        try:
            _go_through(fleet, planned, rng, report)
            codes = fleet.end()
            if any(codes):
                report.problems.append(f"workers ended with {codes}: {cluster.said('evaluate')[-300:]}")
            _judge(cluster, evaluations, report)
        finally:
            cluster.close()
    report.seconds = time.monotonic() - began
    return report


def _go_through(fleet: Fleet, planned: list[str], rng: random.Random, report: Report) -> None:
    deadline = time.monotonic() + _PATIENCE
    kept: dict[int, tuple[Any, ...]] = {}
    next_fault = time.monotonic() + rng.uniform(2.0, 4.0)
    while fleet.keep_up():
        if time.monotonic() > deadline:
            report.problems.append(f"not over after {_PATIENCE:g} s: {fleet.cluster.said()[-400:]}")
            return
        if planned and time.monotonic() > next_fault and fleet.has_run():
            fault = planned.pop(0)
            report.faults.append(fault)
            _strike(fleet, fault, rng)
            kept |= _final(fleet.cluster, report, kept)
            next_fault = time.monotonic() + rng.uniform(0.5, 3.0)
        time.sleep(0.1)
    _final(fleet.cluster, report, kept)


def _strike(fleet: Fleet, fault: str, rng: random.Random) -> None:
    postgres, redis = fleet.cluster.postgres, fleet.cluster.redis
    any_worker = rng.choice([*fleet.workers["propose"], *fleet.workers["evaluate"]])
    if fault == "kill controller":
        fleet.controller.kill()
        fleet.controller.wait()
    elif fault == "kill propose worker":
        rng.choice(fleet.workers["propose"]).kill()
    elif fault == "kill evaluate worker":
        rng.choice(fleet.workers["evaluate"]).kill()
    elif fault == "kill runner":
        runners = [pid for depth, pid in descendants(rng.choice(fleet.workers["evaluate"]).pid) if depth == 1]
        if runners:
            os.kill(rng.choice(runners), signal.SIGKILL)
    elif fault in ("kill redis", "empty redis"):
        if fault == "kill redis":
            redis.kill()
            time.sleep(rng.uniform(0.0, 1.0))
            redis.start()
        else:
            redis.flush()
    elif fault in ("kill postgres", "restart postgres"):
        if fault == "kill postgres":
            postgres.kill()
        else:
            postgres.stop("fast")
        time.sleep(rng.uniform(0.0, 1.0))
        postgres.start()
    elif fault == "stop worker":
        any_worker.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.5, 4.0))
        any_worker.send_signal(signal.SIGCONT)
    else:
        any_worker.terminate()


def _final(cluster: Cluster, report: Report, kept: dict[int, tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    """The final evaluations as they stand now; those seen earlier must be as they were."""
    query = f"SELECT id, {_CHANGED} FROM evaluation WHERE state IN ('scored', 'failed')"
    now = {row[0]: row for row in cluster.rows(query)}
    lost = [row for row, value in kept.items() if now.get(row) != value]
    if lost:
        report.problems.append(f"{len(lost)} finished evaluations lost or changed: {lost[:5]}")
    return now


def _judge(cluster: Cluster, evaluations: int, report: Report) -> None:
    counted = "FROM evaluation WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed')"
    ((final, programs),) = cluster.rows(f"SELECT count(*), count(DISTINCT program_id) {counted}")
    report.final = final
    if (final, programs) != (evaluations, evaluations):
        report.problems.append(f"{final} results over {programs} programs for a budget of {evaluations}")
    bought = """SELECT proposal_id FROM completion WHERE state = 'answered'
        GROUP BY proposal_id, purpose, turn HAVING count(*) > 1"""
    if twice := cluster.rows(bought):
        report.problems.append(f"replies bought twice, for proposals {twice[:5]}")
    ((report.lost_attempts,),) = cluster.rows("SELECT count(*) FROM evaluation WHERE state = 'lost'")
    if killers := cluster.rows("SELECT id FROM evaluation WHERE kind = 'killed-worker'"):
        report.problems.append(f"{len(killers)} innocent programs failed as killers of workers")
    archive = open_archive(cluster.archive)
    report.problems += [f"doctor: {where}: {problem}" for where, problem in examine(archive)]
    archive.close()


@contextmanager
def _services() -> Iterator[tuple[PostgreSQL, Redis]]:
    postgres = PostgreSQL()
    redis = Redis()
    try:
        yield postgres, redis
    finally:
        redis.close()
        postgres.close()


def main() -> int:
    """Run the schedules one after the other; 1 if any had a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    parser.add_argument("--faults", type=int, default=12)
    parser.add_argument("--wait", type=float, default=0.15, help="seconds that an evaluation waits")
    options = parser.parse_args()
    adopt_orphans()
    struck: Counter[str] = Counter()
    bad = 0
    for number in range(options.first, options.first + options.schedules):
        with _services() as services:
            report = schedule(number, services, options.evaluations, options.faults, options.wait)
        if left := left_over():
            report.problems.append(f"{len(left)} processes left")
        struck.update(report.faults)
        bad += bool(report.problems)
        print(
            f"{number}: {', '.join(report.faults)}; {report.final} final, {report.lost_attempts} attempts lost "
            f"with their workers, {report.seconds:.0f} s",
            flush=True,
        )
        for problem in report.problems:
            print(f"   {problem}", flush=True)
    summary = ", ".join(f"{count} x {fault}" for fault, count in struck.most_common())
    print(f"{options.schedules - bad} of {options.schedules} schedules without a problem ({summary})")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
