"""Raises what usually ends a whole program."""


def answer(questions):
    raise KeyboardInterrupt
