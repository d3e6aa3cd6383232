"""Raises an exception whose text, type and traceback are traps."""


class Odd(BaseException):
    def __str__(self):
        raise Odd

    __repr__ = __str__

    def with_traceback(self, trace):
        raise Odd


def answer(questions):
    raise Odd("x" * 10_000_000)
