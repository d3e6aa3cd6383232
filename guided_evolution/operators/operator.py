"""Binary, comparing, boolean and augmented operators turned into others of their family."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.operators.sites import choose_change


class OperatorOperator:
    """Turns one operator into another that takes the same operands, or swaps its sides."""

    name = "operator"
    parents = 1

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where no operator stands."""
        return choose_change(parents[0], rules, rng, lambda sites: sites.operators, "an operator")
