"""A terminal on a shell in a container: what `sandbox shell` shows."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any

from guided_evolution.errors import BadInput
from guided_evolution.sandbox import container
from guided_evolution.sandbox.engine import Engine
from guided_evolution.sandbox.images import Image
from guided_evolution.seed import Limits

_PIECE = 1 << 16


def run_shell(engine: Engine, image: Image, limits: Limits) -> int:
    """Give this terminal a shell as a candidate's user; returns its exit code.

    Raises BadInput without a terminal, SandboxBroken where the engine doesn't do it.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("sandbox shell needs a terminal")
    made = container.create_shell(engine, image, limits)
    try:
        with engine.answering("open a shell"):
            found: Any = engine.api.attach_socket(
                made, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            engine.api.start(made)
        with _raw_terminal(), _sized(engine, made):
            _carry(getattr(found, "_sock", found))
        with engine.answering("learn how a shell ended"):
            return int(engine.api.wait(made)["StatusCode"])
    finally:
        engine.remove(made)


def _carry(sock: Any) -> None:
    """Carry bytes both ways until the shell ends."""
    sock.setblocking(True)
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    listening = [sock, keys]
    while True:
        for ready in select.select(listening, [], [])[0]:
            if ready is sock:
                data = sock.recv(_PIECE)
                if not data:
                    return
                os.write(screen, data)
            elif data := os.read(keys, _PIECE):
                sock.sendall(data)
            else:
                listening.remove(keys)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _sized(engine: Engine, made: str) -> Iterator[None]:
    """Keep the container's terminal as large as this one."""

    def resize(*_: object) -> None:
        size = os.get_terminal_size()
        with engine.answering("resize a terminal"):
            engine.api.resize(made, size.lines, size.columns)

    resize()
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
