"""Answers with arrays of Python objects, which would have to be pickled."""


def answer(questions):
    try:
        import numpy
    except ImportError:
        return [1] * len(questions)
    return numpy.array([print, exit, open, 1, 1, 1, 1, 1], dtype=object)
