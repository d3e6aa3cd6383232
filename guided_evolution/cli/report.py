"""The words at the end of a run: what was found against the seed program, and where to see more."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guided_evolution.cli.output import pairs, table
from guided_evolution.figures import arrow, better, change, shown
from guided_evolution.front import Member
from guided_evolution.results import Results
from guided_evolution.seed import Objective

SELF_SCORED = "self-scored: evaluator and program share a process, so a program could write its own score"


def held_out(results: Results) -> str:
    """What confirmations of this run rest on."""
    return "held-out" if results.seed.has_confirm else "another seed"


def gains(results: Results) -> Table:
    """For each objective the best program against the seed program, and both on held-out data."""
    made = table(
        "", "seed program", "best", "change", "program", right=("seed program", "best", "change", "program")
    )
    for objective in results.objectives:
        best = results.best(objective.metric)
        seed = results.seed_member
        if seed is None:
            continue
        name = f"{objective.metric} {arrow(objective)}"
        _row(made, name, objective, seed.metrics, best.metrics, str(best.program_id))
        confirmed = [results.confirmed.get(member.program_id) for member in (seed, best)]
        if confirmed[0] is not None and confirmed[1] is not None:
            _row(made, f"  {held_out(results)}", objective, confirmed[0], confirmed[1], "")
    return made


def _row(
    made: Table,
    name: str,
    objective: Objective,
    old: Mapping[str, float],
    new: Mapping[str, float],
    program: str,
) -> None:
    if objective.metric not in old or objective.metric not in new:
        return
    before, after = old[objective.metric], new[objective.metric]
    style = "bold green" if better(objective, before, after) else ""
    made.add_row(name, shown(before), Text(shown(after), style), Text(change(before, after), style), program)


def front(results: Results) -> Table:
    """The whole front with the objectives' search scores, and their confirmation where there is one."""
    metrics = [objective.metric for objective in results.objectives]
    confirmed = any(member.program_id in results.confirmed for member in results.front)
    extra = [f"{metric}, {held_out(results)}" for metric in metrics] if confirmed else []
    headings = ["program", *metrics, *extra, ""]
    made = table(*headings, right=tuple(headings[:-1]))
    for member in results.front:
        found = results.confirmed.get(member.program_id, {})
        held = [shown(found[metric]) if metric in found else "" for metric in metrics] if confirmed else []
        made.add_row(
            str(member.program_id),
            *(shown(member.metrics[metric]) for metric in metrics),
            *held,
            _note(results, member),
        )
    return made


def _note(results: Results, member: Member) -> str:
    notes = []
    if results.seed_member is not None and member.program_id == results.seed_member.program_id:
        notes.append("the seed program")
    if member.violation > 0:
        notes.append("misses a constraint")
    return ", ".join(notes)


def print_found(console: Console, results: Results, *, newest: bool) -> None:
    """The gains, the front's size and the commands that show more; they name the run if it isn't the newest."""
    if results.seed_member is None or not results.front:
        console.print("nothing is scored yet")
        return
    console.print(gains(results))
    if results.seed.self_scored:
        console.print(Text(SELF_SCORED, "yellow"))
    console.print()
    run, of_run = ("", "") if newest else (f" {results.run.name}", f" --run {results.run.name}")
    count = len(results.front)
    rows = [(f"best{run} --front", f"the {count} programs that no other one beats")] if count > 1 else []
    if results.best().program_id != results.seed_member.program_id:
        rows += [
            (f"diff best{of_run}", "what changed from the seed program"),
            (f"lineage{of_run}", "how it came about"),
            (f"best{run} --write out", "take it home"),
        ]
    rows.append((f"resume{run} {_more(results)}", "go on"))
    hints = pairs()
    for command, what in rows:
        hints.add_row(Text(f"guided-evolution {command}", "bold"), what)
    console.print(hints)


def _more(results: Results) -> str:
    budget = results.run.settings.get("budget", {})
    return "--add 200" if budget.get("evaluations") else "--add-time 1m"


def member_document(results: Results, member: Member | None) -> dict[str, object]:
    """A scored program for JSON; empty for None."""
    if member is None:
        return {}
    return {
        "program": member.program_id,
        "metrics": dict(member.metrics),
        "keeps_constraints": member.violation <= 0,
        "confirmed": dict(results.confirmed[member.program_id])
        if member.program_id in results.confirmed
        else None,
    }
