"""`init` and `check`: write a seed, and try it."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from rich.text import Text

from guided_evolution.check import Checked, Trial, check_seed
from guided_evolution.cli import BAD_INPUT
from guided_evolution.cli.opening import sandbox_opener
from guided_evolution.cli.output import console, pairs, print_json, table
from guided_evolution.cli.report import SELF_SCORED
from guided_evolution.evaluation import why_failed
from guided_evolution.figures import arrow, shown, visible
from guided_evolution.sandbox.choice import short_name
from guided_evolution.seed import Seed, load_seed
from guided_evolution.seed_template import write_seed
from guided_evolution.seed_writer import Origin, is_hostile, read_origin
from guided_evolution.settings import load_settings


def init(name: str, model: Path | None) -> None:
    """Write a seed folder and say what to do with it."""
    folder = Path(name)
    written = write_seed(folder.name, folder, model)
    out = console()
    out.print(f"wrote {folder}: {', '.join(str(path.relative_to(folder)) for path in written)}")
    where = name if "/" in name else f"./{name}"
    if model is not None:
        out.print(
            "fill in what is marked TODO: what counts (seed.toml), how it is measured (evaluate.py), in words (task.md)"
        )
    rows = pairs()
    rows.add_row(Text(f"guided-evolution check {where}", "bold"), "evaluate its program once")
    rows.add_row(Text(f"guided-evolution evolve {where}", "bold"), "evolve it")
    out.print(rows)


def check(
    name: str,
    *,
    repeats: int,
    evaluation_seed: int | None,
    sandbox_kind: str | None,
    debug: bool,
    as_json: bool,
) -> int:
    """Evaluate a seed's program and print what came of it; returns the exit code."""
    settings = load_settings({"sandbox": sandbox_kind})
    seed = load_seed(name)
    opener = sandbox_opener(settings, settings.sandbox, model_writes=is_hostile(name))
    opener.prepare(seed)
    origin = read_origin(Path(name)) if Path(name).is_dir() else None
    if evaluation_seed is None:
        evaluation_seed = origin.evaluation_seed if origin else secrets.randbits(31)
    err = console(stderr=True)
    tell = (lambda said: err.print(f"{said} …", style="dim")) if err.is_terminal else (lambda _said: None)
    sandbox = opener(seed)
    try:
        checked = check_seed(seed, sandbox, first_seed=evaluation_seed, repeats=repeats, tell=tell)
    finally:
        sandbox.close()
    if as_json:
        print_json(_document(checked, sandbox.kind, origin))
    else:
        _print(checked, sandbox.kind, origin)
    if debug:
        _print_debug(checked, to_stderr=as_json)
    failure = checked.failure
    if failure is None:
        return 0
    print(f"guided-evolution: {_why(checked, failure)}", file=sys.stderr)
    return BAD_INPUT


def _why(checked: Checked, failure: Trial) -> str:
    words = why_failed(checked.seed.name, failure.result.kind or "unknown", failure.result.error or "")
    where = " (in confirm)" if failure is checked.confirmation else ""
    return f"{words}{where}; --debug shows all of it"


def _print(checked: Checked, kind: str, origin: Origin | None) -> None:
    out = console()
    seed, scored = checked.seed, [trial for trial in checked.trials if trial.scored]
    files = ", ".join(seed.files)
    out.print(Text.assemble((seed.name, "bold"), f"  {files}, in a {short_name(kind)} sandbox"))
    if scored:
        _print_metrics(checked, len(scored))
        _print_limits(seed, scored)
        feedback = scored[-1].result.feedback.strip()
        if feedback:
            out.print(Text(visible(feedback), "dim"))
    if seed.self_scored:
        out.print(Text(SELF_SCORED, "yellow"))
    if origin and scored and scored[0].seed == origin.evaluation_seed:
        same = all(
            (scored[0].result.metrics or {}).get(one.metric) == origin.metrics.get(one.metric)
            for one in seed.objectives
        )
        verdict = "the same score as" if same else "another score than"
        out.print(
            f"{verdict} program {origin.program} had in run {origin.run}, with the same evaluation seed"
        )


