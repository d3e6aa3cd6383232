"""Whose children are whose, from /proc. Linux only, as the faults are."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def adopt_orphans() -> None:
    """Make this process the parent of whatever its dead children leave, so that nothing hides from `descendants`."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[tuple[int, int]]:
    """(depth, pid) of everything below a process, zombies left out; its children have depth 1."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, level = [], [pid]
    depth = 0
    while level:
        depth += 1
        level = [child for one in level for child in children.get(one, [])]
        found += [(depth, child) for child in level]
    return found


def left_over(seconds: float = 10.0) -> list[int]:
    """What still lives below this process after so long; zombies are reaped on the way."""
    deadline = time.monotonic() + seconds
    while True:
        _reap()
        left = [pid for _, pid in descendants(os.getpid())]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _parent(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[1])


def _reap() -> None:
    """Collect dead orphans. Children started by subprocess must have been waited for before."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
