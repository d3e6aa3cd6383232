"""`evolve` and `resume`: drive a run, show it, and say what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from guided_evolution.archive import Archive, leases, open_archive, runs
from guided_evolution.budget import Budget, duration
from guided_evolution.cli import WORLD_FAILED, commands
from guided_evolution.cli.opening import checked_broker, opened, sandbox_opener
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console
from guided_evolution.cli.report import print_found
from guided_evolution.cli.signals import Signals
from guided_evolution.errors import GuidedEvolutionError, SettingsError, WorldFailed
from guided_evolution.live import asked, watching
from guided_evolution.model_choice import choose_model_run, estimate_of, limits_of, looked_at_again
from guided_evolution.model_run import ModelRun
from guided_evolution.progress import Progress, Watcher
from guided_evolution.results import read_results
from guided_evolution.sandbox.choice import Opener
from guided_evolution.search_plan import search_plan
from guided_evolution.seed import Seed, load_seed
from guided_evolution.seed_writer import is_hostile
from guided_evolution.session import (
    DEFAULT_SECONDS,
    Finished,
    Plan,
    StopHook,
    grown,
    model_share,
    replayed,
    resume_run,
    start_run,
)
from guided_evolution.settings import SandboxKind, Settings, load_settings, parse_duration

Drive = Callable[[Watcher, StopHook, Callable[[str], None]], Finished]

_PROMPT_EXTRA = 1500
"""Tokens of a prompt beside task and program, at a guess for the estimate."""


def evolve(place: Place, seed_name: str, flags: Mapping[str, object]) -> int:
    """Start a run and see it through; returns the exit code."""
    settings = load_settings({"archive": place.archive, **flags}, file=place.settings)
    seed = load_seed(seed_name)
    budget = Budget(settings.evaluations, settings.time, settings.target, settings.patience)
    plan = Plan(
        budget,
        settings.slots,
        settings.population,
        tuple(settings.operators.items()),
        search=search_plan(settings),
        model_run=choose_model_run(settings, _notice),
    )
    model_writes = plan.model_run is not None or is_hostile(seed_name)
    opener = _opener(settings, settings.sandbox, seed, model_writes=model_writes)
    archive = open_archive(settings.archive, create=True, durable=plan.model_run is not None)
    try:
        if plan.model_run is not None:
            _say_estimate(seed, plan, plan.model_run)
        return _see_through(
            archive,
            seed,
            budget if budget != Budget() else Budget(seconds=DEFAULT_SECONDS),
            lambda watch, hook, say: start_run(
                archive,
                seed,
                plan,
                rng_seed=settings.rng_seed,
                opener=opener,
                watch=watch,
                stop_hook=hook,
                notice=say,
                broker=settings.broker,
            ),
        )
    finally:
        archive.close()


def replay(place: Place, run_name: str, flags: Mapping[str, object], seed_name: str | None) -> int:
    """Make an archived run again with its replies, in the same archive; returns the exit code."""
    settings = load_settings({"archive": place.archive, **flags}, file=place.settings)
    archive = open_archive(settings.archive)
    try:
        with archive.read() as connection:
            source = runs.find(connection, run_name)
            seed = runs.seed_of(connection, source)
        if seed_name is not None and load_seed(seed_name).name != seed.name:
            raise SettingsError(f"--replay {run_name}: that run is of seed {seed.name}, not of {seed_name}")
        plan = replayed(Plan.from_json(source.settings), source)
        opener = sandbox_opener(settings, settings.sandbox, model_writes=True)
        opener.prepare(seed)
        return _see_through(
            archive,
            seed,
            plan.budget,
            lambda watch, hook, say: start_run(
                archive,
                seed,
                plan,
                rng_seed=source.rng_seed,
                evaluation_seed=source.evaluation_seed,
                opener=opener,
                watch=watch,
                stop_hook=hook,
                notice=say,
            ),
        )
    finally:
        archive.close()


def _notice(said: str) -> None:
    console(stderr=True).print(said, style="yellow")


def _say_estimate(seed: Seed, plan: Plan, asked: ModelRun) -> None:
    """What the run will cost, told before anything is spent."""
    program = sum(len(content) for content in seed.program.values()) + len(seed.task.encode())
    said = estimate_of(
        asked,
        evaluations=plan.budget.evaluations,
        share=model_share(plan),
        prompt_tokens=min(asked.prompt_budget, program // 3 + _PROMPT_EXTRA),
    )
    console(stderr=True).print(said, style="dim")


def resume(
    place: Place,
    run_name: str | None,
    *,
    add: int | None,
    add_time: str | None,
    flags: Mapping[str, object],
) -> int:
    """Go on with a run, or let a paused one go on where it runs; returns the exit code."""
    if add is not None and add < 1:
        raise SettingsError(f"--add {add}: must be at least 1")
    settings = load_settings(flags, file=place.settings)
    seconds = _seconds(add_time)
    with opened(place) as archive:
        with archive.read() as connection:
            run = runs.find(connection, run_name)
            alive = leases.holder_alive(connection, run.id)
            seed = runs.seed_of(connection, run)
        if alive and run.state == "paused" and add is None and add_time is None:
            return commands.unpause(archive, run)
        plan = Plan.from_json(run.settings)
        if plan.model_run is not None and settings.broker is None:
            looked_at_again(plan.model_run, _notice)
        kind: SandboxKind = "docker" if run.sandbox.startswith("docker") else "process"
        opener = _opener(settings, kind, seed, model_writes=False)
        return _see_through(
            archive,
            seed,
            grown(plan.budget, add or 0, seconds, run.active_seconds),
            lambda watch, hook, say: resume_run(
                archive,
                run,
                add=add or 0,
                add_seconds=seconds,
                slots=settings.slots if flags["slots"] else None,
                limits=None if plan.model_run is None else limits_of(settings, plan.model_run.models.limits),
                opener=opener,
                watch=watch,
                stop_hook=hook,
                notice=say,
                broker=settings.broker,
            ),
        )


def _opener(settings: Settings, asked: SandboxKind, seed: Seed, *, model_writes: bool) -> Opener:
    """What opens the run's sandboxes, ready for the seed. With a broker its workers open them, and this only names the
    kind."""
    if settings.broker is None:
        opener = sandbox_opener(settings, asked, model_writes=model_writes)
        opener.prepare(seed)
        return opener
    checked_broker(settings.broker)
    return Opener("docker" if asked == "docker" or (asked == "auto" and model_writes) else "process")


def _seconds(add_time: str | None) -> float:
    if add_time is None:
        return 0.0
    try:
        seconds = parse_duration(add_time)
    except ValueError as problem:
        raise SettingsError(f"--add-time {add_time}: {problem}") from problem
    if seconds <= 0:
        raise SettingsError(f"--add-time {add_time}: must be more than 0 seconds")
    return seconds


def _see_through(archive: Archive, seed: Seed, budget: Budget, drive: Drive) -> int:
    """Drive a run with signals and a view connected, then print what it found; returns the exit code."""
    out = console()
    name = ""
    with Signals() as signals:
        try:
            with watching(out, seed, budget) as view:
                signals.say = view.say

                def watch(progress: Progress) -> None:
                    nonlocal name
                    name = progress.run_name
                    signals.resume_hint = f"`guided-evolution resume {name}` goes on"
                    view.watch(progress)

                finished = drive(watch, signals.hook, view.say)
        except WorldFailed as error:
            raise _with_hint(error, name) from error
        _print_end(archive, finished)
        return WORLD_FAILED if finished.ending.state == "stopped" and signals.told_by_world else 0


def _with_hint(error: GuidedEvolutionError, name: str) -> GuidedEvolutionError:
    said = str(error).rstrip(".")
    return (
        error
        if not name or "resume" in said
        else WorldFailed(f"{said}; `guided-evolution resume {name}` goes on")
    )


def _print_end(archive: Archive, finished: Finished) -> None:
    out = console()
    run, progress, ending = finished.run, finished.progress, finished.ending
    failed = progress.evaluations - progress.scored
    counts = f"{progress.evaluations} evaluated, {failed} of them failed, in {duration(progress.seconds)}"
    counts += f"; {asked(progress)}" if progress.model_calls else ""
    said = f"{ending.state}, {ending.reason}" if ending.state == "finished" else ending.reason
    with archive.read() as connection:
        results = read_results(connection, run)
        newest = runs.find(connection, None).id == run.id
    try:
        out.print(Text.assemble((run.name, "bold"), f" {said}: {counts}"))
        out.print()
        print_found(out, results, newest=newest)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # the terminal went away with a hang-up; the run is kept, and its exit code says what happened
