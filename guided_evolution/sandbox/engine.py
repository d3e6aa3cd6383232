"""The container engine, and the ways in which it fails: each becomes SandboxBroken, and none of them hangs.

The package `docker` costs a tenth of a second to import, so it is imported where it is first needed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox.patience import Patience

ANSWER_SECONDS = 60.0
"""How long a call may stay without answer; to make a container on a busy disk takes seconds."""

LABEL = "guided-evolution."
"""Begins every label that we put on a container or an image."""

_HEADER = struct.Struct(">BxxxI")
_STDOUT = 1
_STDERR_KEPT = 4096
_PIECE = 1 << 20
_REMOVALS, _PAUSE_SECONDS = 3, 0.2
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class NoEngine(SandboxBroken):
    """There is no engine to ask, or none that this user may ask; nothing was started."""


class Engine:
    """One connection to Docker, or to Podman through its Docker-compatible socket.

    `is_podman` tells the two apart where they differ. `api` is the low-level client of the package `docker`; calls to
    it belong inside `answering`.
    """

    def __init__(self, api: Any, *, is_podman: bool = False) -> None:
        self.api = api
        self.is_podman = is_podman

    @classmethod
    def connect(cls, seconds: float | None = None) -> Engine:
        """The engine that DOCKER_HOST names, else the usual one. Raises NoEngine in one sentence.

        `seconds` is how long a call may stay without answer, by default ANSWER_SECONDS.
        """
        try:
            import docker  # a tenth of a second
        except ModuleNotFoundError as problem:
            raise NoEngine(
                'the package "docker" isn\'t installed: pip install "guided-evolution[docker]"'
            ) from problem
        import requests

        try:
            api = docker.from_env(timeout=seconds or ANSWER_SECONDS, version="auto").api
        except docker.errors.DockerException as problem:
            raise NoEngine(_why_none(problem)) from problem
        except (requests.RequestException, OSError) as problem:
            raise NoEngine(_why_none(problem)) from problem
        if str(api.base_url).startswith("http+docker://ssh"):
            raise NoEngine(
                "a container engine over ssh can't carry evaluations; give DOCKER_HOST a socket or tcp"
            )
        engine = cls(api)
        with engine.answering("say what it is"):
            parts = api.version().get("Components") or ()
        engine.is_podman = any("Podman" in str(part.get("Name")) for part in parts)
        return engine

    @contextlib.contextmanager
    def answering(self, doing: str) -> Iterator[None]:
        """Turn whatever an engine does instead of answering into SandboxBroken; `doing` completes the sentence."""
        import docker
        import requests
        import urllib3

        try:
            yield
        except (requests.Timeout, TimeoutError) as problem:
            raise SandboxBroken(
                f"the container engine didn't answer in time when asked to {doing}"
            ) from problem
        except docker.errors.APIError as problem:
            said = str(problem.explanation or problem).strip()
            raise SandboxBroken(f"the container engine refused to {doing}: {said}") from problem
        except (docker.errors.DockerException, requests.RequestException) as problem:
            raise SandboxBroken(
                f"the container engine broke off when asked to {doing}: {problem}"
            ) from problem
        # What urllib3 raises in the middle of a streamed answer, requests doesn't wrap; a torn answer isn't JSON.
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as problem:
            raise SandboxBroken(
                f"the container engine broke off when asked to {doing}: {problem}"
            ) from problem

    def attach(self, container: str) -> AttachedStream:
        """The container's three streams; attach before its start, so that nothing is said before we listen."""
        with self.answering("attach to a container"):
            ends = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            found = self.api.attach_socket(container, params=ends)
            return AttachedStream(getattr(found, "_sock", found), keep=found)

    def labelled(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Every container, running or not, that carries all these labels, as the engine lists it."""
        with self.answering("list containers"):
            wanted = [f"{LABEL}{name}={value}" for name, value in labels.items()]
            found: list[dict[str, Any]] = self.api.containers(all=True, filters={"label": wanted})
            return found

    def remove(self, container: str) -> None:
        """Kill and remove a container with everything in it; one that is gone already is fine."""
        import docker

        with self.answering("remove a container"), contextlib.suppress(docker.errors.NotFound):
            for tries_left in reversed(range(_REMOVALS)):
                try:
                    self.api.remove_container(container, force=True, v=True)
                    return
                except docker.errors.APIError as problem:
                    # Somebody else removes it at this moment, which is what we want.
                    if problem.status_code == 409 and "already in progress" in str(problem.explanation):
                        return
                    # Podman fails to kill what ends by itself at the same moment.
                    if tries_left == 0 or isinstance(problem, docker.errors.NotFound):
                        raise
                    time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()


class AttachedStream:
    """A container's stdin, stdout and stderr over one socket, with an end to every wait; a Link as far as words go.

    The engine sends stdout and stderr as frames of eight bytes header (stream, length) and data. The last
    kilobytes of stderr are kept in `complaint`.
    """

    def __init__(self, sock: socket.socket, keep: object = None) -> None:
        self._socket = sock
        self._keep = keep  # the HTTP answer that owns the socket: collected, it would close it
        self._raw = bytearray()
        self._out = bytearray()
        self.complaint = b""
        sock.setblocking(False)

    def write(self, data: bytes, patience: Patience) -> None:
        """Write all of it. Raises TimeoutError and OSError."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left[:_PIECE]) :]
            except _WOULD_BLOCK:
                patience.wait(self._descriptor(), to_write=True)

    def read(self, count: int, patience: Patience) -> bytes:
        """Between 1 and `count` bytes of stdout; none at its end. Raises TimeoutError and OSError."""
        while not self._out:
            try:
                data = self._socket.recv(_PIECE)
            except _WOULD_BLOCK:
                patience.wait(self._descriptor())
                continue
            if not data:
                return b""
            self._take(data)
        taken = bytes(self._out[:count])
        del self._out[:count]
        return taken

    def _descriptor(self) -> int:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise OSError("the container's stream was closed here")
        return descriptor

    def _take(self, data: bytes) -> None:
        raw = self._raw
        raw += data
        while len(raw) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(raw)
            end = _HEADER.size + length
            if len(raw) < end:
                return
            if stream == _STDOUT:
                self._out += raw[_HEADER.size : end]
            else:
                self.complaint = (self.complaint + bytes(raw[_HEADER.size : end]))[-_STDERR_KEPT:]
            del raw[:end]

    def hang_up(self) -> None:
        """Let both sides see the end, and wake a thread that waits here; the container's stdin ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up for good, when nobody waits any more."""
        self.hang_up()
        with contextlib.suppress(OSError):
            self._socket.close()


def _why_none(problem: Exception) -> str:
    where = os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"
    text = str(problem)
    if "Permission denied" in text:
        return f"this user may not use the container engine's socket ({where}); join its group, or use rootless Docker"
    if "No such file" in text or "Connection refused" in text or "ConnectionRefused" in text:
        return f"no container engine runs here ({where})"
    return f"the container engine ({where}) doesn't answer: {text}"
