"""System calls that no program needs and that have opened containers before: a filter that a process puts on itself.

Docker's own filter forbids most of them. Podman's allows user namespaces, in which a program has every capability
again, and what an engine allows changes from release to release.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID and -NET."""

_EVERYWHERE = {
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsmount": 432,
    "mount_setattr": 442,
}
# name: (x86_64, aarch64)
_FORBIDDEN = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "ptrace": (101, 117),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
}
_CLONE = (56, 220)
_CLONE3 = 435
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def forbid() -> bool:
    """Put the filter on this process and all that come from it; False where this machine's calls aren't known here.

    Raises OSError when the kernel refuses.
    """
    known = _MACHINES.get(os.uname().machine)
    if known is None:
        return False
    program = _program(*known)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    nothing = ctypes.c_ulong(0)
    if prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) or prctl(
        _PR_SET_SECCOMP,
        ctypes.c_ulong(_FILTER),
        ctypes.create_string_buffer(head, len(head)),
        nothing,
        nothing,
    ):
        number = ctypes.get_errno()
        raise OSError(number, "the filter of system calls can't be set")
    return True


def _program(machine: int, column: int) -> bytes:
    """The filter in the kernel's machine language: each step says how many to skip if its test holds, and if not."""
    numbers = [*_EVERYWHERE.values(), *(both[column] for both in _FORBIDDEN.values())]
    refuse = _step(_RETURN, _ERROR | errno.EPERM)
    # A call in the convention of another machine would have other numbers.
    steps = [_step(_LOAD, _MACHINE), _step(_EQUAL, machine, 1, 0), refuse, _step(_LOAD, _NUMBER)]
    steps += [_step(_AT_LEAST, _X32_BIT, 0, 1), refuse]
    for number in numbers:
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    # Its flags lie in memory, where no filter sees them; libraries fall back on clone.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS)]
    steps += [_step(_EQUAL, _CLONE[column], 0, 3), _step(_LOAD, _FIRST_ARGUMENT)]
    steps += [_step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), refuse]
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, holds: int = 0, fails: int = 0) -> bytes:
    return struct.pack("HBBI", code, holds, fails, value)
