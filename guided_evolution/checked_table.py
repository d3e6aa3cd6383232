"""Strict reading of a table that a user wrote: every complaint names the place, the key and the way out."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from guided_evolution.errors import BadInput


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of a complaint about an unknown word: the closest known one, else all of them."""
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return "known here: " + ", ".join(names) if names else "nothing is known here"


def one_line(text: str) -> str:
    """The text with line ends and other control characters as escapes: a quoted value may hold anything."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def kind_of(value: object) -> str:
    """The TOML word for a value's type, with its article."""
    if isinstance(value, bool):
        return "a true/false value"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else f"a {type(value).__name__}"


@dataclass(frozen=True)
class Table:
    """A TOML table with its place: `where` is the file, `prefix` the keys that lead to it ("limits.")."""

    data: Mapping[str, object]
    where: str
    error: type[BadInput]
    prefix: str = ""

    def fail(self, key: str, problem: str) -> NoReturn:
        raise self.error(one_line(f"{self.where}: {self.prefix}{key} {problem}"))

    def only(self, *known: str) -> None:
        """Refuse keys that aren't in `known`."""
        for key in self.data:
            if key not in known:
                hint = did_you_mean(key, known)
                raise self.error(one_line(f'{self.where}: unknown key "{self.prefix}{key}"; {hint}'))

    def text(self, key: str, default: str | None = None, *, example: str) -> str:
        value = self.data.get(key, default)
        if value is None:
            self.fail(key, f"is missing; say for instance {example}")
        if not isinstance(value, str):
            self.fail(key, f"must be text, not {kind_of(value)}; say for instance {example}")
        if not value.strip():
            self.fail(key, f"is empty; say for instance {example}")
        return value

    def texts(self, key: str, *, example: str) -> tuple[str, ...]:
        """A list of different, non-empty texts; empty where the key is missing."""
        values = self.data.get(key, [])
        if not isinstance(values, list):
            self.fail(key, f"must be a list, not {kind_of(values)}; say for instance {example}")
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                said = "empty" if isinstance(value, str) else kind_of(value)
                self.fail(f"{key}[{index}]", f"must be text, but is {said}; say for instance {example}")
            if value in values[:index]:
                self.fail(f"{key}[{index}]", f'repeats "{value}"; remove one of them')
        return tuple(values)

    def flag(self, key: str) -> bool | None:
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            self.fail(key, f"must be true or false, not {kind_of(value)}")
        return value

    def number(self, key: str) -> float | None:
        """A finite number, None where the key is missing."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(key, f"must be a number, not {kind_of(value)}")
        number = finite(value)
        if number is None:
            self.fail(key, f"is {value}; it must be finite")
        return number

    def ranged(self, key: str, default: float, low: float, high: float) -> float:
        """A number from `low` to `high`; `default` where the key is missing."""
        value = self.number(key)
        if value is None:
            return default
        if not low <= value <= high:
            self.fail(key, f"is {value:.10g}; it must be from {low:.10g} to {high:.10g}")
        return value

    def count(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`; `default` where the key is missing."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            said = str(value) if isinstance(value, float) else kind_of(value)
            self.fail(key, f"must be a whole number, not {said}")
        if not low <= value <= high:
            self.fail(key, f"is {value}; it must be from {low} to {high}")
        return value

    def table(self, key: str) -> Table:
        """The table under `key`, an empty one where it is missing."""
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, f"must be a table, not {kind_of(value)}; write it as [{self.prefix}{key}]")
        return Table(value, self.where, self.error, f"{self.prefix}{key}.")

    def tables(self, key: str) -> tuple[Table, ...]:
        """The tables of the list under `key`, none where it is missing."""
        values = self.data.get(key, [])
        if not isinstance(values, list):
            self.fail(key, f"must be a list of tables, not {kind_of(values)}; write each as [[{key}]]")
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                self.fail(f"{key}[{index}]", f"must be a table, not {kind_of(value)}; write it as [[{key}]]")
        return tuple(
            Table(value, self.where, self.error, f"{self.prefix}{key}[{index}].")
            for index, value in enumerate(values)
        )


def finite(value: float) -> float | None:
    """The value as a float, None where it is infinite, not a number or too large for one."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_toml(path: Path, error: type[BadInput]) -> Table:
    """The whole file as a table; a file that can't be read or isn't TOML raises `error`."""
    try:
        # a byte order mark is what Windows editors leave; tomllib refuses it with a puzzling message
        data = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as problem:
        raise error(f"{path}: can't be read: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: isn't UTF-8 text (byte {problem.start}); save it as UTF-8") from problem
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{path}: isn't valid TOML: {problem}") from problem
    except RecursionError as problem:
        raise error(f"{path}: is nested too deeply") from problem
    return Table(data, str(path), error)
