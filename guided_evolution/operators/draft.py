"""A draft from scratch: a model sees the task and what must be there, and writes the whole file anew."""

from __future__ import annotations

import random

from guided_evolution.briefing import Briefing
from guided_evolution.operators.asking import Question, question
from guided_evolution.prompts import Prompts

_APPROACHES = (
    "Aim for the simplest program that could score well.",
    "Aim for the strongest method that you know for this kind of task, within the limits.",
    "Aim for a method that is seldom used for this kind of task.",
    "Aim for a program that uses all of the time that one evaluation may take.",
)


class DraftOperator:
    """Asks for a whole program. The base of the edit is the seed program, whose frozen parts have to stay."""

    name = "draft"
    parents = 1
    base = "seed"

    def ask(self, briefing: Briefing, prompts: Prompts, rng: random.Random, notation: str | None) -> Question:
        """See ModelOperator. Programs of several files, or with frozen parts, are written part by part."""
        genome = briefing.base.genome
        whole = (
            len(genome.paths) == 1 and not briefing.rules.frozen and "EVOLVE-BLOCK" not in genome.files[0][1]
        )
        return question(
            self.name,
            briefing,
            prompts,
            notation=notation,
            temperature=round(rng.uniform(0.7, 1.0), 2),
            intent=rng.choice(_APPROACHES),
            whole_file=whole,
        )
