"""Check an archive: whatever was killed, these things hold."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from guided_evolution.archive import Archive, invariants, runs
from guided_evolution.archive.invariants import Problem
from guided_evolution.budget import from_json
from guided_evolution.genome import Genome


def examine(archive: Archive, run: runs.StoredRun | None = None) -> Iterator[tuple[str, Problem]]:
    """Every problem of one run, or of all, each with the name of what it concerns; nothing where all is well.

    Programs are rebuilt from their genes and their fingerprints taken again: a millisecond or two a program.
    """
    with archive.read() as connection:
        for problem in invariants.of_file(connection):
            yield "archive", problem
        for one in [run] if run else runs.all_runs(connection):
            yield from ((one.name, problem) for problem in invariants.of_run(connection, one.id))
            limit = from_json(one.settings["budget"]).evaluations
            if limit is not None:
                yield from (
                    (one.name, problem) for problem in invariants.over_budget(connection, one.id, limit)
                )
            yield from ((one.name, problem) for problem in _programs(connection, one.id))


def _programs(connection: Connection, run_id: int) -> Iterator[Problem]:
    missing, changed = [], []
    for program_id, fingerprint, files in invariants.sources_of_run(connection, run_id):
        if files is None:
            missing.append(program_id)
        elif Genome.split(files).fingerprint != fingerprint:
            changed.append(program_id)
    if missing:
        yield Problem("programs that can't be rebuilt", tuple(missing))
    if changed:
        yield Problem("programs that aren't what their fingerprint says", tuple(changed))
