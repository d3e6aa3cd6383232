"""Answers with lists in lists, deeper than any recursion goes."""


def answer(questions):
    deep = []
    for _ in range(1_000_000):
        deep = [deep]
    return deep
