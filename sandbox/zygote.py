"""A zygote: a process that has imported what jobs need, has one thread, and is forked for each job.

Two kinds. The candidate's has imported the seed's candidate preload and nothing else: it never saw evaluator,
data or job. The evaluator's has imported evaluate.py. It answers the supervisor's requests one by one: fork,
reap.

A fork shares its parent's memory until either writes to it, and in Python merely looking at an object writes. So
what a child does before the program's first line is what a job costs: it is done in the zygote where it can be.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import marshal
import os
import random
import signal
import socket
import struct
import sys
import traceback
import types
from typing import Any

from . import limits, seccomp
from .candidate import serve
from .evaluator import Evaluator
from .frames import Channel, unpack_files


def main(role: str, descriptor: int) -> None:
    """Prepare as the supervisor says, report, and then fork on request until it goes."""
    limits.die_with_parent(os.getppid())
    # Out of the way of the numbers that the children's channels have.
    control = Channel.of(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 16))
    os.close(descriptor)
    configuration, body, _ = control.receive()
    path = [str(entry) for entry in configuration["path"]]
    sys.path[:] = [*path, *(entry for entry in sys.path[1:] if entry not in path)]
    if role == "evaluator":
        zygote: _Zygote = _EvaluatorZygote(control, configuration)
    else:
        zygote = _CandidateZygote(control, configuration)
    error = zygote.prepare(body)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    gc.collect()
    gc.freeze()
    control.send({"error": error, "threads": limits.threads()})
    zygote.work()
    os._exit(0)


_SPARE_PROCESSES = 1000
_MOST_REQUEST = 65536
_ANCILLARY = socket.CMSG_SPACE(4 * struct.calcsize("i"))
_ANSWER = struct.Struct("!qq")
_MOST_DESCRIPTORS = 65536
_FIRST = 3
"""The descriptor of a child's first channel; the second comes behind it."""


class _Zygote:
    """What both kinds do; `child` is what a job's process does, on `channels`."""

    channel_count = 1

    def __init__(self, control: Channel, configuration: dict[str, Any]) -> None:
        self.control = control
        self.pid = os.getpid()
        self.configuration = configuration
        self.limits: dict[str, Any] = configuration["limits"]
        self.channels = [_reserve(_FIRST + index) for index in range(self.channel_count)]
        self.most_bytes = int(self.limits["memory_mb"]) * limits.MEGABYTE

    def prepare(self, body: bytes | bytearray) -> str | None:
        raise NotImplementedError

    def child(self, request: Any, descriptors: list[int]) -> None:
        raise NotImplementedError

    def work(self) -> None:
        """Answer ("fork", anything for the child) with its number and ("reap", number) with status and peak memory.

        Requests are small and come one at a time, so each comes whole. They are marshalled: JSON takes more code.
        """
        control = self.control.sock
        while True:
            data, ancillary, _, _ = control.recvmsg(_MOST_REQUEST, _ANCILLARY)
            if not data:
                return
            what, request = marshal.loads(data)
            if what == "fork":
                descriptors = memoryview(ancillary[0][2]).cast("i").tolist()
                pid = os.fork()
                if pid == 0:
                    self._be_child(request, descriptors)
                for one in descriptors:
                    os.close(one)
                control.sendall(_ANSWER.pack(pid, 0))
            else:
                _, status, usage = os.wait4(request, 0)
                control.sendall(_ANSWER.pack(status, usage.ru_maxrss))

    def _be_child(self, request: Any, descriptors: list[int]) -> None:
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
        error = None if self.configuration["bare"] else _import_all(self.configuration["preload"])
        limits.confine(self.limits)
        if self.configuration["own_users"]:
            seccomp.forbid()
        self._cpu_seconds = int(self.limits["seconds"] * max(1, self.limits["cpus"])) + 2
        if limits.LINUX and not self.configuration["own_users"]:
            # Programs share this user with whatever else it runs, which comes and goes; the supervisor counts exactly.
            limits.bound_processes(limits.tasks_of_user() + _SPARE_PROCESSES)
        return error

    def child(self, request: Any, descriptors: list[int]) -> None:
        """Descriptors: the channel to the evaluator, output, and a file with the program's files."""
        folder, user = request
        channel, output, program = descriptors
        files = marshal.loads(os.read(program, os.fstat(program).st_size))
        _keep_only(output, [channel])
        limits.confine_child(self._cpu_seconds)
        if user is not None:
            limits.bound_processes(int(self.limits["processes"]))
            limits.become(user, user)
        limits.die_with_parent(self.pid)
        os.umask(0o077)
        os.mkdir(folder, 0o700)
        os.chdir(folder)
        write_files(folder, self._support)
        write_files(folder, files)
        _settle(folder)
        serve(self.channels[0], folder, self.configuration["entry"], self.most_bytes)


class _EvaluatorZygote(_Zygote):
    channel_count = 2

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

    def child(self, request: Any, descriptors: list[int]) -> None:
        """Descriptors: the channel to the supervisor, output, and the channel to the candidate."""
        control, output, candidate = descriptors
        _keep_only(output, [control, candidate])
        limits.die_with_parent(self.pid)
        _reseed(request["seed"])
        self._evaluator.serve(self.channels[0], self.channels[1], request, self.most_bytes)
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


def _reserve(number: int) -> Channel:
    """A channel on this descriptor, whose other side is closed until a child puts its own in this one's place."""
    ours, theirs = socket.socketpair()
    # Moved out of the way first: one of the two may have come by this very number.
    away = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 16)
    ours.close()
    theirs.close()
    os.dup2(away, number, inheritable=False)
    os.close(away)
    return Channel.of(number)


def _keep_only(output: int, channels: list[int]) -> None:
    """Standard output and error become `output`, the channels 3 and up; everything else that is open gets closed."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Descriptors came by numbers behind these, which are taken in the zygote.
    for index, channel in enumerate(channels):
        os.dup2(channel, _FIRST + index, inheritable=False)
    os.closerange(_FIRST + len(channels), _MOST_DESCRIPTORS)


def _settle(folder: str) -> None:
    """Make this process look like one that was started for the program alone."""
    os.environ["HOME"] = os.environ["TMPDIR"] = folder
    sys.path.insert(0, folder)
    sys.argv = [""]
    sys.modules["__main__"] = types.ModuleType("__main__")
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
