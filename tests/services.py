"""Real services for tests, private to them: a PostgreSQL cluster and a Redis server on free ports of the loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PASSWORD = "s3cret"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(what: str) -> None:
    """Skip for want of a service on somebody's machine; where everything must be tried, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI=true wants every test to run")
    pytest.skip(what)


def wait_until(true: Callable[[], bool], seconds: float = 20.0, what: str = "that") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} didn't come within {seconds:g} s")
        time.sleep(0.05)


class PostgreSQL:
    """A cluster of its own. `postgres` refuses to run as root, so root runs it as the user postgres or nobody."""

    def __init__(self) -> None:
        self.bin = _postgres_programs()
        self.port = free_port()
        self.user = _unprivileged() if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="ge-postgres-"))
        self.data = self.folder / "data"
        if self.user:
            shutil.chown(self.folder, self.user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        words = ["initdb", "-D", str(self.data), "-U", "ge", "--pwfile", str(secret), "-A", "scram-sha-256"]
        self._run(*words, "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses='127.0.0.1'\nport={self.port}\nunix_socket_directories='{self.folder}'\n"
                "max_connections=200\nfsync=off\n"
            )
        self._databases = 0
        self.start()

    def start(self) -> None:
        words = ["-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", "30", "start"]
        deadline = time.monotonic() + 30
        while True:
            try:
                return self._run("pg_ctl", *words)
            except AssertionError:  # after a kill, its children hold its memory for a moment
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", how, "-w", "stop")

    def kill(self) -> None:
        """`kill -9` of the postmaster; its children end by themselves when they notice."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)

        def gone() -> bool:
            with contextlib.suppress(ChildProcessError):  # it may be our own orphan
                os.waitpid(pid, os.WNOHANG)
            return not Path(f"/proc/{pid}").exists()

        wait_until(gone, what="the end of the postmaster")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        self._databases += 1
        name = f"d{self._databases}"
        with psycopg.connect(self.url("postgres", driver=""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type,unused-ignore]
        return self.url(name)

    def url(self, database: str, driver: str = "+psycopg") -> str:
        return f"postgresql{driver}://ge:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/"
        )
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr.decode()}")


class Redis:
    """A Redis server with a password, in memory alone."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server isn't installed")
        self.program = str(program)
        self.port = free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(
            [self.program, *words, "--dir", tempfile.gettempdir()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, what="an answer of redis-server")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def flush(self) -> None:
        self.client().flushall()

    def client(self):  # type: ignore[no-untyped-def]
        import redis

        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _postgres_programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists():
            return place
    missing("PostgreSQL isn't installed")
    raise AssertionError


def _unprivileged() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
