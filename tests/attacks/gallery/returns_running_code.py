"""Answers with objects whose conversion, copy or unpickling runs code."""

import os


class Trap:
    def __reduce__(self):
        return (os.system, ("echo CANARY-RAN",))

    def __float__(self):
        os._exit(3)

    __int__ = __index__ = __bool__ = __len__ = __float__

    def __array__(self, *values, **options):
        print("PROCESS" + "-CANARY ran")
        return [1]


def answer(questions):
    return [Trap() for _ in questions]
