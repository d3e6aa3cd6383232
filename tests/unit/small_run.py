"""A run of four programs, written as proposers and evaluators write: its scores are known to the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guided_evolution.archive import Archive, evaluations, open_archive, programs, proposals, runs
from guided_evolution.archive.evaluations import Result
from guided_evolution.budget import Budget
from guided_evolution.genome import Genome, gene_hash
from guided_evolution.seed import Constraint, Objective, Seed
from guided_evolution.session import Plan

SEED_TEXT = "RATE = 0.5\n\n\ndef solve():\n    return RATE\n"


def small_seed(*, self_scored: bool = False, has_confirm: bool = True) -> Seed:
    return Seed(
        name="small",
        task="Bring RATE up.",
        files=("program.py",),
        program={"program.py": SEED_TEXT.encode()},
        objectives=(Objective("size", "minimize", False), Objective("rate", "maximize", True)),
        constraints=(Constraint("rate", at_most=2.0),),
        evaluator_source="def evaluate(candidate, seed): ...\n",
        protected=("solve",),
        self_scored=self_scored,
        has_confirm=has_confirm,
    )


class SmallRun:
    """Programs 1 (the seed) to 4: 2 is better and larger, 3 fails, 4 was made from 2 with 1 as donor and is best."""

    def __init__(self, place: Path, seed: Seed | None = None, *, evaluations_budget: int | None = 4) -> None:
        self.archive: Archive = open_archive(str(place), create=True)
        self.seed = seed or small_seed()
        plan = Plan(Budget(evaluations=evaluations_budget), slots=1)
        with self.archive.write() as connection:
            self.run = runs.create(
                connection,
                self.seed,
                settings=plan.to_json(),
                rng_seed=7,
                evaluation_seed=11,
                sandbox="process",
            )
        self._number = 0
        self.add("seed", (), "the seed program", SEED_TEXT, {"rate": 0.5, "size": 40.0})
        self.add("constant", (1,), "0.5 -> 0.75", text("0.75"), {"rate": 0.75, "size": 41.0})
        self.add("constant", (2,), "0.75 -> 1 / 0", text("1 / 0"), None)
        self.add("crossover", (2, 1), "solve of 1", text("1.25"), {"rate": 1.25, "size": 41.0})
        with self.archive.write() as connection:
            runs.set_seed_program(connection, self.run.id, 1)

    def add(
        self,
        operator: str,
        parents: tuple[int, ...],
        summary: str,
        source: str,
        metrics: Mapping[str, float] | None,
    ) -> int:
        """A program with its proposal and its evaluation; without metrics it has failed."""
        genome = Genome.split({"program.py": source.encode()})
        genes = {
            "program.py": [
                (bytes.fromhex(gene_hash(piece)), piece.encode()) for piece in genome.sources("program.py")
            ]
        }
        with self.archive.write() as connection:
            proposal_id = proposals.add(connection, self.run.id, self._number, operator, parents)
            self._number += 1
            claimed = proposals.claim(connection, proposal_id, 1, f"p{proposal_id}")
            assert claimed is not None
            program_id = programs.add(
                connection,
                self.run.id,
                programs.NewProgram(genome.fingerprint, genome.size, genes),
                generation=1 + max(programs.generations(connection, parents), default=-1),
                proposal_id=proposal_id,
                parents=parents,
            )
            proposals.settle(connection, claimed, "accepted", program_id=program_id, summary=summary)
        self.evaluate(program_id, proposal_id, "search" if parents else "seed", metrics)
        return program_id

    def evaluate(
        self, program_id: int, proposal_id: int | None, purpose: str, metrics: Mapping[str, float] | None
    ) -> None:
        with self.archive.write() as connection:
            evaluation_id = evaluations.add(
                connection,
                run_id=self.run.id,
                program_id=program_id,
                proposal_id=proposal_id,
                purpose=purpose,
                seed=11 if purpose != "confirm" else 12,
                scoring_version=self.run.scoring_version,
            )
            claimed = evaluations.claim(connection, evaluation_id, 1, f"e{evaluation_id}")
            assert claimed is not None
            result = (
                Result(
                    "scored",
                    metrics=metrics,
                    feedback="well done",
                    seconds=0.25,
                    memory_mb=12.0,
                    sandbox="process",
                )
                if metrics is not None
                else Result(
                    "failed", kind="raised", error="ZeroDivisionError: division by zero", sandbox="process"
                )
            )
            assert evaluations.finish(connection, claimed, result)


def text(rate: str) -> str:
    """The seed program with another rate."""
    return SEED_TEXT.replace("0.5", rate)
