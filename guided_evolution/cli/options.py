"""The arguments and flags that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Archive = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|URL",
        help="The archive: a file or a database URL. By default guided-evolution.db in the working folder.",
        rich_help_panel="Everywhere",
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A settings file. By default guided-evolution.toml in the working folder, if it is there.",
        rich_help_panel="Everywhere",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Run = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run's name or number. By default the newest run.")
]
InRun = Annotated[
    str | None,
    typer.Option("--run", metavar="RUN", help="The run that is meant. By default the newest run."),
]
SandboxKind = Annotated[
    str | None,
    typer.Option(
        metavar="KIND", help="Where programs run: process, docker or auto (Docker where a model writes)."
    ),
]
Slots = Annotated[
    int | None, typer.Option(metavar="N", help="Evaluations at once. By default one for each processor.")
]


@dataclass(frozen=True)
class Place:
    """Where the archive and the settings are, as far as flags say so."""

    archive: str | None
    settings: Path | None


def place(context: typer.Context, archive: str | None, settings: Path | None) -> Place:
    """The two flags, given behind the command or before it."""
    before = context.find_object(Place) or Place(None, None)
    return Place(archive or before.archive, settings or before.settings)
