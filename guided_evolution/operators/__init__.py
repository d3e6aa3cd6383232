"""Operators: from parents to an edit of the first one."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.genome import Genome


class Operator(Protocol):
    """One way of making a child. `parents` is how many it needs; the first is the base that the edit applies to."""

    name: str
    parents: int

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site", …) where it finds nothing to change."""
        ...


def builtin_operators() -> Mapping[str, Operator]:
    """The syntactic operators by name: constant, operator, function, statement, crossover."""
    from guided_evolution.operators.constant import ConstantOperator
    from guided_evolution.operators.crossover import CrossoverOperator
    from guided_evolution.operators.function import FunctionOperator
    from guided_evolution.operators.operator import OperatorOperator
    from guided_evolution.operators.statement import StatementOperator

    operators: tuple[Operator, ...] = (
        ConstantOperator(),
        OperatorOperator(),
        FunctionOperator(),
        StatementOperator(),
        CrossoverOperator(),
    )
    return {operator.name: operator for operator in operators}
