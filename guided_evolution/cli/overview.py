"""`runs` and `status`: which runs there are, and where one stands."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from guided_evolution.archive import Archive, evaluations, leases, proposals, reading, runs
from guided_evolution.budget import Budget, duration, from_json
from guided_evolution.cli import report
from guided_evolution.cli.opening import opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, pairs, print_json, table
from guided_evolution.figures import one_line, shown
from guided_evolution.live import counted
from guided_evolution.results import Results, read_results

_LOOK_AGAIN = 1.0
_PACE_SECONDS = 10.0


def runs_(place: Place, as_json: bool) -> None:
    """Print all runs of the archive."""
    with opened(place) as archive, archive.read() as connection:
        every = runs.all_runs(connection)
        done = reading.final_counts(connection, [run.id for run in every])
        alive = {run.id for run in every if leases.holder_alive(connection, run.id)}
    if as_json:
        print_json([_run_document(run, done.get(run.id, 0), run.id in alive) for run in every])
        return
    if not every:
        console().print("no runs yet; `guided-evolution evolve SEED` starts one")
        return
    made = table("run", "seed", "state", "evaluated", "time", "started", "", right=("evaluated", "time"))
    for run in every:
        made.add_row(
            run.name,
            run.seed_name,
            stands(run, run.id in alive),
            str(done.get(run.id, 0)),
            duration(run.active_seconds),
            datetime.fromtimestamp(run.created_at).strftime("%Y-%m-%d %H:%M"),
            Text(one_line(run.reason or "", 80), "dim"),
        )
    console().print(made)


def stands(run: runs.StoredRun, alive: bool) -> str:
    """A run's state; one whose command is gone without a word is ``interrupted``."""
    return run.state if alive or run.state in runs.ENDED else "interrupted"


def _run_document(run: runs.StoredRun, evaluated: int, alive: bool) -> dict[str, object]:
    return {
        "run": run.name,
        "number": run.id,
        "seed": run.seed_name,
        "state": stands(run, alive),
        "reason": run.reason,
        "evaluations": evaluated,
        "seconds": run.active_seconds,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "rng_seed": run.rng_seed,
    }


@dataclass(frozen=True)
class Standing:
    """A run at one moment, read from the archive alone."""

    results: Results
    alive: bool
    counts: dict[tuple[str, str | None], int]
    settled: dict[tuple[str, str | None], int]
    pace: float

    @property
    def evaluated(self) -> int:
        return sum(count for (state, _), count in self.counts.items() if state in reading.FINAL)

    @property
    def failures(self) -> dict[str, int]:
        return {kind or "unknown": n for (state, kind), n in self.counts.items() if state == "failed"}

    @property
    def rejected(self) -> dict[str, int]:
        return {
            kind or "known": n for (state, kind), n in self.settled.items() if state in ("rejected", "known")
        }

    @property
    def at_work(self) -> int:
        return sum(n for (state, _), n in self.counts.items() if state == "running")

    @property
    def waiting(self) -> int:
        return sum(n for (state, _), n in self.counts.items() if state == "pending")

    @property
    def budget(self) -> Budget:
        return from_json(self.results.run.settings["budget"])


def status(place: Place, run_name: str | None, *, watch: bool, as_json: bool) -> None:
    """Print where a run stands, once or until it ends."""
    with opened(place) as archive:
        standing = _read(archive, run_name)
        if as_json:
            print_json(_document(standing))
        elif watch and console().is_terminal:
            _watch(archive, standing)
        else:
            console().print(_picture(standing))


def _watch(archive: Archive, standing: Standing) -> None:
    name = standing.results.run.name
    try:
        with Live(_picture(standing), console=console(), auto_refresh=False) as live:
            while standing.alive:
                time.sleep(_LOOK_AGAIN)
                standing = _read(archive, name)
                live.update(_picture(standing), refresh=True)
    except KeyboardInterrupt:
        pass  # the way to stop looking; the run goes on


def _read(archive: Archive, run_name: str | None) -> Standing:
    with archive.read() as connection:
        run = runs.find(connection, run_name)
        return Standing(
            results=read_results(connection, run),
            alive=leases.holder_alive(connection, run.id),
            counts=evaluations.counts(connection, run.id),
            settled=proposals.counts(connection, run.id),
            pace=reading.pace(connection, run.id, _PACE_SECONDS),
        )


def _picture(standing: Standing) -> RenderableType:
    run, budget = standing.results.run, standing.budget
    state = stands(run, standing.alive)
    head = Text.assemble(
        (run.name, "bold"), f"  {run.seed_name}  ", (state, "green" if standing.alive else "yellow")
    )
    if run.reason:
        head.append(f"  {one_line(run.reason)}")
    rows = pairs()
    bound = f" of {budget.evaluations}" if budget.evaluations is not None else ""
    rows.add_row(
        "evaluated", f"{standing.evaluated}{bound}" + (f", {standing.pace:.1f}/s" if standing.alive else "")
    )
    bound = f" of {duration(budget.seconds)}" if budget.seconds is not None else ""
    rows.add_row("time", f"{duration(run.active_seconds)}{bound}")
    if budget.target is not None:
        rows.add_row("until", f"{budget.target[0]} reaches {shown(budget.target[1])}")
    if budget.patience is not None:
        rows.add_row("until", f"{budget.patience} evaluations bring no gain")
    if standing.alive:
        waiting = f", {standing.waiting} waiting" if standing.waiting else ""
        rows.add_row("at work", f"{standing.at_work}{waiting}")
    for name, kinds in (("failed", standing.failures), ("rejected", standing.rejected)):
        if kinds:
            rows.add_row(name, counted(kinds))
    parts: list[RenderableType] = [head, rows]
    if standing.results.front:
        rows.add_row("front", str(len(standing.results.front)))
        parts += [Text(), report.gains(standing.results)]
        parts += [Text(report.SELF_SCORED, "yellow")] if standing.results.seed.self_scored else []
    if state == "interrupted":
        parts += [Text(), Text(f"its command is gone; `guided-evolution resume {run.name}` goes on")]
    return Group(*parts)


def _document(standing: Standing) -> dict[str, object]:
    results, budget = standing.results, standing.budget
    metrics = [objective.metric for objective in results.objectives]
    best = {metric: results.best(metric) for metric in metrics} if results.front else {}
    return {
        **_run_document(results.run, standing.evaluated, standing.alive),
        "self_scored": results.seed.self_scored,
        "budget": {
            "evaluations": budget.evaluations,
            "seconds": budget.seconds,
            "target": None
            if budget.target is None
            else {"metric": budget.target[0], "value": budget.target[1]},
            "patience": budget.patience,
        },
        "scored": standing.evaluated - sum(standing.failures.values()),
        "failed": standing.failures,
        "rejected": standing.rejected,
        "at_work": standing.at_work,
        "waiting": standing.waiting,
        "per_second": standing.pace,
        "front": len(results.front),
        "seed_program": report.member_document(results, results.seed_member),
        "best": {metric: report.member_document(results, member) for metric, member in best.items()},
    }
