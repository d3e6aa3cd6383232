"""A controller on PostgreSQL and real Redis, with workers that only pretend: `python -m bench.distributed [PART …]`.

controller   finished candidates a second at 1,000 and 100,000 programs, with CPU, memory and the time to resume
slots        1,000 slots whose evaluations take 10 s: the share of the time that they are busy
hosts        real evaluate workers on waiting evaluations: two processes of two slots against one
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from bench.free_seed import free_seed
from guided_evolution.archive import Archive, evaluations, open_archive, programs, proposals, runs
from guided_evolution.archive.evaluations import Result
from guided_evolution.budget import Budget
from guided_evolution.genome import Genome
from guided_evolution.progress import Progress
from guided_evolution.session import Plan, resume_run
from guided_evolution.station import NOTHING, Station
from tests.cluster import Cluster, write_seed
from tests.services import PostgreSQL, Redis

PROGRAMS = (1_000, 100_000)
_MEASURED, _WARM_UP = 1_500, 300
_GENES = {"program.py": [(b"g" * 16, b"x = 1\n")]}


class Pretender:
    """What workers do to the archive, without the work."""

    def __init__(self, archive: Archive, seconds: float) -> None:
        self._archive = archive
        self._seconds = seconds

    def propose(self, proposal_id: int, worker_id: int) -> int | None:
        def claim(connection: Connection) -> proposals.Claimed | None:
            return proposals.claim(connection, proposal_id, worker_id, "t")

        claimed = self._archive.transact(claim)
        if claimed is None:
            return NOTHING

        def store(connection: Connection) -> int:
            new = programs.NewProgram(f"1:b{proposal_id}", 10, _GENES)
            program_id = programs.add(
                connection, claimed.run_id, new, generation=1, proposal_id=claimed.id, parents=claimed.parents
            )
            proposals.settle(connection, claimed, "accepted", program_id=program_id)
            run = runs.get(connection, claimed.run_id)
            assert program_id is not None
            return evaluations.add(
                connection,
                run_id=run.id,
                program_id=program_id,
                proposal_id=claimed.id,
                purpose="search",
                seed=run.evaluation_seed,
                scoring_version=run.scoring_version,
            )

        return self._archive.transact(store)

    def evaluate(self, evaluation_id: int, worker_id: int) -> int | None:
        def claim(connection: Connection) -> evaluations.Claimed | None:
            claimed = evaluations.claim(connection, evaluation_id, worker_id, "t")
            if claimed is not None:
                programs.sources(connection, claimed.program_id)
            return claimed

        claimed = self._archive.transact(claim)
        if claimed is None:
            return NOTHING
        time.sleep(self._seconds)
        metrics = {"loss": 2.0 + random.random(), "width": 5.0 + random.random()}
        result = Result("scored", metrics=metrics, seconds=self._seconds, sandbox="none")
        self._archive.transact(lambda connection: evaluations.finish(connection, claimed, result))
        return None


def pretend(queue: str, where: str, broker: str, slots: int, seconds: float) -> None:
    """Serve a queue until killed. A process has one Celery loop, so each queue has a process of its own."""
    archive = open_archive(where)
    pretender = Pretender(archive, seconds)
    if queue == "propose":
        Station(archive, broker, "propose", 8, pretender.propose, abort=lambda: None, grace=0.0).serve()
    else:
        Station(archive, broker, "evaluate", slots, pretender.evaluate, abort=lambda: None, grace=0.0).serve()


def fill(archive: Archive, count: int) -> runs.StoredRun:
    """A run of so many scored programs, made by the server itself."""
    seed = free_seed(0.0)
    plan = Plan(Budget(evaluations=count), slots=2)
    with archive.write() as connection:
        run = runs.create(
            connection, seed, settings=plan.to_json(), rng_seed=1, evaluation_seed=2, sandbox="process"
        )
        genome = Genome.split(seed.program)
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            "INSERT INTO gene (id, hash, source) VALUES (1, %s, %s)", (b"g" * 16, b"x = 1\n")
        )
        numbers = f"generate_series(1, {count}) AS n(i)"
        for statement in (
            f"""INSERT INTO proposal (id, run_id, number, operator, parents, state, attempt, program_id, created_at)
                SELECT i, 1, i - 1, CASE i WHEN 1 THEN 'seed' ELSE 'constant' END, '[]', 'accepted', 1, i, 0
                FROM {numbers}""",
            f"""INSERT INTO program (id, run_id, proposal_id, fingerprint, generation, genome, size)
                SELECT i, 1, i, '1:f' || i, 1, '{{"program.py":[1]}}', {genome.size} FROM {numbers}""",
            f"""INSERT INTO evaluation (id, run_id, program_id, proposal_id, purpose, seed, attempt, state, metrics,
                scoring_version, created_at, finished_at, seconds) SELECT i, 1, i, i,
                CASE i WHEN 1 THEN 'seed' ELSE 'search' END, 2, 1, 'scored',
                json_build_object('loss', 2 + random(), 'width', 5 + random()), '{seed.scoring_version}', 0, i, 0.01
                FROM {numbers}""",
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        for table in ("proposal", "program", "evaluation", "gene"):
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {count + 1})")
    with archive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return run


@contextmanager
def services() -> Iterator[tuple[PostgreSQL, Redis]]:
    postgres, redis = PostgreSQL(), Redis()
    try:
        yield postgres, redis
    finally:
        redis.close()
        postgres.close()


@contextmanager
def pretenders(where: str, broker: str, slots: int, seconds: float) -> Iterator[None]:
    more = [where, broker, str(slots), str(seconds)]
    processes = [
        subprocess.Popen([sys.executable, "-m", "bench.distributed", "pretend", queue, *more])
        for queue in ("propose", "evaluate")
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def controller(count: int) -> dict[str, float]:
    """Rate, CPU of the controller's process, its memory, and how soon it proposes."""
    with services() as (postgres, redis):
        where = postgres.new_database()
        archive = open_archive(where, create=True)
        run = fill(archive, count)
        seen: list[tuple[int, float, float]] = []

        def watch(progress: Progress) -> None:
            if progress.evaluations >= count + _WARM_UP:
                seen.append((progress.evaluations, time.perf_counter(), time.process_time()))

        with pretenders(where, redis.url, 16, 0.0):
            time.sleep(4.0)
            began = time.time()
            resume_run(archive, run, add=_WARM_UP + _MEASURED, broker=redis.url, watch=watch)
        first = archive.look(
            lambda connection: connection.exec_driver_sql(
                f"SELECT min(created_at) FROM proposal WHERE number >= {count}"
            ).scalar_one()
        )
        archive.close()
    (low, then, cpu_then), (high, now, cpu_now) = seen[0], seen[-1]
    return {
        "per_second": (high - low) / (now - then),
        "cpu_ms": 1000 * (cpu_now - cpu_then) / (high - low),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "resume_seconds": first - began,
    }


