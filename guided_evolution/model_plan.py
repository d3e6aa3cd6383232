"""The models of a run and what was known of them when it began: kept with the run, so that it resumes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from guided_evolution.errors import ModelRefused
from guided_evolution.model_settings import MANUAL, ModelSpec
from guided_evolution.prices import Limits, Price, check_caps, price_of


@dataclass(frozen=True)
class ModelPlan:
    """Models, their limits, and a snapshot of prices and sizes by name.

    Attributes:
        prices: None where nobody knows the price.
        windows: tokens of prompt and reply together, where known.
        most_reply: tokens that the model can answer with, where known.
    """

    specs: tuple[ModelSpec, ...]
    limits: Limits = field(default_factory=Limits)
    prices: Mapping[str, Price | None] = field(default_factory=dict)
    windows: Mapping[str, int] = field(default_factory=dict)
    most_reply: Mapping[str, int] = field(default_factory=dict)

    @property
    def costs_money(self) -> bool:
        """Some model is paid for, as far as anybody knows."""
        return any(price is None or not price.is_free for price in self.prices.values())

    def with_window(self, name: str, window: int) -> ModelPlan:
        """The plan with what a server told of a model; the user's own setting stays."""
        if any(one.name == name and one.context_window for one in self.specs):
            return self
        return replace(self, windows={**self.windows, name: window})

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {
            "models": [one.to_json() for one in self.specs],
            "limits": self.limits.to_json(),
            "prices": {name: price.to_json() if price else None for name, price in self.prices.items()},
            "windows": dict(self.windows),
            "most_reply": dict(self.most_reply),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ModelPlan:
        """What `to_json` wrote."""
        return cls(
            tuple(ModelSpec.from_json(one) for one in stored["models"]),
            Limits.from_json(stored["limits"]),
            {name: Price.from_json(price) if price else None for name, price in stored["prices"].items()},
            {str(name): int(size) for name, size in stored["windows"].items()},
            {str(name): int(size) for name, size in stored["most_reply"].items()},
        )


def plan_models(specs: Sequence[ModelSpec], limits: Limits, *, no_cap: bool) -> ModelPlan:
    """A snapshot of what is known of these models now; imports litellm, which takes seconds, unless a person is asked.

    Raises:
        SettingsError: money could be spent without a bound.
        ModelRefused: a provider that litellm doesn't know.
        ModelUnavailable: litellm isn't installed.
    """
    listed = {} if all(one.name == MANUAL for one in specs) else _listed(specs)
    prices = {one.name: price_of(one, listed.get(one.name)) for one in specs}
    check_caps(prices, limits, no_cap=no_cap)
    windows, most_reply = {}, {}
    for one in specs:
        entry = listed.get(one.name) or {}
        if window := one.context_window or _size(entry, "max_input_tokens"):
            windows[one.name] = window
        if most := _size(entry, "max_output_tokens"):
            most_reply[one.name] = most
    return ModelPlan(tuple(specs), limits, prices, windows, most_reply)


def _size(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _listed(specs: Sequence[ModelSpec]) -> dict[str, Mapping[str, Any]]:
    """The entries of these models in litellm's map."""
    from guided_evolution.model_client import load_litellm

    litellm = load_litellm()
    found: dict[str, Mapping[str, Any]] = {}
    for spec in specs:
        if spec.name == MANUAL:
            continue
        try:
            model, provider, *_ = litellm.get_llm_provider(spec.name)
        except litellm.BadRequestError as error:
            raise ModelRefused(
                f"model {spec.name}: no such provider; write PROVIDER/NAME, like openai/gpt-5 or ollama_chat/qwen3, "
                "or give the address of an OpenAI-compatible server by --base-url"
            ) from error
        for name in (spec.name, f"{provider}/{model}", model):
            entry = litellm.model_cost.get(name)
            if isinstance(entry, dict) and str(entry.get("litellm_provider", "")).startswith(provider):
                found[spec.name] = entry
                break
    return found
