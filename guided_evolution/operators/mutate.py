"""Mutation by a model: it sees a program, how it does and what was tried, and changes what it likes."""

from __future__ import annotations

import random

from guided_evolution.briefing import Briefing
from guided_evolution.evolvable import evolvable_genes
from guided_evolution.operators.asking import Question, question
from guided_evolution.prompts import Prompts

_POINTED = 0.5


class MutateOperator:
    """Asks for a change, half of the time with a gene to look at first. The gene is a suggestion, not a wall."""

    name = "mutate"
    parents = 1
    base = "scored"

    def ask(self, briefing: Briefing, prompts: Prompts, rng: random.Random, notation: str | None) -> Question:
        """See ModelOperator."""
        intent = rng.choice(prompts.intents)
        temperature = round(rng.uniform(0.4, 1.0), 2)
        genes = [name for name in evolvable_genes(briefing.base.genome, briefing.rules) if "<" not in name]
        scope = [rng.choice(genes)] if genes and rng.random() < _POINTED else []
        said = f"Look at `{scope[0]}` first; anything else that isn't frozen may change too." if scope else ""
        return question(
            self.name,
            briefing,
            prompts,
            notation=notation,
            temperature=temperature,
            intent=intent,
            scope=scope,
            said_scope=said,
        )