def slots(count: int = 1_000, seconds: float = 10.0, window: float = 30.0) -> float:
    """The share of a window in the middle of a run for which the slots evaluate."""
    with services() as (postgres, redis):
        where = postgres.new_database()
        archive = open_archive(where, create=True)
        run = fill(archive, 1_000)
        with pretenders(where, redis.url, count, seconds):
            time.sleep(5.0)
            resume_run(archive, run, add_seconds=2 * seconds + window + 15.0, add=10**6, broker=redis.url)
        query = f"""WITH moments AS (SELECT min(started_at) + {1.5 * seconds} AS low FROM evaluation WHERE id > 1001)
            SELECT sum(least(coalesce(finished_at, 1e12), low + {window}) - greatest(started_at, low))
            FROM evaluation, moments
            WHERE id > 1001 AND started_at < low + {window} AND coalesce(finished_at, 1e12) > low"""
        busy = archive.look(lambda connection: connection.exec_driver_sql(query).scalar_one())
        archive.close()
    return float(busy) / (window * count)


def hosts(wait: float = 0.5, count: int = 60) -> float:
    """How much faster two evaluate workers are than one."""
    rates = []
    for number in (1, 2):
        with services() as (postgres, redis), tempfile.TemporaryDirectory() as folder:
            cluster = Cluster(postgres, redis, Path(folder))
            try:
                cluster.worker("propose", 2)
                for _ in range(number):
                    cluster.worker("evaluate", 2)
                time.sleep(6.0)
                run = cluster.start(
                    "evolve", str(write_seed(cluster.folder, wait)), "--evaluations", str(count)
                )
                run.wait(300)
                ((span,),) = cluster.rows(
                    "SELECT max(finished_at) - min(started_at) FROM evaluation WHERE purpose = 'search'"
                )
                rates.append((count - 1) / span)
            finally:
                cluster.close()
    print(f"one worker {rates[0]:.2f}/s, two {rates[1]:.2f}/s")
    return rates[1] / rates[0]


def main(parts: list[str]) -> None:
    """Measure and print."""
    if parts[:1] == ["pretend"]:
        pretend(parts[1], parts[2], parts[3], int(parts[4]), float(parts[5]))
        return
    if "controller" in parts:
        for count in PROGRAMS:
            figures = ", ".join(f"{name} {value:.2f}" for name, value in controller(count).items())
            print(f"controller at {count:,} programs: {figures}", flush=True)
    if "slots" in parts:
        print(f"1,000 slots of 10 s: {100 * slots():.1f} % busy", flush=True)
    if "hosts" in parts:
        print(f"two evaluate workers: {hosts():.2f} times the rate of one", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["controller", "slots", "hosts"])
