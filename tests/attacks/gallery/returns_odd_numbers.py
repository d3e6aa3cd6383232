"""Answers with numbers that break sums, sorting and formatting."""


def answer(questions):
    return [float("nan"), float("inf"), -float("inf"), -0.0, 10**400, -(10**400), 1e308 * 10, complex("nan")]
