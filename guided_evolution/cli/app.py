"""What the command line understands. Each command parses here and calls a module of its noun, loaded only then."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guided_evolution.cli import options
from guided_evolution.cli.options import Archive, InRun, Json, Place, Run, SandboxKind, Settings, Slots, place
from guided_evolution.version import __version__

# The base class of typer's complaints has moved between its releases; it is always above BadParameter.
UsageProblem: type[typer.BadParameter] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name="guided-evolution",
    help="Evolve the source of a Python program against an evaluator that it can't cheat.",
    epilog="Exit codes: 0 done, also when you stopped it; 2 bad input; 3 the world failed, `resume` goes on.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

RUNS = "Runs"
FINDINGS = "What was found"
SEEDS = "Seeds"
CARE = "Care"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"guided-evolution {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    archive: Archive = None,
    settings: Settings = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Place(archive, settings)


@app.command(rich_help_panel=RUNS)
def evolve(
    context: typer.Context,
    seed: Annotated[
        str | None, typer.Argument(help="A built-in seed's name or a seed's folder.", show_default=False)
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(metavar="N", help="End after so many evaluations, failed ones too.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End after this time: 90s, 10m, 2h. Without any budget: 1m."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="METRIC=VALUE", help="End when a program reaches this.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="End after so many evaluations without a gain.")
    ] = None,
    slots: Slots = None,
    rng_seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Decides every random choice; with --slots 1 the run repeats."),
    ] = None,
    population: Annotated[
        int | None, typer.Option(metavar="N", help="Most programs that may become parents.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="evolve, or a baseline: best-of-n, random-walk, hill-climb.",
            show_default=False,
        ),
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who becomes a parent: nsga2, spea2, map-elites, weighted, mate-choice or your own module:Class.",
        ),
    ] = None,
    islands: Annotated[
        int | None, typer.Option(metavar="N", help="Islands at most; spawned when the search stalls.")
    ] = None,
    migration: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who sends migrants: ring, full, broadcast, lattice or torus."),
    ] = None,
    operators: Annotated[
        str | None,
        typer.Option(metavar="SHARES", help="Share of proposals by operator: mutate=3,crossover=1."),
    ] = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    models_file: options.ModelsFile = None,
    max_cost: options.MaxCost = None,
    max_tokens: options.MaxTokens = None,
    max_calls: options.MaxCalls = None,
    no_cap: options.NoCap = None,
    calls: options.Calls = None,
    call_timeout: options.CallTimeout = None,
    prompts: options.Prompts = None,
    prompt_tokens: options.PromptTokens = None,
    manual_folder: options.ManualFolder = None,
    replay: options.Replay = None,
    sandbox: SandboxKind = None,
    broker: options.Broker = None,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Start a run: evolve a seed's program until the budget ends, and say what was found."""
    from guided_evolution.cli import sessions

    flags = {
        "evaluations": evaluations,
        "time": time,
        "target": target,
        "patience": patience,
        "slots": slots,
        "rng_seed": rng_seed,
        "population": population,
        "strategy": strategy,
        "selection": selection,
        "islands": islands,
        "migration": migration,
        "operators": operators,
        "model": tuple(model) if model else None,
        "base_url": base_url,
        "models_file": models_file,
        "max_cost": max_cost,
        "max_tokens": max_tokens,
        "max_calls": max_calls,
        "no_cap": no_cap,
        "calls": calls,
        "call_timeout": call_timeout,
        "prompts": prompts,
        "prompt_tokens": prompt_tokens,
        "manual_folder": manual_folder,
        "sandbox": sandbox,
        "broker": broker,
    }
    where = place(context, archive, settings)
    if replay is not None:
        raise typer.Exit(sessions.replay(where, replay, flags, seed))
    if seed is None:
        raise typer.BadParameter("name a seed, or a run to --replay")
    raise typer.Exit(sessions.evolve(where, seed, flags))


@app.command(rich_help_panel=RUNS)
def resume(
    context: typer.Context,
    run: Run = None,
    add: Annotated[
        int | None, typer.Option(metavar="N", help="Give it so many evaluations on top of its budget.")
    ] = None,
    add_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give it this time on top: 90s, 10m, 2h.")
    ] = None,
    slots: Slots = None,
    max_cost: options.MaxCost = None,
    max_tokens: options.MaxTokens = None,
    max_calls: options.MaxCalls = None,
    broker: options.Broker = None,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Go on with a run that was stopped, killed or finished; one that is paused goes on where it runs."""
    from guided_evolution.cli import sessions

    where = place(context, archive, settings)
    flags = {
        "slots": slots,
        "max_cost": max_cost,
        "max_tokens": max_tokens,
        "max_calls": max_calls,
        "broker": broker,
    }
    raise typer.Exit(sessions.resume(where, run, add=add, add_time=add_time, flags=flags))


@app.command(rich_help_panel=RUNS)
def pause(
    context: typer.Context, run: Run = None, archive: Archive = None, settings: Settings = None
) -> None:
    """Let a run that is at work elsewhere make no new programs until `resume`."""
    from guided_evolution.cli import commands

    commands.pause(place(context, archive, settings), run)


@app.command(rich_help_panel=RUNS)
def stop(context: typer.Context, run: Run = None, archive: Archive = None, settings: Settings = None) -> None:
    """Stop a run that is at work elsewhere; what it evaluates just now is finished and kept."""
    from guided_evolution.cli import commands

    commands.stop(place(context, archive, settings), run)


@app.command(rich_help_panel=RUNS)
def runs(
    context: typer.Context, json: Json = False, archive: Archive = None, settings: Settings = None
) -> None:
    """List the archive's runs, the newest first."""
    from guided_evolution.cli import overview

    overview.runs_(place(context, archive, settings), json)


