"""Proposals: written by the controller, claimed and settled by propose workers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from guided_evolution.archive import notices
from guided_evolution.archive.clock import now
from guided_evolution.archive.leases import refuse_other_version, same_version
from guided_evolution.archive.tables import Evaluation, Proposal, Run

_proposal = Proposal.__table__  # type: ignore[attr-defined]
_evaluation = Evaluation.__table__  # type: ignore[attr-defined]
_run = Run.__table__  # type: ignore[attr-defined]

ATTEMPTS = 5
"""How often workers may die over one proposal before it is rejected."""

OPEN = ("pending", "running")

_is_open: ColumnElement[bool] = literal_column("proposal.state IN ('pending', 'running')")
"""In the words of the index `proposal_open`, without which SQLite wouldn't use it."""

# Nothing is begun, and no money spent, for a run that is paused or that nobody drives any more.
_wanted = select(_run.c.id).where(_run.c.id == _proposal.c.run_id, _run.c.state == "running")

_add = {
    name: dialect.insert(_proposal)
    .values(created_at=now(), attempt=1)
    .on_conflict_do_nothing(index_elements=["run_id", "number"])
    .returning(_proposal.c.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_claim = (
    update(_proposal)
    .where(
        _proposal.c.id == bindparam("proposal"),
        or_(_proposal.c.state == "pending", _proposal.c.claim == bindparam("token")),
        _proposal.c.state.in_(OPEN),
        _wanted.exists(),
        same_version(_proposal.c.run_id),
    )
    .values(state="running", claim=bindparam("token"), worker_id=bindparam("worker"), started_at=now())
    .returning(
        _proposal.c.run_id,
        _proposal.c.number,
        _proposal.c.operator,
        _proposal.c.parents,
        _proposal.c.material,
    )
)
_settle = (
    update(_proposal)
    .where(
        _proposal.c.id == bindparam("proposal"),
        _proposal.c.state == "running",
        _proposal.c.claim == bindparam("token"),
    )
    .values(
        state=bindparam("new_state"),
        program_id=bindparam("program"),
        kind=bindparam("new_kind"),
        error=bindparam("new_error"),
        summary=bindparam("new_summary"),
        finished_at=now(),
    )
)
_outcome = (
    select(
        _proposal.c.id,
        _proposal.c.number,
        _proposal.c.operator,
        _proposal.c.state.label("proposal_state"),
        _proposal.c.program_id,
        _proposal.c.parents,
        _proposal.c.error,
        (_proposal.c.finished_at - _proposal.c.started_at).label("proposing"),
        _evaluation.c.seconds.label("evaluating"),
        _evaluation.c.state,
        _evaluation.c.metrics,
        _evaluation.c.measures,
        _proposal.c.kind.label("proposal_kind"),
        _evaluation.c.kind,
    )
    .select_from(
        _proposal.outerjoin(
            _evaluation,
            (_evaluation.c.proposal_id == _proposal.c.id) & _evaluation.c.state.in_(("scored", "failed")),
        )
    )
    .where(_proposal.c.state.in_(("rejected", "known")) | _evaluation.c.id.is_not(None))
    .order_by(func.coalesce(_evaluation.c.finished_at, _proposal.c.finished_at), _proposal.c.number)
)
_settled = _outcome.where(_proposal.c.id.in_(bindparam("ids", expanding=True)))
_outcomes = _outcome.where(_proposal.c.run_id == bindparam("run"))


@dataclass(frozen=True)
class Claimed:
    """A proposal in a worker's hands; `parents` are program ids, the first one the base."""

    id: int
    token: str
    run_id: int
    number: int
    operator: str
    parents: tuple[int, ...]
    material: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Settled:
    """What became of a proposal: rejected, known already, or its program's evaluation is final.

    `proposing` are the seconds in a worker's hands, `evaluating` those in a sandbox, where it came to that.
    """

    proposal_id: int
    number: int
    operator: str
    state: str  # rejected | known | scored | failed
    kind: str | None
    program_id: int | None
    metrics: dict[str, float] | None
    parents: tuple[int, ...] = ()
    error: str | None = None
    proposing: float | None = None
    evaluating: float | None = None
    measures: dict[str, float] | None = None


def add(
    connection: Connection,
    run_id: int,
    number: int,
    operator: str,
    parents: Sequence[int],
    material: Mapping[str, Any] | None = None,
) -> int:
    """Write a pending proposal and return its id; of a number that is there already, that one's id."""
    row = {
        "run_id": run_id,
        "number": number,
        "operator": operator,
        "parents": list(parents),
        "material": None if material is None else dict(material),
        "state": "pending",
    }
    proposal_id = connection.execute(_add[connection.dialect.name], row).scalar()
    if proposal_id is None:
        proposal_id = connection.execute(
            select(_proposal.c.id).where(_proposal.c.run_id == run_id, _proposal.c.number == number)
        ).scalar_one()
    return int(proposal_id)


def claim(connection: Connection, proposal_id: int, worker_id: int, token: str) -> Claimed | None:
    """Take a pending proposal; None if it isn't pending, so a message that comes twice does nothing.

    Raises:
        WorkerRefuses: another version of this package drives the run.
    """
    row = connection.execute(
        _claim, {"proposal": proposal_id, "worker": worker_id, "token": token}
    ).one_or_none()
    if row is None:
        refuse_other_version(connection, _proposal, proposal_id)
        return None
    return Claimed(proposal_id, token, row.run_id, row.number, row.operator, tuple(row.parents), row.material)


def settle(
    connection: Connection,
    claimed: Claimed,
    state: str,
    *,
    program_id: int | None = None,
    kind: str | None = None,
    error: str | None = None,
    summary: str | None = None,
) -> bool:
    """End a claimed proposal; False if the claim was lost meanwhile, and then nothing may be kept."""
    values = {
        "proposal": claimed.id,
        "token": claimed.token,
        "new_state": state,
        "program": program_id,
        "new_kind": kind,
        "new_error": error,
        "new_summary": summary,
    }
    if connection.execute(_settle, values).rowcount != 1:
        return False
    if state != "accepted":
        notices.tell(connection, claimed.run_id, claimed.id)
    return True


def settled(connection: Connection, ids: Sequence[int]) -> list[Settled]:
    """Those of `ids` that are settled, in the order in which they were finished."""
    return [_as_settled(row) for row in connection.execute(_settled, {"ids": list(ids)})]


def outcomes(connection: Connection, run_id: int) -> Iterator[Settled]:
    """All that came of the run's proposals so far, in the order in which they were finished."""
    streamed = connection.execution_options(stream_results=True, yield_per=1000)
    for row in streamed.execute(_outcomes, {"run": run_id}):
        yield _as_settled(row)


def _as_settled(row: Any) -> Settled:
    return Settled(
        row.id,
        row.number,
        row.operator,
        row.state or row.proposal_state,
        row.kind or row.proposal_kind,
        row.program_id,
        row.metrics,
        tuple(row.parents),
        row.error,
        row.proposing,
        row.evaluating,
        row.measures,
    )


def open_ids(connection: Connection, run_id: int) -> list[tuple[int, str]]:
    """Ids and states of the run's proposals whose outcome isn't known yet, oldest first.

    An accepted one is open until its evaluation is final.
    """
    evaluating = select(_evaluation.c.proposal_id.label("id"), literal_column("'accepted'").label("state"))
    evaluating = evaluating.where(
        literal_column("evaluation.state IN ('pending', 'running')"),
        _evaluation.c.run_id == run_id,
        _evaluation.c.proposal_id.is_not(None),
        _evaluation.c.purpose.in_(("seed", "search")),
    )
    proposing = select(_proposal.c.id, _proposal.c.state).where(_is_open, _proposal.c.run_id == run_id)
    both = proposing.union(evaluating).subquery()
    return [(row.id, row.state) for row in connection.execute(select(both).order_by(both.c.id))]


def pending_ids(connection: Connection, run_id: int) -> list[int]:
    """Proposals of the run that nobody has claimed, oldest first."""
    statement = select(_proposal.c.id).where(
        _is_open, _proposal.c.run_id == run_id, _proposal.c.state == "pending"
    )
    return list(connection.execute(statement.order_by(_proposal.c.id)).scalars())


def running(connection: Connection, run_id: int) -> int:
    """How many proposals of the run are in workers' hands."""
    statement = select(func.count()).select_from(_proposal)
    statement = statement.where(_is_open, _proposal.c.run_id == run_id, _proposal.c.state == "running")
    return int(connection.execute(statement).scalar_one())


def open_count(connection: Connection, run_id: int) -> int:
    """How many proposals of the run wait for a worker or are in its hands; not those whose program exists."""
    statement = select(func.count()).select_from(_proposal).where(_is_open, _proposal.c.run_id == run_id)
    return int(connection.execute(statement).scalar_one())


def number_of(connection: Connection, proposal_id: int) -> int:
    """The number of a proposal in its run."""
    statement = select(_proposal.c.number).where(_proposal.c.id == proposal_id)
    return int(connection.execute(statement).scalar_one())


@dataclass(frozen=True)
class Written:
    """A proposal as its run's controller wrote it."""

    operator: str
    parents: tuple[int, ...]
    material: Mapping[str, Any] | None


def written(connection: Connection, run_id: int, number: int) -> Written | None:
    """The run's proposal of this number, None behind the last one."""
    statement = select(_proposal.c.operator, _proposal.c.parents, _proposal.c.material)
    row = connection.execute(
        statement.where(_proposal.c.run_id == run_id, _proposal.c.number == number)
    ).one_or_none()
    return None if row is None else Written(row.operator, tuple(row.parents), row.material)


def translated(connection: Connection, source: int, run_id: int, ids: Collection[int]) -> dict[int, int]:
    """By id of a proposal of run `source`, the proposal of the same number in `run_id`."""
    ours = _proposal.alias()
    statement = select(_proposal.c.id, ours.c.id.label("ours")).join_from(
        _proposal, ours, (ours.c.number == _proposal.c.number) & (ours.c.run_id == run_id)
    )
    statement = statement.where(_proposal.c.run_id == source, _proposal.c.id.in_(list(ids)))
    return {row.id: row.ours for row in connection.execute(statement)}


def translated_programs(
    connection: Connection, source: int, run_id: int, program_ids: Collection[int]
) -> dict[int, int]:
    """By id of a program of run `source`, what the proposal of the same number made, or made again, in `run_id`."""
    ours = _proposal.alias()
    statement = select(_proposal.c.program_id, ours.c.program_id.label("ours")).join_from(
        _proposal, ours, (ours.c.number == _proposal.c.number) & (ours.c.run_id == run_id)
    )
    statement = statement.where(
        _proposal.c.run_id == source,
        _proposal.c.program_id.in_(list(program_ids)),
        _proposal.c.state == "accepted",
        ours.c.program_id.is_not(None),
    )
    return {row.program_id: row.ours for row in connection.execute(statement)}


def last_number(connection: Connection, run_id: int) -> int:
    """The highest proposal number of the run, -1 if it has none."""
    number = connection.execute(
        select(func.max(_proposal.c.number)).where(_proposal.c.run_id == run_id)
    ).scalar()
    return -1 if number is None else int(number)


def run_of(connection: Connection, proposal_id: int) -> int:
    """The run that this proposal belongs to."""
    return int(
        connection.execute(select(_proposal.c.run_id).where(_proposal.c.id == proposal_id)).scalar_one()
    )


def lose(connection: Connection, run_id: int, worker_ids: Sequence[int]) -> list[int]:
    """Make what these dead workers held of the run pending again; returns the ids.

    The last of `ATTEMPTS` workers that die over a proposal reject it (kind ``killed-worker``).
    """
    held = (
        _is_open,
        _proposal.c.run_id == run_id,
        _proposal.c.worker_id.in_(list(worker_ids)),
        _proposal.c.state == "running",
    )
    deadly = {
        "state": "rejected",
        "kind": "killed-worker",
        "error": f"{ATTEMPTS} workers died while they worked on this proposal",
        "finished_at": now(),
    }
    connection.execute(update(_proposal).where(*held, _proposal.c.attempt >= ATTEMPTS).values(**deadly))
    again = {"state": "pending", "claim": None, "worker_id": None, "attempt": _proposal.c.attempt + 1}
    statement = update(_proposal).where(*held).values(**again).returning(_proposal.c.id)
    return list(connection.execute(statement).scalars())


def give_back(connection: Connection, proposal_id: int, worker_id: int) -> bool:
    """Make a proposal pending again that this worker can't go on with."""
    statement = update(_proposal).where(
        _proposal.c.id == proposal_id, _proposal.c.worker_id == worker_id, _proposal.c.state == "running"
    )
    return connection.execute(statement.values(state="pending", claim=None, worker_id=None)).rowcount == 1


def counts(connection: Connection, run_id: int) -> dict[tuple[str, str | None], int]:
    """How many proposals of the run are in each (state, kind)."""
    statement = (
        select(_proposal.c.state, _proposal.c.kind, func.count())
        .where(_proposal.c.run_id == run_id)
        .group_by(_proposal.c.state, _proposal.c.kind)
    )
    return {(state, kind): count for state, kind, count in connection.execute(statement)}
