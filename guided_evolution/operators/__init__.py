"""Operators: from parents to an edit of the first one."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from guided_evolution.edit import Edit, FrozenRules
from guided_evolution.genome import Genome

if TYPE_CHECKING:
    from guided_evolution.operators.asking import ModelOperator


class Operator(Protocol):
    """One way of making a child. `parents` is how many it needs; the first is the base that the edit applies to."""

    name: str
    parents: int

    def propose(self, parents: Sequence[Genome], rules: FrozenRules, rng: random.Random) -> Edit:
        """An edit of parents[0]. Raises EditRejected("no-site", …) where it finds nothing to change."""
        ...


def model_operators() -> Mapping[str, ModelOperator]:
    """The operators that ask a model, by name: mutate, merge, draft, repair."""
    from guided_evolution.operators.draft import DraftOperator
    from guided_evolution.operators.merge import MergeOperator
    from guided_evolution.operators.mutate import MutateOperator
    from guided_evolution.operators.repair import RepairOperator

    operators: tuple[ModelOperator, ...] = (
        MutateOperator(),
        MergeOperator(),
        DraftOperator(),
        RepairOperator(),
    )
    return {operator.name: operator for operator in operators}


def builtin_operators() -> Mapping[str, Operator]:
    """The syntactic operators by name: constant, operator, function, statement, crossover, again."""
    from guided_evolution.operators.again import AgainOperator
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
        AgainOperator(),
    )
    return {operator.name: operator for operator in operators}
