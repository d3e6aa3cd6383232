"""Statements deleted, repeated or moved within their body."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.operators.sites import choose_change


class StatementOperator:
    """Deletes, repeats or moves one statement, so that every name is still bound where it is read."""

    name = "statement"
    parents = 1

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site") where no statement can go or move."""
        return choose_change(
            parents[0], rules, rng, lambda sites: sites.statements, "a statement that can go or move"
        )
