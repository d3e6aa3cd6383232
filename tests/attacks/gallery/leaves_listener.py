"""Leaves a process that listens on loopback and on a socket without a place."""

import os
import socket
import time


def answer(questions):
    if os.fork() == 0:
        os.setsid()
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 45_678)),
            (socket.AF_UNIX, "\0left-listening"),
        ):
            sock = socket.socket(family)
            try:
                sock.bind(address)
                sock.listen()
            except OSError:
                pass
            globals()[str(family)] = sock
        time.sleep(1000)
    time.sleep(0.05)
    return [1] * len(questions)
