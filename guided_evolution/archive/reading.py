"""What reading commands ask: programs with all that is known of them. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from guided_evolution.archive.clock import now
from guided_evolution.archive.evaluations import COUNTED
from guided_evolution.archive.tables import Evaluation, Parentage, Program, Proposal
from guided_evolution.errors import ArchiveError

_evaluation = Evaluation.__table__  # type: ignore[attr-defined]
_program = Program.__table__  # type: ignore[attr-defined]
_proposal = Proposal.__table__  # type: ignore[attr-defined]
_parentage = Parentage.__table__  # type: ignore[attr-defined]

FINAL = ("scored", "failed")


@dataclass(frozen=True)
class StoredEvaluation:
    """One attempt to score a program, as it stands in the archive."""

    id: int
    program_id: int
    purpose: str
    seed: int
    attempt: int
    state: str
    kind: str | None
    error: str | None
    metrics: dict[str, float] | None
    feedback: str | None
    measures: dict[str, float] | None
    artifacts: dict[str, str] | None
    private: dict[str, float] | None
    rungs: list[dict[str, Any]] | None
    output: str | None
    seconds: float | None
    memory_mb: float | None
    sandbox: str | None
    finished_at: float | None


@dataclass(frozen=True)
class Parent:
    """A program that another was made from; `role` is ``base`` or ``donor``."""

    program_id: int
    role: str


@dataclass(frozen=True)
class StoredProgram:
    """A program, where it came from and how it fared; its evaluations are the oldest first."""

    id: int
    run_id: int
    generation: int
    size: int
    fingerprint: str
    operator: str
    summary: str
    parents: tuple[Parent, ...]
    children: int
    evaluations: tuple[StoredEvaluation, ...]

    @property
    def score(self) -> StoredEvaluation | None:
        """The evaluation that counts for the search: the last of its kind, None before there is any."""
        counted = [one for one in self.evaluations if one.purpose in COUNTED]
        return counted[-1] if counted else None

    @property
    def confirmation(self) -> StoredEvaluation | None:
        """The last scored one on held-out cases or another seed."""
        return next(
            (one for one in reversed(self.evaluations) if (one.purpose, one.state) == ("confirm", "scored")),
            None,
        )


_columns = [_evaluation.c[name] for name in StoredEvaluation.__dataclass_fields__]


def program(connection: Connection, program_id: int) -> StoredProgram:
    """A program by its id.

    Raises:
        ArchiveError: there is none.
    """
    statement = (
        select(_program, _proposal.c.operator, _proposal.c.summary)
        .select_from(_program.outerjoin(_proposal, _proposal.c.id == _program.c.proposal_id))
        .where(_program.c.id == program_id)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise ArchiveError(
            f"there is no program {program_id} in this archive; `guided-evolution best --front` lists the best"
        )
    children = select(func.count()).where(_parentage.c.parent_id == program_id)
    return StoredProgram(
        id=row.id,
        run_id=row.run_id,
        generation=row.generation,
        size=row.size,
        fingerprint=row.fingerprint,
        operator=row.operator or "unknown",
        summary=row.summary or "",
        parents=_parents(connection, program_id),
        children=connection.execute(children).scalar_one(),
        evaluations=_evaluations(connection, program_id),
    )


def _parents(connection: Connection, program_id: int) -> tuple[Parent, ...]:
    statement = (
        select(_parentage.c.parent_id, _parentage.c.role)
        .where(_parentage.c.child_id == program_id)
        .order_by(_parentage.c.role, _parentage.c.parent_id)
    )
    return tuple(Parent(row.parent_id, row.role) for row in connection.execute(statement))


def _evaluations(connection: Connection, program_id: int) -> tuple[StoredEvaluation, ...]:
    statement = select(*_columns).where(_evaluation.c.program_id == program_id).order_by(_evaluation.c.id)
    return tuple(StoredEvaluation(**row._mapping) for row in connection.execute(statement))


def confirmed(connection: Connection, run_id: int) -> dict[int, StoredEvaluation]:
    """For each confirmed program of the run its last scored confirmation."""
    statement = (
        select(*_columns)
        .where(
            _evaluation.c.run_id == run_id,
            _evaluation.c.purpose == "confirm",
            _evaluation.c.state == "scored",
        )
        .order_by(_evaluation.c.id)
    )
    found = [StoredEvaluation(**row._mapping) for row in connection.execute(statement)]
    return {one.program_id: one for one in found}


def pace(connection: Connection, run_id: int, seconds: float = 10.0) -> float:
    """Counted evaluations a second over the last `seconds`, by the database's clock."""
    statement = select(func.count()).where(
        _evaluation.c.run_id == run_id,
        _evaluation.c.purpose.in_(COUNTED),
        _evaluation.c.state.in_(FINAL),
        _evaluation.c.finished_at > now() - seconds,
    )
    return float(connection.execute(statement).scalar_one()) / seconds


def final_counts(connection: Connection, run_ids: Sequence[int]) -> dict[int, int]:
    """How many evaluations of each of these runs count against its budget; runs without any are left out."""
    statement = (
        select(_evaluation.c.run_id, func.count().label("evaluations"))
        .where(
            _evaluation.c.run_id.in_(list(run_ids)),
            _evaluation.c.purpose.in_(COUNTED),
            _evaluation.c.state.in_(FINAL),
        )
        .group_by(_evaluation.c.run_id)
    )
    return {row.run_id: row.evaluations for row in connection.execute(statement)}
