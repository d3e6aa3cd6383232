"""The container engine, and the ways in which it fails: each becomes SandboxBroken, and none of them hangs.

The package `docker` costs a tenth of a second to import, so it is imported where it is first needed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

from guided_evolution.errors import SandboxBroken

ANSWER_SECONDS = 60.0
"""How long a call may stay without answer; to make a container on a busy disk takes seconds."""

LABEL = "guided-evolution."
"""Begins every label that we put on a container or an image."""

_HEADER = struct.Struct(">BxxxI")
_STDOUT = 1
_STDERR_KEPT = 4096


class NoEngine(SandboxBroken):
    """There is no engine to ask, or none that this user may ask; nothing was started."""


class Engine:
    """One connection to Docker, or to Podman through its Docker-compatible socket.

    `api` is the low-level client of the package `docker`; calls to it belong inside `answering`.
    """

    def __init__(self, api: Any) -> None:
        self.api = api

    @classmethod
    def connect(cls, seconds: float = ANSWER_SECONDS) -> Engine:
        """The engine that DOCKER_HOST names, else the usual one. Raises NoEngine in one sentence."""
        try:
            import docker  # a tenth of a second
        except ModuleNotFoundError as problem:
            raise NoEngine(
                'the package "docker" isn\'t installed: pip install "guided-evolution[docker]"'
            ) from problem
        import requests

        try:
            api = docker.from_env(timeout=seconds, version="auto").api
        except docker.errors.DockerException as problem:
            raise NoEngine(_why_none(problem)) from problem
        except (requests.RequestException, OSError) as problem:
            raise NoEngine(_why_none(problem)) from problem
        if str(api.base_url).startswith("http+docker://ssh"):
            raise NoEngine(
                "a container engine over ssh can't carry evaluations; give DOCKER_HOST a socket or tcp"
            )
        return cls(api)

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
            try:
                self.api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as problem:
                # Somebody else removes it at this moment, which is what we want.
                if problem.status_code != 409 or "already in progress" not in str(problem.explanation):
                    raise

    def close(self) -> None:
        """Close the connections."""
        self.api.close()


class AttachedStream:
    """A container's stdin, stdout and stderr over one socket, with a deadline on every wait.

    The engine sends stdout and stderr as frames of eight bytes header (stream, length) and data. The last
    kilobytes of stderr are kept in `complaint`.
    """

    def __init__(self, sock: socket.socket, keep: object = None) -> None:
        self._socket = sock
        self._keep = keep  # the HTTP answer that owns the socket: collected, it would close it
        self._raw = bytearray()
        self._out = bytearray()
        self.complaint = b""

    def send(self, data: bytes | memoryview, deadline: float) -> None:
        """Send all of it before `deadline` (time.monotonic()); SandboxBroken if that can't be done."""
        left = memoryview(data)
        while left:
            with _speaking(self._socket, deadline, "take data"):
                left = left[self._socket.send(left[: 1 << 20]) :]

    def receive(self, size: int, deadline: float) -> bytes:
        """Exactly `size` bytes of stdout before `deadline`; SandboxBroken on its passing and on the stream's end."""
        while len(self._out) < size:
            with _speaking(self._socket, deadline, "answer"):
                data = self._socket.recv(1 << 20)
            if not data:
                said = self.complaint.decode(errors="replace").strip()
                raise SandboxBroken("the container's stream ended" + (f": {said}" if said else ""))
            self._take(data)
        taken = bytes(self._out[:size])
        del self._out[:size]
        return taken

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

    def close(self) -> None:
        """Hang up; also wakes a thread that waits in `send` or `receive`. The container sees the end of its stdin."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()


@contextlib.contextmanager
def _speaking(sock: socket.socket, deadline: float, doing: str) -> Iterator[None]:
    left = deadline - time.monotonic()
    if left <= 0:
        raise SandboxBroken(f"the container didn't {doing} in time")
    try:
        sock.settimeout(left)
        yield
    except TimeoutError as problem:
        raise SandboxBroken(f"the container didn't {doing} in time") from problem
    except (OSError, ValueError) as problem:
        raise SandboxBroken(f"the container's stream broke: {problem}") from problem


def _why_none(problem: Exception) -> str:
    where = os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"
    text = str(problem)
    if "Permission denied" in text:
        return f"this user may not use the container engine's socket ({where}); join its group, or use rootless Docker"
    if "No such file" in text or "Connection refused" in text or "ConnectionRefused" in text:
        return f"no container engine runs here ({where})"
    return f"the container engine ({where}) doesn't answer: {text}"
