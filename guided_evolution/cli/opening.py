"""From what a user typed to an open archive, a run in it, a program of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from guided_evolution.archive import Archive, open_archive, reading, runs
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console
from guided_evolution.errors import ArchiveError, SettingsError
from guided_evolution.results import read_results
from guided_evolution.settings import SandboxKind, Settings, load_settings

if TYPE_CHECKING:
    from guided_evolution.sandbox.choice import Opener


@contextmanager
def opened(place: Place) -> Iterator[Archive]:
    """The archive that exists at this place."""
    settings = load_settings({"archive": place.archive}, file=place.settings)
    archive = open_archive(settings.archive)
    try:
        yield archive
    finally:
        archive.close()


def sandbox_opener(settings: Settings, kind: SandboxKind, *, model_writes: bool) -> Opener:
    """What opens sandboxes, as the settings say; tells on standard error what takes its time."""
    from guided_evolution.sandbox.choice import choose  # late: reading commands need no sandbox

    err = console(stderr=True)
    return choose(
        kind,
        model_writes=model_writes,
        base_image=settings.base_image,
        wheels=settings.wheels,
        say=lambda said: err.print(said, style="dim"),
    )


def checked_broker(broker: str | None) -> str:
    """The broker's URL. Raises SettingsError where there is none, or what it needs isn't installed."""
    if broker is None:
        raise SettingsError(
            "a worker needs a broker that it shares with the run: --broker redis://:PASSWORD@HOST:6379/0, "
            "or GUIDED_EVOLUTION_BROKER"
        )
    scheme = broker.partition("://")[0]
    if scheme not in ("redis", "rediss", "amqp", "amqps"):
        raise SettingsError(f"broker {scheme}: must be a URL that begins with redis:// or rediss://")
    if scheme.startswith("redis"):
        try:
            import redis  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                "a redis:// broker needs the redis package; `pip install 'guided-evolution[redis]'`"
            ) from error
    return broker


@dataclass(frozen=True)
class Named:
    """A program that somebody named, and its run."""

    program_id: int
    run: runs.StoredRun


def find_program(connection: Connection, name: str, run_name: str | None) -> Named:
    """``best``, ``seed`` or a number, in the run of this name or the newest one.

    Raises:
        ArchiveError: no such run or program; or the program is another run's than the one that was named.
    """
    if name in ("best", "seed"):
        run = runs.find(connection, run_name)
        if name == "best":
            return Named(read_results(connection, run).best().program_id, run)
        if run.seed_program_id is None:
            member = read_results(connection, run).seed_member
            if member is None:
                raise ArchiveError(f"run {run.name} has no seed program yet")
            return Named(member.program_id, run)
        return Named(run.seed_program_id, run)
    digits = name.removeprefix("#")
    if not digits.isdecimal() or len(digits) > 18:
        raise ArchiveError(f"there is no program {name!r}; say a number, best or seed")
    found = reading.program(connection, int(digits))
    run = runs.get(connection, found.run_id)
    if run_name is not None and runs.find(connection, run_name).id != run.id:
        raise ArchiveError(f"program {digits} belongs to run {run.name}, not to {run_name}")
    return Named(found.id, run)
