"""What isolation costs: `python -m bench.runner [JOBS]`.

The time of a job in the process sandbox, over the time of the same evaluation as a plain call in this process:
compile the program, call it, build the score. Once with nothing preloaded, and once for each of NumPy and PyTorch
that is installed.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from bench.figures import Figure, machine, table
from guided_evolution.sandbox import Job, open_sandbox
from guided_evolution.score import Score
from guided_evolution.seed import Environment, Limits, Objective, Seed

COMMAND = "python -m bench.runner"
PROGRAM = b"""
def solve():
    return [3.0, 0.5, 7.0]
"""
EVALUATE = """
from guided_evolution import Score


def evaluate(candidate, seed):
    start, step, width = candidate.call("solve")
    return Score({"loss": abs(start - 1.0) + abs(step - 2.0), "width": abs(width)})
"""
TARGETS = {"plain": 6.0, "numpy": 8.0, "torch": 35.0}
"""Milliseconds that the median may cost."""


def bench_seed(preload: tuple[str, ...]) -> Seed:
    """A seed whose evaluation costs nothing, with these modules preloaded on both sides."""
    return Seed(
        name="cost",
        task="Nothing to do.",
        files=("program.py",),
        program={"program.py": PROGRAM},
        objectives=(Objective("loss", "minimize", True), Objective("width", "minimize", False)),
        evaluator_source=EVALUATE,
        candidate=Environment(preload=preload),
        evaluator=Environment(preload=preload),
        limits=Limits(seconds=30, memory_mb=4096),
    )


def times(job: Callable[[], Any], count: int) -> list[float]:
    """Milliseconds of each of `count` calls, after a few to warm up."""
    for _ in range(5):
        job()
    found = []
    for _ in range(count):
        before = time.perf_counter()
        job()
        found.append((time.perf_counter() - before) * 1000)
    return found


def bare() -> Score:
    """The same evaluation without a sandbox."""
    program = types.ModuleType("program")
    exec(compile(PROGRAM, "program.py", "exec"), program.__dict__)
    start, step, width = program.solve()
    return Score({"loss": abs(start - 1.0) + abs(step - 2.0), "width": abs(width)})


def cost(preload: tuple[str, ...], count: int) -> list[float]:
    """Milliseconds that the sandbox adds, a job each."""
    seed = bench_seed(preload)
    sandbox = open_sandbox("process", seed)

    def job() -> None:
        outcome = sandbox.run(Job(seed.program, 1))
        assert outcome.state == "scored", outcome

    try:
        found = times(job, count)
    finally:
        sandbox.close()
    alone = statistics.median(times(bare, count))
    return [one - alone for one in found]


def measure(count: int = 200) -> list[Figure]:
    """The median and the 95th percentile for each of the preloads that are installed here."""
    figures = []
    for name, target in TARGETS.items():
        preload = () if name == "plain" else (name,)
        if preload and importlib.util.find_spec(name) is None:
            continue
        found = sorted(cost(preload, count if name != "torch" else max(20, count // 4)))
        what = f"runner, {name}, over the evaluation"
        figures.append(Figure(f"{what}, median", statistics.median(found), "ms", COMMAND, high=target))
        figures.append(Figure(f"{what}, 95th percentile", found[int(len(found) * 0.95)], "ms", COMMAND))
    return figures


def main() -> None:
    """Measure and print a table."""
    print(f"on {machine()}")
    print(table(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200)))


if __name__ == "__main__":
    main()
