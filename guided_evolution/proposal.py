"""From a proposal's row to a program: claim, let an operator or a model edit, store the outcome. No sandbox here."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from guided_evolution.archive import evaluations, programs, proposals, runs
from guided_evolution.context import Contexts, RunContext
from guided_evolution.edit import apply_edit
from guided_evolution.errors import BudgetExhausted, EditRejected, WorldFailed
from guided_evolution.genome import Genome, gene_hash
from guided_evolution.operators import Operator

if TYPE_CHECKING:
    from guided_evolution.asker import (
        Asker,
    )  # brings all that reads replies, which runs without a model don't need

SEED = "seed"
"""The operator of proposal 0: the seed program itself."""

BUDGET = "budget"
"""Kind of a rejection that is the ledger's: the run can't afford another call."""


class _ClaimLost(Exception):
    """Somebody else holds this proposal now; the transaction is rolled back."""


class Proposer:
    """Works off proposals; safe to use from many threads.

    Args:
        operators: those that need no model.
        asker: given a run's id, who asks its model; None for a run without one.
    """

    def __init__(
        self,
        contexts: Contexts,
        operators: Mapping[str, Operator],
        asker: Callable[[int], Asker | None] = lambda _run_id: None,
    ) -> None:
        self._contexts = contexts
        self._archive = contexts.archive
        self._operators = operators
        self._asker = asker

    def propose(self, proposal_id: int, worker_id: int) -> int | None:
        """Settle a pending proposal; returns the id of the evaluation that it calls for, if any; 0 if it isn't pending.

        Raises:
            WorldFailed: no model answers; the proposal is pending again.
        """
        token = secrets.token_hex(8)
        claimed = self._archive.transact(
            lambda connection: proposals.claim(connection, proposal_id, worker_id, token)
        )
        if claimed is None:
            return 0
        run = self._contexts.run(claimed.run_id)
        try:
            genome, summary = self._make(run, claimed)
        except EditRejected as rejection:
            self._reject(claimed, rejection.kind, str(rejection), rejection.summary)
            return None
        except BudgetExhausted as exhausted:
            self._reject(claimed, BUDGET, str(exhausted), "")
            return None
        except WorldFailed:
            self._archive.transact(lambda connection: proposals.give_back(connection, claimed.id, worker_id))
            raise
        return self._store(run, claimed, genome, summary)

    def _reject(self, claimed: proposals.Claimed, kind: str, error: str, summary: str) -> None:
        self._archive.transact(
            lambda connection: proposals.settle(
                connection, claimed, "rejected", kind=kind, error=error, summary=summary or None
            )
        )

    def _make(self, run: RunContext, claimed: proposals.Claimed) -> tuple[Genome, str]:
        if claimed.operator == SEED:
            return Genome.split(run.seed.program), "the seed program"
        if claimed.operator not in self._operators:
            asker = self._asker(claimed.run_id)
            if asker is None or claimed.operator not in asker.operators:
                raise EditRejected("no-operator", f"there is no operator {claimed.operator!r} here")
            return asker.make(run, claimed)
        parents = [self._contexts.genome(program_id) for program_id in claimed.parents]
        rng = random.Random(f"{run.rng_seed}/{claimed.number}/edit")
        edit = self._operators[claimed.operator].propose(parents, run.rules, rng)
        return apply_edit(parents[0], edit, run.rules), edit.summary

    def _store(self, run: RunContext, claimed: proposals.Claimed, genome: Genome, summary: str) -> int | None:
        new = programs.NewProgram(
            fingerprint=genome.fingerprint,
            size=genome.size,
            genes={path: [_stored(source) for source in genome.sources(path)] for path in genome.paths},
        )
        try:
            stored = self._archive.transact(
                lambda connection: _accept(connection, run, claimed, new, summary)
            )
        except _ClaimLost:
            return None
        if stored is None:
            return None
        program_id, evaluation_id = stored
        self._contexts.remember(program_id, genome)
        return evaluation_id


def _accept(
    connection: Connection,
    run: RunContext,
    claimed: proposals.Claimed,
    new: programs.NewProgram,
    summary: str,
) -> tuple[int, int] | None:
    """Store the program and call for its evaluation; the ids of both, or None for a program that is known already."""
    generation = 1 + max(programs.generations(connection, claimed.parents), default=-1)
    program_id = None
    if (known := programs.known(connection, run.run_id, new.fingerprint)) is None:
        program_id = programs.add(
            connection,
            run.run_id,
            new,
            generation=generation,
            proposal_id=claimed.id,
            parents=claimed.parents,
        )
    if program_id is None:
        known = known or programs.known(connection, run.run_id, new.fingerprint)
        proposals.settle(connection, claimed, "known", program_id=known, summary=summary)
        return None
    if not proposals.settle(connection, claimed, "accepted", program_id=program_id, summary=summary):
        raise _ClaimLost
    if claimed.operator == SEED:
        runs.set_seed_program(connection, run.run_id, program_id)
    evaluation_id = evaluations.add(
        connection,
        run_id=run.run_id,
        program_id=program_id,
        proposal_id=claimed.id,
        purpose="seed" if claimed.operator == SEED else "search",
        seed=run.evaluation_seed,
        scoring_version=run.scoring_version,
    )
    return program_id, evaluation_id


def _stored(source: str) -> tuple[bytes, bytes]:
    return bytes.fromhex(gene_hash(source)), source.encode("utf-8", "surrogateescape")
