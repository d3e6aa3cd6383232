"""Which models a run asks: `--model NAME=WEIGHT`, and a file with groups and settings for each.

The file, TOML; a table for each model, all keys but the name free to leave out:

    [[model]]
    name = "openai/gpt-5"             # as litellm knows it: PROVIDER/NAME
    weight = 3                        # share of the calls of its group
    group = "repair"                  # a purpose (an operator's name), asked of this group and of nobody else
    base_url = "https://host/v1"      # an OpenAI-compatible server, Ollama or vLLM
    api_key_env = "HOST_API_KEY"      # the environment variable that holds the key; never the key itself
    reasoning_effort = "low"          # sent where the model takes one
    max_tokens = 8000                 # of a reply
    context_window = 128000           # of prompt and reply together
    seconds = 300                     # for one request until its whole answer is there
    price_in = 1.25                   # US dollars a million tokens
    price_out = 10.0
    price_cached = 0.125              # of prompt tokens that the provider had in its cache
    notation = "diff"                 # how it writes edits best
    parameters = { top_p = 0.9 }      # sent as they are
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from guided_evolution.checked_table import Table, one_line, read_toml
from guided_evolution.errors import SettingsError

MANUAL = "manual"
_KEYS = (
    "name weight group base_url api_key_env reasoning_effort max_tokens context_window seconds "
    "price_in price_out price_cached notation parameters"
).split()
_OWN_HARDWARE = ("ollama", "ollama_chat", "hosted_vllm", "vllm", "lm_studio", "llamafile", "xinference")
_OUR_OWN = ("messages", "model", "stream", "n", "tools", "api_key", "temperature", "max_tokens", "api_base")


@dataclass(frozen=True)
class ModelSpec:
    """One model of a run and how to ask it. Prices are US dollars a million tokens; None is not known.

    Attributes:
        name: PROVIDER/NAME as litellm knows it, or ``manual``.
        weight: its share of the calls.
        parameters: sent as they are.
    """

    name: str
    weight: float = 1.0
    group: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    context_window: int | None = None
    seconds: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    price_cached: float | None = None
    notation: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        """The part before the first slash; empty where there is none."""
        return self.name.partition("/")[0] if "/" in self.name else ""

    @property
    def deadline(self) -> float:
        """Seconds for one request; more where the model is told to think long."""
        if self.seconds is not None:
            return self.seconds
        return 600.0 if self.reasoning_effort in ("medium", "high", "xhigh", "max") else 180.0

    @property
    def is_local(self) -> bool:
        """Runs on hardware of the user's own, as far as name and address tell."""
        if self.base_url is not None:
            return is_private(self.base_url)
        return self.provider in _OWN_HARDWARE

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it, without what is at its default."""
        blank = ModelSpec(self.name)
        shown = {key: getattr(self, key) for key in _KEYS}
        return {key: value for key, value in shown.items() if key == "name" or value != getattr(blank, key)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ModelSpec:
        """What `to_json` wrote."""
        return cls(**stored)


def eligible(specs: Sequence[ModelSpec], purpose: str) -> list[ModelSpec]:
    """The models that a call of this purpose goes to: the group of its name, else those without a group, else all."""
    own = [one for one in specs if one.group == purpose]
    return own or [one for one in specs if one.group is None] or list(specs)


def is_private(url: str) -> bool:
    """Whether the address of this URL is the machine itself or a network of the user's own, by its form alone."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (
            host == "localhost"
            or "." not in host
            or host.endswith((".local", ".lan", ".internal", ".localhost"))
        )
    return address.is_loopback or address.is_private or address.is_link_local


def parse_model_flag(text: str) -> tuple[str, float | None]:
    """(name, weight) of ``NAME`` or ``NAME=WEIGHT``; raises SettingsError."""
    name, equals, share = text.strip().rpartition("=")
    if not equals:
        name, share = share, ""
    name = name.strip()
    if not name or not re.fullmatch(r"[^\s=]+", name):
        raise SettingsError(
            one_line(f'--model {text}: must be PROVIDER/NAME or PROVIDER/NAME=WEIGHT, like "openai/gpt-5=3"')
        )
    if not equals:
        return name, None
    try:
        weight = float(share)
    except ValueError:
        weight = -1.0
    if not (math.isfinite(weight) and weight > 0):
        raise SettingsError(one_line(f"--model {text}: the weight must be a number above 0, not {share!r}"))
    return name, weight


