"""Who may decide for a run: one controller at a time, each with a higher fence than the one before."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from guided_evolution.archive.clock import now
from guided_evolution.archive.tables import Lease
from guided_evolution.errors import BadInput, GuidedEvolutionError
from guided_evolution.identity import Identity, is_dead

EXPIRES_AFTER = 30.0
"""Seconds without renewal after which a lease may be taken over from another machine."""

_lease = Lease.__table__  # type: ignore[attr-defined]
_fence = select(_lease.c.fence).where(_lease.c.run_id == bindparam("run"))


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
    row = connection.execute(
        select(_lease, now().label("clock")).where(_lease.c.run_id == run_id).with_for_update()
    ).one_or_none()
    who = {
        "host": me.host,
        "boot": me.boot,
        "pid": me.pid,
        "started": me.started,
        "command": command,
        "renewed_at": now(),
    }
    if row is None:
        connection.execute(insert(_lease).values(run_id=run_id, fence=1, **who))
        return Held(run_id, 1)
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
