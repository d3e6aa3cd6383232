"""Find a quoted passage in a file: to the letter first, then with layout forgiven, never by likeness."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_END = re.compile(r"\r\n|\r|\n")
_SPACE = re.compile(r"\s+")
_MOST_COMPARED = 2000


@dataclass(frozen=True)
class Passage:
    """A place in a file's text, in characters, and how a replacement has to be laid out to fit there.

    `indents` are the quotation's and the file's indentation; `first_only` where only the first line had lost its own.
    """

    start: int
    end: int
    line: int
    indents: tuple[str, str] = ("", "")
    first_only: bool = False

    def fit(self, replacement: str) -> str:
        """The replacement with the file's indentation."""
        quoted, real = self.indents
        if quoted == real:
            return replacement
        lines = replacement.split("\n")
        shifted = [reindent(line, quoted, real) for line in lines]
        return "\n".join([shifted[0], *lines[1:]] if self.first_only else shifted)


def reindent(line: str, old: str, new: str) -> str:
    """A line moved from a block indented by `old` into one indented by `new`; blank lines stay as they are."""
    if not line.strip():
        return line
    if line.startswith(old):
        return new + line[len(old) :]
    own = indent_of(line)
    missing = len(old) - len(own)
    return new[: max(0, len(new) - missing)] + line[len(own) :]


def indent_of(line: str) -> str:
    """The blank characters that a line begins with."""
    return line[: len(line) - len(line.lstrip())]


class Text:
    """A file's text with its lines: Python's, ended by LF, CR or both."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(match.end() for match in _END.finditer(text))]
        ends = [match.start() for match in _END.finditer(text)]
        self.lines = [text[a:b] for a, b in zip(self.starts, [*ends, len(text)], strict=True)]
        if len(self.lines) > 1 and not self.lines[-1]:
            self.lines.pop()

    @property
    def newline(self) -> str:
        """The line end that the file uses, LF where it has none."""
        match = _END.search(self.text)
        return match[0] if match else "\n"

    def line_of(self, offset: int) -> int:
        """The number of the line that holds this character, from 1."""
        return bisect_right(self.starts, offset)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The characters of lines first…last (from 0, both included) without the last one's end."""
        return self.starts[first], self.starts[last] + len(self.lines[last])


def locate(text: Text, wanted: str) -> list[Passage]:
    """All places of the quotation at the strictest reading that finds one: lines to the letter, without trailing
    blanks, with the first line's indentation lost, with all lines shifted, with other spacing, part of a line."""
    lines = wanted.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines:
        return []
    for reading in (_to_the_letter, _right_stripped, _first_line_stripped, _shifted, _spaced):
        found = list(reading(text, lines))
        if found:
            return found
    return list(_inside_a_line(text, "\n".join(lines).strip()))


def _windows(text: Text, lines: Sequence[str], key: Callable[[str], str]) -> Iterator[int]:
    """Numbers of lines at which the keys of `lines` stand one after the other."""
    keys = [key(line) for line in lines]
    have = [key(line) for line in text.lines]
    for first in range(len(have) - len(keys) + 1):
        if have[first] == keys[0] and have[first : first + len(keys)] == keys:
            yield first


def _to_the_letter(text: Text, lines: Sequence[str]) -> Iterator[Passage]:
    for first in _windows(text, lines, lambda line: line):
        yield Passage(*text.span(first, first + len(lines) - 1), first + 1)


def _right_stripped(text: Text, lines: Sequence[str]) -> Iterator[Passage]:
    for first in _windows(text, lines, str.rstrip):
        yield Passage(*text.span(first, first + len(lines) - 1), first + 1)


def _first_line_stripped(text: Text, lines: Sequence[str]) -> Iterator[Passage]:
    if len(lines) < 2 or indent_of(lines[0]):
        return
    rest = [line.rstrip() for line in lines[1:]]
    have = [line.rstrip() for line in text.lines]
    for first in range(len(have) - len(rest)):
        if have[first].lstrip() == lines[0].rstrip() and have[first + 1 : first + 1 + len(rest)] == rest:
            indents = ("", indent_of(text.lines[first]))
            yield Passage(*text.span(first, first + len(rest)), first + 1, indents, first_only=True)


def _shifted(text: Text, lines: Sequence[str]) -> Iterator[Passage]:
    """All lines moved by the same indentation; blank lines don't count."""
    wanted = [line.rstrip() for line in lines if line.strip()]
    for found in _without_blanks(text, lines, str.strip):
        first, last = found
        real = [line.rstrip() for line in text.lines[first : last + 1] if line.strip()]
        quoted, own = indent_of(wanted[0]), indent_of(real[0])
        if [reindent(line, quoted, own) for line in wanted] == real:
            yield Passage(*text.span(first, last), first + 1, (quoted, own))


def _spaced(text: Text, lines: Sequence[str]) -> Iterator[Passage]:
    """Every run of blanks counts as one, blank lines not at all."""
    for first, last in _without_blanks(text, lines, lambda line: _SPACE.sub(" ", line.strip())):
        indents = (indent_of(lines[0]), indent_of(text.lines[first]))
        yield Passage(*text.span(first, last), first + 1, indents)


def _without_blanks(text: Text, lines: Sequence[str], key: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """(first, last) lines, from 0, of places where the keys stand one after the other, blank lines left out."""
    keys = [key(line) for line in lines if line.strip()]
    have = [(number, key(line)) for number, line in enumerate(text.lines) if line.strip()]
    plain = [one for _, one in have]
    for at in range(len(plain) - len(keys) + 1):
        if plain[at] == keys[0] and plain[at : at + len(keys)] == keys:
            yield have[at][0], have[at + len(keys) - 1][0]


def _inside_a_line(text: Text, wanted: str) -> Iterator[Passage]:
    """A part of a line, with no name or number cut at its ends."""
    if "\n" in wanted:
        return
    edge = (r"(?<!\w)" if wanted[:1].isalnum() or wanted[:1] == "_" else "") + re.escape(wanted)
    edge += r"(?!\w)" if wanted[-1:].isalnum() or wanted[-1:] == "_" else ""
    for match in re.finditer(edge, text.text):
        yield Passage(match.start(), match.end(), text.line_of(match.start()))


def closest(text: Text, wanted: str) -> tuple[int, str] | None:
    """(line, text) of the lines that look most like the quotation, for the message only; None for nothing near."""
    lines = [line.strip() for line in wanted.split("\n") if line.strip()][:30]
    if not lines or not text.lines:
        return None
    have = [line.strip() for line in text.lines[:_MOST_COMPARED]]
    weights = {line: 1.0 + min(len(line), 40) / 40 for line in lines}
    best, best_at = 0.0, -1
    for first in range(max(1, len(have) - len(lines) + 1)):
        window = set(have[first : first + len(lines)])
        same = sum(weight for line, weight in weights.items() if line in window)
        if same > best:
            best, best_at = same, first
    if best_at < 0:
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(lines[0])
        for number, line in enumerate(have[:400]):
            matcher.set_seq1(line[:200])
            if matcher.real_quick_ratio() > max(best, 0.6) and (ratio := matcher.ratio()) > max(best, 0.6):
                best, best_at = ratio, number
    if best_at < 0:
        return None
    return best_at + 1, "\n".join(text.lines[best_at : best_at + min(len(lines), 12)])
