"""How a program came about: the chain of edits from the seed program down to it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, literal, select

from guided_evolution.archive.evaluations import COUNTED
from guided_evolution.archive.tables import Evaluation, Parentage, Program, Proposal

_evaluation = Evaluation.__table__  # type: ignore[attr-defined]
_program = Program.__table__  # type: ignore[attr-defined]
_proposal = Proposal.__table__  # type: ignore[attr-defined]
_parentage = Parentage.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Step:
    """One program of the chain: made from the one before it by `operator`, with what `donors` gave.

    `metrics` is None while it isn't scored; `kind` then says how it failed, if it did.
    """

    program_id: int
    generation: int
    operator: str
    summary: str
    donors: tuple[int, ...]
    metrics: dict[str, float] | None
    kind: str | None


def story(connection: Connection, program_id: int) -> list[Step]:
    """The seed program, then each base parent, then the program itself; empty for an unknown id."""
    chain = select(literal(program_id).label("id"), literal(0).label("depth")).cte("chain", recursive=True)
    chain = chain.union_all(
        select(_parentage.c.parent_id, chain.c.depth + 1).where(
            _parentage.c.child_id == chain.c.id, _parentage.c.role == "base"
        )
    )
    counted = (
        (_evaluation.c.program_id == _program.c.id)
        & _evaluation.c.purpose.in_(COUNTED)
        & _evaluation.c.state.in_(("scored", "failed"))
    )
    statement = (
        select(
            _program.c.id,
            _program.c.generation,
            _proposal.c.operator,
            _proposal.c.summary,
            _evaluation.c.metrics,
            _evaluation.c.kind,
        )
        .select_from(
            chain.join(_program, _program.c.id == chain.c.id)
            .outerjoin(_proposal, _proposal.c.id == _program.c.proposal_id)
            .outerjoin(_evaluation, counted)
        )
        .order_by(chain.c.depth.desc())
    )
    rows = connection.execute(statement).all()
    donors = _donors(connection, [row.id for row in rows])
    return [
        Step(
            program_id=row.id,
            generation=row.generation,
            operator=row.operator or "unknown",
            summary=row.summary or "",
            donors=donors.get(row.id, ()),
            metrics=row.metrics,
            kind=row.kind,
        )
        for row in rows
    ]


def _donors(connection: Connection, children: list[int]) -> dict[int, tuple[int, ...]]:
    statement = select(_parentage.c.child_id, _parentage.c.parent_id).where(
        _parentage.c.child_id.in_(children), _parentage.c.role == "donor"
    )
    found: dict[int, tuple[int, ...]] = {}
    for row in connection.execute(statement.order_by(_parentage.c.parent_id)):
        found[row.child_id] = (*found.get(row.child_id, ()), row.parent_id)
    return found
