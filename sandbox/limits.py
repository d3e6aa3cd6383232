"""What a process may use, set from inside it; and what processes use, read from outside."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any

LINUX = sys.platform == "linux"
MEGABYTE = 1 << 20
_PAGE = resource.getpagesize()
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_OPEN_FILES = 256
_prctl = ctypes.CDLL(None, use_errno=True).prctl if LINUX else None


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent dies; False where the system can't."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def hide() -> None:
    """Keep other processes of this user, unless root, from reading this one's memory, environment and
    descriptors."""
    if _prctl is not None:
        _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent process dies."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def confine(limits: dict[str, Any]) -> None:
    """Set the kernel's limits on this process and its children to come.

    The seed's memory limit is the supervisor's to watch: address space and heap say little about memory in use. The
    heap's bound here, twice as much, only makes a single huge allocation an ordinary MemoryError.
    """
    memory = int(limits["memory_mb"]) * MEGABYTE
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, file_bytes(limits))
    _bound(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if LINUX and not limits["gpus"]:
        _bound(resource.RLIMIT_DATA, 2 * memory + _heap() + 64 * MEGABYTE)


def confine_child(cpu_seconds: int) -> None:
    """What a zygote can't set on itself: a bound of processor time, and to be the first to go when memory runs out."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    if LINUX:
        try:
            file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(file, b"1000")
            os.close(file)
        except OSError:
            pass


def bound_processes(most: int) -> None:
    """Bound what this process's user may run, everything of it counted; root is above that."""
    _bound(resource.RLIMIT_NPROC, most)


def file_bytes(limits: dict[str, Any]) -> int:
    """Bytes of the largest file that a program may write; all of its files together may take a little more."""
    return max(int(limits["memory_mb"]), 64) * MEGABYTE


def become(user: int, group: int) -> None:
    """Give up this process's user for good."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def go_first() -> None:
    """Run before any program that wants a processor, where this user may ask for that: a fork bomb starves the
    rest."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _bound(which: int, most: int) -> None:
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        most = min(most, ceiling)
    resource.setrlimit(which, (most, most))


def _heap() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * _PAGE


def threads() -> int:
    """Threads of this process."""
    if LINUX:
        return len(os.listdir("/proc/self/task"))
    threading = sys.modules.get("threading")
    return threading.active_count() if threading else 1


def children(pid: int) -> list[int]:
    """Processes whose parent is this one, dead ones that nobody waited for included."""
    try:
        found: list[int] = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
        return found
    except FileNotFoundError:
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return [child for child, parent in _parents() if parent == pid]
    except (OSError, ValueError):
        pass
    return []


def _parents() -> Iterator[tuple[int, int]]:
    """(process, parent) of everything that runs: for kernels without lists of children."""
    if not LINUX:
        return
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{entry}/stat") as file:
                yield int(entry), int(file.read().rpartition(")")[2].split()[1])


def family(pid: int, most: int) -> list[int]:
    """A process and its descendants; not all of them where they are more than `most`."""
    found, at = [pid], 0
    while at < len(found) <= most:
        found += children(found[at])
        at += 1
    return found


def resident(pid: int) -> tuple[int, int]:
    """Bytes of a process's resident memory, and of those the ones that it shares with files and memory files."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
        return int(fields[1]) * _PAGE, int(fields[2]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0, 0


def proportional(pid: int) -> int:
    """Bytes of a process's resident memory, with shared pages divided among those who share them. Slow."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return resident(pid)[0]


def memory_kills(place: str | None) -> int:
    """How many processes the kernel has killed for memory, by a cgroup's file (either version); 0 without one."""
    if place is None:
        return 0
    with open(place) as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))


def tasks_of_user() -> int:
    """Threads of all processes of this user."""
    me, count = os.getuid(), 0
    for entry in os.listdir("/proc") if LINUX else ():
        if entry.isdigit():
            with contextlib.suppress(OSError):
                count += tasks(int(entry)) if os.stat(f"/proc/{entry}").st_uid == me else 0
    return count


def tasks(pid: int) -> int:
    """Threads of a process, 0 if it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
