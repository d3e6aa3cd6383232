"""Answers with text larger than any limit."""


def answer(questions):
    return "x" * 400_000_000
