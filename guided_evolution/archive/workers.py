"""Workers and their heartbeats, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, literal_column, select, update

from guided_evolution.archive import evaluations, proposals
from guided_evolution.archive.clock import now
from guided_evolution.archive.tables import Evaluation, Proposal, Worker
from guided_evolution.identity import Identity, is_dead
from guided_evolution.version import __version__

_worker = Worker.__table__  # type: ignore[attr-defined]
_proposal = Proposal.__table__  # type: ignore[attr-defined]
_evaluation = Evaluation.__table__  # type: ignore[attr-defined]

SHOWN_FOR = 3600.0
"""Seconds for which a worker that fell silent is still listed."""

DEAD_AFTER = 30.0
"""Seconds without a heartbeat after which a worker on another machine counts as dead."""


def enlist(connection: Connection, me: Identity, queue: str, slots: int, version: str) -> int:
    """Write this worker's row and return its id."""
    statement = insert(_worker).values(created_at=now(), heartbeat_at=now()).returning(_worker.c.id)
    row = {
        "host": me.host,
        "boot": me.boot,
        "pid": me.pid,
        "started": me.started,
        "queue": queue,
        "slots": slots,
        "version": version,
    }
    worker_id: int = connection.execute(statement, row).scalar_one()
    return worker_id


def beat(connection: Connection, worker_ids: Sequence[int]) -> None:
    """Show that these workers live."""
    connection.execute(update(_worker).where(_worker.c.id.in_(list(worker_ids))).values(heartbeat_at=now()))


def sweep(
    connection: Connection, run_id: int, mine: Sequence[int], *, by_heartbeat: bool = True
) -> tuple[list[int], list[int]]:
    """Take what dead workers hold of this run from them.

    A worker on this machine is dead when its process is; another when its heartbeat is `DEAD_AFTER` old.
    `mine` are never swept: after a sleep of the machine, ours would be the first to look dead. Heartbeats don't
    count without `by_heartbeat`, as after an outage of the archive itself.

    Returns:
        ids of proposals and ids of evaluations to be sent again.
    """
    # The indices of open rows are used only where the query says their condition in their own words.
    held = "{0}.state IN ('pending', 'running') AND {0}.state = 'running'"
    proposing = select(_proposal.c.worker_id).where(
        _proposal.c.run_id == run_id, literal_column(held.format("proposal"))
    )
    evaluating = select(_evaluation.c.worker_id).where(
        _evaluation.c.run_id == run_id, literal_column(held.format("evaluation"))
    )
    holding = proposing.union(evaluating)
    holders = connection.execute(
        select(_worker, now().label("clock")).where(_worker.c.id.in_(holding.subquery().select()))
    ).all()
    dead = [
        row.id
        for row in holders
        if row.id not in mine
        and (
            is_dead(Identity(row.host, row.boot, row.pid, row.started))
            or (by_heartbeat and row.clock - row.heartbeat_at > DEAD_AFTER)
        )
    ]
    if not dead:
        return [], []
    return proposals.lose(connection, run_id, dead), evaluations.lose(connection, run_id, dead)


def leave(connection: Connection, worker_id: int, note: str | None = None) -> None:
    """Write down that a worker ended in order, and why if there is more to say."""
    values: dict[str, Any] = {"ended_at": now()} | ({"note": note} if note else {})
    connection.execute(update(_worker).where(_worker.c.id == worker_id).values(**values))


def report(
    connection: Connection, worker_id: int, *, done: int, failed: int, per_minute: float, note: str | None
) -> None:
    """Show that a worker lives, and what it has done so far."""
    statement = update(_worker).where(_worker.c.id == worker_id)
    counts = {"done": done, "failed": failed, "per_minute": per_minute, "note": note}
    connection.execute(statement.values(heartbeat_at=now(), **counts))


def slots(connection: Connection) -> dict[str, int]:
    """Slots of the living workers of this very version, by queue."""
    living = (_worker.c.ended_at.is_(None), _worker.c.heartbeat_at > now() - DEAD_AFTER)
    statement = select(_worker.c.queue, func.sum(_worker.c.slots)).where(
        *living, _worker.c.version == __version__
    )
    return {queue: int(count) for queue, count in connection.execute(statement.group_by(_worker.c.queue))}


@dataclass(frozen=True)
class StoredWorker:
    """A worker as it stands in the archive; times are seconds ago by the database's clock."""

    id: int
    host: str
    pid: int
    queue: str
    slots: int
    busy: int
    done: int
    failed: int
    per_minute: float
    seen: float
    up: float
    state: str  # alive | silent | ended
    version: str
    note: str | None


def all_workers(connection: Connection, *, ended: bool = False) -> list[StoredWorker]:
    """The workers that serve a broker, the newest first; those that ended or are long dead only if `ended`."""
    statement = select(_worker, now().label("clock")).where(_worker.c.queue.in_(("propose", "evaluate")))
    if not ended:
        statement = statement.where(_worker.c.ended_at.is_(None), _worker.c.heartbeat_at > now() - SHOWN_FOR)
    rows = connection.execute(statement.order_by(_worker.c.id.desc())).all()
    busy = _busy(connection)
    return [
        StoredWorker(
            id=row.id,
            host=row.host,
            pid=row.pid,
            queue=row.queue,
            slots=row.slots,
            busy=busy.get(row.id, 0),
            done=row.done,
            failed=row.failed,
            per_minute=row.per_minute,
            seen=row.clock - row.heartbeat_at,
            up=row.clock - row.created_at,
            state=_state(row),
            version=row.version,
            note=row.note,
        )
        for row in rows
    ]


def _busy(connection: Connection) -> dict[int, int]:
    """How many rows each worker has in hand."""
    busy: dict[int, int] = {}
    for table, held in ((_proposal, "proposal"), (_evaluation, "evaluation")):
        statement = select(table.c.worker_id, func.count()).where(
            literal_column(f"{held}.state IN ('pending', 'running') AND {held}.state = 'running'")
        )
        for worker_id, count in connection.execute(statement.group_by(table.c.worker_id)):
            busy[worker_id] = busy.get(worker_id, 0) + count
    return busy


def _state(row: Row[Any]) -> str:
    if row.ended_at is not None:
        return "ended"
    dead = is_dead(Identity(row.host, row.boot, row.pid, row.started))
    return "silent" if dead or row.clock - row.heartbeat_at > DEAD_AFTER else "alive"
