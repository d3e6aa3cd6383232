"""Fill an archive with a run of N valid programs, as if they had been evolved: `python -m bench.fill N FILE`."""

from __future__ import annotations

import ast
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert

from bench.free_seed import free_seed
from guided_evolution.archive import open_archive, runs
from guided_evolution.archive.tables import Evaluation, Gene, Parentage, Program, Proposal
from guided_evolution.budget import Budget
from guided_evolution.fingerprint import fingerprint
from guided_evolution.genome import Genome, gene_hash
from guided_evolution.session import Plan

_BATCH = 2000
_FILE = "program.py"
_NUMBER = re.compile(r"\d+\.\d+")


def fill(where: str, count: int, *, wait: float = 0.0) -> str:
    """Write a run of `count` scored programs, each a child of an earlier one; returns the run's name."""
    archive = open_archive(where, create=True)
    seed = free_seed(wait)
    plan = Plan(Budget(evaluations=count), slots=2)
    with archive.write() as connection:
        run = runs.create(
            connection, seed, settings=plan.to_json(), rng_seed=1, evaluation_seed=2, sandbox="process"
        )
    children = _children(Genome.split(seed.program), count)
    gene_ids: dict[str, int] = {}
    number = 0
    while batch := list(islice(children, _BATCH)):
        with archive.write() as connection:
            _write(connection, run, batch, number, gene_ids)
        number += len(batch)
    with archive.write() as connection:
        runs.set_seed_program(connection, run.id, 1)
    archive.close()
    return run.name


@dataclass(frozen=True)
class Filled:
    """A program of the fill: its genes' sources, and each one's statements as they stand in the whole file."""

    sources: tuple[str, ...]
    bodies: tuple[tuple[ast.stmt, ...], ...]
    parent: int
    generation: int

    @property
    def text(self) -> str:
        return "".join(self.sources)

    @property
    def fingerprint(self) -> str:
        tree = ast.Module([statement for body in self.bodies for statement in body], [])
        return fingerprint(((_FILE, self.text),), (tree,))


def _children(seed: Genome, count: int) -> Iterator[Filled]:
    """The seed, then children that change one constant each. Only the changed gene is parsed: 100,000 take a minute."""
    rng = random.Random(1)
    sources = tuple(seed.sources(_FILE))
    first_lines = [sum(source.count("\n") for source in sources[:index]) for index in range(len(sources))]
    program = Filled(sources, tuple(map(_body, sources, first_lines)), -1, 0)
    pool = [(0, program)]
    yield program
    for index in range(1, count):
        parent_index, parent = rng.choice(pool)
        at = rng.randrange(len(sources) - 1)  # the last gene holds no constant
        spot = rng.choice(list(_NUMBER.finditer(parent.sources[at])))
        changed = f"{parent.sources[at][: spot.start()]}{index + 10}.125{parent.sources[at][spot.end() :]}"
        program = Filled(
            (*parent.sources[:at], changed, *parent.sources[at + 1 :]),
            (*parent.bodies[:at], _body(changed, first_lines[at]), *parent.bodies[at + 1 :]),
            parent_index,
            parent.generation + 1,
        )
        pool = [*pool[-30:], (index, program)]
        yield program


def _body(source: str, first_line: int) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse("\n" * first_line + source).body)


def _write(
    connection: Connection,
    run: runs.StoredRun,
    batch: list[Filled],
    first: int,
    gene_ids: dict[str, int],
) -> None:
    clock = time.time()
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (Proposal, Gene, Program, Parentage, Evaluation)
    }
    for offset, program in enumerate(batch):
        index = first + offset
        for source in program.sources:
            if source not in gene_ids:
                gene_ids[source] = len(gene_ids) + 1
                digest = bytes.fromhex(gene_hash(source))
                rows[Gene].append({"id": gene_ids[source], "hash": digest, "source": source.encode()})
        rows[Proposal].append(_proposal(run.id, index, program.parent, clock))
        rows[Program].append(_program(run.id, index, program, gene_ids))
        if index:
            rows[Parentage].append({"child_id": index + 1, "parent_id": program.parent + 1, "role": "base"})
        rows[Evaluation].append(_evaluation(run, index, clock))
    for table, values in rows.items():
        if values:
            connection.execute(insert(table.__table__), values)


def _proposal(run_id: int, index: int, parent: int, clock: float) -> dict[str, Any]:
    return {
        "id": index + 1,
        "run_id": run_id,
        "number": index,
        "operator": "constant" if index else "seed",
        "parents": [parent + 1] if index else [],
        "state": "accepted",
        "attempt": 1,
        "worker_id": 1,
        "claim": f"{index:016x}",
        "program_id": index + 1,
        "summary": "program.py::part_1: 1.25 -> 1.5",
        "created_at": clock,
        "finished_at": clock,
    }


def _program(run_id: int, index: int, program: Filled, gene_ids: dict[str, int]) -> dict[str, Any]:
    return {
        "id": index + 1,
        "run_id": run_id,
        "proposal_id": index + 1,
        "fingerprint": program.fingerprint,
        "generation": program.generation,
        "genome": {_FILE: [gene_ids[source] for source in program.sources]},
        "size": len(program.text),
    }


def _evaluation(run: runs.StoredRun, index: int, clock: float) -> dict[str, Any]:
    rng = random.Random(index)
    return {
        "run_id": run.id,
        "program_id": index + 1,
        "proposal_id": index + 1,
        "purpose": "search" if index else "seed",
        "seed": run.evaluation_seed,
        "attempt": 1,
        "state": "scored",
        "worker_id": 1,
        "claim": f"{index:016x}",
        "metrics": {"loss": 2.0 + rng.random(), "width": 5.0 + rng.random()},
        "seconds": 0.003,
        "memory_mb": 12.0,
        "sandbox": "process",
        "scoring_version": run.scoring_version,
        "created_at": clock,
        "started_at": clock,
        "finished_at": clock + index / 1e6,
    }


if __name__ == "__main__":
    print(fill(sys.argv[2], int(sys.argv[1])))
