"""Crossover by a model: it sees two programs and makes one that has the strengths of both."""

from __future__ import annotations

import random

from guided_evolution.briefing import Briefing
from guided_evolution.genome import gene_diff
from guided_evolution.operators.asking import Question, question
from guided_evolution.prompts import Prompts

_WHOLE = 0.5


class MergeOperator:
    """Asks to bring over what is good in the other parent: one gene that differs, or whatever serves, by a coin's fall.

    Both directions come up, since the controller draws which parent is the base.
    """

    name = "merge"
    parents = 2
    base = "scored"

    def ask(self, briefing: Briefing, prompts: Prompts, rng: random.Random, notation: str | None) -> Question:
        """See ModelOperator."""
        assert briefing.partner is not None, "merge needs two parents"
        differ = gene_diff(briefing.base.genome, briefing.partner.genome)
        genes = [name for name in (*differ.changed, *differ.added) if "<" not in name]
        whole = rng.random() < _WHOLE or not genes
        gene = "" if whole else rng.choice(genes)
        said = (
            "Change the program so that it unites the strengths of both parents. Say to yourself first which of the "
            "differences brought each of them its scores; take over only those, and make them work together."
            if whole
            else f"Bring `{gene}` of the other parent into the program: unite what is good in both versions of it, and "
            "adapt what it depends on."
        )
        return question(
            self.name,
            briefing,
            prompts,
            notation=notation,
            temperature=round(rng.uniform(0.3, 0.8), 2),
            scope=[gene] if gene in differ.changed else [],
            said_scope=said,
        )
