"""From settings to what a run asks of models: which ones, at what cost at most, by which prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from guided_evolution.errors import SettingsError
from guided_evolution.model_run import DEFAULT_CALLS, ModelRun
from guided_evolution.model_settings import choose_models
from guided_evolution.prices import Limits, estimate
from guided_evolution.settings import Settings

REPLY_TOKENS = 1500
"""What a reply is taken to have in the estimate before a run."""


def limits_of(settings: Settings, before: Limits) -> Limits:
    """The limits that the settings name; for those that they don't, what was in force before."""
    return Limits(
        before.cost if settings.max_cost is None else settings.max_cost,
        before.tokens if settings.max_tokens is None else settings.max_tokens,
        before.calls if settings.max_calls is None else settings.max_calls,
    )


def choose_model_run(settings: Settings, notice: Callable[[str], None]) -> ModelRun | None:
    """What a run asks; None where the settings name no model. Asks local servers what they know, which is free.

    Raises:
        SettingsError: settings that don't fit together, a models file or prompts that can't be used, no cap.
        ModelRefused, ModelUnavailable: no key, an unknown provider, nobody at the address.
    """
    if not settings.model and settings.models_file is None:
        needs_one = {"base_url": settings.base_url, "prompts": settings.prompts, **_caps(settings)}
        for name, value in needs_one.items():
            if value is not None:
                raise SettingsError(
                    f"{name.replace('_', '-')} is given and no model; name one, as in `--model openai/gpt-5-mini`"
                )
        return None
    # Late: runs without a model start without all this.
    from guided_evolution.model_plan import plan_models
    from guided_evolution.preflight import look_at
    from guided_evolution.prompts import read_templates

    specs = choose_models(
        settings.model,
        base_url=settings.base_url,
        file=None if settings.models_file is None else Path(settings.models_file),
        seconds=settings.call_timeout,
    )
    plan = plan_models(specs, limits_of(settings, Limits()), no_cap=settings.no_cap)
    return ModelRun(
        # With a broker its workers have the keys and reach the addresses, not this machine.
        look_at(plan, notice=notice) if settings.broker is None else plan,
        settings.calls or DEFAULT_CALLS,
        {} if settings.prompts is None else read_templates(Path(settings.prompts)),
        settings.prompt_tokens,
        settings.manual_folder,
    )


def _caps(settings: Settings) -> Mapping[str, object]:
    return {name: getattr(settings, name) for name in ("max_cost", "max_tokens", "max_calls", "calls")}


def looked_at_again(asked: ModelRun, notice: Callable[[str], None]) -> ModelRun:
    """The same after another look at keys and addresses, as before a run is resumed; raises as `choose_model_run`."""
    if asked.replay is not None:
        return asked
    from guided_evolution.preflight import look_at

    return replace(asked, models=look_at(asked.models, notice=notice))


def estimate_of(asked: ModelRun, *, evaluations: int | None, share: float, prompt_tokens: int) -> str:
    """What the run's calls will cost, in half a sentence.

    Args:
        evaluations: the run's budget; None where time alone bounds it: then it is told for a hundred.
        share: of the proposals that ask a model.
        prompt_tokens: of the first prompt.
    """
    calls = max(1, round((evaluations or 100) * share))
    said = estimate(
        asked.models.specs,
        asked.models.prices,
        calls=calls,
        prompt_tokens=prompt_tokens,
        completion_tokens=REPLY_TOKENS,
    )
    return str(said) + ("" if evaluations else ", for every 100 evaluations")
