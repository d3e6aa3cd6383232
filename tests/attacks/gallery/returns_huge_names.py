"""Answers with names that are paths, links or megabytes long."""


def answer(questions):
    return {"../../../etc/passwd": 1, "\0": 1, "x" * 50_000_000: 1, "\ud800": 1, ("a", "b"): 1}
