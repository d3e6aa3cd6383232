"""The supervisor: starts two zygotes and runs one job after the other, until its input ends.

Over standard input and output, in frames (frames.py):

    in   {"configure": ...}   once; body: evaluator's files, then support files   (see Settings)
    out  {"ready": {...}}     python, pid, notices, fault: why the evaluator can't be used, or null
    in   {"job": {"seed": int, "purpose": "evaluate" | "confirm", "files": [[path, size], ...]}}   body: the files
    out  {"rung": score}      each score that a generator evaluator yields, at once
    out  {"outcome": {...}}   state, kind, error, score, output, evaluator_output, seconds, memory_mb, leftovers
    out  {"broken": text}     instead of either: the sandbox doesn't work; the supervisor ends

At the end of its input it kills every process that came from it, removes every file of theirs, and ends.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from . import limits, wipe
from .frames import ANY_PYTHON, Broken, Channel, Closed, Pipes, unpack_files
from .job import Job, Stopped

_START_SECONDS = 120.0
_ANSWER_SECONDS = 30.0
_ANSWER = struct.Struct("!qq")
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_PARENT_CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """What a client configures; everything that differs between the kinds of a sandbox.

    Attributes:
        root: a folder that exists, in which this supervisor, the evaluator and programs can make folders.
        limits: seconds, memory_mb, cpus, processes, output_kb, gpus.
        entry: dotted name of the module that calls go to.
        candidate, evaluator: preload (module names), path (folders first in sys.path), python (an interpreter).
        evaluator: also source, score_source (texts), files ([path, size], ...), user and group (numbers or null).
        support: [path, size] of fixed files laid beside the program.
        users: [first, count] of user ids for programs, one a job in turn; null: no change of user.
        wipe: folders that programs can write to, searched for what a program's user left; only with users.
        kills: the cgroup's file that counts memory kills, where this sandbox is alone in the cgroup; else null.
        parent: end when this process isn't our parent any more; null: only input counts.
    """

    root: str
    limits: dict[str, Any]
    entry: str
    candidate: dict[str, Any]
    evaluator: dict[str, Any]
    support: list[list[Any]]
    users: list[int] | None
    wipe: list[str]
    kills: str | None
    parent: int | None
    environment: dict[str, str]


class Ended(Exception):
    """Input is over, or somebody asked the supervisor to end."""


class Zygote:
    """A zygote as seen from here."""

    def __init__(self, role: str, python: str, environment: dict[str, str]) -> None:
        ours, theirs = Channel.pair()
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
        command = [python, "-s", "-P", "-B", program, "zygote", role, str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=2, env=environment, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self.role = role
        self.channel = ours
        self.pid = self.process.pid

    def report(self, seconds: float) -> dict[str, Any]:
        """What it says of its preparation. Raises Closed when that doesn't come in time."""
        self.channel.sock.settimeout(seconds)
        try:
            head, _, _ = self.channel.receive()
        finally:
            self.channel.sock.settimeout(None)
        found: dict[str, Any] = head
        return found

    def ask(self, what: str, request: Any, descriptors: tuple[int, ...] = ()) -> None:
        """Send a request (see zygote.py); the answer is to be fetched by `answer`. Raises Closed."""
        try:
            socket.send_fds(self.channel.sock, [marshal.dumps((what, request), ANY_PYTHON)], descriptors)
        except OSError as problem:
            raise Closed from problem

    def answer(self) -> tuple[int, int]:
        """The two numbers of the answer to the last request. Raises Closed when they don't come in time."""
        if not select.select([self.channel], [], [], _ANSWER_SECONDS)[0]:
            raise Closed
        try:
            data = self.channel.sock.recv(_ANSWER.size, socket.MSG_WAITALL)
        except OSError as problem:
            raise Closed from problem
        if len(data) < _ANSWER.size:
            raise Closed
        first, second = _ANSWER.unpack(data)
        return first, second

    def end(self) -> None:
        """Kill it."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


class Supervisor:
    """The two zygotes and what jobs need of them."""

    def __init__(self, client: Pipes) -> None:
        self.client = client
        self.zygotes: list[Zygote] = []
        self.notices: list[str] = []
        self.fault: str | None = None
        self._jobs = 0
        self.settings: Settings
        self._folders: list[str] = []

    def configure(self) -> None:
        """Take the settings and start the zygotes. Raises Closed when input is over."""
        head, body = self.client.receive()
        self.settings = settings = Settings(**head["configure"])
        if settings.users is None:
            limits.go_first()
        if not limits.adopt_orphans():
            self.notices.append(
                "this system can't tell which processes a program left behind when they change their group"
            )
        evaluator_size = sum(size for _, size in settings.evaluator["files"])
        bodies = {"evaluator": body[:evaluator_size], "candidate": body[evaluator_size:]}
        folder = self.new_folder("evaluator")
        common = {"limits": settings.limits, "bare": False}
        evaluator = {**common, **settings.evaluator, "folder": folder}
        candidate = {**common, **settings.candidate, "entry": settings.entry, "support": settings.support}
        candidate["own_users"] = settings.users is not None
        started = [self._start("candidate", candidate, bodies), self._start("evaluator", evaluator, bodies)]
        for zygote, one in zip(started, (candidate, evaluator), strict=True):
            self.zygotes.append(self._prepared(zygote, one, bodies))
        self.candidate, self.evaluator = self.zygotes
        self._folders = [self.evaluator_folder]

    def new_folder(self, prefix: str) -> str:
        """A name for a folder that nobody can guess."""
        return os.path.join(self.settings.root, f"{prefix}-{secrets.token_hex(8)}")

    def user(self) -> int | None:
        """The user of the next program."""
        if self.settings.users is None:
            return None
        first, count = self.settings.users
        self._jobs += 1
        return first + self._jobs % count

    def _start(self, role: str, configuration: dict[str, Any], bodies: dict[str, bytes]) -> Zygote:
        python = configuration.get("python") or sys.executable
        if role == "evaluator":
            # A zygote that had to be started again must not meet the folder of the first.
            configuration["folder"] = self.evaluator_folder = self.new_folder("evaluator")
        zygote = Zygote(role, python, self.settings.environment)
        zygote.channel.send(configuration, bodies[role])
        return zygote

    def _prepared(self, zygote: Zygote, configuration: dict[str, Any], bodies: dict[str, bytes]) -> Zygote:
        """The zygote when it has imported everything; another one, bare, where that started threads."""
        role = zygote.role
        try:
            report = zygote.report(_START_SECONDS)
        except Closed:
            self.fault = (
                self.fault
                or f"the {role}'s preload doesn't come to an end: it took {_START_SECONDS:g} s or ended"
            )
            configuration["bare"] = True
            zygote.end()
            zygote = self._start(role, configuration, bodies)
            zygote.report(_START_SECONDS)
            return zygote
        if report["error"]:
            self.fault = self.fault or report["error"]
        elif report["threads"] > 1:
            what = ", ".join(configuration["preload"]) or "evaluate.py"
            self.notices.append(
                f"importing {what} starts threads, so every {role} imports it anew, out of its own time"
            )
            configuration["bare"] = True
            zygote.end()
            zygote = self._start(role, configuration, bodies)
            report = zygote.report(_START_SECONDS)
        return zygote

    def work(self) -> None:
        """Run jobs until input is over."""
        ready = {
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "notices": self.notices,
            "fault": self.fault,
        }
        self.client.send({"ready": ready})
        poll = select.poll()
        poll.register(self.client.incoming, select.POLLIN)
        while True:
            while not poll.poll(_PARENT_CHECK_SECONDS * 1000):
                self.check_parent()
            head, body = self.client.receive()
            if "job" not in head:
                raise Broken("a job was expected")
            request = head["job"]
            if self.fault is not None:
                self.client.send({"outcome": {"state": "fault", "error": self.fault}})
                continue
            files = unpack_files(request["files"], body)
            self.client.send(Job(self, request, files).run())

    def check_parent(self) -> None:
        """Raise Ended when the process that started this one is gone."""
        if self.settings.parent is not None and os.getppid() != self.settings.parent:
            raise Ended

    def end(self) -> None:
        """Kill everything that came from here and remove its files."""
        for zygote in self.zygotes:
            zygote.end()
        with contextlib.suppress(RuntimeError):
            wipe.end_orphans(())
        if hasattr(self, "settings"):
            with contextlib.suppress(OSError):
                for entry in os.listdir(self.settings.root):
                    if entry.startswith(("candidate-", "evaluator-")):
                        with contextlib.suppress(OSError):
                            wipe.remove(os.path.join(self.settings.root, entry))
                os.rmdir(self.settings.root)  # fails where others put something, or it is a mount


def main() -> None:
    """Run as a supervisor on standard input and output."""
    # Nothing that a process prints may end up among the frames.
    client = Pipes(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    limits.hide()
    for number in _ENDINGS:
        signal.signal(number, _end)
    supervisor = Supervisor(client)
    try:
        supervisor.configure()
        supervisor.work()
    except (Ended, Closed, Stopped):
        pass
    except Exception as problem:
        # Whatever breaks here is told to the client.
        with contextlib.suppress(Closed):
            client.send({"broken": f"{type(problem).__name__}: {problem}"})
        raise
    finally:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        supervisor.end()


def _end(number: int, frame: object) -> None:
    raise Ended
