"""What a run and the command are told: flags, then GUIDED_EVOLUTION_* variables, then a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from guided_evolution.checked_table import did_you_mean, finite, kind_of, read_toml
from guided_evolution.errors import SettingsError

PREFIX = "GUIDED_EVOLUTION_"
FILE_NAME = "guided-evolution.toml"
FILE_VARIABLE = PREFIX + "SETTINGS"
OPERATORS = (
    "constant",
    "operator",
    "function",
    "statement",
    "crossover",
    "again",
    "mutate",
    "merge",
    "draft",
    "repair",
)
"""All operators; the last four ask a model."""

SandboxKind = Literal["auto", "process", "docker"]

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_UNITS = (86400, 3600, 60, 1)


def available_cpus() -> int:
    """Processors that this process may use; in a container or under taskset fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """All settings, checked. None means not bounded (budgets), drawn anew (rng_seed) or the run's own choice.

    Attributes:
        archive: path or URL of the database; a path is relative to the working folder.
        broker: URL of the queue's server; None runs everything in this process.
        slots: evaluations at a time.
        evaluations, time, target, patience: budgets; time in seconds, target as (metric, value).
        rng_seed: decides every random choice of a run.
        sandbox: where candidates run; auto takes Docker where a model writes programs, else the process kind.
        base_image: image with Python that the Docker sandbox builds on; None takes the official one.
        wheels: folder of wheels that it installs from, for machines without network.
        population: programs kept as parents, on each island.
        strategy, selection, islands, migration: see `SearchPlan`, which checks them.
        operators: share of proposals by operator, not normalised; those that aren't named keep their usual share.
        model: models to ask, as "PROVIDER/NAME" or "PROVIDER/NAME=WEIGHT"; empty for a run without.
        base_url: address of an OpenAI-compatible server for those that the models file gives none.
        models_file: settings of models; without `model`, all of it is asked.
        max_cost: US dollars for model calls. max_tokens, max_calls: likewise. no_cap: none is wanted.
        calls: model calls in flight at once.
        call_timeout: seconds for one request to a model, for those that the models file gives none.
        prompts: folder of templates that take the place of ours.
        prompt_tokens: most tokens of a prompt.
        manual_folder: where `--model manual` writes prompts and reads replies.
    """

    archive: str = "guided-evolution.db"
    broker: str | None = None
    slots: int = field(default_factory=available_cpus)
    evaluations: int | None = None
    time: float | None = None
    target: tuple[str, float] | None = None
    patience: int | None = None
    rng_seed: int | None = None
    sandbox: SandboxKind = "auto"
    base_image: str | None = None
    wheels: str | None = None
    population: int | None = None
    strategy: str = "evolve"
    selection: str | None = None
    islands: int | None = None
    migration: str | None = None
    operators: Mapping[str, float] = field(default_factory=dict)
    model: tuple[str, ...] = ()
    base_url: str | None = None
    models_file: str | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    no_cap: bool = False
    calls: int | None = None
    call_timeout: float | None = None
    prompts: str | None = None
    prompt_tokens: int | None = None
    manual_folder: str = "prompts"


@dataclass(frozen=True)
class _Given:
    """A value as somebody wrote it, and where, for complaints."""

    value: object
    source: str


def load_settings(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings after all three sources; a flag that is None and an empty variable count as not given.

    `environ` and `cwd` are this process's own unless given. The file is `file`, else the one that
    GUIDED_EVOLUTION_SETTINGS names, else guided-evolution.toml in `cwd` where it exists.
    Raises SettingsError that names the source.
    """
    environ = os.environ if environ is None else environ
    folder = cwd or Path.cwd()
    given: dict[str, _Given] = dict(_from_file(_settings_file(environ, folder, file)))
    given |= dict(_from_environment(environ))
    given |= dict(_from_flags(flags or {}))
    return Settings(**{name: _checked(name, one) for name, one in given.items()})


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "10m", "2h", "1h30m"; ValueError for anything else and for nothing."""
    match = _DURATION.fullmatch(text.strip().lower().replace(" ", ""))
    if match is None or not any(match.groups()):
        raise ValueError('must be a time like "90s", "10m" or "2h"')
    return float(sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part))


def _settings_file(environ: Mapping[str, str], folder: Path, file: Path | None) -> Path | None:
    named = str(file) if file else environ.get(FILE_VARIABLE, "")
    place = folder / (named or FILE_NAME)
    if place.is_file():
        return place
    if named:
        source = f"--settings {file}" if file else f"{FILE_VARIABLE}={named}"
        raise SettingsError(f"{source}: no such file")
    return None


def _from_file(place: Path | None) -> Iterator[tuple[str, _Given]]:
    if place is None:
        return
    table = read_toml(place, SettingsError)
    table.only(*_PARSERS)
    for name, value in table.data.items():
        yield name, _Given(value, f"{place}: {name} = {_shown(value)}")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in _PARSERS or variable != variable.upper():
            known = [PREFIX + known.upper() for known in (*_PARSERS, "settings")]
            raise SettingsError(
                f"unknown environment variable {variable}; {_closest_variable(variable, known)}"
            )
        if text.strip():
            yield name, _Given(_from_text(name, text.strip()), f"{variable}={text}")


