"""First program of a container: says which walls stand, as seen from inside, then becomes the runner.

What the engine was asked for is no proof: a rootless engine drops limits that its user may not set, an old kernel
ignores some. The client compares this report with what it asked for and refuses a container that lacks a wall.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

CGROUP = "/sys/fs/cgroup"


def read(path: str) -> str | None:
    """The text of a small file, None where there is none."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def status() -> dict[str, str]:
    """What /proc says of this process: capabilities, no-new-privileges, seccomp."""
    lines = (line.partition(":") for line in (read("/proc/self/status") or "").splitlines())
    wanted = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups"}
    return {name: value.strip() for name, _, value in lines if name in wanted}


def mounts() -> list[list[Any]]:
    """[place, file system, may it be written, options] of every mount."""
    found: list[list[Any]] = []
    for line in (read("/proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        place, options = left.split()[4:6]
        kind, _, superblock = right.split()[:3]
        writable = "rw" in options.split(",") and "rw" in superblock.split(",")
        found.append([place, kind, writable, options])
    return found


def cgroup_folders() -> Iterator[str]:
    """Folders of this container's cgroups: version 2 first, then those of version 1 by controller."""
    own: dict[str, str] = {}
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    yield from (CGROUP + own.get("", ""), CGROUP)
    for controller in ("memory", "pids", "cpu", "cpu,cpuacct"):
        path = own.get(controller.partition(",")[0], "")
        yield from (f"{CGROUP}/{controller}{path}", f"{CGROUP}/{controller}")


def place_of(*names: str) -> str | None:
    """The first of these cgroup files that exists."""
    places = (f"{folder}/{name}" for folder in cgroup_folders() for name in names)
    return next((place for place in places if read(place) is not None), None)


def first(*names: str) -> str | None:
    """The text of the first of these cgroup files that exists."""
    place = place_of(*names)
    return read(place) if place else None


def cpus() -> float | None:
    """Processors by quota, None where there is none."""
    both = first("cpu.max")
    if both is None:
        both = f"{first('cpu.cfs_quota_us')} {first('cpu.cfs_period_us')}"
    quota, period = both.split()
    return int(quota) / int(period) if quota.isdigit() else None


def number(text: str | None) -> int | None:
    """A whole number, None for "max" and for no text."""
    return int(text) if text is not None and text.isdigit() else None


def swap() -> int | None:
    """Bytes of swap that may be used: None where unbounded, 0 where the kernel has none at all."""
    if first("memory.swap.max") is not None:
        return number(first("memory.swap.max"))
    both, memory = number(first("memory.memsw.limit_in_bytes")), number(first("memory.limit_in_bytes"))
    if both is not None and memory is not None:
        return both - memory
    total = [
        line.split()[1] for line in (read("/proc/meminfo") or "").splitlines() if line.startswith("SwapTotal")
    ]
    return 0 if total == ["0"] else None


def may_write_root() -> bool:
    """Whether a file can be made in the root folder."""
    try:
        os.close(os.open("/.wall", os.O_CREAT | os.O_WRONLY))
    except OSError:
        return False
    os.unlink("/.wall")
    return True


def system_v() -> list[str]:
    """Which kinds of System V memory can be had here, each tried with the smallest piece."""
    libc = ctypes.CDLL(None, use_errno=True)
    tries: dict[str, Callable[[], int]] = {
        "shm": lambda: libc.shmget(0, 4096, 0o1600),
        "sem": lambda: libc.semget(0, 1, 0o1600),
        "msg": lambda: libc.msgget(0, 0o1600),
    }
    return [name for name, get in tries.items() if get() != -1]


def report() -> dict[str, Any]:
    """Everything that the client asks about."""
    return {
        "python": sys.version.split()[0],
        "user": os.getuid(),
        "status": status(),
        "mounts": mounts(),
        "root_writable": may_write_root(),
        "memory": number(first("memory.max", "memory.limit_in_bytes")),
        "swap": swap(),
        "kills": first("memory.events", "memory.oom_control"),
        "kills_at": place_of("memory.events", "memory.oom_control"),
        "processes": number(first("pids.max")),
        "cpus": cpus(),
        "interfaces": [
            line.partition(":")[0].strip()
            for line in (read("/proc/net/dev") or "").splitlines()
            if ":" in line
        ],
        "environment": sorted(os.environ),
        "system_v": system_v(),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def main() -> NoReturn:
    """Say what stands, as a length (4 bytes, big-endian) and JSON, then become the command in the arguments,
    without arguments the runner."""
    text = json.dumps(report()).encode()
    os.write(1, struct.pack("!I", len(text)) + text)
    runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    command = sys.argv[1:] or [sys.executable, "-s", "-P", "-B", runner]
    os.execve(command[0], command, {})


if __name__ == "__main__":
    main()