def choose_models(
    flags: Sequence[str],
    *,
    base_url: str | None = None,
    file: Path | None = None,
    seconds: float | None = None,
) -> tuple[ModelSpec, ...]:
    """The models of a run: those that the flags name, with their settings from the file; all of the file without flags.

    `base_url` and `seconds` go to every model that the file gives none. With an address, a name without a provider is
    taken as one of an OpenAI-compatible server.

    Raises:
        SettingsError: names flag or file, and the way out.
    """
    if base_url is not None:
        _check_url(base_url, "--base-url")
    known = read_models_file(file) if file else ()
    chosen = [_named(name, weight, known) for name, weight in map(parse_model_flag, flags)] or list(known)
    timed = [replace(spec, seconds=spec.seconds or seconds) for spec in chosen]
    done = tuple(_with_address(spec, base_url) for spec in timed)
    names = [spec.name for spec in done]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(
                f"--model {name} is given twice; give it once, with a weight: --model {name}=2"
            )
        if name == MANUAL and len(names) > 1:
            raise SettingsError("--model manual stands alone: a person is asked, or models are")
    return done


def _named(name: str, weight: float | None, known: Iterable[ModelSpec]) -> ModelSpec:
    spec = next((one for one in known if one.name == name), ModelSpec(name))
    return spec if weight is None else replace(spec, weight=weight)


def _with_address(spec: ModelSpec, base_url: str | None) -> ModelSpec:
    if spec.name == MANUAL:
        return spec
    spec = replace(spec, base_url=spec.base_url or base_url)
    if spec.base_url and not spec.provider:
        spec = replace(spec, name=f"openai/{spec.name}")
    return spec


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(one_line(f'{where} {url}: must be an address like "http://localhost:8000/v1"'))
    if parts.username or parts.password:
        raise SettingsError(
            f"{where}: holds a user name or password, which would be stored; name the variable that holds the key "
            "by api_key_env in the models file"
        )


def read_models_file(path: Path) -> tuple[ModelSpec, ...]:
    """Every model of a models file; raises SettingsError."""
    table = read_toml(path, SettingsError)
    table.only("model")
    specs = tuple(_read_model(one) for one in table.tables("model"))
    if not specs:
        raise SettingsError(f'{path}: names no model; write a table [[model]] with name = "openai/gpt-5"')
    return specs


def _read_model(table: Table) -> ModelSpec:
    if "api_key" in table.data:
        table.fail(
            "api_key",
            'would put a key into a file; name its environment variable: api_key_env = "HOST_API_KEY"',
        )
    table.only(*_KEYS)
    url = _optional_text(table, "base_url", "http://localhost:8000/v1")
    if url is not None:
        _check_url(url, f"{table.where}: {table.prefix}base_url")
    weight = table.ranged("weight", 1.0, 0.0, 1e9)
    if weight == 0:
        table.fail("weight", "is 0; leave the model out instead")
    parameters = dict(table.table("parameters").data)
    for key in parameters:
        if key in _OUR_OWN:
            table.fail(f"parameters.{key}", "is set by guided-evolution itself; remove it")
    return ModelSpec(
        name=table.text("name", example='"openai/gpt-5"'),
        weight=weight,
        group=_optional_text(table, "group", "repair"),
        base_url=url,
        api_key_env=_variable(table),
        reasoning_effort=_optional_text(table, "reasoning_effort", "low"),
        max_tokens=_optional_count(table, "max_tokens"),
        context_window=_optional_count(table, "context_window"),
        seconds=table.ranged("seconds", 0.0, 0.1, 86400.0) if "seconds" in table.data else None,
        price_in=_price(table, "price_in"),
        price_out=_price(table, "price_out"),
        price_cached=_price(table, "price_cached"),
        notation=_optional_text(table, "notation", "diff"),
        parameters=parameters,
    )


def _optional_text(table: Table, key: str, example: str) -> str | None:
    return table.text(key, example=f'"{example}"') if key in table.data else None


def _optional_count(table: Table, key: str) -> int | None:
    return table.count(key, 0, 1, 10**9) if key in table.data else None


def _price(table: Table, key: str) -> float | None:
    return table.ranged(key, 0.0, 0.0, 1e6) if key in table.data else None


def _variable(table: Table) -> str | None:
    name = _optional_text(table, "api_key_env", "HOST_API_KEY")
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # The value isn't repeated: it may well be the key.
        table.fail("api_key_env", 'must be the name of an environment variable, like "HOST_API_KEY"')
    return name
