"""Does syntactic evolution beat best-of-n, a random walk and hill climbing? On confirmed scores, equal budgets.

    python -m bench.compare [--seeds 10] [--evaluations 300] [--archive bench-compare.db] [SEED ...]

Takes hours on two cores; stopped or killed, the same command goes on. What it found last stands in bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from guided_evolution.archive import open_archive
from guided_evolution.compare import Comparison, Trial, compare, parse_arm
from guided_evolution.seed import load_seed

SEEDS = ("circle_packing", "bin_packing", "mnist1d")
ARMS = ("evolve", "best-of-n", "random-walk", "hill-climb")


def rows(found: Comparison, task: str) -> list[str]:
    """The comparison on one seed as a Markdown table."""
    lines = [
        f"| {task} | in the search | confirmed (95 % interval) | evolve's gain over it | beats it with probability | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for arm in found.arms:
        mean = found.confirmed(arm, task)
        line = f"| {arm} | {found.searched(arm, task):.5g} | {mean.value:.5g} ({mean.low:.5g} to {mean.high:.5g})"
        if arm == found.arms[0]:
            lines.append(f"{line} | | | |")
            continue
        one = found.contrast(found.arms[0], arm, task)
        gain = one.difference
        lines.append(
            f"{line} | {gain.value:+.2%} ({gain.low:+.2%} to {gain.high:+.2%}) | {one.improvement.value:.2f} "
            f"({one.improvement.low:.2f} to {one.improvement.high:.2f}) | {one.verdict} |"
        )
    return lines


def _say(trial: Trial) -> None:
    said = f"{trial.task} {trial.repetition + 1} {trial.arm}: {trial.searched:.5g}, confirmed {trial.confirmed:.5g}"
    print(said, file=sys.stderr, flush=True)


def main() -> int:
    """Compare and print; 1 unless evolve is better than every other arm on every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--confirmations", type=int, default=1)
    parser.add_argument("--archive", type=Path, default=Path("bench-compare.db"))
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("tasks", nargs="*", default=list(SEEDS), metavar="SEED")
    given = parser.parse_args()
    archive = open_archive(str(given.archive), create=True)
    better = True
    try:
        for task in given.tasks:
            found = compare(
                archive,
                [load_seed(task)],
                [parse_arm(text) for text in given.arms.split(",")],
                repetitions=given.seeds,
                evaluations_each=given.evaluations,
                confirmations=given.confirmations,
                tell=_say,
            )
            print("\n".join(rows(found, task)), end="\n\n", flush=True)
            better = better and all(
                found.contrast(found.arms[0], arm, task).verdict == "better" for arm in found.arms[1:]
            )
    finally:
        archive.close()
    return int(not better)


if __name__ == "__main__":
    sys.exit(main())
