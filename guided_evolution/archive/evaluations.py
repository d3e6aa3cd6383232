"""Evaluations: one row an attempt; claimed once, finished once, never changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, literal_column, or_, select, update

from guided_evolution.archive import notices
from guided_evolution.archive.clock import now
from guided_evolution.archive.leases import refuse_other_version, same_version
from guided_evolution.archive.tables import Evaluation, Program, Run

_evaluation = Evaluation.__table__  # type: ignore[attr-defined]
_program = Program.__table__  # type: ignore[attr-defined]

_run = Run.__table__  # type: ignore[attr-defined]

COUNTED = ("seed", "search")
"""Purposes that count against the budget of a run."""

ATTEMPTS = 5
"""How often workers may die over one program before it is failed as their killer; to kill the run is such a death."""

_is_open: ColumnElement[bool] = literal_column("evaluation.state IN ('pending', 'running')")
"""In the words of the index `evaluation_open`, without which SQLite wouldn't use it."""

# Of a run that is paused or over, nothing of the search is begun.
_wanted = select(_run.c.id).where(_run.c.id == _evaluation.c.run_id, _run.c.state == "running")
_add = insert(_evaluation).values(created_at=now(), state="pending").returning(_evaluation.c.id)
_claim = (
    update(_evaluation)
    .where(
        _evaluation.c.id == bindparam("evaluation"),
        or_(_evaluation.c.state == "pending", _evaluation.c.claim == bindparam("token")),
        _evaluation.c.state.in_(("pending", "running")),
        _evaluation.c.purpose.not_in(COUNTED) | _wanted.exists(),
        same_version(_evaluation.c.run_id),
    )
    .values(state="running", claim=bindparam("token"), worker_id=bindparam("worker"), started_at=now())
    .returning(
        _evaluation.c.run_id,
        _evaluation.c.program_id,
        _evaluation.c.proposal_id,
        _evaluation.c.purpose,
        _evaluation.c.seed,
    )
)
_finish = (
    update(_evaluation)
    .where(
        _evaluation.c.id == bindparam("evaluation"),
        _evaluation.c.state == "running",
        _evaluation.c.claim == bindparam("token"),
    )
    .values(
        finished_at=now(),
        **{
            name: bindparam("new_" + name)
            for name in ("state", "kind", "error", "metrics", "feedback", "measures", "artifacts", "private")
        },
        **{name: bindparam("new_" + name) for name in ("rungs", "output", "seconds", "memory_mb", "sandbox")},
    )
)


@dataclass(frozen=True)
class Claimed:
    """An evaluation in a worker's hands."""

    id: int
    token: str
    run_id: int
    program_id: int
    purpose: str
    seed: int
    proposal_id: int | None = None


@dataclass(frozen=True)
class Result:
    """What an evaluation came to. `state` is ``scored`` or ``failed``; `kind` says how it failed."""

    state: str
    kind: str | None = None
    error: str | None = None
    metrics: Mapping[str, float] | None = None
    feedback: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, float] = field(default_factory=dict)
    rungs: Sequence[Mapping[str, Any]] = ()
    output: str = ""
    seconds: float = 0.0
    memory_mb: float = 0.0
    sandbox: str = ""


@dataclass(frozen=True)
class Scored:
    """A scored program, as the population needs it."""

    program_id: int
    metrics: dict[str, float]


def add(
    connection: Connection,
    *,
    run_id: int,
    program_id: int,
    proposal_id: int | None,
    purpose: str,
    seed: int,
    scoring_version: str,
    attempt: int = 1,
) -> int:
    """Write a pending evaluation and return its id."""
    row = {
        "run_id": run_id,
        "program_id": program_id,
        "proposal_id": proposal_id,
        "purpose": purpose,
        "seed": seed,
    }
    row |= {"scoring_version": scoring_version, "attempt": attempt}
    evaluation_id: int = connection.execute(_add, row).scalar_one()
    return evaluation_id


def claim(connection: Connection, evaluation_id: int, worker_id: int, token: str) -> Claimed | None:
    """Take a pending evaluation; None if it isn't pending. To claim again with the same token changes nothing.

    Raises:
        WorkerRefuses: another version of this package drives the run.
    """
    values = {"evaluation": evaluation_id, "worker": worker_id, "token": token}
    row = connection.execute(_claim, values).one_or_none()
    if row is None:
        refuse_other_version(connection, _evaluation, evaluation_id)
        return None
    return Claimed(evaluation_id, token, row.run_id, row.program_id, row.purpose, row.seed, row.proposal_id)


def finish(connection: Connection, claimed: Claimed, result: Result) -> bool:
    """Store the result; False if the claim was lost meanwhile, and then the result counts for nothing."""
    values: dict[str, Any] = {
        "evaluation": claimed.id,
        "token": claimed.token,
        "new_state": result.state,
        "new_kind": result.kind,
        "new_error": result.error,
        "new_metrics": None if result.metrics is None else dict(result.metrics),
        "new_feedback": result.feedback or None,
        "new_measures": dict(result.measures) or None,
        "new_artifacts": dict(result.artifacts) or None,
        "new_private": dict(result.private) or None,
        "new_rungs": [dict(rung) for rung in result.rungs] or None,
        "new_output": result.output or None,
        "new_seconds": result.seconds,
        "new_memory_mb": result.memory_mb,
        "new_sandbox": result.sandbox,
    }
    if connection.execute(_finish, values).rowcount != 1:
        return False
    notices.tell(connection, claimed.run_id, claimed.proposal_id)
    return True


