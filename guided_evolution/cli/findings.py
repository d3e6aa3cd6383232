"""`best`: what a run has found, and taking it home."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from guided_evolution.archive import programs, reading, runs
from guided_evolution.cli import report
from guided_evolution.cli.opening import opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json, table
from guided_evolution.errors import BadInput
from guided_evolution.figures import arrow, better, change, one_line, shown
from guided_evolution.front import Member
from guided_evolution.model_run import SETTINGS_KEY
from guided_evolution.results import Results, read_results
from guided_evolution.seed import Objective
from guided_evolution.seed_writer import Origin, write_program


def best(
    place: Place, run_name: str | None, *, front: bool, metric: str | None, write: Path | None, as_json: bool
) -> None:
    """Print the best program or the front, or write the best into a folder."""
    if front and (metric or write):
        raise BadInput("--front shows many programs; leave it out with --metric and --write, which take one")
    with opened(place) as archive, archive.read() as connection:
        results = read_results(connection, runs.find(connection, run_name))
        member = results.best(metric)
        program = reading.program(connection, member.program_id)
        files = programs.sources(connection, member.program_id)
    written = [] if write is None else _write(results, member, files, write)
    if as_json and front:
        print_json(_front_document(results))
    elif as_json:
        print_json(
            {
                **_head_document(results),
                **report.member_document(results, member),
                "seed_program": report.member_document(results, results.seed_member),
                "generation": program.generation,
                "operator": program.operator,
                "summary": program.summary,
                "files": {path: content.decode("utf-8", "replace") for path, content in files.items()},
                "written": [str(path) for path in written],
            }
        )
    elif front:
        _print_front(results)
    else:
        _print_best(results, member, program)
        if write is not None:
            names = ", ".join(path.name for path in written if not path.name.startswith("."))
            console().print(f"\nwrote {write}: {names}\n`guided-evolution check {write}` scores it the same")


def _write(results: Results, member: Member, files: dict[str, bytes], folder: Path) -> list[Path]:
    run = results.run
    hostile = run.settings.get(SETTINGS_KEY) is not None or run.sandbox.startswith("docker")
    origin = Origin(run.name, member.program_id, run.evaluation_seed, member.metrics, hostile)
    return write_program(results.seed, files, origin, folder)


def _head_document(results: Results) -> dict[str, object]:
    return {
        "run": results.run.name,
        "seed": results.run.seed_name,
        "self_scored": results.seed.self_scored,
        "objectives": [
            {"metric": one.metric, "direction": one.direction, "primary": one.primary}
            for one in results.objectives
        ],
    }


def _front_document(results: Results) -> dict[str, object]:
    return {
        **_head_document(results),
        "seed_program": report.member_document(results, results.seed_member),
        "front": [report.member_document(results, member) for member in results.front],
    }


def _print_front(results: Results) -> None:
    out = console()
    if not results.front:
        out.print(f"run {results.run.name} has no scored program yet")
        return
    out.print(
        Text.assemble(
            (results.run.name, "bold"), f"  {results.run.seed_name}, {len(results.front)} on the front"
        )
    )
    out.print(report.front(results))
    _print_label(results)


def _print_best(results: Results, member: Member, program: reading.StoredProgram) -> None:
    out = console()
    out.print(
        Text.assemble(
            ("program ", ""),
            (str(member.program_id), "bold"),
            f" of {results.run.name} ({results.run.seed_name}), generation {program.generation}",
        )
    )
    out.print(Text(f"made by {program.operator}: {one_line(program.summary)}", "dim"))
    out.print()
    seed = results.seed_member
    made = table("", "seed program", "this one", "change", right=("seed program", "this one", "change"))
    for objective in results.objectives:
        old = None if seed is None else seed.metrics[objective.metric]
        _score_row(
            made, f"{objective.metric} {arrow(objective)}", objective, old, member.metrics[objective.metric]
        )
        held = results.confirmed.get(member.program_id, {}).get(objective.metric)
        if held is not None:
            before = (
                None if seed is None else results.confirmed.get(seed.program_id, {}).get(objective.metric)
            )
            _score_row(made, f"  {report.held_out(results)}", objective, before, held)
    ranked = {objective.metric for objective in results.objectives}
    for name, value in member.metrics.items():
        if name not in ranked:
            before = None if seed is None else seed.metrics.get(name)
            made.add_row(name, "" if before is None else shown(before), shown(value), "")
    out.print(made)
    _print_label(results)


def _score_row(made: Table, name: str, objective: Objective, old: float | None, new: float) -> None:
    if old is None:
        made.add_row(name, "", shown(new), "")
        return
    style = "bold green" if better(objective, old, new) else ""
    made.add_row(name, shown(old), Text(shown(new), style), Text(change(old, new), style))


def _print_label(results: Results) -> None:
    if results.seed.self_scored:
        console().print(Text(report.SELF_SCORED, "yellow"))
