"""Leaves threads and timers that run on after the answer."""

import os
import signal
import threading
import time


def spin():
    while True:
        for descriptor in range(3, 32):
            try:
                os.write(descriptor, b"x")
            except OSError:
                pass
        time.sleep(0.001)


def answer(questions):
    for _ in range(8):
        threading.Thread(target=spin, daemon=False).start()
    signal.signal(signal.SIGALRM, lambda *_: spin())
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    return [1] * len(questions)
