"""`evolve` and `resume`: drive a run, show it, and say what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from guided_evolution.archive import Archive, leases, open_archive, runs
from guided_evolution.budget import Budget, duration
from guided_evolution.cli import WORLD_FAILED, commands
from guided_evolution.cli.opening import opened, sandbox_opener
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console
from guided_evolution.cli.report import print_found
from guided_evolution.cli.signals import Signals
from guided_evolution.errors import GuidedEvolutionError, SettingsError, WorldFailed
from guided_evolution.live import watching
from guided_evolution.progress import Progress, Watcher
from guided_evolution.results import read_results
from guided_evolution.search_plan import search_plan
from guided_evolution.seed import Seed, load_seed
from guided_evolution.session import DEFAULT_SECONDS, Finished, Plan, StopHook, grown, resume_run, start_run
from guided_evolution.settings import SandboxKind, load_settings, parse_duration

Drive = Callable[[Watcher, StopHook], Finished]


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
    )
    opener = sandbox_opener(settings, settings.sandbox, model_writes=False)
    opener.prepare(seed)
    archive = open_archive(settings.archive, create=True)
    try:
        return _see_through(
            archive,
            seed,
            budget if budget != Budget() else Budget(seconds=DEFAULT_SECONDS),
            lambda watch, hook: start_run(
                archive,
                seed,
                plan,
                rng_seed=settings.rng_seed,
                opener=opener,
                watch=watch,
                stop_hook=hook,
            ),
        )
    finally:
        archive.close()


def resume(
    place: Place, run_name: str | None, *, add: int | None, add_time: str | None, slots: int | None
) -> int:
    """Go on with a run, or let a paused one go on where it runs; returns the exit code."""
    if add is not None and add < 1:
        raise SettingsError(f"--add {add}: must be at least 1")
    settings = load_settings({"slots": slots}, file=place.settings)
    seconds = _seconds(add_time)
    with opened(place) as archive:
        with archive.read() as connection:
            run = runs.find(connection, run_name)
            alive = leases.holder_alive(connection, run.id)
            seed = runs.seed_of(connection, run)
        if alive and run.state == "paused" and add is None and add_time is None:
            return commands.unpause(archive, run)
        budget = Plan.from_json(run.settings).budget
        kind: SandboxKind = "docker" if run.sandbox.startswith("docker") else "process"
        opener = sandbox_opener(settings, kind, model_writes=False)
        opener.prepare(seed)
        return _see_through(
            archive,
            seed,
            grown(budget, add or 0, seconds, run.active_seconds),
            lambda watch, hook: resume_run(
                archive,
                run,
                add=add or 0,
                add_seconds=seconds,
                slots=settings.slots if slots else None,
                opener=opener,
                watch=watch,
                stop_hook=hook,
            ),
        )


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

                finished = drive(watch, signals.hook)
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
    said = f"{ending.state}, {ending.reason}" if ending.state == "finished" else ending.reason
    with archive.read() as connection:
        results = read_results(connection, run)
    try:
        out.print(Text.assemble((run.name, "bold"), f" {said}: {counts}"))
        out.print()
        print_found(out, results)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # the terminal went away with a hang-up; the run is kept, and its exit code says what happened
