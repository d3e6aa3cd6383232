"""Nothing may be left of a job: its processes are ended and its files removed."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import time
from collections.abc import Collection

from .limits import become, children

_PATIENCE_SECONDS = 5.0


def kill(pid: int) -> None:
    """Kill a process and, if it leads one, its group."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def end_orphans(keep: Collection[int]) -> int:
    """Kill every child of this process but those to keep, and then their children, which become ours; how many
    there were.

    Raises RuntimeError when they multiply faster than they can be killed.
    """
    ended = 0
    me = os.getpid()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while found := [pid for pid in children(me) if pid not in keep]:
        for pid in found:
            kill(pid)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        ended += len(found)
        if time.monotonic() > deadline:
            raise RuntimeError("a program's processes multiply faster than they can be ended")
    return ended


def remove(folder: str) -> None:
    """Remove a folder whatever is in it: locked folders, odd names, and trees too deep for a path or for
    recursion."""
    with contextlib.suppress(FileNotFoundError):
        os.chmod(folder, 0o700)
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(folder)


def _empty(top: int) -> None:
    """Remove everything in an open folder, one step down or up at a time, so that neither a path nor the stack
    gets long."""
    here = os.dup(top)
    levels = [("", _unlink_all(here))]
    while True:
        name, folders = levels[-1]
        if folders:
            name = folders.pop()
            os.chmod(name, 0o700, dir_fd=here)
            here = _go(name, here)
            levels.append((name, _unlink_all(here)))
        elif len(levels) > 1:
            here = _go("..", here)
            os.rmdir(name, dir_fd=here)
            levels.pop()
        else:
            break
    os.close(here)


def _go(name: str, here: int) -> int:
    """From one open folder to another."""
    there = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
    os.close(here)
    return there


def _unlink_all(folder: int) -> list[str]:
    """Remove all but folders from an open folder; their names."""
    return [name for name in os.listdir(folder) if not _unlink(name, folder)]


def _unlink(name: str, folder: int) -> bool:
    """Remove a file, a link or anything else that is no folder; False for a folder."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=folder)
    return True


def size(folder: str, most_entries: int = 10_000) -> int:
    """Bytes that the files in a folder take, roughly: no more than this many entries are looked at."""
    total = seen = 0
    pending = [folder]
    while pending and seen < most_entries:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                seen += 1
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                if seen >= most_entries:
                    break
    return total


def as_user(user: int, folders: Collection[str]) -> None:
    """Kill every process of a user and remove its files from these folders, by a process of that user's own.

    Raises RuntimeError when that doesn't come to an end.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        pid = os.fork()
        if pid == 0:
            _as_user(user, folders)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return
        # A program that is quick may have killed the process that was to kill it.
        if time.monotonic() > deadline:
            raise RuntimeError("what a program left can't be removed")


def _as_user(user: int, folders: Collection[str]) -> None:
    code = 1
    try:
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        become(user, user)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        for folder in folders:
            _remove_own(folder, user)
        code = 0
    finally:
        os._exit(code)


def _remove_own(folder: str, user: int) -> None:
    """Remove what this user has in a folder that belongs to others."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with os.scandir(top) as entries:
        own = [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_uid == user]
    for name in own:
        if not _unlink(name, top):
            remove(os.path.join(folder, name))
    os.close(top)
