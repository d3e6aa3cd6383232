"""A run as it is watched: a picture that renews itself on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from guided_evolution.budget import Budget, duration
from guided_evolution.figures import arrow, better, change, shown
from guided_evolution.front import ordered_objectives
from guided_evolution.progress import Progress
from guided_evolution.seed import Seed

PICTURES_A_SECOND = 4
SECONDS_A_LINE = 5.0
FRONT_ROWS = 6
_ROOM_FOR_CTRL_C = 2  # what the terminal echoes must not wrap, else rich erases one line too few
WIDE = 110
"""Columns from which the front stands beside the best instead of below it."""


class View(Protocol):
    """Something that shows a run while it goes on."""

    def watch(self, progress: Progress) -> None:
        """Take a snapshot; quick, for the search waits."""
        ...

    def say(self, note: str) -> None:
        """Show a sentence from now on; safe to call from any thread."""
        ...


@contextmanager
def watching(console: Console, seed: Seed, budget: Budget) -> Iterator[View]:
    """A view that fits where the console writes to."""
    if not console.is_terminal:
        yield Lines(console, seed, budget)
        return
    picture = Picture(console, seed, budget)
    with Live(
        console=console,
        get_renderable=picture.render,
        refresh_per_second=PICTURES_A_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield picture


class Lines:
    """A plain line every few seconds, for logs and pipes."""

    def __init__(self, console: Console, seed: Seed, budget: Budget) -> None:
        self._console = console
        self._seed = seed
        self._budget = budget
        self._due = 0.0
        self._open = True

    def watch(self, progress: Progress) -> None:
        clock = time.monotonic()
        if not self._due:
            self._due = clock
            self._print(f"run {progress.run_name}: {self._seed.name}")
        if clock >= self._due and progress.seed is not None:
            self._due = clock + SECONDS_A_LINE
            self._print(line(progress, self._seed, self._budget))

    def say(self, note: str) -> None:
        self._print(note)

    def _print(self, text: str) -> None:
        if not self._open:
            return
        try:
            self._console.print(Text(text), soft_wrap=True)
        except OSError:
            self._open = False  # nobody reads any more; that is no reason to end a run


def line(progress: Progress, seed: Seed, budget: Budget) -> str:
    """A snapshot in one line."""
    parts = [duration(progress.seconds), f"{progress.evaluations} evaluated", f"{progress.per_second:.1f}/s"]
    for objective in ordered_objectives(seed):
        best = progress.best.get(objective.metric)
        if best is not None and progress.seed is not None:
            old, new = progress.seed.metrics[objective.metric], best.metrics[objective.metric]
            parts.append(f"{objective.metric} {shown(new)} (seed {shown(old)})")
    parts.append(f"front {len(progress.front)}")
    parts += [f"failed {counted(progress.failures)}"] if progress.failures else []
    parts += [f"rejected {counted(progress.rejected)}"] if progress.rejected else []
    parts += [asked(progress)] if progress.model_calls else []
    parts += [left for left in [_left(progress, budget)] if left]
    return ("self-scored | " if seed.self_scored else "") + " | ".join(parts)


def _left(progress: Progress, budget: Budget) -> str:
    left = []
    if budget.evaluations is not None:
        left.append(f"{max(0, budget.evaluations - progress.evaluations)} evaluations")
    if budget.seconds is not None:
        left.append(duration(max(0.0, budget.seconds - progress.seconds)))
    return f"left {', '.join(left)}" if left else ""


def asked(progress: Progress) -> str:
    """What models came to: ``$0.12 for 34 model calls, 56,789 tokens``."""
    calls = "1 model call" if progress.model_calls == 1 else f"{progress.model_calls} model calls"
    return f"${progress.model_cost:.4g} for {calls}, {progress.model_tokens:,} tokens"


def counted(kinds: Mapping[str, int]) -> str:
    """Numbers by kind, the largest first: ``12 (timeout 8, raised 4)``."""
    if not kinds:
        return "0"
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return f"{sum(kinds.values())} (" + ", ".join(f"{kind} {count}" for kind, count in ordered) + ")"


class Picture:
    """The latest snapshot as a panel; drawn by rich's own thread, so that a snapshot costs the search nothing."""

    def __init__(self, console: Console, seed: Seed, budget: Budget) -> None:
        self._console = console
        self._seed = seed
        self._budget = budget
        self._latest: Progress | None = None
        self._taken = time.monotonic()
        self._note = "Ctrl-C stops cleanly; what is finished is kept"

    def watch(self, progress: Progress) -> None:
        self._latest, self._taken = progress, time.monotonic()

    def say(self, note: str) -> None:
        self._note = note

    def render(self) -> RenderableType:
        """What the terminal shows now."""
        if self._latest is None:
            return Text(f"{self._seed.name}: starting", style="dim")
        passed = time.monotonic() - self._taken if self._latest.state == "running" else 0.0
        return panel(
            self._latest,
            self._seed,
            self._budget,
            width=self._console.width - _ROOM_FOR_CTRL_C,
            seconds=self._latest.seconds + passed,
            note="confirming the best" if self._latest.state == "finished" else self._note,
        )


