"""What prompts are made of: what was tried, how it came out, what evaluations said. Nothing private is read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from guided_evolution.archive import completions
from guided_evolution.archive.evaluations import COUNTED
from guided_evolution.archive.tables import Evaluation, Program, Proposal

_evaluation = Evaluation.__table__  # type: ignore[attr-defined]
_program = Program.__table__  # type: ignore[attr-defined]
_proposal = Proposal.__table__  # type: ignore[attr-defined]

_FINAL = ("scored", "failed")


@dataclass(frozen=True)
class Outcome:
    """What became of a proposal: `state` is ``scored``, ``failed``, ``rejected`` or ``known``.

    `base` is the program that it changed; `program_id` what it made, or for ``known`` what it made again.
    """

    proposal_id: int
    number: int
    operator: str
    summary: str
    base: int | None
    program_id: int | None
    state: str
    kind: str | None
    error: str
    metrics: dict[str, float] | None


@dataclass(frozen=True)
class Verdict:
    """What the search's evaluation of a program said; `metrics` are None where it failed."""

    metrics: dict[str, float] | None
    feedback: str
    kind: str | None
    error: str


def outcomes(connection: Connection, proposal_ids: Sequence[int]) -> list[Outcome]:
    """The outcomes of these proposals, in the order given; those without an outcome are left out."""
    if not proposal_ids:
        return []
    rows = connection.execute(_outcomes(_proposal.c.id.in_(list(proposal_ids))))
    found = {row.id: _outcome(row) for row in rows}
    return [found[one] for one in proposal_ids if one in found]


def recent(connection: Connection, run_id: int, limit: int) -> list[Outcome]:
    """The outcomes of the run's last `limit` proposals, oldest first."""
    last = select(_proposal.c.id).where(_proposal.c.run_id == run_id)
    last = last.order_by(_proposal.c.number.desc()).limit(limit)
    found = map(_outcome, connection.execute(_outcomes(_proposal.c.id.in_(last))))
    return sorted(found, key=lambda one: one.number)


def verdicts(connection: Connection, program_ids: Sequence[int]) -> dict[int, Verdict]:
    """By program, what its evaluation for the search said; those without a final one are left out."""
    columns = ("program_id", "metrics", "feedback", "kind", "error")
    statement = select(*(_evaluation.c[name] for name in columns)).where(
        _evaluation.c.program_id.in_(list(program_ids)),
        _evaluation.c.purpose.in_(COUNTED),
        _evaluation.c.state.in_(_FINAL),
    )
    return {
        row.program_id: Verdict(row.metrics, row.feedback or "", row.kind, row.error or "")
        for row in connection.execute(statement.order_by(_evaluation.c.id))
    }


def exchange(connection: Connection, program_id: int) -> list[completions.Stored]:
    """Every call of a model that was made for a program, in order; empty where no model made it."""
    statement = select(_program.c.proposal_id).where(_program.c.id == program_id)
    proposal_id = connection.execute(statement).scalar()
    return [] if proposal_id is None else completions.of_proposal(connection, proposal_id)


def _outcomes(which: ColumnElement[bool]) -> Any:
    counted = (
        (_evaluation.c.proposal_id == _proposal.c.id)
        & _evaluation.c.purpose.in_(COUNTED)
        & _evaluation.c.state.in_(_FINAL)
    )
    return (
        select(
            *(_proposal.c[name] for name in ("id", "number", "operator", "summary", "parents", "program_id")),
            _proposal.c.state.label("proposal_state"),
            _proposal.c.kind.label("proposal_kind"),
            _proposal.c.error.label("proposal_error"),
            *(_evaluation.c[name] for name in ("state", "kind", "error", "metrics")),
        )
        .select_from(_proposal.outerjoin(_evaluation, counted))
        .where(which, _proposal.c.state.in_(("rejected", "known")) | _evaluation.c.id.is_not(None))
    )


def _outcome(row: Row[Any]) -> Outcome:
    return Outcome(
        proposal_id=row.id,
        number=row.number,
        operator=row.operator,
        summary=row.summary or "",
        base=row.parents[0] if row.parents else None,
        program_id=row.program_id,
        state=row.state or row.proposal_state,
        kind=row.kind or row.proposal_kind,
        error=row.error or row.proposal_error or "",
        metrics=row.metrics,
    )
