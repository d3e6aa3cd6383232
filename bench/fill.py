"""Fill an archive with a run of N valid programs, as if they had been evolved: `python -m bench.fill N FILE`."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert

from bench.free_seed import free_seed
from guided_evolution.archive import open_archive, runs
from guided_evolution.archive.tables import Evaluation, Gene, Parentage, Program, Proposal
from guided_evolution.budget import Budget
from guided_evolution.session import Plan
from guided_evolution.genome import Genome, gene_hash

_BATCH = 2000


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


def _children(seed: Genome, count: int) -> Iterator[tuple[Genome, int, int]]:
    """Genomes with their parent's index and their generation: the seed, then children that change one constant each."""
    rng = random.Random(1)
    pool = [(seed, 0, 0)]
    yield seed, -1, 0
    for index in range(1, count):
        parent, parent_index, generation = rng.choice(pool)
        text = parent.text("program.py")
        spot = rng.choice(list(re.finditer(r"\d+\.\d+", text)))
        child = parent.replace("program.py", f"{text[: spot.start()]}{index + 10}.125{text[spot.end() :]}")
        pool = [*pool[-30:], (child, index, generation + 1)]
        yield child, parent_index, generation + 1


def _write(
    connection: Connection,
    run: runs.StoredRun,
    batch: list[tuple[Genome, int, int]],
    first: int,
    gene_ids: dict[str, int],
) -> None:
    clock = time.time()
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (Proposal, Gene, Program, Parentage, Evaluation)
    }
    for offset, (genome, parent, generation) in enumerate(batch):
        index = first + offset
        for gene in genome.genes:
            digest = gene_hash(gene.source)
            if digest not in gene_ids:
                gene_ids[digest] = len(gene_ids) + 1
                rows[Gene].append(
                    {"id": gene_ids[digest], "hash": bytes.fromhex(digest), "source": gene.source.encode()}
                )
        rows[Proposal].append(_proposal(run.id, index, parent, clock))
        rows[Program].append(_program(run.id, index, generation, genome, gene_ids))
        if parent >= 0:
            rows[Parentage].append({"child_id": index + 1, "parent_id": parent + 1, "role": "base"})
        rows[Evaluation].append(_evaluation(run, index, genome, clock))
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


def _program(
    run_id: int, index: int, generation: int, genome: Genome, gene_ids: dict[str, int]
) -> dict[str, Any]:
    return {
        "id": index + 1,
        "run_id": run_id,
        "proposal_id": index + 1,
        "fingerprint": genome.fingerprint,
        "generation": generation,
        "genome": {
            path: [gene_ids[gene_hash(source)] for source in genome.sources(path)] for path in genome.paths
        },
        "size": genome.size,
    }


def _evaluation(run: runs.StoredRun, index: int, genome: Genome, clock: float) -> dict[str, Any]:
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
