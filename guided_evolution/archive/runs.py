"""Runs, their seeds and what users ask of them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from guided_evolution.archive import leases
from guided_evolution.archive.clock import now
from guided_evolution.archive.tables import Command, Run, StoredSeed
from guided_evolution.errors import ArchiveError
from guided_evolution.seed import Seed

_run = Run.__table__  # type: ignore[attr-defined]
_seed = StoredSeed.__table__  # type: ignore[attr-defined]
_command = Command.__table__  # type: ignore[attr-defined]

_ADJECTIVES = (
    "amber brisk calm deft eager fair gentle hardy ivory jolly keen lucid "
    "mellow noble open proud quiet rapid sunny tidy vivid warm young zesty"
).split()
_NOUNS = (
    "alder birch cedar dune ember fjord grove heron iris juniper kestrel lark "
    "maple newt otter pine quail raven spruce tern vole wren yew finch"
).split()

ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class StoredRun:
    """A run as it stands in the archive."""

    id: int
    name: str
    seed_hash: str
    seed_name: str
    scoring_version: str
    settings: dict[str, Any]
    rng_seed: int
    evaluation_seed: int
    sandbox: str
    state: str
    reason: str | None
    seed_program_id: int | None
    active_seconds: float
    created_at: float
    ended_at: float | None


def create(
    connection: Connection,
    seed: Seed,
    *,
    settings: Mapping[str, Any],
    rng_seed: int,
    evaluation_seed: int,
    sandbox: str,
) -> StoredRun:
    """Write a new run, and its seed if the archive hasn't got it."""
    if connection.execute(select(_seed.c.hash).where(_seed.c.hash == seed.hash)).scalar() is None:
        content = zlib.compress(seed.to_json().encode())
        connection.execute(insert(_seed), {"hash": seed.hash, "name": seed.name, "content": content})
    row = {
        "name": _free_name(connection),
        "seed_hash": seed.hash,
        "seed_name": seed.name,
        "scoring_version": seed.scoring_version,
        "settings": dict(settings),
        "rng_seed": rng_seed,
        "evaluation_seed": evaluation_seed,
        "sandbox": sandbox,
        "state": "running",
        "active_seconds": 0.0,
    }
    run_id = connection.execute(insert(_run).values(created_at=now()).returning(_run.c.id), row).scalar_one()
    return get(connection, run_id)


def get(connection: Connection, run_id: int) -> StoredRun:
    """The run with this id, which must exist."""
    return StoredRun(**connection.execute(select(_run).where(_run.c.id == run_id)).one()._mapping)


def find(connection: Connection, name: str | None) -> StoredRun:
    """The run of this name or number; the newest for None.

    Raises:
        ArchiveError: there is none; the sentence names those that there are.
    """
    statement = select(_run).order_by(_run.c.id.desc()).limit(1)
    if name is not None:
        by_number = (_run.c.id == int(name)) if name.isdecimal() and len(name) < 10 else _run.c.name == name
        statement = statement.where(by_number)
    row = connection.execute(statement).one_or_none()
    if row is None:
        names = list(connection.execute(select(_run.c.name).order_by(_run.c.id.desc()).limit(5)).scalars())
        if not names:
            raise ArchiveError(
                "there is no run in this archive; start one with `guided-evolution evolve SEED`"
            )
        raise ArchiveError(
            f"there is no run {name!r} in this archive; the newest are {', '.join(names)} "
            "(`guided-evolution runs` lists all)"
        )
    return StoredRun(**row._mapping)


def all_runs(connection: Connection) -> list[StoredRun]:
    """Every run, the newest first."""
    return [StoredRun(**row._mapping) for row in connection.execute(select(_run).order_by(_run.c.id.desc()))]


def seed_of(connection: Connection, run: StoredRun) -> Seed:
    """The seed that the run was started with, as it was then."""
    content = connection.execute(select(_seed.c.content).where(_seed.c.hash == run.seed_hash)).scalar_one()
    return Seed.from_json(zlib.decompress(content).decode())


def set_state(connection: Connection, held: leases.Held, state: str, reason: str | None) -> None:
    """Record where the run stands; only its controller may."""
    leases.check(connection, held)
    ended = now() if state in ENDED else None
    connection.execute(
        update(_run).where(_run.c.id == held.run_id).values(state=state, reason=reason, ended_at=ended)
    )


def set_seed_program(connection: Connection, run_id: int, program_id: int) -> None:
    """Record which program the run started from."""
    connection.execute(update(_run).where(_run.c.id == run_id).values(seed_program_id=program_id))


def set_settings(connection: Connection, held: leases.Held, settings: Mapping[str, Any]) -> None:
    """Replace the run's settings, as `resume --add` does."""
    leases.check(connection, held)
    connection.execute(update(_run).where(_run.c.id == held.run_id).values(settings=dict(settings)))


def set_active_seconds(connection: Connection, held: leases.Held, seconds: float) -> None:
    """Record for how long the run has been worked on, over all its sessions."""
    leases.renew(connection, held)
    connection.execute(update(_run).where(_run.c.id == held.run_id).values(active_seconds=seconds))


def command(
    connection: Connection, run_id: int, kind: str, argument: Mapping[str, Any] | None = None
) -> None:
    """Ask something of a run: ``pause``, ``resume``, ``stop``, or ``fail`` with a ``reason``."""
    row = {"run_id": run_id, "kind": kind, "argument": dict(argument or {})}
    connection.execute(insert(_command).values(created_at=now()), row)


def open_commands(connection: Connection, run_id: int) -> list[tuple[int, str]]:
    """Ids and kinds of commands that nobody has obeyed yet, oldest first."""
    statement = select(_command.c.id, _command.c.kind).where(
        _command.c.run_id == run_id, _command.c.done_at.is_(None)
    )
    return [(row.id, row.kind) for row in connection.execute(statement.order_by(_command.c.id))]


def argument_of(connection: Connection, command_id: int) -> dict[str, Any]:
    """What came with a command."""
    return dict(
        connection.execute(select(_command.c.argument).where(_command.c.id == command_id)).scalar_one()
    )


def obeyed(connection: Connection, command_ids: list[int]) -> None:
    """Mark commands as done."""
    connection.execute(update(_command).where(_command.c.id.in_(command_ids)).values(done_at=now()))


def _free_name(connection: Connection) -> str:
    taken = set(connection.execute(select(_run.c.name)).scalars())
    system = random.SystemRandom()
    names = [f"{adjective}-{noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    free = [name for name in names if name not in taken]
    return system.choice(free) if free else f"{system.choice(names)}-{len(taken) + 1}"
