"""What a newcomer's first run finds: the default run on `mnist1d`, five run seeds, one after the other.

    python -m bench.default_run [RUNS] [SECONDS]

Each is `guided-evolution evolve mnist1d` as a user types it, with nothing set but the run seed. The table shows scores
of the search and, behind them, what the same programs reach on the published set, which the search never sees.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.figures import machine
from guided_evolution.archive import open_archive, runs
from guided_evolution.results import Results, read_results

_ROW = "{:>4}  {:>9}  {:>17}  {:>17}  {:>12}  {:>23}  {:>12}"


def first_run(folder: Path, rng_seed: int, seconds: float | None = None) -> Results:
    """Run the command in `folder` and read what it found."""
    place = folder / f"{rng_seed}.db"
    command = [sys.executable, "-m", "guided_evolution.cli", "evolve", "mnist1d"]
    command += ["--rng-seed", str(rng_seed), "--archive", str(place)]
    command += ["--time", f"{seconds:g}s"] if seconds else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    archive = open_archive(str(place))
    try:
        with archive.read() as connection:
            return read_results(connection, runs.find(connection, None))
    finally:
        archive.close()


def row(rng_seed: int, results: Results, evaluations: int) -> tuple[str, bool]:
    """A line of the table, and whether both objectives got better on held-out data."""
    assert results.seed_member is not None
    seed, best, smallest = results.seed_member, results.best("accuracy"), results.best("parameters")
    held = [results.confirmed[one.program_id] for one in (seed, best, smallest)]
    as_good = [one for one in results.front if one.metrics["accuracy"] >= seed.metrics["accuracy"]]
    small_and_good = min(as_good, key=lambda one: one.metrics["parameters"])
    text = _ROW.format(
        rng_seed,
        evaluations,
        _both(seed.metrics, held[0]),
        _both(best.metrics, held[1]),
        f"{small_and_good.metrics['parameters']:.0f}",
        f"{smallest.metrics['parameters']:.0f} at {_both(smallest.metrics, held[2])}",
        f"{len(results.front)}",
    )
    better = held[1]["accuracy"] > held[0]["accuracy"] and held[2]["parameters"] < held[0]["parameters"]
    return text, better


def _both(metrics: Mapping[str, float], held_out: Mapping[str, float]) -> str:
    return f"{metrics['accuracy']:.2%} ({held_out['accuracy']:.2%})"


def main(arguments: list[str]) -> int:
    """Print the table; 1 if a run didn't improve on the seed program in both objectives."""
    count = int(arguments[0]) if arguments else 5
    seconds = float(arguments[1]) if len(arguments) > 1 else None
    print(f"on {machine()}; accuracy as searched (held-out), parameters of the seed program: 746")
    print(
        _ROW.format("seed", "evaluated", "seed program", "best accuracy", "as good with", "smallest", "front")
    )
    improved = True
    with tempfile.TemporaryDirectory() as folder:
        for rng_seed in range(1, count + 1):
            results = first_run(Path(folder), rng_seed, seconds)
            text, better = row(rng_seed, results, _evaluated(Path(folder), rng_seed))
            print(text if better else f"{text}  not better in both", flush=True)
            improved = improved and better
    return int(not improved)


def _evaluated(folder: Path, rng_seed: int) -> int:
    from guided_evolution.archive import reading

    archive = open_archive(str(folder / f"{rng_seed}.db"))
    try:
        with archive.read() as connection:
            return reading.final_counts(connection, [1]).get(1, 0)
    finally:
        archive.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
