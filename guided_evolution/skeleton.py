"""Whether frozen lines still mean what they meant: the same statements, at the same place of the program's structure.

Lines that survive to the byte can still be swallowed by an opened string, pulled under an `if False:` or decorated by a
line above them. So the part of the syntax tree that rests on frozen lines is compared, not only the text.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from guided_evolution.evolvable import segments
from guided_evolution.genome import lines_of, parse
from guided_evolution.layout import Layout

Place = tuple[int, int, int]
"""A segment's number; line within it and column for a frozen one, 0 and 0 for an evolvable one."""


@dataclass(frozen=True)
class Bone:
    """A node that isn't wholly evolvable. Its `inner` is empty where it lies on frozen lines alone."""

    field: str
    kind: str
    name: str
    first: Place
    last: Place
    inner: tuple[Bone, ...] = ()
    line: int = 0

    def key(self) -> tuple[object, ...]:
        """What has to stay: all but the line and what is inside."""
        return self.field, self.kind, self.name, self.first, self.last


def skeleton(layout: Layout) -> tuple[Bone, ...]:
    """The bones of a file with markers."""
    reader = _Reader(layout.text)
    bones: list[Bone] = []
    line = 1
    for piece in layout.pieces:
        if not reader.is_free(line, line + piece.lines - 1):
            tree = parse(piece.source)
            assert tree is not None
            reader.offset = line - 1
            bones += reader.bones(tree)
        line += piece.lines
    return tuple(bones)


def first_difference(old: tuple[Bone, ...], new: tuple[Bone, ...]) -> int | None:
    """The line (of the new text, else the old one) at which two skeletons part, None where they don't."""
    for before, after in zip(old, new, strict=False):
        if before.key() != after.key():
            return after.line
        inner = first_difference(before.inner, after.inner)
        if inner is not None:
            return inner
    if len(old) != len(new):
        longer = old if len(old) > len(new) else new
        return longer[min(len(old), len(new))].line
    return None


def assigned_names(bones: tuple[Bone, ...]) -> set[str]:
    """The names that frozen lines give a value at the module's top."""
    assigned = (bone for bone in bones if bone.kind in ("Assign", "AnnAssign"))
    return {name for bone in assigned for name in bone.name.split(",") if name}


def _name(node: ast.AST) -> str:
    """What a definition defines or an assignment assigns to."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
        return ",".join(names)
    return getattr(node, "name", None) or ""


class _Reader:
    def __init__(self, text: str) -> None:
        self.starts: list[int] = []  # the first line of each segment, counted from 1
        self.free: list[bool] = []
        self.offset = 0  # lines before the piece that is read
        line = 1
        for free, (first, behind) in segments(text):
            self.starts.append(line)
            self.free.append(free)
            line += len(lines_of(text[first:behind]))

    def is_free(self, first: int, last: int) -> bool:
        """Whether these lines lie in one evolvable segment."""
        segment = self._segment(first)
        return self.free[segment] and segment == self._segment(last)

    def bones(self, node: ast.AST, field: str = "") -> Iterator[Bone]:
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST):
                    yield from self._bone(child, f"{field}.{name}" if field else name)

    def _bone(self, node: ast.AST, field: str) -> Iterator[Bone]:
        if not hasattr(node, "lineno"):
            yield from self.bones(node, f"{field}:{type(node).__name__}")
            return
        first, last = self._range(node)
        start, end = self._segment(first[0]), self._segment(last[0])
        if start == end and self.free[start]:
            return
        inner = () if start == end or isinstance(node, ast.JoinedStr) else tuple(self.bones(node))
        yield Bone(
            field,
            type(node).__name__,
            _name(node),
            self._place(start, *first),
            self._place(end, *last),
            inner,
            first[0],
        )

    def _range(self, node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
        nodes: list[Any] = [node, *getattr(node, "decorator_list", ())]
        first = min((one.lineno + self.offset, one.col_offset) for one in nodes)
        return first, max((one.end_lineno + self.offset, one.end_col_offset) for one in nodes)

    def _segment(self, line: int) -> int:
        return bisect_right(self.starts, line) - 1

    def _place(self, segment: int, line: int, column: int) -> Place:
        return (segment, 0, 0) if self.free[segment] else (segment, line - self.starts[segment], column)
