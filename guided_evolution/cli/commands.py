"""`pause` and `stop`: what one command asks of a run that another command drives."""

from __future__ import annotations

import time
from collections.abc import Callable

from guided_evolution.archive import Archive, leases, runs
from guided_evolution.cli.opening import opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console
from guided_evolution.errors import ArchiveError

_Done = Callable[[runs.StoredRun], bool]

_WAIT = 10.0
_LOOK_AGAIN = 0.1


def pause(place: Place, run_name: str | None) -> None:
    """Ask the run's controller to make nothing new, and wait until it has heard."""
    with opened(place) as archive:
        run = _at_work(archive, run_name, "pause")
        if run.state == "paused":
            console().print(
                f"{run.name} is paused already; `guided-evolution resume {run.name}` lets it go on"
            )
            return
        heard = _ask(archive, run, "pause", lambda now: now.state != "running")
        what = f"{run.name} is paused" if heard else f"{run.name} was asked to pause and hasn't answered yet"
        console().print(f"{what}; `guided-evolution resume {run.name}` lets it go on")


def stop(place: Place, run_name: str | None) -> None:
    """Ask the run's controller to stop, and wait a while for it."""
    with opened(place) as archive:
        run = _at_work(archive, run_name, "stop")
        heard = _ask(archive, run, "stop", lambda now: now.state in runs.ENDED)
        what = "is stopped" if heard else "is stopping: it finishes what is at work"
        console().print(f"{run.name} {what}; `guided-evolution resume {run.name}` goes on")


def unpause(archive: Archive, run: runs.StoredRun) -> int:
    """Let a paused run go on in the process that drives it; returns the exit code."""
    heard = _ask(archive, run, "resume", lambda now: now.state != "paused")
    what = "goes on where it runs" if heard else "was asked to go on and hasn't answered yet"
    console().print(f"{run.name} {what}; `guided-evolution status --watch` shows it")
    return 0


def _at_work(archive: Archive, run_name: str | None, wish: str) -> runs.StoredRun:
    with archive.read() as connection:
        run = runs.find(connection, run_name)
        if leases.holder_alive(connection, run.id):
            return run
    state = (
        f"it {run.state} ({run.reason})" if run.state in runs.ENDED else "the command that drove it is gone"
    )
    raise ArchiveError(f"run {run.name} isn't at work, so there is nothing to {wish}: {state}")


def _ask(archive: Archive, run: runs.StoredRun, kind: str, done: _Done) -> bool:
    """Write the command down and wait until the run's row shows it; False if that takes too long."""
    with archive.write() as connection:
        runs.command(connection, run.id, kind)
    give_up = time.monotonic() + _WAIT
    while time.monotonic() < give_up:
        with archive.read() as connection:
            if done(runs.get(connection, run.id)):
                return True
        time.sleep(_LOOK_AGAIN)
    return False
