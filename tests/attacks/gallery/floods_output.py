"""Prints without end, on both streams, text and bytes."""

import os


def answer(questions):
    for _ in range(3000):
        os.write(1, b"x" * 65536)
        os.write(2, b"\xff\x00\r\x1b[2J" * 8192)
    return [1] * len(questions)
