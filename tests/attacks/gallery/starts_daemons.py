"""Leaves processes with sessions of their own that outlive the job and go on writing."""

import os
import time


def answer(questions):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            while True:
                for place in ("/work", "/dev/shm", os.getcwd()):
                    try:
                        with open(f"{place}/daemon-was-here", "a") as file:
                            file.write("x")
                    except OSError:
                        pass
                time.sleep(0.01)
    return [1] * len(questions)
