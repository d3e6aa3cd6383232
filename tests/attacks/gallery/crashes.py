"""Dies in C code."""

import ctypes


def answer(questions):
    ctypes.string_at(0)