def give_back(connection: Connection, claimed: Claimed) -> bool:
    """Make a claimed evaluation pending again: its sandbox broke, which is never held against the program."""
    statement = (
        update(_evaluation)
        .where(
            _evaluation.c.id == claimed.id,
            _evaluation.c.state == "running",
            _evaluation.c.claim == claimed.token,
        )
        .values(state="pending", claim=None, worker_id=None, started_at=None)
    )
    return connection.execute(statement).rowcount == 1


def release(connection: Connection, evaluation_id: int, worker_id: int) -> bool:
    """Make an evaluation pending again that this worker can't go on with."""
    statement = update(_evaluation).where(
        _evaluation.c.id == evaluation_id,
        _evaluation.c.worker_id == worker_id,
        _evaluation.c.state == "running",
    )
    values = {"state": "pending", "claim": None, "worker_id": None, "started_at": None}
    return connection.execute(statement.values(**values)).rowcount == 1


def run_of(connection: Connection, evaluation_id: int) -> int:
    """The run that this evaluation belongs to."""
    statement = select(_evaluation.c.run_id).where(_evaluation.c.id == evaluation_id)
    return int(connection.execute(statement).scalar_one())


def lose(connection: Connection, run_id: int, worker_ids: Sequence[int]) -> list[int]:
    """Mark what these dead workers held of the run as lost and open a new attempt for each; returns the new ids.

    The last of `ATTEMPTS` workers that die over a program fails it (kind ``killed-worker``).
    """
    held = connection.execute(
        select(_evaluation).where(
            _is_open,
            _evaluation.c.run_id == run_id,
            _evaluation.c.worker_id.in_(list(worker_ids)),
            _evaluation.c.state == "running",
        )
    ).all()
    again = []
    for row in held:
        last = row.attempt >= ATTEMPTS
        error = f"{row.attempt} workers died while they evaluated this program" if last else None
        values = {
            "state": "failed" if last else "lost",
            "kind": "killed-worker" if last else None,
            "error": error,
            "finished_at": now(),
        }
        # It may have been finished since we looked: then it wasn't lost.
        mark = update(_evaluation).where(
            _evaluation.c.id == row.id, _evaluation.c.state == "running", _evaluation.c.claim == row.claim
        )
        marked = connection.execute(mark.values(**values)).rowcount == 1
        if marked and not last:
            again.append(
                add(
                    connection,
                    run_id=row.run_id,
                    program_id=row.program_id,
                    proposal_id=row.proposal_id,
                    purpose=row.purpose,
                    seed=row.seed,
                    scoring_version=row.scoring_version,
                    attempt=row.attempt + 1,
                )
            )
    return again


def pending_ids(connection: Connection, run_id: int) -> list[int]:
    """Evaluations of the run that nobody has claimed, oldest first."""
    statement = select(_evaluation.c.id).where(
        _is_open, _evaluation.c.run_id == run_id, _evaluation.c.state == "pending"
    )
    return list(connection.execute(statement.order_by(_evaluation.c.id)).scalars())


def running(connection: Connection, run_id: int) -> int:
    """How many evaluations of the run are in workers' hands."""
    statement = select(func.count()).select_from(_evaluation)
    statement = statement.where(_is_open, _evaluation.c.run_id == run_id, _evaluation.c.state == "running")
    return int(connection.execute(statement).scalar_one())


def confirmations(connection: Connection, run_id: int, seed: int) -> dict[int, int]:
    """By program, the run's confirmation with this seed that isn't lost."""
    statement = select(_evaluation.c.program_id, _evaluation.c.id).where(
        _evaluation.c.run_id == run_id,
        _evaluation.c.purpose == "confirm",
        _evaluation.c.state != "lost",
        _evaluation.c.seed == seed,
    )
    return {row.program_id: row.id for row in connection.execute(statement)}


def final(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Those of `ids` that are final."""
    statement = select(_evaluation.c.id).where(
        _evaluation.c.id.in_(list(ids)), _evaluation.c.state.in_(("scored", "failed"))
    )
    return list(connection.execute(statement).scalars())


def scored(connection: Connection, run_id: int) -> Iterator[Scored]:
    """All scored programs of the run in the order in which they were finished, without their sources."""
    statement = (
        select(_evaluation.c.program_id, _evaluation.c.metrics)
        .where(
            _evaluation.c.run_id == run_id,
            _evaluation.c.purpose.in_(COUNTED),
            _evaluation.c.state == "scored",
        )
        .order_by(_evaluation.c.finished_at, _evaluation.c.id)
    )
    for row in connection.execution_options(stream_results=True, yield_per=1000).execute(statement):
        yield Scored(row.program_id, row.metrics)


def counts(connection: Connection, run_id: int) -> dict[tuple[str, str | None], int]:
    """How many counted evaluations of the run are in each (state, kind)."""
    statement = (
        select(_evaluation.c.state, _evaluation.c.kind, func.count())
        .where(_evaluation.c.run_id == run_id, _evaluation.c.purpose.in_(COUNTED))
        .group_by(_evaluation.c.state, _evaluation.c.kind)
    )
    return {(state, kind): count for state, kind, count in connection.execute(statement)}


def first_failure(connection: Connection, run_id: int) -> tuple[str, str]:
    """Kind and error of the failure that speaks for the run: an evaluator's fault before any other, then the oldest."""
    statement = (
        select(_evaluation.c.kind, _evaluation.c.error)
        .where(_evaluation.c.run_id == run_id, _evaluation.c.state == "failed")
        .order_by(_evaluation.c.kind != "evaluator-fault", _evaluation.c.id)
        .limit(1)
    )
    row = connection.execute(statement).one()
    return row.kind or "unknown", row.error or ""
