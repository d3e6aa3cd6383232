"""Computes in C past the deadline, where no Python signal handler runs."""


def answer(questions):
    return 10 ** (10**10) % 7
