"""What a worker knows of the runs that it works for. Runs' seeds never change, so it is read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from guided_evolution.archive import Archive, programs, runs
from guided_evolution.edit import FrozenRules
from guided_evolution.errors import WorkerRefuses
from guided_evolution.genome import Genome
from guided_evolution.seed import Seed

_GENOMES = 256


@dataclass(frozen=True)
class RunContext:
    """The parts of a run that stay as they are from its first moment."""

    run_id: int
    seed: Seed
    rules: FrozenRules
    rng_seed: int
    evaluation_seed: int
    scoring_version: str
    sandbox: str


class Contexts:
    """Runs and genomes by id, read from the archive at first need."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.run = lru_cache(maxsize=16)(self._run)
        self._genomes: OrderedDict[int, Genome] = OrderedDict()
        self._lock = threading.Lock()

    def _run(self, run_id: int) -> RunContext:
        def read(connection: Connection) -> tuple[runs.StoredRun, Seed]:
            run = runs.get(connection, run_id)
            return run, runs.seed_of(connection, run)

        run, seed = self.archive.look(read)
        if seed.hash != run.seed_hash:
            raise WorkerRefuses(
                f"run {run.name} has seed {run.seed_hash[:12]}, which is read here as {seed.hash[:12]}: "
                "install the same version on every machine"
            )
        rules = FrozenRules(protected=seed.protected, frozen=seed.frozen, program_kb=seed.limits.program_kb)
        return RunContext(
            run_id, seed, rules, run.rng_seed, run.evaluation_seed, run.scoring_version, run.sandbox
        )

    def genome(self, program_id: int) -> Genome:
        """The program as genes; one that was used or made here lately is known already, with what was read of it."""
        with self._lock:
            known = self._genomes.get(program_id)
            if known is not None:
                self._genomes.move_to_end(program_id)
                return known
        files = self.archive.look(lambda connection: programs.sources(connection, program_id))
        genome = Genome.split(files)
        self.remember(program_id, genome)
        return genome

    def remember(self, program_id: int, genome: Genome) -> None:
        """Keep a program that was made here: a good one soon becomes a parent."""
        with self._lock:
            self._genomes[program_id] = genome
            while len(self._genomes) > _GENOMES:
                self._genomes.popitem(last=False)
