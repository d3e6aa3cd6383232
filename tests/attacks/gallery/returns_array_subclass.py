"""Answers with a subclass of NumPy's array that lies about its content."""


def answer(questions):
    try:
        import numpy
    except ImportError:
        return [1] * len(questions)

    class Liar(numpy.ndarray):
        def __array_finalize__(self, other):
            pass

        def __eq__(self, other):
            return numpy.ones(8, dtype=bool)

        def __getitem__(self, index):
            return 1

        def tobytes(self, *values):
            return b"\x01" * 10_000_000

    return numpy.full(len(questions), 5).view(Liar)
