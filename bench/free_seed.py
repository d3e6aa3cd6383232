"""A seed whose evaluation costs nothing: ten genes of about 1 KB, and a score read off two constants."""

from __future__ import annotations

from guided_evolution.seed import Limits, Objective, Seed

_FILLER = "    # about a kilobyte a gene, as the targets say\n" + "".join(
    f"    total = total * {index}.25 + {index}\n" for index in range(36)
)
_GENE = "def part_{number}(total):\n{filler}    return total\n\n\n"

PROGRAM = (
    "START = 3.0\nSTEP = 0.5\nWIDTH = 7.0\n\n\n"
    + "".join(_GENE.format(number=number, filler=_FILLER) for number in range(9))
    + "def solve():\n    return [START, STEP, WIDTH]\n"
)

EVALUATE = """
import time
from guided_evolution import Score

WAIT = {wait}

def evaluate(candidate, seed):
    start, step, width = candidate.call("solve")
    if WAIT:
        time.sleep(WAIT)
    return Score({{"loss": abs(start - 1.0) + abs(step - 2.0), "width": abs(width)}})
"""


def free_seed(wait: float = 0.0) -> Seed:
    """The seed; each evaluation sleeps `wait` seconds."""
    return Seed(
        name="free",
        task="Bring START to 1 and STEP to 2, and WIDTH to 0.",
        files=("program.py",),
        program={"program.py": PROGRAM.encode()},
        objectives=(Objective("loss", "minimize", True), Objective("width", "minimize", False)),
        evaluator_source=EVALUATE.format(wait=wait),
        protected=("solve",),
        limits=Limits(seconds=30),
    )
