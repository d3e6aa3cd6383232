"""Stops its own process, so that it neither answers nor ends."""

import os
import signal


def answer(questions):
    os.kill(os.getpid(), signal.SIGSTOP)
    return [1] * len(questions)
