"""What Ctrl-C, SIGTERM and SIGHUP do to a run: the first stops it cleanly, a second Ctrl-C ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from guided_evolution.cli import WORLD_FAILED

_SHOW_CURSOR = "\x1b[?25h"


class Signals:
    """Catches the three signals while it is entered; `hook` connects them to a run.

    A handler only writes a byte into a pipe, and a thread acts on it: the main thread may hold any lock at that moment.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = lambda _note: None
        self.resume_hint = ""
        self._stop: Callable[[str], None] | None = None
        self._first: int | None = None
        self._lock = threading.Lock()

    @property
    def told_by_world(self) -> bool:
        """Whether something else than the user at the keyboard ended the run."""
        return self._first in (signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> Signals:
        self._reader, self._writer = os.pipe()
        self._before = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up is meant to be ignored.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        threading.Thread(target=self._listen, daemon=True, name="signals").start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)

    @contextlib.contextmanager
    def hook(self, stop: Callable[[str], None]) -> Iterator[None]:
        """Connect: a signal that came before this moment stops the run too."""
        with self._lock:
            self._stop = stop
            first = self._first
        if first is not None:
            self._tell(first)
        try:
            yield
        finally:
            with self._lock:
                self._stop = None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(self._writer, bytes([number]))

    def _listen(self) -> None:
        while byte := os.read(self._reader, 1):
            number = byte[0]
            with self._lock:
                again, self._first = self._first is not None, self._first or number
            if again and number == signal.SIGINT:
                self._end()
            if not again:
                self._tell(number)
        os.close(self._reader)

    def _tell(self, number: int) -> None:
        with self._lock:
            stop = self._stop
        if stop is None:
            return
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        stop(f"stopped by {name}")
        self.say("stopping: what is at work is finished and kept; Ctrl-C again ends at once")

    def _end(self) -> None:
        """Leave without another step. The runners end with our pipes, and the archive is whole at every moment."""
        if sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.write(f"\nguided-evolution: ended at once; {self.resume_hint}\n")
        sys.stderr.flush()
        os._exit(WORLD_FAILED)
