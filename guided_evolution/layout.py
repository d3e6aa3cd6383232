"""A file as a row of pieces, and how an edit changes it: only the pieces that it touches are read again."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

from guided_evolution.pieces import Piece, lines_of, pieces_of

Cut = tuple[int, int, str]
"""Characters from and to of a text, and what shall stand there."""


@dataclass(frozen=True)
class Layout:
    """The pieces of a Python file in order; there is at least one."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The file."""
        return "".join(piece.source for piece in self.pieces)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each piece begins, in characters, and where the last one ends."""
        return tuple(accumulate((len(piece.source) for piece in self.pieces), initial=0))

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """The normal forms of the file's top-level statements."""
        return tuple(form for piece in self.pieces for form in piece.forms)

    def genes(self) -> Iterator[tuple[str, str]]:
        """(label, source) of every gene; a label that comes again gets `#2` and so on."""
        taken: Counter[str] = Counter()
        between = "<head>"
        for piece in self.pieces:
            for label, source in piece.genes:
                label = label or between
                taken[label] += 1
                yield label + (f"#{taken[label]}" if taken[label] > 1 else ""), source
            if piece.definition:
                between = f"<after {piece.definition}>"


@lru_cache(maxsize=256)
def layout_of(text: str) -> Layout | None:
    """The layout of a Python file, None if it doesn't parse."""
    pieces = pieces_of(text)
    return None if pieces is None else Layout(pieces)


def respliced(layout: Layout, cuts: Sequence[Cut]) -> Layout | None:
    """The layout after these cuts, sorted and without overlap; None if the text doesn't parse any more."""
    parts = _with_new_texts(layout, cuts)
    at = 0
    while at < len(parts):
        text = parts[at]
        if isinstance(text, str):
            text, at = _widened(parts, at, text)
            new = pieces_of(text, is_first=at == 0)
            if new is None:  # alone it doesn't parse, with what follows it may
                return layout_of("".join(map(_source, parts)))
            parts[at : at + 1] = new
            at += len(new) - 1
        at += 1
    return Layout(tuple(part for part in parts if isinstance(part, Piece)))


def _source(part: Piece | str) -> str:
    return part if isinstance(part, str) else part.source


def _with_new_texts(layout: Layout, cuts: Sequence[Cut]) -> list[Piece | str]:
    """The pieces, with a text instead of each run of them that is cut."""
    parts: list[Piece | str] = []
    at = 0
    for first, last, text in _touched(layout, cuts):
        parts += [*layout.pieces[at:first], text]
        at = last + 1
    return [*parts, *layout.pieces[at:]]


def _touched(layout: Layout, cuts: Sequence[Cut]) -> list[tuple[int, int, str]]:
    """Runs of pieces that the cuts touch: (first, last, their text afterwards), none beside another."""
    starts, count = layout.starts, len(layout.pieces)
    found: list[tuple[int, int, list[Cut]]] = []
    for cut in cuts:
        first = min(bisect_right(starts, cut[0]) - 1, count - 1)
        last = max(first, min(bisect_right(starts, max(cut[0], cut[1] - 1)) - 1, count - 1))
        if found and found[-1][1] >= first - 1:
            before, end, several = found.pop()
            found.append((before, max(end, last), [*several, cut]))
        else:
            found.append((first, last, [cut]))
    return [(first, last, _run_text(layout, first, last, several)) for first, last, several in found]


def _run_text(layout: Layout, first: int, last: int, cuts: list[Cut]) -> str:
    text = "".join(piece.source for piece in layout.pieces[first : last + 1])
    base, at, parts = layout.starts[first], 0, []
    for start, end, new in cuts:
        parts += [text[at : start - base], new]
        at = end - base
    return "".join([*parts, text[at:]])


def _widened(parts: list[Piece | str], at: int, text: str) -> tuple[str, int]:
    """The text at `at` with those neighbours whose bounds it may have moved, and where it is then.

    Blank lines belong to the definition before them, comments and what has no line end to what follows; and
    statements beside statements are one piece.
    """
    while at + 1 < len(parts) and _reaches_on(text, parts[at + 1]):
        text += _source(parts.pop(at + 1))
    while at > 0 and _reaches_back(text, parts[at - 1]):
        at -= 1
        text = _source(parts.pop(at)) + text
    parts[at] = text
    return text, at


def _reaches_on(text: str, following: Piece | str) -> bool:
    if isinstance(following, str) or not following.definition:
        return True
    lines = lines_of(text)
    ends = bool(lines) and lines[-1][-1:] in ("\r", "\n") and not lines[-1].endswith("\r")
    return not ends or lines[-1].lstrip().startswith("#")


def _reaches_back(text: str, before: Piece | str) -> bool:
    if isinstance(before, str) or not before.definition:
        return True
    line = lines_of(text)[:1]
    return not line or not line[0].strip()
