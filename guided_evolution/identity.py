"""Which process is this, and does that other one still live?"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process, told apart from any later one that gets the same number.

    `boot` names the machine's present uptime; `started` is the process's start in clock ticks (0 where unknown).
    """

    host: str
    boot: str
    pid: int
    started: int


def this_process() -> Identity:
    """The identity of the calling process."""
    return Identity(socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()) or 0)


def is_dead(other: Identity) -> bool:
    """True only if `other` certainly ended: same machine, same boot, and no such process."""
    here = this_process()
    if (here.host, here.boot) != (other.host, other.boot):
        return False
    started = _started(other.pid)
    return started is None or (other.started != 0 and started != other.started)


def _boot() -> str:
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        # A container shares the machine's boot id but not its process numbers, hence the namespace.
        return linux.read_text().strip() + ":" + str(os.stat("/proc/self/ns/pid").st_ino)
    answer = subprocess.run(["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _started(pid: int) -> int | None:
    """Start time of a live process, 0 if it can't be told, None if there is no such process (a zombie is none)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else int(fields[19])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0
