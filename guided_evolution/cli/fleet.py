"""`status --workers`: who serves the queues, and how it goes there."""

from __future__ import annotations

import time
from dataclasses import asdict

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from guided_evolution.archive import Archive, workers
from guided_evolution.budget import duration
from guided_evolution.cli.opening import opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json, table
from guided_evolution.figures import one_line

_LOOK_AGAIN = 1.0


def status(place: Place, *, watch: bool, as_json: bool) -> None:
    """Print the workers that live or fell silent within the hour; `watch` goes on until Ctrl-C."""
    with opened(place) as archive:
        if as_json:
            print_json([asdict(worker) for worker in archive.look(workers.all_workers)])
            return
        if not watch:
            console().print(_shown(archive))
            return
        with Live(_shown(archive), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(_LOOK_AGAIN)
                live.update(_shown(archive), refresh=True)


def _shown(archive: Archive) -> RenderableType:
    every = archive.look(workers.all_workers)
    if not every:
        return Text("no workers; `guided-evolution worker --queue evaluate` starts one")
    right = ("slots", "busy", "done", "per min", "failures")
    made = table(
        "worker",
        "host",
        "queue",
        "state",
        "slots",
        "busy",
        "done",
        "per min",
        "failures",
        "last seen",
        "",
        right=right,
    )
    for one in every:
        made.add_row(
            str(one.id),
            f"{one.host}:{one.pid}",
            one.queue,
            one.state,
            str(one.slots),
            str(one.busy),
            str(one.done),
            f"{one.per_minute:.0f}",
            str(one.failed),
            f"{duration(max(one.seen, 0.0))} ago",
            Text(one_line(one.note or "", 100), "dim"),
        )
    return made
