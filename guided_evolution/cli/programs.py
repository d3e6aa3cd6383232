"""`show`, `diff` and `lineage`: one program, two programs, and how a program came about."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from guided_evolution.archive import completions, history, lineage, programs, reading, runs
from guided_evolution.cli import exchange, report
from guided_evolution.cli.opening import Named, find_program, opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, pairs, print_json, table
from guided_evolution.errors import ArchiveError
from guided_evolution.figures import better, change, gist, one_line, shown, visible
from guided_evolution.front import ordered_objectives
from guided_evolution.genome import Genome, gene_diff, unified_diff
from guided_evolution.sandbox.choice import short_name
from guided_evolution.seed import Objective, Seed

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def show(
    place: Place,
    name: str,
    run_name: str | None,
    *,
    source_only: bool,
    prompt_only: bool = False,
    as_json: bool,
) -> None:
    """Print a program with all that is known of it."""
    with opened(place) as archive, archive.read() as connection:
        named = find_program(connection, name, run_name)
        program = reading.program(connection, named.program_id)
        genome = Genome.split(programs.sources(connection, named.program_id))
        seed = runs.seed_of(connection, named.run)
        calls = history.exchange(connection, named.program_id)
    if as_json:
        print_json(_show_document(named, program, genome, seed) | {"calls": exchange.document(calls)})
        return
    if prompt_only:
        exchange.print_whole(calls)
        return
    if not source_only:
        _print_record(named, program, genome, seed, calls)
        console().print()
    _print_source(genome)


def _show_document(
    named: Named, program: reading.StoredProgram, genome: Genome, seed: Seed
) -> dict[str, object]:
    score, confirmation = program.score, program.confirmation
    return {
        "program": program.id,
        "run": named.run.name,
        "seed": named.run.seed_name,
        "self_scored": seed.self_scored,
        "generation": program.generation,
        "operator": program.operator,
        "summary": program.summary,
        "parents": [{"program": one.program_id, "role": one.role} for one in program.parents],
        "children": program.children,
        "state": None if score is None else score.state,
        "kind": None if score is None else score.kind,
        "error": None if score is None else score.error,
        "metrics": None if score is None else score.metrics,
        "feedback": None if score is None else score.feedback,
        "confirmed": None if confirmation is None else confirmation.metrics,
        "evaluations": [
            {
                "evaluation": one.id,
                "purpose": one.purpose,
                "seed": one.seed,
                "attempt": one.attempt,
                "state": one.state,
                "kind": one.kind,
                "error": one.error,
                "metrics": one.metrics,
                "measures": one.measures,
                "private": one.private,
                "feedback": one.feedback,
                "artifacts": one.artifacts,
                "rungs": one.rungs,
                "output": one.output,
                "seconds": one.seconds,
                "memory_mb": one.memory_mb,
                "sandbox": one.sandbox,
                "finished_at": one.finished_at,
            }
            for one in program.evaluations
        ],
        "genes": [gene.name for gene in genome.genes],
        "files": dict(genome.files),
    }


def _print_record(
    named: Named,
    program: reading.StoredProgram,
    genome: Genome,
    seed: Seed,
    calls: Sequence[completions.Stored],
) -> None:
    out = console()
    out.print(
        Text.assemble(
            "program ",
            (str(program.id), "bold"),
            f" of {named.run.name} ({named.run.seed_name}), ",
            f"generation {program.generation}, {program.size:,} bytes",
        )
    )
    rows = pairs()
    parents = ", ".join(f"{one.program_id} ({one.role})" for one in program.parents)
    made_from = f" from {parents}" if parents else ""
    rows.add_row("made by", f"{program.operator}{made_from}: {one_line(program.summary)}")
    for heading, said in exchange.rows(calls):
        rows.add_row(heading, said)
    rows.add_row("children", str(program.children))
    if program.score is not None:
        _add_score(rows, program.score, "score")
    if program.confirmation is not None:
        _add_score(rows, program.confirmation, "held-out" if seed.has_confirm else "another seed")
    if seed.self_scored:
        rows.add_row("", Text(report.SELF_SCORED, "yellow"))
    rows.add_row("genes", "  ".join(gene.name for gene in genome.genes))
    out.print(rows)


def _add_score(rows: Table, one: reading.StoredEvaluation, name: str) -> None:
    if one.state == "failed":
        rows.add_row(name, Text(f"failed ({one.kind}): {gist(one.error or '')}", "red"))
    elif one.metrics is None:
        rows.add_row(name, one.state)
    else:
        rows.add_row(name, ", ".join(f"{metric} {shown(value)}" for metric, value in one.metrics.items()))
    if one.feedback and name == "score":
        rows.add_row("feedback", visible(one.feedback.strip()))
    if one.seconds and name == "score":
        rows.add_row(
            "took",
            f"{one.seconds:.3g} s, {one.memory_mb or 0:.0f} MB in a {short_name(one.sandbox or '')} sandbox",
        )


def _print_source(genome: Genome) -> None:
    if not sys.stdout.isatty():
        for path, text in genome.files:
            sys.stdout.write(f"==> {path} <==\n{text}" if len(genome.files) > 1 else text)
        return
    for path, text in genome.files:
        language = "python" if path.endswith(".py") else "text"
        console().print(Text(path, "bold"))
        console().print(
            Syntax(visible(text), language, theme="ansi_dark", background_color="default", word_wrap=True)
        )


def diff(
    place: Place, a: str, b: str | None, run_name: str | None, *, genes_only: bool, as_json: bool
) -> None:
    """Print what changed between two programs."""
    with opened(place) as archive, archive.read() as connection:
        first = find_program(connection, a, run_name)
        if b is None:
            old, new = _before(find_program(connection, "seed", first.run.name), first, a, connection), first
        else:
            old, new = first, find_program(connection, b, run_name)
        before = Genome.split(programs.sources(connection, old.program_id))
        after = Genome.split(programs.sources(connection, new.program_id))
    changed = gene_diff(before, after)
    text = unified_diff(before, after, old_name=str(old.program_id), new_name=str(new.program_id))
    if as_json:
        genes = {"changed": changed.changed, "added": changed.added, "removed": changed.removed}
        print_json(
            {
                "a": old.program_id,
                "b": new.program_id,
                "genes": {name: list(found) for name, found in genes.items()},
                "diff": text,
            }
        )
    elif genes_only:
        for said, names in (
            ("changed", changed.changed),
            ("added", changed.added),
            ("removed", changed.removed),
        ):
            for name in names:
                console().print(f"{said:8} {name}")
    elif sys.stdout.isatty():
        _print_coloured(text or f"programs {old.program_id} and {new.program_id} are the same\n")
    else:
        sys.stdout.write(text)


def _before(seed: Named, program: Named, said: str, connection: Connection) -> Named:
    """What a program is compared with when nobody says: the seed program for `best`, else its base parent."""
    if said == "best":
        return seed
    parents = reading.program(connection, program.program_id).parents
    base = next((one.program_id for one in parents if one.role == "base"), None)
    if base is None:
        raise ArchiveError(
            f"program {program.program_id} was made from no other; name two programs to compare"
        )
    return Named(base, program.run)


def _print_coloured(text: str) -> None:
    out = console()
    for line in text.splitlines():
        head = line.startswith(("+++ ", "--- "))
        out.print(Text(visible(line), "bold" if head else _DIFF_STYLES.get(line[:1], "")), soft_wrap=True)


def lineage_(place: Place, name: str, run_name: str | None, *, as_json: bool) -> None:
    """Print the story of a program, from the seed program on."""
    with opened(place) as archive, archive.read() as connection:
        named = find_program(connection, name, run_name)
        steps = lineage.story(connection, named.program_id)
        seed = runs.seed_of(connection, named.run)
    if as_json:
        print_json(
            {
                "program": named.program_id,
                "run": named.run.name,
                "self_scored": seed.self_scored,
                "steps": [
                    {
                        "program": step.program_id,
                        "generation": step.generation,
                        "operator": step.operator,
                        "summary": step.summary,
                        "donors": list(step.donors),
                        "metrics": step.metrics,
                        "kind": step.kind,
                        "gains": _gains(before, step, ordered_objectives(seed)),
                    }
                    for before, step in zip([None, *steps], steps, strict=False)
                ],
            }
        )
        return
    _print_story(named, steps, ordered_objectives(seed))
    if seed.self_scored:
        console().print(Text(report.SELF_SCORED, "yellow"))


def _gains(
    before: lineage.Step | None, step: lineage.Step, objectives: tuple[Objective, ...]
) -> dict[str, float]:
    """By how much each objective changed in this step; positive is better, whatever its direction."""
    if before is None or before.metrics is None or step.metrics is None:
        return {}
    signs = {one.metric: 1.0 if one.direction == "maximize" else -1.0 for one in objectives}
    return {
        metric: sign * (step.metrics[metric] - before.metrics[metric])
        for metric, sign in signs.items()
        if metric in step.metrics and metric in before.metrics
    }


def _print_story(named: Named, steps: list[lineage.Step], objectives: tuple[Objective, ...]) -> None:
    out = console()
    count = len(steps) - 1
    away = f"{count} step{'' if count == 1 else 's'} from the seed program"
    out.print(
        Text.assemble(
            "program ",
            (str(named.program_id), "bold"),
            f" of {named.run.name} ({named.run.seed_name}), {away}",
        )
    )
    metrics = [objective.metric for objective in objectives]
    made = table("program", "made by", *metrics, "what changed", right=("program", *metrics))
    for before, step in zip([None, *steps], steps, strict=False):
        cells = [_cell(before, step, objective) for objective in objectives]
        donors = f" with {', '.join(map(str, step.donors))}" if step.donors else ""
        what = one_line(step.summary) if step.metrics is not None else f"failed ({step.kind or 'not scored'})"
        made.add_row(str(step.program_id), f"{step.operator}{donors}", *cells, what)
    out.print(made)


def _cell(before: lineage.Step | None, step: lineage.Step, objective: Objective) -> Text:
    new = (step.metrics or {}).get(objective.metric)
    old = ((before.metrics if before else None) or {}).get(objective.metric)
    if new is None:
        return Text("")
    if old is None or old == new:
        return Text(shown(new))
    style = "green" if better(objective, old, new) else "red"
    return Text.assemble(f"{shown(new)} ", (change(old, new).partition(" ")[0], style))
