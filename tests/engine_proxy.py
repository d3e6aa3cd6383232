"""A container engine that is slow, stops answering or dies: a socket of ours before the real one."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path


class EngineProxy:
    """Carries bytes between clients and the engine.

    `delay` seconds pass before each piece that the engine says; while `stalled` is set nothing is carried at all,
    though connections are still taken; `die` breaks every connection off and takes no more.
    """

    def __init__(self, folder: Path, upstream: str = "/var/run/docker.sock") -> None:
        self.path = folder / "engine.sock"
        self.delay = 0.0
        self.stalled = threading.Event()
        self._upstream = upstream
        self._open: list[socket.socket] = []
        self._dead = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"unix://{self.path}"

    def restart(self) -> None:
        """Break every connection off, and take new ones."""
        before, self._open = self._open, []
        for one in before:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def die(self) -> None:
        """As `kill -9` of the engine looks from here."""
        self._dead = True
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._upstream)
            self._open += [client, engine]
            threading.Thread(target=self._pump, args=(client, engine, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(engine, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                while self.stalled.is_set() and not self._dead:
                    time.sleep(0.02)
                if slowly:
                    time.sleep(self.delay)
                target.sendall(data)
        # The end of one direction is passed on as such: Docker carries the end of a container's input that way.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
