"""The honest program: it guesses 1."""


def answer(questions):
    return [1] * len(questions)
