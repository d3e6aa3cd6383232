"""What selection costs a proposal: one score taken in and one pair of parents chosen, at a population of 200.

    python -m bench.selection

The promise is under 1 ms for every strategy.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from bench.figures import Figure, table
from guided_evolution.search_plan import SELECTIONS, SearchPlan, standings
from guided_evolution.seed import Objective, Seed

COMMAND = "python -m bench.selection"
POPULATION = 200
ROUNDS = 300
LIMIT_MS = 1.0


def seed_with(objectives: int) -> Seed:
    """A seed of so many objectives; nothing of it is ever run."""
    return Seed(
        name="bench",
        task="",
        files=("program.py",),
        program={"program.py": b"X = 1\n"},
        objectives=tuple(Objective(f"m{n}", "minimize", n == 0) for n in range(objectives)),
        evaluator_source="",
    )


def milliseconds(selection: str, objectives: int) -> list[float]:
    """Milliseconds of CPU of each round, with a full population."""
    rng = random.Random(1)

    def metrics() -> dict[str, float]:
        return {f"m{n}": rng.random() for n in range(objectives)}

    made = standings(
        SearchPlan(selection=selection), seed_with(objectives), evaluations=1000, population=POPULATION
    )
    made.tell(0, metrics(), {"a": 0.0, "b": 0.0})
    spent = []
    for number in range(1, POPULATION + ROUNDS):
        scored, measures = metrics(), {"a": rng.random(), "b": rng.random()}
        start = time.process_time()
        made.tell(number, scored, measures, number=number, parents=(0,))
        made.choose(2, rng, number)
        if number >= POPULATION:
            spent.append(1000 * (time.process_time() - start))
    return spent


def measure() -> list[Figure]:
    """A figure a strategy: the median with one and with two objectives, the larger."""
    found = []
    for selection in SELECTIONS:
        middle = max(statistics.median(milliseconds(selection, objectives)) for objectives in (1, 2))
        what = f"selection a proposal, {selection}, population of {POPULATION}"
        found.append(Figure(what, middle, "ms", COMMAND, high=LIMIT_MS))
    return found


def main() -> int:
    """Print the figures; 1 if one misses its bound."""
    figures = measure()
    print(table(figures))
    return int(not all(figure.kept for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