@app.command(rich_help_panel=RUNS)
def status(
    context: typer.Context,
    run: Run = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until it ends or Ctrl-C.")] = False,
    workers: Annotated[
        bool, typer.Option("--workers", help="Show the workers of a broker instead, with slots and pace.")
    ] = False,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Show where a run stands: budget, pace, failures, and its best so far."""
    from guided_evolution.cli import fleet, overview

    if workers:
        fleet.status(place(context, archive, settings), watch=watch, as_json=json)
        return
    overview.status(place(context, archive, settings), run, watch=watch, as_json=json)


@app.command(rich_help_panel=FINDINGS)
def best(
    context: typer.Context,
    run: Run = None,
    front: Annotated[
        bool, typer.Option("--front", help="All programs that no other one beats in every objective.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="The best by this objective. By default the primary one."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write it as a seed folder that `check` scores the same."),
    ] = None,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Show a run's best program against the seed program."""
    from guided_evolution.cli import findings

    where = place(context, archive, settings)
    findings.best(where, run, front=front, metric=metric, write=write, as_json=json)


@app.command(rich_help_panel=FINDINGS)
def show(
    context: typer.Context,
    program: Annotated[str, typer.Argument(help="A program's number, `best` or `seed`.")],
    run: InRun = None,
    source: Annotated[bool, typer.Option("--source", help="Print the source and nothing else.")] = False,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Print what the model was asked and answered, and nothing else.")
    ] = False,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Show a program: its scores, where it came from, its source."""
    from guided_evolution.cli import programs

    where = place(context, archive, settings)
    programs.show(where, program, run, source_only=source, prompt_only=prompt, as_json=json)


@app.command(rich_help_panel=FINDINGS)
def diff(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="A program's number, `best` or `seed`.")],
    b: Annotated[
        str | None,
        typer.Argument(
            help="The other program. Left out, A is compared with the program it was made from, "
            "and `best` with the seed program."
        ),
    ] = None,
    run: InRun = None,
    genes: Annotated[bool, typer.Option("--genes", help="Only name the genes that differ.")] = False,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Show what changed from program A to program B, as a unified diff."""
    from guided_evolution.cli import programs

    programs.diff(place(context, archive, settings), a, b, run, genes_only=genes, as_json=json)


@app.command(rich_help_panel=FINDINGS)
def lineage(
    context: typer.Context,
    program: Annotated[str, typer.Argument(help="A program's number, `best` or `seed`.")] = "best",
    run: InRun = None,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Tell how a program came about: each change from the seed program on, and what it brought."""
    from guided_evolution.cli import programs

    programs.lineage_(place(context, archive, settings), program, run, as_json=json)


@app.command(rich_help_panel=SEEDS)
def init(
    name: Annotated[str, typer.Argument(help="The new seed's name, and the folder to write.")],
    model: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A Python program of yours to evolve.")
    ] = None,
) -> None:
    """Write a seed that runs: an example, or one around a program of yours."""
    from guided_evolution.cli import seeds

    seeds.init(name, model)


@app.command(rich_help_panel=SEEDS)
def check(
    seed: Annotated[str, typer.Argument(help="A built-in seed's name or a seed's folder.")],
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Evaluate it so often, each time with another seed.")
    ] = 1,
    evaluation_seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", min=0, help="The first evaluation's seed. By default drawn anew."
        ),
    ] = None,
    sandbox: SandboxKind = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show all that evaluator and program print and raise.")
    ] = False,
    json: Json = False,
) -> None:
    """Evaluate a seed's own program: scores and their spread, time and memory against the limits."""
    from guided_evolution.cli import seeds

    raise typer.Exit(
        seeds.check(
            seed,
            repeats=repeat,
            evaluation_seed=evaluation_seed,
            sandbox_kind=sandbox,
            debug=debug,
            as_json=json,
        )
    )


@app.command(rich_help_panel=SEEDS)
def prompt(
    context: typer.Context,
    seed: Annotated[str, typer.Argument(help="A built-in seed's name or a seed's folder.")],
    operator: Annotated[
        str, typer.Option(metavar="NAME", help="mutate, merge, draft or repair.", show_default=True)
    ] = "mutate",
    rng_seed: Annotated[
        int | None, typer.Option(metavar="N", help="The run's. By default 0.", show_default=False)
    ] = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    models_file: options.ModelsFile = None,
    prompts: options.Prompts = None,
    prompt_tokens: options.PromptTokens = None,
    sandbox: SandboxKind = None,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Print the prompt that the first proposal of a run would get, and its tokens. Free: nobody is asked."""
    from guided_evolution.cli import prompt as command

    flags = {
        "rng_seed": rng_seed,
        "model": tuple(model) if model else None,
        "base_url": base_url,
        "models_file": models_file,
        "prompts": prompts,
        "prompt_tokens": prompt_tokens,
        "sandbox": sandbox,
    }
    command.prompt(place(context, archive, settings), seed, operator, flags, as_json=json)


@app.command(rich_help_panel=CARE)
def worker(
    context: typer.Context,
    queue: Annotated[str, typer.Option(metavar="NAME", help="propose (models) or evaluate (sandboxes).")],
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", help="Slots. By default 8 to propose, one for each processor to evaluate."),
    ] = None,
    broker: options.Broker = None,
    sandbox: SandboxKind = None,
    grace: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Time to finish in after SIGTERM; the rest is given back."),
    ] = 25.0,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Answer Prometheus at this port.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="text or json. By default json, on a terminal text.")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Tell Flower what happens.")] = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Work for every run of an archive that shares this broker, until SIGTERM or Ctrl-C."""
    from guided_evolution.cli import worker as worker_

    flags = {"broker": broker, "sandbox": sandbox}
    raise typer.Exit(
        worker_.worker(
            place(context, archive, settings),
            queue,
            flags,
            concurrency=concurrency,
            grace=grace,
            metrics_port=metrics_port,
            log_format=log_format,
            events=events,
        )
    )


@app.command(rich_help_panel=RUNS)
def compare(
    context: typer.Context,
    seeds_named: Annotated[
        list[str], typer.Argument(metavar="SEED...", help="Built-in seeds' names or seeds' folders.")
    ],
    arms: Annotated[
        str,
        typer.Option(
            metavar="ARMS",
            help="Strategies, the first against each other one; with settings: evolve:selection=spea2:islands=3.",
        ),
    ] = "evolve,best-of-n,random-walk,hill-climb",
    seeds: Annotated[
        int, typer.Option(metavar="N", help="Runs of each arm, each with another random seed.")
    ] = 10,
    evaluations: Annotated[
        int | None, typer.Option(metavar="N", help="Budget of every run. By default 300.")
    ] = None,
    confirmations: Annotated[
        int, typer.Option(metavar="N", help="Held-out evaluations of each run's winner.")
    ] = 3,
    slots: Slots = None,
    rng_seed: Annotated[
        int | None, typer.Option(metavar="N", help="The first of the random seeds. By default 0.")
    ] = None,
    sandbox: SandboxKind = None,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Search in several ways on the same budget, confirm each winner, and say which way is better, if any."""
    from guided_evolution.cli import compare as comparing

    flags = {"evaluations": evaluations, "slots": slots, "rng_seed": rng_seed, "sandbox": sandbox}
    code = comparing.run(
        place(context, archive, settings),
        seeds_named,
        arms=arms,
        repetitions=seeds,
        confirmations=confirmations,
        flags=flags,
        as_json=json,
    )
    raise typer.Exit(code)


@app.command(rich_help_panel=CARE)
def doctor(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or number. By default all runs.")
    ] = None,
    json: Json = False,
    archive: Archive = None,
    settings: Settings = None,
) -> None:
    """Check that an archive is whole: nothing lost, nothing counted twice, every program to the byte."""
    from guided_evolution.cli import care

    raise typer.Exit(care.doctor(place(context, archive, settings), run, as_json=json))


sandboxes = typer.Typer(help="Images and containers of the Docker sandbox.", no_args_is_help=True)
app.add_typer(sandboxes, name="sandbox", rich_help_panel=CARE)


@sandboxes.command("build")
def sandbox_build(
    context: typer.Context,
    seed: Annotated[str, typer.Argument(help="A built-in seed's name or a seed's folder.")],
    settings: Settings = None,
) -> None:
    """Build the image in which a seed's candidates run, if it isn't there."""
    from guided_evolution.cli import sandbox

    sandbox.build(place(context, None, settings), seed)


@sandboxes.command("ls")
def sandbox_ls(json: Json = False) -> None:
    """List the images, and the containers at work."""
    from guided_evolution.cli import sandbox

    sandbox.ls(as_json=json)


@sandboxes.command("prune")
def sandbox_prune() -> None:
    """Remove what dead workers left, and the images that no container uses."""
    from guided_evolution.cli import sandbox

    sandbox.prune()


@sandboxes.command("shell")
def sandbox_shell(
    context: typer.Context,
    seed: Annotated[str, typer.Argument(help="A built-in seed's name or a seed's folder.")],
    settings: Settings = None,
) -> None:
    """Open a shell where a seed's candidates run, behind the same walls and as one of their users."""
    from guided_evolution.cli import sandbox

    raise typer.Exit(sandbox.shell(place(context, None, settings), seed))
