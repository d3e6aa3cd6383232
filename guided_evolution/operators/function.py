"""Calls of one function turned into calls of another that takes the same arguments."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.operators.sites import choose_change


class FunctionOperator:
    """Swaps one function for another of its family: activations, reductions, initialisers, layers, optimisers."""

    name = "function"
    parents = 1

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where no function of a known family is called."""
        return choose_change(
            parents[0], rules, rng, lambda sites: sites.functions, "a call of a known family"
        )
