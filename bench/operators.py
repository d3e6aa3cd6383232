"""What becomes of the syntactic operators' children: `python -m bench.operators [--quick] [SEED …]`.

For each operator: the share of its children that run to a score, how many proposals gave nothing new, how many
children score exactly as their parent, and the CPU time of a proposal with its edit. Children run in the process
sandbox. Parents are the seed program and children that scored.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.figures import Figure, table
from bench.free_seed import PROGRAM
from guided_evolution.edit import Edit, FrozenRules, Splice, apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.genome import Genome
from guided_evolution.operators import Operator, builtin_operators
from guided_evolution.sandbox import Job, Outcome, Sandbox, open_sandbox
from guided_evolution.seed import Seed, load_seed

COMMAND = "python -m bench.operators"
SEEDS = ("mnist1d", "bin_packing")
_CHILDREN, _QUICK_CHILDREN = 60, 15
_SLOTS = 2
_SPLICES = 300


@dataclass
class Result:
    """What became of one operator's proposals on one seed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    neutral: int = 0
    cpu: list[float] = field(default_factory=list)

    @property
    def run(self) -> int:
        """Children that were evaluated."""
        return self.outcomes["scored"] + self.outcomes["failed"]

    def row(self, name: str) -> str:
        """A line of the table."""
        fruitless = sum(self.outcomes.values()) - self.run
        return (
            f"{name:10} {100 * self.outcomes['scored'] / max(1, self.run):6.0f} %  {self.run:5} run  "
            f"{100 * self.neutral / max(1, self.outcomes['scored']):4.0f} % score as their parent  "
            f"{100 * fruitless / max(1, fruitless + self.run):4.0f} % of proposals gave nothing new  "
            f"{1000 * sorted(self.cpu)[len(self.cpu) // 2]:6.2f} ms"
        )


@dataclass(frozen=True)
class _Member:
    genome: Genome
    scores: tuple[float, ...]


class _Study:
    """Children of one seed, run in a few sandboxes."""

    def __init__(self, seed: Seed, sandboxes: list[Sandbox]) -> None:
        self.seed = seed
        self.rules = FrozenRules(seed.protected, seed.frozen, seed.limits.program_kb)
        self.sandboxes = sandboxes
        first = Genome.split(seed.program)
        scores = self._scores(self._run((sandboxes[0], first)))
        if scores is None:
            raise SystemExit(f"{seed.name}: the seed program doesn't score")
        self.members = [_Member(first, scores)]
        self.known = {first.fingerprint}

    def operator(self, operator: Operator, children: int) -> Result:
        """Propose until so many children were run, or nothing new comes."""
        result, rng = Result(), random.Random(f"{self.seed.name}/{operator.name}")
        while result.run < children and sum(result.outcomes.values()) < 4 * children:
            batch = []
            while len(batch) < len(self.sandboxes) and sum(result.outcomes.values()) < 4 * children:
                made = self._propose(operator, rng, result)
                if made is not None:
                    batch.append(made)
            with ThreadPoolExecutor(len(self.sandboxes)) as pool:
                outcomes = list(
                    pool.map(self._run, zip(self.sandboxes, (child for _, child in batch), strict=False))
                )
            for (parent, child), outcome in zip(batch, outcomes, strict=True):
                self._take(result, parent, child, outcome)
        return result

    def _propose(
        self, operator: Operator, rng: random.Random, result: Result
    ) -> tuple[_Member, Genome] | None:
        parents = [rng.choice(self.members) for _ in range(operator.parents)]
        began = time.thread_time()
        try:
            edit = operator.propose([one.genome for one in parents], self.rules, rng)
            child = apply_edit(parents[0].genome, edit, self.rules)
        except EditRejected as rejection:
            result.outcomes[rejection.kind] += 1
            return None
        finally:
            result.cpu.append(time.thread_time() - began)
        if child.fingerprint in self.known:
            result.outcomes["known"] += 1
            return None
        self.known.add(child.fingerprint)
        return parents[0], child

    def _run(self, job: tuple[Sandbox, Genome]) -> Outcome:
        sandbox, genome = job
        return sandbox.run(Job(genome.join(), seed=5))

    def _scores(self, outcome: Outcome) -> tuple[float, ...] | None:
        if outcome.state != "scored" or outcome.score is None:
            return None
        return tuple(outcome.score.metrics[objective.metric] for objective in self.seed.objectives)

    def _take(self, result: Result, parent: _Member, child: Genome, outcome: Outcome) -> None:
        scores = self._scores(outcome)
        result.outcomes["scored" if scores is not None else "failed"] += 1
        if scores is not None:
            result.neutral += scores == parent.scores
            self.members.append(_Member(child, scores))


def study(name: str, children: int) -> dict[str, Result]:
    """The results of every operator on one seed."""
    seed = load_seed(name)
    sandboxes = [open_sandbox("process", seed) for _ in range(_SLOTS)]
    try:
        one = _Study(seed, sandboxes)
        found: dict[str, Result] = {}
        for operator in builtin_operators().values():
            found[operator.name] = one.operator(operator, children)
            print(f"{name:12} {found[operator.name].row(operator.name)}", file=sys.stderr, flush=True)
        return found
    finally:
        for sandbox in sandboxes:
            sandbox.close()


def splice_milliseconds() -> float:
    """CPU time of one changed number in ten genes of 1 KB, all checks and the fingerprint included; the median."""
    rng, rules = random.Random(1), FrozenRules(("solve",))
    parent = Genome.split({"program.py": PROGRAM.encode()})
    text = parent.text("program.py")
    spots = [at for at in range(len(text)) if text.startswith(".25", at)]
    spent = []
    for number in range(_SPLICES):
        at = rng.choice(spots)
        edit = Edit((Splice("program.py", at, at + 3, f".{number + 300}"),), "one number")
        began = time.thread_time()
        child = apply_edit(parent, edit, rules)
        child.sources("program.py")
        spent.append(time.thread_time() - began)
    return 1000 * sorted(spent)[len(spent) // 2]


def measure(children: int = _QUICK_CHILDREN, seeds: tuple[str, ...] = SEEDS) -> list[Figure]:
    """The share of each operator's children that score, and what a splice costs."""
    figures = [
        Figure("splice in 10 genes of 1 KB, checked", splice_milliseconds(), "ms CPU", COMMAND, high=1.5)
    ]
    for name in seeds:
        for operator, result in study(name, children).items():
            share = 100 * result.outcomes["scored"] / max(1, result.run)
            figures.append(Figure(f"children of {operator} that score, {name}", share, "%", COMMAND, low=70))
    return figures


if __name__ == "__main__":
    named = tuple(one for one in sys.argv[1:] if not one.startswith("-"))
    print(table(measure(_QUICK_CHILDREN if "--quick" in sys.argv else _CHILDREN, named or SEEDS)))
