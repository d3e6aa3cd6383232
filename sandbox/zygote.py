"""A zygote: a process that has imported what jobs need, has one thread, and is forked for each job.

Two kinds. The candidate's has imported the seed's candidate preload and nothing else: it never saw evaluator,
data or job. The evaluator's has imported evaluate.py. It answers the supervisor's requests one by one: fork,
reap.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import random
import resource
import signal
import sys
import traceback
import types
from typing import Any

from . import limits
from .candidate import serve
from .evaluator import Evaluator
from .frames import Channel, Closed, Pipes, unpack_files


def main(role: str, descriptor: int) -> None:
    """Prepare as the supervisor says, report, and then fork on request until it goes."""
    limits.die_with_parent(os.getppid())
    control = Channel.of(descriptor)
    configuration, body, _ = control.receive()
    path = [str(entry) for entry in configuration["path"]]
    sys.path[:] = [*path, *(entry for entry in sys.path[1:] if entry not in path)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if role == "evaluator":
        zygote: _Zygote = _EvaluatorZygote(control, configuration)
    else:
        zygote = _CandidateZygote(control, configuration)
    error = zygote.prepare(body)
    gc.collect()
    gc.freeze()
    control.send({"error": error, "threads": limits.threads()})
    with contextlib.suppress(Closed):
        zygote.work()
    os._exit(0)


_SPARE_PROCESSES = 1000


class _Zygote:
    """What both kinds do; `_child` is what a job's process does, and never returns to here."""

    def __init__(self, control: Channel, configuration: dict[str, Any]) -> None:
        self.control = control
        self.pid = os.getpid()
        self.configuration = configuration
        self.limits: dict[str, Any] = configuration["limits"]
        self.most_bytes = int(self.limits["memory_mb"]) * limits.MEGABYTE

    def prepare(self, body: bytes | bytearray) -> str | None:
        raise NotImplementedError

    def child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        raise NotImplementedError

    def work(self) -> None:
        while True:
            request, _, descriptors = self.control.receive(most_descriptors=4)
            if request["ask"] == "fork":
                pid = os.fork()
                if pid == 0:
                    self._be_child(request, descriptors)
                for one in descriptors:
                    os.close(one)
                self.control.send({"pid": pid})
            else:
                _, status, usage = os.wait4(request["pid"], 0)
                # Kilobytes, but bytes on macOS.
                peak = usage.ru_maxrss / (1024 if limits.LINUX else limits.MEGABYTE)
                self.control.send({"status": status, "peak_mb": peak})

    def _be_child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        code = 1
        try:
            os.setsid()
            self.child(request, descriptors)
            code = 0
        except BaseException:  # noqa: BLE001 - a forked child must never run on in its parent's code
            with contextlib.suppress(BaseException):
                traceback.print_exc()
        finally:
            os._exit(code)


class _CandidateZygote(_Zygote):
    def prepare(self, body: bytes | bytearray) -> str | None:
        self._support = unpack_files(self.configuration["support"], body)
        # Programs share this user with whatever else it runs, which comes and goes; the supervisor counts exactly.
        self._most_processes = limits.tasks_of_user() + _SPARE_PROCESSES if limits.LINUX else None
        if self.configuration["bare"]:
            return None
        return _import_all(self.configuration["preload"])

    def child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Descriptors: the channel to the evaluator, output, and a file with the program's files."""
        channel, output, program = descriptors
        names, body = Pipes(program, -1).receive()
        (channel,) = _keep_only(output, channel)
        user = request["user"]
        limits.confine(self.limits, self._most_processes if user is None else int(self.limits["processes"]))
        limits.invite_the_oom_killer()
        if user is not None:
            limits.become(user, user)
        limits.die_with_parent(self.pid)
        folder = str(request["folder"])
        os.umask(0o077)
        os.mkdir(folder, 0o700)
        os.chdir(folder)
        write_files(folder, {**self._support, **unpack_files(names, body)})
        _settle(folder)
        serve(Channel.of(channel), folder, self.configuration["entry"], self.most_bytes)


class _EvaluatorZygote(_Zygote):
    def prepare(self, body: bytes | bytearray) -> str | None:
        settings = self.configuration
        if settings["user"] is not None:
            limits.become(int(settings["user"]), int(settings["group"]))
            limits.die_with_parent(os.getppid())
        limits.hide()
        os.umask(0o077)
        folder = str(settings["folder"])
        os.mkdir(folder, 0o700)
        os.mkdir(os.path.join(folder, "tmp"))
        os.chdir(folder)
        os.environ.update(HOME=folder, TMPDIR=os.path.join(folder, "tmp"))
        write_files(folder, unpack_files(settings["files"], body))
        self._evaluator = Evaluator(folder, settings["source"], settings["score_source"])
        if settings["bare"]:
            return None
        error = _import_all(settings["preload"])
        if error is None:
            try:
                self._evaluator.load()
            except BaseException as problem:  # noqa: BLE001 - evaluate.py may raise anything, and that is what is reported
                error = (
                    "evaluate.py can't be imported: "
                    + _last_line(problem)
                    + "\n"
                    + traceback.format_exc(limit=-4)
                )
        return error

    def child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Descriptors: the channel to the supervisor, output, and the channel to the candidate."""
        control, output, candidate = descriptors
        control, candidate = _keep_only(output, control, candidate)
        limits.hide()
        limits.die_with_parent(self.pid)
        _reseed(request["job"]["seed"])
        self._evaluator.serve(Channel.of(control), Channel.of(candidate), request["job"], self.most_bytes)
        # The supervisor ends this process; what it registered for its exit doesn't run.
        signal.pause()


def write_files(folder: str, files: dict[str, bytes]) -> None:
    """Write files by their relative paths, with the folders they need."""
    for path, content in files.items():
        place = os.path.join(folder, path)
        if "/" in path:
            os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)


def _keep_only(output: int, *others: int) -> list[int]:
    """Standard output and error become `output`, the others 3 and up; everything else that is open gets closed."""
    numbers = range(3, 3 + len(others))
    # First out of the way: the numbers that they came by may be among those they go to.
    output, *away = (fcntl.fcntl(one, fcntl.F_DUPFD, 3 + len(others)) for one in (output, *others))
    for number, one in zip(numbers, away, strict=True):
        os.dup2(one, number, inheritable=False)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3 + len(others), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return list(numbers)


def _settle(folder: str) -> None:
    """Make this process look like one that was started for the program alone."""
    os.environ.update(HOME=folder, TMPDIR=folder)
    sys.path.insert(0, folder)
    sys.argv = [""]
    sys.modules["__main__"] = types.ModuleType("__main__")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _reseed(0)


def _reseed(seed: int) -> None:
    """Give global generators the same start in every job; a fork would hand on whatever state they happen to be
    in."""
    random.seed(seed)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed(seed % 2**32)


def _import_all(modules: list[str]) -> str | None:
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as problem:  # noqa: BLE001 - an import may raise anything, and that is what is reported
            return f"the seed's preload {name} can't be imported: {_last_line(problem)}"
    return None


def _last_line(problem: BaseException) -> str:
    return traceback.format_exception_only(problem)[-1].strip()
