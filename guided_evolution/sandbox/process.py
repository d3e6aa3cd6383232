"""The process kind: a runner as a child of this process, without walls around it.

For programs that no model wrote, or where it is asked for by name. Deadlines, limits and the end of every
process hold here too, but a program has this user's rights: it could read the user's files, use the network, or
attack the runner.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import guided_evolution
from guided_evolution.errors import SandboxBroken
from guided_evolution.identity import Identity, is_dead, this_process
from guided_evolution.sandbox.client import RunnerSandbox, environment
from guided_evolution.sandbox.patience import Patience
from guided_evolution.seed import Seed

NO_WALLS = "the process sandbox has no walls: a program runs with your rights, on your files and your network"
_PREFIX = "guided-evolution-"
_GRACE_SECONDS = 5.0
_MOST_WORDS = 2000


def open_process_sandbox(seed: Seed) -> RunnerSandbox:
    """A sandbox of the process kind; its runner starts with the first job."""
    if sys.platform == "win32":
        raise SandboxBroken("the process sandbox needs Linux or macOS; on Windows, use WSL")
    return RunnerSandbox("process", seed, lambda: _connect(seed))


def runner_folder() -> Path:
    """Where the runner's files lie: inside an installed package, beside it in a checkout."""
    package = Path(guided_evolution.__file__).parent
    installed = package / "_sandbox"
    return installed if installed.is_dir() else package.parent / "sandbox"


def _connect(seed: Seed) -> tuple[ProcessLink, Mapping[str, Any]]:
    try:
        me = this_process()
        _remove_stale(me)
        root = tempfile.mkdtemp(prefix=f"{_PREFIX}{me.pid}-{me.started}-")
        scrubbed = environment(seed.limits, root)
        if "LD_LIBRARY_PATH" in os.environ:  # without it, some interpreters don't start
            scrubbed["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        if seed.limits.gpus and "CUDA_VISIBLE_DEVICES" in os.environ:
            scrubbed["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
        scrubbed["PATH"] = os.environ.get("PATH", scrubbed["PATH"])
        link = ProcessLink(root, scrubbed)
    except OSError as problem:
        raise SandboxBroken(f"the process sandbox's runner can't be started: {problem}") from problem
    notices = [NO_WALLS]
    if sys.platform != "linux":
        notices.append("on this system the limits on memory, processes and files of a program don't hold")
    return link, {"root": root, "environment": scrubbed, "parent": os.getpid(), "notices": notices}


class ProcessLink:
    """The way to a runner that is a child process; see Link."""

    def __init__(self, root: str, scrubbed: Mapping[str, str]) -> None:
        self._root = root
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the link
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-B", str(runner_folder() / "__main__.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(scrubbed),
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        self._ending = threading.Lock()
        self._ended = False

    def write(self, data: bytes, patience: Patience) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._input, left) :]
            except BlockingIOError:
                patience.wait(self._input, to_write=True)

    def read(self, count: int, patience: Patience) -> bytes:
        """Between 1 and `count` bytes; none at the end."""
        patience.wait(self._output)
        return os.read(self._output, count)

    def end(self) -> None:
        """Ask the runner to end, then end it and all of its descendants."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
            # Its own clean end is SIGTERM; its pipes stay open until it is gone, since a thread may be reading.
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
                self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            _end_marked(self._root)
            shutil.rmtree(self._root, ignore_errors=True)

    def settle(self) -> None:
        """Nothing to do here."""

    def killed_for_memory(self) -> bool:
        """Not to be told here: its cgroup is the user's whole session."""
        return False

    def last_words(self) -> str:
        """The end of the runner's standard error, or else how it ended."""
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._errors.fileno()).st_size
            words = os.pread(self._errors.fileno(), _MOST_WORDS, max(0, size - _MOST_WORDS))
            text = words.decode("utf-8", "replace").strip()
            if text:
                return text
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            return f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        return "it closed its output"


def _remove_stale(me: Identity) -> None:
    """End and remove what was left where a process and its runner were killed at once; the folders' names tell
    whose they are."""
    for place in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*-*"):
        pid, started = place.name.removeprefix(_PREFIX).split("-")[:2]
        if pid.isdigit() and started.isdigit() and is_dead(replace(me, pid=int(pid), started=int(started))):
            _end_marked(str(place))
            shutil.rmtree(place, ignore_errors=True)


def _end_marked(root: str) -> None:
    """Kill what a dead runner left: processes whose environment names its folder. Its children die with it by
    themselves."""
    mark = f"TMPDIR={root}\0".encode()
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        found = [pid for pid in _processes() if mark in _environment_of(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _processes() -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return []


def _environment_of(pid: int) -> bytes:
    try:
        # A zombie's environment is empty.
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
