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

_MODELS = "Models"

Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="A model to ask, as PROVIDER/NAME or PROVIDER/NAME=WEIGHT; several times for several. `manual` asks you.",
        rich_help_panel=_MODELS,
        show_default=False,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of an OpenAI-compatible server.", rich_help_panel=_MODELS),
]
ModelsFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Models with settings and groups, in TOML.", rich_help_panel=_MODELS),
]
MaxCost = Annotated[
    float | None,
    typer.Option(metavar="DOLLARS", help="Most that model calls may cost.", rich_help_panel=_MODELS),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(metavar="N", help="Most tokens of prompts and replies.", rich_help_panel=_MODELS),
]
MaxCalls = Annotated[
    int | None, typer.Option(metavar="N", help="Most requests to models.", rich_help_panel=_MODELS)
]
NoCap = Annotated[
    bool | None,
    typer.Option("--no-cap", help="Spend without a bound.", rich_help_panel=_MODELS, show_default=False),
]
Calls = Annotated[
    int | None,
    typer.Option(metavar="N", help="Model calls in flight at once. By default 8.", rich_help_panel=_MODELS),
]
CallTimeout = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Most time for one request to a model. By default 3m; 10m where it thinks long.",
        rich_help_panel=_MODELS,
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Templates that take the place of ours.", rich_help_panel=_MODELS),
]
PromptTokens = Annotated[
    int | None, typer.Option(metavar="N", help="Most tokens of a prompt.", rich_help_panel=_MODELS)
]
ManualFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where `--model manual` writes prompts and reads replies. By default prompts/.",
        rich_help_panel=_MODELS,
    ),
]
Replay = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Make an archived run again, with its replies: no network, no key, no cost.",
        rich_help_panel=_MODELS,
    ),
]


Broker = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The broker whose workers do the work: redis://:PASSWORD@HOST:6379/0. By default this process does it.",
        rich_help_panel="Everywhere",
    ),
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
