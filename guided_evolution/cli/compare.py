"""`compare`: arms on the same budget, and whether one is really better than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console

from guided_evolution.archive import open_archive
from guided_evolution.bootstrap import COVERAGE, Contrast, Estimate
from guided_evolution.cli.opening import sandbox_opener
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json, table
from guided_evolution.cli.signals import Signals
from guided_evolution.compare import Comparison, Stopped, Trial, compare, parse_arm
from guided_evolution.errors import SettingsError
from guided_evolution.figures import shown
from guided_evolution.seed import load_seed
from guided_evolution.settings import load_settings


def run(
    place: Place,
    seed_names: Sequence[str],
    *,
    arms: str,
    repetitions: int,
    confirmations: int,
    flags: Mapping[str, object],
    as_json: bool,
) -> int:
    """Compare and print; returns the exit code."""
    settings = load_settings({"archive": place.archive, **flags}, file=place.settings)
    parsed = [parse_arm(text) for text in dict.fromkeys(arms.split(",")) if text.strip()]
    if len(parsed) < 2:
        raise SettingsError(f'--arms "{arms}": name at least two, like evolve,best-of-n')
    for name, number in (("--seeds", repetitions), ("--confirmations", confirmations)):
        if number < 1:
            raise SettingsError(f"{name} {number}: must be at least 1")
    seeds = [load_seed(name) for name in dict.fromkeys(seed_names)]
    opener = sandbox_opener(settings, settings.sandbox, model_writes=False)
    for seed in seeds:
        opener.prepare(seed)
    out, progress = console(), console(stderr=True)
    archive = open_archive(settings.archive, create=True)
    try:
        with Signals() as signals:
            signals.resume_hint = "the same command goes on"
            found = compare(
                archive,
                seeds,
                parsed,
                repetitions=repetitions,
                evaluations_each=settings.evaluations or 300,
                confirmations=confirmations,
                slots=settings.slots,
                rng_seed=settings.rng_seed or 0,
                opener=opener,
                tell=lambda trial: _say(progress, trial),
                stop_hook=signals.hook,
            )
    except Stopped as stopped:
        progress.print(f"{stopped}; the same command goes on, what is finished is kept")
        return 0
    finally:
        archive.close()
    if as_json:
        print_json(_document(found))
    else:
        _print(out, found)
    return 0


def _say(out: Console, trial: Trial) -> None:
    failed = "; its winner failed when confirmed, so the seed program counts" if trial.failed else ""
    out.print(
        f"{trial.task} {trial.repetition + 1} {trial.arm}: {shown(trial.searched)} in the search, "
        f"{shown(trial.confirmed)} confirmed (run {trial.run}){failed}"
    )


def _print(out: Console, found: Comparison) -> None:
    for task, direction in found.directions.items():
        arrow = "↑" if direction == "maximize" else "↓"
        grid = table(f"{task} {arrow}", "in the search", "confirmed", f"{COVERAGE:.0%} interval", "failed")
        for arm in found.arms:
            estimate = found.confirmed(arm, task)
            failed = sum(one.failed for one in found.trials if one.arm == arm and one.task == task)
            row = (shown(found.searched(arm, task)), shown(estimate.value), _interval(estimate))
            grid.add_row(arm, *row, str(failed))
        out.print(grid)
        out.print()
        _print_contrasts(out, found, task)
    if len(found.directions) > 1:
        _print_contrasts(out, found, None)


def _print_contrasts(out: Console, found: Comparison, task: str | None) -> None:
    first = found.arms[0]
    grid = table(
        f"{first} against" if task else f"{first} against, on all",
        "gain over theirs",
        f"{COVERAGE:.0%} interval",
        "beats it with probability",
        f"{COVERAGE:.0%} interval",
        "verdict",
    )
    for other in found.arms[1:]:
        one = found.contrast(first, other, task)
        grid.add_row(
            other,
            f"{one.difference.value:+.2%}",
            _interval(one.difference, "+.2%"),
            f"{one.improvement.value:.2f}",
            _interval(one.improvement, ".2f"),
            one.verdict,
        )
    out.print(grid)
    out.print()


def _interval(estimate: Estimate, form: str = "") -> str:
    low, high = (
        (format(estimate.low, form), format(estimate.high, form))
        if form
        else (shown(estimate.low), shown(estimate.high))
    )
    return f"{low} to {high}"


def _document(found: Comparison) -> dict[str, object]:
    first = found.arms[0]
    tasks: list[str | None] = [*found.directions, *([None] if len(found.directions) > 1 else [])]
    return {
        "trials": [asdict(one) for one in found.trials],
        "confirmed": [
            {"task": task, "arm": arm, **asdict(found.confirmed(arm, task))}
            for task in found.directions
            for arm in found.arms
        ],
        "contrasts": [
            {"task": task, "arm": first, "against": other, **_contrast(found.contrast(first, other, task))}
            for task in tasks
            for other in found.arms[1:]
        ],
    }


def _contrast(one: Contrast) -> dict[str, object]:
    return asdict(one)
