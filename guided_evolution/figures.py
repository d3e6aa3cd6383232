"""Numbers, changes and foreign text as people read them in a terminal. Standard library only."""

from __future__ import annotations

import re

from guided_evolution.seed import Objective

_PLACE = re.compile(r'\s*File "(?:.*/)?([^"/]+)", line (\d+)')


def shown(value: float) -> str:
    """A number to seven significant digits, whole ones in full: ``0.8011667``, ``1,234``, ``2.635863``."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.7g}"


def change(old: float, new: float) -> str:
    """By how much a number grew, with the share where there is one: ``+0.0301 (+3.8 %)``; ``=`` for not at all."""
    if new == old:
        return "="
    size = f"{new - old:+.4g}"
    return f"{size} ({(new - old) / abs(old):+.1%})".replace("%", " %") if old else size


def better(objective: Objective, old: float, new: float) -> bool:
    """Whether `new` is really better than `old` by this objective."""
    return new > old if objective.direction == "maximize" else new < old


def arrow(objective: Objective) -> str:
    """Which way the objective wants to go."""
    return "↑" if objective.direction == "maximize" else "↓"


def visible(text: str) -> str:
    """Foreign text without what a terminal would obey: control characters but line ends and tabs are spelt out."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape", "surrogatepass").decode()
        for one in text
    )


def one_line(text: str, width: int = 200) -> str:
    """The first line of foreign text that says something, cut to `width`."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = visible(line).replace("\t", " ")
    return line if len(line) <= width else line[: width - 1] + "…"


def gist(error: str, width: int = 300) -> str:
    """An error's one line that matters: its first one, or what a traceback ends with and where that was raised."""
    lines = [line for line in error.splitlines() if line.strip()]
    if not lines or not (lines[0].startswith(("Traceback", " ")) or _PLACE.match(lines[0])):
        return one_line(error, width)
    places = [found for line in lines if (found := _PLACE.match(line))]
    inner = max(
        number
        for number, line in enumerate(lines)
        if line.startswith((" ", "Traceback")) or _PLACE.match(line)
    )
    said = one_line(" ".join(line.strip() for line in lines[inner + 1 :]), width)
    return (
        f"{said} ({places[-1][1]}, line {places[-1][2]})"
        if places and said
        else said or one_line(error, width)
    )
