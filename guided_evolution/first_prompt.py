"""The prompt that a run's first proposal would get, without a run, a model or a key."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guided_evolution.briefer import packages_of
from guided_evolution.briefing import Briefing, Known
from guided_evolution.errors import SeedError, SettingsError
from guided_evolution.evaluation import judge, why_failed
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.model_settings import ModelSpec
from guided_evolution.operators import model_operators
from guided_evolution.operators.asking import Question
from guided_evolution.prompts import Prompts
from guided_evolution.sandbox import Job, Sandbox
from guided_evolution.seed import Seed

_NUMBER = 1  # the seed program is proposal 0


def first_prompt(
    seed: Seed,
    sandbox: Sandbox,
    prompts: Prompts,
    *,
    operator: str,
    rng_seed: int,
    evaluation_seed: int,
    specs: Sequence[ModelSpec] = (),
) -> Question:
    """The question, with the seed program's scores from one evaluation.

    Raises:
        SettingsError: no such operator, or one that no run begins with.
        SeedError: the seed program fails.
        SandboxBroken: the sandbox doesn't work here.
    """
    known = model_operators()
    if operator not in known:
        raise SettingsError(f"--operator {operator}: must be one of {', '.join(known)}")
    if known[operator].parents > 1 or known[operator].base == "failed":
        raise SettingsError(
            f"--operator {operator}: no run begins with it, as there is only the seed program; take mutate or draft"
        )
    result = judge(seed, sandbox.run(Job(seed.program, evaluation_seed)), sandbox.kind)
    if result.metrics is None:
        raise SeedError(why_failed(seed.name, result.kind or "unknown", result.error or ""))
    briefing = Briefing(
        seed=seed,
        rules=FrozenRules(seed.protected, seed.frozen, seed.limits.program_kb),
        base=Known(0, Genome.split(seed.program), result.metrics, result.feedback),
        seed_metrics=result.metrics,
        best_metrics=result.metrics,
        packages=packages_of(seed),
    )
    rng = random.Random(f"{rng_seed}/{_NUMBER}/model")
    notation = rng.choices(specs, weights=[one.weight for one in specs])[0].notation if specs else None
    return known[operator].ask(briefing, prompts, random.Random(f"{rng_seed}/{_NUMBER}/ask"), notation)
