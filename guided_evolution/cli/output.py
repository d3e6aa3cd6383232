"""Where commands write: a console for people, plain JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

_WIDTH_ELSEWHERE = 160
"""Columns where nobody says how many there are: a pipe or a file cuts nothing off."""


class _Console(Console):
    """A console that leaves it to the command what a reader's going away means; rich's own exits with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """A console on standard output (or standard error) that colours nothing by itself."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDTH_ELSEWHERE
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def print_json(document: Mapping[str, object] | list[Mapping[str, object]]) -> None:
    """The document as JSON, alone on standard output. Texts from programs can hold anything, so ASCII only."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the house's style; the headings in `right` are those of numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        made.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading in right or heading == "",
        )
    return made


def pairs() -> Table:
    """An empty table of two columns without headings: a name that stays whole, and what is said of it."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column()
    return made