def _closest_variable(variable: str, known: list[str]) -> str:
    said = did_you_mean(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX).lower() for name in known])
    close = re.fullmatch(r'did you mean "(\w+)"\?', said)
    return f"did you mean {PREFIX}{close[1].upper()}?" if close else "known are " + ", ".join(known)


def _from_text(name: str, text: str) -> object:
    """A whole number where one is meant; every other setting is understood as text."""
    if name in _WHOLE and re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    return text


def _from_flags(flags: Mapping[str, object]) -> Iterator[tuple[str, _Given]]:
    for name, value in flags.items():
        if name not in _PARSERS:
            raise SettingsError(f'unknown setting "{name}"; {did_you_mean(name, _PARSERS)}')
        if value is not None:
            yield name, _Given(value, f"--{name.replace('_', '-')} {_shown(value)}")


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _checked(name: str, given: _Given) -> Any:
    try:
        return _PARSERS[name](given.value)
    except ValueError as problem:
        raise SettingsError(f"{given.source}: {name} {problem}") from problem


def _text(value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text, not {kind_of(value) if value else 'empty'}")
    return value


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        if value < low:
            raise ValueError(f"must be at least {low}")
        if value > high:
            raise ValueError(f"must be at most {high}")
        return value

    return parse


def _number(value: object, said: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(said)
    try:
        number = finite(float(value)) if isinstance(value, str) else finite(value)
    except ValueError:
        number = None
    if number is None:
        raise ValueError(said)
    return number


def _time(value: object) -> float:
    said = 'must be a time like "90s", "10m" or "2h"'
    seconds = parse_duration(value) if isinstance(value, str) else _number(value, said)
    if not 0 < seconds <= 10 * 365 * 86400:
        raise ValueError("must be more than 0 seconds and less than ten years")
    return seconds


def _target(value: object) -> tuple[str, float]:
    said = 'must be METRIC=VALUE, like "accuracy=0.9"'
    if isinstance(value, str):
        metric, equals, number = value.partition("=")
    elif isinstance(value, tuple | list) and len(value) == 2:
        metric, equals, number = str(value[0]), "=", value[1]
    else:
        raise ValueError(said)
    if not equals or not metric.strip():
        raise ValueError(said)
    return metric.strip(), _number(number, said)


def _sandbox(value: object) -> SandboxKind:
    for kind in get_args(SandboxKind):
        if value == kind:
            return kind  # type: ignore[no-any-return]
    raise ValueError(f"must be one of {', '.join(get_args(SandboxKind))}")


def _operators(value: object) -> dict[str, float]:
    said = 'must give shares by operator, like "constant=2,crossover=1"'
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        shares: dict[str, object] = {name.strip(): share if equals else None for name, equals, share in pairs}
    elif isinstance(value, Mapping):
        shares = {str(name): share for name, share in value.items()}
    else:
        raise ValueError(said)
    checked: dict[str, float] = {}
    for name, share in shares.items():
        if name not in OPERATORS:
            raise ValueError(f'names the unknown operator "{name}"; {did_you_mean(name, OPERATORS)}')
        checked[name] = _number(share, said)
        if checked[name] < 0:
            raise ValueError(f"gives {name} a share below 0")
    if len(checked) == len(OPERATORS) and not any(checked.values()):
        raise ValueError("gives every operator the share 0")
    return checked


def _models(value: object) -> tuple[str, ...]:
    said = 'must be a model or a list of them, like "openai/gpt-5=3"'
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError(said)
    names = tuple(one.strip() if isinstance(one, str) else "" for one in given)
    if not all(names):
        raise ValueError(said)
    return names


def _dollars(value: object) -> float:
    said = "must be US dollars, a number above 0"
    number = _number(value.removeprefix("$") if isinstance(value, str) else value, said)
    if number <= 0:
        raise ValueError(said)
    return number


def _yes_or_no(value: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


_WHOLE = {
    "slots": _whole(1, 1024),
    "evaluations": _whole(1, 10**9),
    "patience": _whole(1, 10**9),
    "rng_seed": _whole(0, 2**63 - 1),
    "population": _whole(2, 10**5),
    "max_tokens": _whole(1, 10**12),
    "max_calls": _whole(1, 10**9),
    "calls": _whole(1, 1024),
    "prompt_tokens": _whole(1000, 10**7),
    "islands": _whole(1, 1000),
}
_PARSERS: Mapping[str, Callable[[object], Any]] = {
    "archive": _text,
    "broker": _text,
    **_WHOLE,
    "time": _time,
    "call_timeout": _time,
    "target": _target,
    "sandbox": _sandbox,
    "strategy": _text,
    "selection": _text,
    "migration": _text,
    "base_image": _text,
    "wheels": _text,
    "operators": _operators,
    "model": _models,
    "base_url": _text,
    "models_file": _text,
    "max_cost": _dollars,
    "no_cap": _yes_or_no,
    "prompts": _text,
    "manual_folder": _text,
}
assert set(_PARSERS) == {one.name for one in fields(Settings)}
