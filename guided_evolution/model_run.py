"""What a run asks of models: kept with the run, so that it resumes alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from guided_evolution.model_plan import ModelPlan
from guided_evolution.prices import Limits

DEFAULT_CALLS = 8
"""Calls in flight at once where nobody says otherwise."""

DEFAULT_PROMPT_TOKENS = 24_000
"""Tokens that a prompt may have where nobody says otherwise."""

_PROMPT_SHARE = 0.6
"""So much of a model's window a prompt may fill; the rest is for the reply."""

SETTINGS_KEY = "model_run"


@dataclass(frozen=True)
class ModelRun:
    """See the module.

    Attributes:
        calls: calls in flight at once, in each process that works off proposals.
        templates: the user's own prompts, by name; their text, so that every worker has them.
        prompt_tokens: most tokens of a prompt; None takes what fits the models.
        folder: where prompts for a person are written; None without `--model manual`.
        replay: the id and name of the run in the same archive that answers in the place of models.
    """

    models: ModelPlan
    calls: int = DEFAULT_CALLS
    templates: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int | None = None
    folder: str | None = None
    replay: tuple[int, str] | None = None

    @property
    def prompt_budget(self) -> int:
        """Tokens that a prompt may have."""
        if self.prompt_tokens is not None:
            return self.prompt_tokens
        windows = [int(_PROMPT_SHARE * size) for size in self.models.windows.values()]
        return min([DEFAULT_PROMPT_TOKENS, *windows])

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {
            "models": self.models.to_json(),
            "calls": self.calls,
            "templates": dict(self.templates),
            "prompt_tokens": self.prompt_tokens,
            "folder": self.folder,
            "replay": None if self.replay is None else list(self.replay),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> ModelRun | None:
        """What `to_json` wrote; None for a run without models."""
        if stored is None:
            return None
        replayed = stored["replay"]
        return cls(
            ModelPlan.from_json(stored["models"]),
            int(stored["calls"]),
            dict(stored["templates"]),
            stored["prompt_tokens"],
            stored["folder"],
            None if replayed is None else (int(replayed[0]), str(replayed[1])),
        )

    def with_limits(self, limits: Limits) -> ModelRun:
        """The same with other limits."""
        return replace(self, models=replace(self.models, limits=limits))