def panel(progress: Progress, seed: Seed, budget: Budget, *, width: int, seconds: float, note: str) -> Panel:
    """A snapshot as a panel of `width` columns; `seconds` is the run's time, fresher than the snapshot's."""
    title = Text.assemble((progress.run_name, "bold"), f"  {seed.name}")
    if seed.self_scored:
        title.append("  self-scored", "yellow")
    if progress.state != "running":
        title.append(f"  {progress.state}", "yellow")
    best, front = best_table(progress, seed), front_table(progress, seed)
    tables: RenderableType = Group(best, Text(), front)
    if width >= WIDE:
        grid = Table.grid(padding=(0, 4))
        grid.add_row(best, front)
        tables = grid
    body = Group(tables, Text(), _counters(progress), *_bars(progress, budget, seconds))
    return Panel(
        body, title=title, subtitle=Text(note, "dim"), title_align="left", subtitle_align="left", width=width
    )


def best_table(progress: Progress, seed: Seed) -> Table:
    """The best by each objective against the seed program."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for heading in ("seed program", "best", "change", "program"):
        table.add_column(heading, justify="right", no_wrap=True)
    for objective in ordered_objectives(seed):
        member = progress.best.get(objective.metric)
        if member is None or progress.seed is None:
            table.add_row(f"{objective.metric} {arrow(objective)}", "…")
            continue
        old, new = progress.seed.metrics[objective.metric], member.metrics[objective.metric]
        style = "bold green" if better(objective, old, new) else ""
        name = f"{objective.metric} {arrow(objective)}"
        table.add_row(
            name, shown(old), Text(shown(new), style), Text(change(old, new), style), str(member.program_id)
        )
    return table


def front_table(progress: Progress, seed: Seed) -> Table:
    """The first programs of the front, best by the primary objective first."""
    objectives = ordered_objectives(seed)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(f"front ({len(progress.front)})", justify="right", no_wrap=True)
    for objective in objectives:
        table.add_column(objective.metric, justify="right", no_wrap=True)
    members = sorted(progress.front, key=lambda member: (member.violation, member.objectives))
    for member in members[:FRONT_ROWS]:
        values = [shown(member.metrics[objective.metric]) for objective in objectives]
        table.add_row(str(member.program_id), *values)
    if len(members) > FRONT_ROWS:
        table.add_row("…", style="dim")
    return table


def _counters(progress: Progress) -> Text:
    text = Text.assemble(
        (f"{progress.evaluations}", "bold"),
        " evaluated  ",
        (f"{progress.per_second:.1f}", "bold"),
        f"/s  {progress.running} at work",
    )
    if progress.failures:
        text.append(f"\nfailed    {counted(progress.failures)}")
    if progress.rejected:
        text.append(f"\nrejected  {counted(progress.rejected)}")
    if progress.model_calls:
        text.append(f"\nmodels    {asked(progress)}")
    return text


def _bars(progress: Progress, budget: Budget, seconds: float) -> list[RenderableType]:
    rows: list[tuple[str, float, float, str]] = []
    if budget.seconds is not None:
        left = duration(max(0.0, budget.seconds - seconds))
        rows.append(("time", seconds, budget.seconds, f"{left} left"))
    if budget.evaluations is not None:
        left = str(max(0, budget.evaluations - progress.evaluations))
        rows.append(("evaluations", progress.evaluations, budget.evaluations, f"{left} left"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, done, total, said in rows:
        grid.add_row(name, ProgressBar(total=total, completed=min(done, total), width=36), said)
    notes = []
    if budget.target is not None:
        notes.append(f"until {budget.target[0]} reaches {shown(budget.target[1])}")
    if budget.patience is not None:
        notes.append(f"until {budget.patience} evaluations bring no gain")
    return [*([grid] if rows else []), *(Text(one, "dim") for one in notes)]
