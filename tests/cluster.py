"""A run on several processes, as a user starts it: the real command, a real broker, a real archive."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import psycopg

from tests.services import PostgreSQL, Redis, wait_until

PROGRAM = """START = 3.0
STEP = 0.5
WIDTH = 7.0


def solve():
    return [START, STEP, WIDTH]
"""

EVALUATE = """import time
from guided_evolution import Score

def evaluate(candidate, seed):
    start, step, width = candidate.call("solve")
    time.sleep({wait})
    return Score({{"loss": abs(start - 1.0) + abs(step - 2.0) + abs(width)}})
"""

SEED = """name = "waiting"
files = ["program.py"]
protected = ["solve"]

[[objectives]]
metric = "loss"
direction = "minimize"
primary = true

[limits]
seconds = 30
"""


def write_seed(folder: Path, wait: float) -> Path:
    """A seed whose evaluations wait so many seconds and cost nothing else."""
    place = folder / "waiting"
    place.mkdir(exist_ok=True)
    (place / "seed.toml").write_text(SEED)
    (place / "program.py").write_text(PROGRAM)
    (place / "task.md").write_text("Bring START to 1, STEP to 2 and WIDTH to 0.\n")
    (place / "evaluate.py").write_text(EVALUATE.format(wait=wait))
    return place


class Cluster:
    """Processes that share one archive and one broker; all are killed in the end."""

    def __init__(self, postgres: PostgreSQL, redis: Redis, folder: Path, *, broker: int = 0) -> None:
        self.postgres = postgres
        self.redis = redis
        self.folder = folder
        self.archive = postgres.new_database()
        url = redis.url.removesuffix("/0") + f"/{broker}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GUIDED_EVOLUTION")},
            "GUIDED_EVOLUTION_ARCHIVE": self.archive,
            "GUIDED_EVOLUTION_BROKER": url,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[bytes]] = []

    def start(self, *words: str, log: str = "command", **environment: str) -> subprocess.Popen[bytes]:
        """Start `guided-evolution WORDS`; what it says goes to a file named `log`."""
        file = (self.folder / f"{log}.log").open("ab")
        self._logs.append(file)
        process = subprocess.Popen(
            [sys.executable, "-m", "guided_evolution.cli", *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=self.folder,
        )
        self.processes.append(process)
        return process

    def worker(self, queue: str, slots: int, *more: str) -> subprocess.Popen[bytes]:
        return self.start("worker", "--queue", queue, "--concurrency", str(slots), *more, log=queue)

    def said(self, log: str = "command") -> str:
        return (self.folder / f"{log}.log").read_text(errors="replace")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.archive.replace("+psycopg", ""), autocommit=True) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type,unused-ignore]

    def change(self, statement: str) -> None:
        with psycopg.connect(self.archive.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type,unused-ignore]

    def finished(self) -> int:
        """Final evaluations that count; 0 while there is no archive."""
        with contextlib.suppress(psycopg.Error):
            return int(
                self.rows(
                    "SELECT count(*) FROM evaluation WHERE purpose != 'confirm' AND state IN ('scored', 'failed')"
                )[0][0]
            )
        return 0

    def wait_for(self, count: int, seconds: float = 40.0) -> None:
        """Wait until so many evaluations are final."""
        wait_until(lambda: self.finished() >= count, seconds, f"{count} evaluations")

    def end(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM, seconds: float = 40.0) -> int:
        process.send_signal(how)
        return process.wait(seconds)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        for file in self._logs:
            file.close()
