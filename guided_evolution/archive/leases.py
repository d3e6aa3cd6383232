"""Who may decide for a run: one controller at a time, each with a higher fence than the one before."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, bindparam, select, update

from guided_evolution.archive.clock import now
from guided_evolution.archive.store import dialect_of
from guided_evolution.archive.tables import Lease
from guided_evolution.errors import BadInput, GuidedEvolutionError, WorkerRefuses
from guided_evolution.identity import Identity, is_dead
from guided_evolution.version import __version__

EXPIRES_AFTER = 30.0
"""Seconds without renewal after which a lease may be taken over from another machine."""

_lease = Lease.__table__  # type: ignore[attr-defined]
# Locked, so that nobody takes the lease over between this look and the commit of what it guards.
_fence = select(_lease.c.fence).where(_lease.c.run_id == bindparam("run")).with_for_update()


class RunBusy(BadInput):
    """Another command drives this run."""


class LeaseLost(GuidedEvolutionError):
    """Another controller took the run over; this one must not write any more."""

    exit_code = 3


@dataclass(frozen=True)
class Held:
    """A lease in one's hands."""

    run_id: int
    fence: int


def take(connection: Connection, run_id: int, run_name: str, me: Identity, command: str) -> Held:
    """Take the run's lease: if free, if its holder is dead on this machine, or if it expired.

    Raises:
        RunBusy: somebody alive holds it; the sentence names them.
    """
    first = dialect_of(connection).insert(_lease).values(run_id=run_id, fence=0, renewed_at=now())
    connection.execute(first.on_conflict_do_nothing(index_elements=["run_id"]))
    row = connection.execute(
        select(_lease, now().label("clock")).where(_lease.c.run_id == run_id).with_for_update()
    ).one()
    who = {
        "host": me.host,
        "boot": me.boot,
        "pid": me.pid,
        "started": me.started,
        "command": command,
        "renewed_at": now(),
        "version": __version__,
    }
    if row.pid is not None:
        holder = Identity(row.host, row.boot, row.pid, row.started)
        if not is_dead(holder) and row.clock - row.renewed_at < EXPIRES_AFTER:
            raise RunBusy(
                f"run {run_name} is driven by `{row.command}` (process {row.pid} on {row.host}); "
                "stop that first, or wait until it ends"
            )
    connection.execute(update(_lease).where(_lease.c.run_id == run_id).values(fence=row.fence + 1, **who))
    return Held(run_id, row.fence + 1)


def check(connection: Connection, held: Held) -> None:
    """Within a writing transaction: make sure that the lease is still ours.

    Raises:
        LeaseLost: it isn't; nothing of this transaction may be kept.
    """
    fence = connection.execute(_fence, {"run": held.run_id}).scalar()
    if fence != held.fence:
        raise LeaseLost(f"run {held.run_id} was taken over by another controller")


def same_version(run_id: ColumnElement[int]) -> ColumnElement[bool]:
    """A condition: the run is driven by this very version of the package, or was never driven."""
    other = select(_lease.c.run_id).where(_lease.c.run_id == run_id, _lease.c.version != __version__)
    return ~other.exists()


def refuse_other_version(connection: Connection, table: Table, row_id: int) -> None:
    """Raise WorkerRefuses if this row waits and its run is driven by another version than ours."""
    statement = select(_lease.c.version).join_from(table, _lease, table.c.run_id == _lease.c.run_id)
    statement = statement.where(table.c.id == row_id, table.c.state == "pending")
    theirs = connection.execute(statement).scalar()
    if theirs is not None and theirs != __version__:
        raise WorkerRefuses(
            f"this worker is version {__version__} and the run is driven by version {theirs}: "
            "install the same version on every machine"
        )


def renew(connection: Connection, held: Held) -> None:
    """Show that the holder lives."""
    check(connection, held)
    connection.execute(update(_lease).where(_lease.c.run_id == held.run_id).values(renewed_at=now()))


def give_up(connection: Connection, held: Held) -> None:
    """Free the lease; its fence stays, so that a late write of ours is still refused."""
    connection.execute(
        update(_lease)
        .where(_lease.c.run_id == held.run_id, _lease.c.fence == held.fence)
        .values(pid=None, command=None, renewed_at=now())
    )


def holder_alive(connection: Connection, run_id: int) -> bool:
    """Whether a controller drives the run now."""
    row = connection.execute(
        select(_lease, now().label("clock")).where(_lease.c.run_id == run_id)
    ).one_or_none()
    if row is None or row.pid is None:
        return False
    return (
        not is_dead(Identity(row.host, row.boot, row.pid, row.started))
        and row.clock - row.renewed_at < EXPIRES_AFTER
    )
