"""Repair by a model: it sees a program that failed its evaluation, the error, and the change that brought it in."""

from __future__ import annotations

import random

from guided_evolution.briefing import Briefing
from guided_evolution.operators.asking import Question, question
from guided_evolution.prompts import Prompts


class RepairOperator:
    """Asks to mend a failed program. Its base is the failed program itself."""

    name = "repair"
    parents = 1
    base = "failed"

    def ask(self, briefing: Briefing, prompts: Prompts, rng: random.Random, notation: str | None) -> Question:
        """See ModelOperator."""
        return question(
            self.name, briefing, prompts, notation=notation, temperature=round(rng.uniform(0.0, 0.4), 2)
        )
