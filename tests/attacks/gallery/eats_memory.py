"""Takes all memory there is, piece by piece."""


def answer(questions):
    held = []
    while True:
        held.append(bytearray(8 << 20))