def _print_metrics(checked: Checked, count: int) -> None:
    """Objectives first, then the other metrics; with the spread where there are repeats."""
    out = console()
    arrows = {objective.metric: f" {arrow(objective)}" for objective in checked.seed.objectives}
    held = (checked.confirmation.result.metrics or {}) if checked.confirmation else {}
    columns = ["mean", "spread", "lowest", "highest"] if count > 1 else ["score"]
    columns += ["held-out"] if held else []
    made = table("", *columns, right=tuple(columns))
    spreads = checked.spreads()
    for metric in [*arrows, *(name for name in spreads if name not in arrows)]:
        if metric not in spreads:
            continue
        spread = spreads[metric]
        cells = [shown(spread.mean)]
        if spread.deviation is not None:
            cells += [f"±{spread.deviation:.3g}", shown(spread.low), shown(spread.high)]
        if held:
            cells.append(shown(held[metric]) if metric in held else "")
        made.add_row(f"{metric}{arrows.get(metric, '')}", *cells)
    out.print(made)
    if count > 1:
        out.print(f"spread over {count} evaluations with different seeds: a gain below it is noise")
    else:
        out.print(f"one evaluation, seed {checked.trials[0].seed}; --repeat 5 shows how far scores spread")


def _print_limits(seed: Seed, scored: list[Trial]) -> None:
    limits = seed.limits
    seconds = max(trial.outcome.seconds for trial in scored)
    memory = max(trial.outcome.memory_mb for trial in scored)
    size = sum(map(len, seed.program.values())) / 1024
    console().print(
        f"took up to {seconds:.2f} of {limits.seconds:g} s, {memory:.0f} of {limits.memory_mb} MB; "
        f"the program has {size:.1f} of {limits.program_kb} KB"
    )
    for constraint in seed.constraints:
        values = [(trial.result.metrics or {}).get(constraint.metric) for trial in scored]
        found = [value for value in values if value is not None]
        low, high = constraint.at_least, constraint.at_most
        missed = [
            value
            for value in found
            if (high is not None and value > high) or (low is not None and value < low)
        ]
        if missed:
            console().print(
                Text(f"misses the constraint on {constraint.metric}: {shown(missed[0])}", "yellow")
            )


def _print_debug(checked: Checked, *, to_stderr: bool) -> None:
    """Everything that evaluator and program wrote and raised, trial by trial."""
    out = console(stderr=to_stderr)
    trials = [*checked.trials, *([checked.confirmation] if checked.confirmation else [])]
    for trial in trials:
        what = "confirm" if trial is checked.confirmation else "evaluate"
        out.print(Text(f"\n{what}, seed {trial.seed}: {trial.result.state}", "bold"))
        for name, text in (
            ("error", trial.outcome.error),
            ("the evaluator wrote", trial.outcome.evaluator_output),
            ("the program wrote", trial.outcome.output),
        ):
            if text:
                out.print(Text(f"--- {name}", "dim"))
                out.print(Text(visible(text.rstrip("\n"))), soft_wrap=True)
        for number, rung in enumerate(trial.outcome.rungs, 1):
            metrics = ", ".join(f"{metric} {shown(value)}" for metric, value in rung.metrics.items())
            out.print(f"rung {number}: {metrics}")


def _document(checked: Checked, kind: str, origin: Origin | None) -> dict[str, object]:
    seed, failure = checked.seed, checked.failure
    return {
        "seed": seed.name,
        "self_scored": seed.self_scored,
        "sandbox": kind,
        "state": "scored" if failure is None else "failed",
        "kind": None if failure is None else failure.result.kind,
        "error": None if failure is None else failure.result.error,
        "metrics": {name: spread.mean for name, spread in checked.spreads().items()},
        "spread": {name: spread.deviation for name, spread in checked.spreads().items()},
        "evaluations": [_trial_document(trial) for trial in checked.trials],
        "confirmed": _trial_document(checked.confirmation) if checked.confirmation else None,
        "limits": {"seconds": seed.limits.seconds, "memory_mb": seed.limits.memory_mb},
        "origin": None if origin is None else {"run": origin.run, "program": origin.program},
    }


def _trial_document(trial: Trial) -> dict[str, object]:
    result = trial.result
    return {
        "seed": trial.seed,
        "state": result.state,
        "kind": result.kind,
        "error": result.error,
        "metrics": None if result.metrics is None else dict(result.metrics),
        "measures": dict(result.measures),
        "feedback": result.feedback,
        "seconds": result.seconds,
        "memory_mb": result.memory_mb,
    }
