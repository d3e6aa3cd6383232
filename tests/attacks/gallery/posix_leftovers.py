"""Leaves POSIX shared memory and message queues for whoever comes next."""

import ctypes
import os


def answer(questions):
    for number in range(20):
        try:
            with open(f"/dev/shm/left-{number}", "wb") as file:
                file.write(b"CANARY" + b"-LEFT" + b"x" * 10_000)
        except OSError:
            pass
    try:
        ctypes.CDLL("librt.so.1").mq_open(b"/left", os.O_CREAT | os.O_RDWR, 0o666, None)
    except OSError:
        pass
    return [1] * len(questions)
