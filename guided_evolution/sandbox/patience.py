"""Waiting with an end to it, where sleep doesn't count."""

from __future__ import annotations

import select
import time

_SLICE_SECONDS = 1.0


class Patience:
    """So many seconds of waiting, all in all.

    Time in which this process was stopped, or the machine asleep, isn't waiting: the other side slept too.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def wait(self, descriptor: int, *, to_write: bool = False) -> None:
        """Wait until a descriptor can be read, or written. Raises TimeoutError when patience is at an end."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT if to_write else select.POLLIN)
        while True:
            before = time.monotonic()
            ready = poll.poll(max(0.0, min(self.left, _SLICE_SECONDS)) * 1000)
            self.left -= min(time.monotonic() - before, 1.5 * _SLICE_SECONDS)
            if ready:
                return
            if self.left <= 0:
                raise TimeoutError("the other side doesn't answer")
