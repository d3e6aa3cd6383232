"""Prompts: Markdown templates, filled from a briefing within a budget of tokens.

A template holds `{{name}}`; nothing else in it or in what is filled in has a meaning, so braces in code break nothing.
A part under a `##` heading whose placeholders are all empty is left out. A user's folder may hold templates of the same
names, which take the place of ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from guided_evolution.checked_table import did_you_mean
from guided_evolution.errors import SettingsError

PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "system": (),
    **dict.fromkeys(
        ("mutate", "merge", "draft", "repair"),
        (
            *("task", "objectives", "program", "error", "feedback", "attempts", "inspirations", "lessons"),
            *("limits", "packages", "frozen", "partner", "skeleton", "intent", "scope", "notation"),
        ),
    ),
    "retry": ("kind", "error", "notation"),
    **dict.fromkeys(("notation", "notation_diff", "notation_genes", "notation_file", "intents"), ()),
}
"""What each template may hold."""

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_HEADING = re.compile(r"^(?=#{1,6} )", re.MULTILINE)
_BYTES_A_TOKEN = 3.0


def count_tokens(text: str) -> int:
    """Tokens of a text, at a guess that errs upwards: a token for every 3 bytes of UTF-8 (code has 3.2 and more)."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_A_TOKEN)


@cache
def builtin_templates() -> Mapping[str, str]:
    """Our own templates by name, read once."""
    folder = resources.files(__name__)
    return {name: (folder / f"{name}.md").read_text("utf-8") for name in PLACEHOLDERS}


def read_templates(folder: Path) -> dict[str, str]:
    """The templates of a user's folder, checked, by name.

    Raises:
        SettingsError: no such folder, a file that is no template's, or a placeholder that the template can't have.
    """
    if not folder.is_dir():
        raise SettingsError(f"--prompts {folder}: no such folder")
    found: dict[str, str] = {}
    for place in sorted(folder.glob("*.md")):
        name = place.stem
        if name not in PLACEHOLDERS:
            raise SettingsError(f"{place}: there is no template {name!r}; {did_you_mean(name, PLACEHOLDERS)}")
        try:
            found[name] = place.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{place}: can't be read as UTF-8 text: {problem}") from problem
        _check(found[name], name, str(place))
    if not found:
        raise SettingsError(
            f"--prompts {folder}: holds no template; name them like ours: {', '.join(PLACEHOLDERS)} (.md)"
        )
    return found


def _check(template: str, name: str, where: str) -> None:
    known = PLACEHOLDERS[name]
    for match in _PLACEHOLDER.finditer(template):
        if match[1] not in known:
            line = template.count("\n", 0, match.start()) + 1
            said = did_you_mean(match[1], known) if known else "it can't have any"
            raise SettingsError(f"{where}, line {line}: unknown placeholder {{{{{match[1]}}}}}; {said}")
    if name == "intents" and not template.strip():
        raise SettingsError(f"{where}: holds no intent; write one a line, each after a dash")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders filled, in one pass, and the parts left out that stayed empty."""
    parts = []
    for part in _HEADING.split(template):
        names = _PLACEHOLDER.findall(part)
        empty = bool(names) and not any(values[name].strip() for name in names)
        only_them = not _PLACEHOLDER.sub("", part.partition("\n")[2]).strip()
        if not (empty and only_them and part.startswith("#")):
            parts.append(part)
    text = _PLACEHOLDER.sub(lambda match: values[match[1]].strip("\n") or "\x00", "".join(parts))
    text = re.sub(r"\n*[ \t]*\x00[ \t]*(?=\n|\Z)", "", text).replace("\x00", "")
    return text.strip("\n") + "\n"


class Prompts:
    """The templates of a run: ours, with a user's in place of those of the same name."""

    def __init__(self, overrides: Mapping[str, str] | None, budget: int) -> None:
        self._templates = {**builtin_templates(), **(overrides or {})}
        self.budget = budget

    def template(self, name: str) -> str:
        """A template's text."""
        return self._templates[name]

    @property
    def intents(self) -> list[str]:
        """What a mutation may be asked for, one drawn a prompt."""
        lines = [line.strip() for line in self.template("intents").splitlines()]
        return [line.lstrip("-* ").strip() for line in lines if line.lstrip("-* ").strip()]

    def notation(self, kind: str | None) -> str:
        """How an answer is to be written: ``diff``, ``genes``, ``file``, or any of them."""
        return self.template(f"notation_{kind}" if kind in ("diff", "genes", "file") else "notation")
