"""Starts threads until it can't."""

import threading
import time


def answer(questions):
    try:
        for _ in range(5000):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    except RuntimeError:
        pass
    return [1] * len(questions)
