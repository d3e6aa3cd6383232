"""Opens memory, descriptors and roots of every other process, and tries to trace it."""

import ctypes
import os


def answer(questions):
    libc = ctypes.CDLL(None, use_errno=True)
    gained = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid == os.getpid():
            continue
        for name in ("environ", "maps", "mem", "root/etc/hostname", "cwd/.", "fd"):
            try:
                if name == "fd":
                    for descriptor in os.listdir(f"/proc/{pid}/fd"):
                        os.close(os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDWR))
                    gained.append((pid, name))
                else:
                    with open(f"/proc/{pid}/{name}", "rb", 0) as file:
                        if file.read(1):
                            gained.append((pid, name))
            except OSError:
                pass
        if libc.ptrace(16, pid, None, None) == 0:  # PTRACE_ATTACH
            gained.append((pid, "trace"))
        try:
            os.close(os.pidfd_open(pid))
            if libc.syscall(438, os.pidfd_open(pid), 0, 0) >= 0:  # pidfd_getfd
                gained.append((pid, "descriptor"))
        except OSError:
            pass
    if gained:
        print("PROCESS" + "-CANARY", gained)
    return [1] * len(questions)
