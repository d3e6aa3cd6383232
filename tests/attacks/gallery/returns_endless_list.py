"""Answers with a list that contains itself."""


def answer(questions):
    endless = [1] * 7
    endless.append(endless)
    return endless
