"""`prompt`: what the first proposal of a run would ask."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from guided_evolution.cli.opening import sandbox_opener
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json
from guided_evolution.first_prompt import first_prompt
from guided_evolution.model_run import DEFAULT_PROMPT_TOKENS
from guided_evolution.model_settings import choose_models
from guided_evolution.prompts import Prompts, read_templates
from guided_evolution.seed import load_seed
from guided_evolution.settings import load_settings

_EVALUATION_SEED = 0


def prompt(
    place: Place, seed_name: str, operator: str, flags: Mapping[str, object], *, as_json: bool
) -> None:
    """Print the prompt, and its tokens on standard error."""
    settings = load_settings({"archive": place.archive, **flags}, file=place.settings)
    seed = load_seed(seed_name)
    specs = choose_models(
        settings.model,
        base_url=settings.base_url,
        file=None if settings.models_file is None else Path(settings.models_file),
    )
    templates = {} if settings.prompts is None else read_templates(Path(settings.prompts))
    # The seed's own program was written by the user.
    opener = sandbox_opener(settings, settings.sandbox, model_writes=False)
    opener.prepare(seed)
    sandbox = opener(seed)
    try:
        question = first_prompt(
            seed,
            sandbox,
            Prompts(templates, settings.prompt_tokens or DEFAULT_PROMPT_TOKENS),
            operator=operator,
            rng_seed=settings.rng_seed or 0,
            evaluation_seed=_EVALUATION_SEED,
            specs=specs,
        )
    finally:
        sandbox.close()
    if as_json:
        messages = [{"role": one.role, "content": one.content} for one in question.messages]
        print_json({"operator": operator, "tokens": question.tokens, "messages": messages})
        return
    for message in question.messages:
        sys.stdout.write(f"[{message.role}]\n{message.content.rstrip()}\n\n")
    console(stderr=True).print(f"about {question.tokens:,} tokens", style="dim")
