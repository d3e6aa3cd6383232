"""What models cost: from the models file, else from the map that comes with litellm; snapshot kept with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guided_evolution.errors import SettingsError
from guided_evolution.model_settings import MANUAL, ModelSpec


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens. `source` is ``settings``, ``litellm`` or ``local`` (the user's own, free)."""

    prompt: float
    completion: float
    cached: float
    source: str

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """US dollars for these tokens; `cached_tokens` are among the prompt's."""
        fresh = prompt_tokens - cached_tokens
        return (fresh * self.prompt + cached_tokens * self.cached + completion_tokens * self.completion) / 1e6

    @property
    def is_free(self) -> bool:
        """Nothing is charged."""
        return self.prompt == self.completion == 0

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {"in": self.prompt, "out": self.completion, "cached": self.cached, "source": self.source}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Price:
        """What `to_json` wrote."""
        return cls(float(stored["in"]), float(stored["out"]), float(stored["cached"]), str(stored["source"]))


FREE = Price(0.0, 0.0, 0.0, "local")


def price_of(spec: ModelSpec, listed: Mapping[str, Any] | None) -> Price | None:
    """The price of a model; None where nobody knows it.

    The file goes first, then what is listed under its name, even behind an address on this machine, which may be a
    gateway to a paid provider; and a model that nobody lists is free where it runs on the user's own hardware.

    Args:
        listed: the model's entry in litellm's map, in US dollars a token.
    """
    if spec.name == MANUAL:
        return FREE
    if spec.price_in is not None or spec.price_out is not None:
        prompt, completion = spec.price_in or 0.0, spec.price_out or 0.0
        return Price(
            prompt, completion, prompt if spec.price_cached is None else spec.price_cached, "settings"
        )
    if spec.base_url is None and spec.is_local:
        return FREE
    if listed and (listed.get("input_cost_per_token") or listed.get("output_cost_per_token")):
        prompt = float(listed.get("input_cost_per_token") or 0.0) * 1e6
        completion = float(listed.get("output_cost_per_token") or 0.0) * 1e6
        cached = listed.get("cache_read_input_token_cost")
        return Price(prompt, completion, prompt if cached is None else float(cached) * 1e6, "litellm")
    return FREE if spec.is_local else None


@dataclass(frozen=True)
class Limits:
    """What a run's model calls may cost altogether; None is no bound.

    Attributes:
        cost: US dollars.
        tokens: of prompts and replies.
        calls: HTTP requests to models, retries too.
    """

    cost: float | None = None
    tokens: int | None = None
    calls: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {"cost": self.cost, "tokens": self.tokens, "calls": self.calls}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Limits:
        """What `to_json` wrote."""
        return cls(stored["cost"], stored["tokens"], stored["calls"])


def check_caps(prices: Mapping[str, Price | None], limits: Limits, *, no_cap: bool) -> None:
    """Refuse to spend money without a bound that holds.

    Raises:
        SettingsError: a paid model without a cap, or one whose price nobody knows without a cap that needs no price.
    """
    for name, price in prices.items():
        countable = limits.tokens is not None or limits.calls is not None
        if no_cap or countable:
            continue
        if price is None:
            what = (
                "a cap on its cost can't hold" if limits.cost is not None else "what it costs can't be told"
            )
            raise SettingsError(
                f"model {name}: its price isn't known, so {what}; give price_in and price_out in the models file, "
                "or cap the run by --max-tokens or --max-calls, or say --no-cap"
            )
        if not price.is_free and limits.cost is None:
            raise SettingsError(
                f"model {name} costs money (${price.prompt:.4g} a million tokens in, ${price.completion:.4g} out); "
                "cap the run by --max-cost, --max-tokens or --max-calls, or say --no-cap"
            )


@dataclass(frozen=True)
class Estimate:
    """What a run will cost: US dollars, from a weighted mean over its models; None where a price isn't known."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None

    def __str__(self) -> str:
        tokens = (
            f"about {self.calls} model calls of {self.prompt_tokens:,} + {self.completion_tokens:,} tokens"
        )
        if self.cost is None:
            return f"{tokens}; the price isn't known"
        return f"{tokens}: {'free' if self.cost == 0 else f'about ${self.cost:.2g}'}"


def estimate(
    specs: Sequence[ModelSpec],
    prices: Mapping[str, Price | None],
    *,
    calls: int,
    prompt_tokens: int,
    completion_tokens: int,
) -> Estimate:
    """What `calls` of this many tokens each will cost, spread over the models by their weights."""
    total = sum(spec.weight for spec in specs)
    cost: float | None = 0.0
    for spec in specs:
        price = prices.get(spec.name)
        if price is None:
            cost = None
            break
        cost = (cost or 0.0) + calls * spec.weight / total * price.of(prompt_tokens, completion_tokens)
    return Estimate(calls, prompt_tokens, completion_tokens, cost)
