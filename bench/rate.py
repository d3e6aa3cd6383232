"""Candidates a second at 100, 10,000 and 100,000 programs, and what each costs: `python -m bench.rate [--quick]`.

One process a size: it resumes a filled archive, goes on for some seconds, and measures itself.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.figures import Figure, empty_folder, in_child, own_cpu_seconds, own_peak_mb, table
from bench.fill import fill
from guided_evolution.archive import open_archive, runs
from guided_evolution.progress import Progress
from guided_evolution.session import resume_run

COMMAND = "python -m bench.rate"
_WARM_UP, _MEASURED = 50, 600


class _Watch:
    """Notes time and CPU when so many evaluations are finished."""

    def __init__(self, start: int, end: int) -> None:
        self._marks = (start, end)
        self.seen: list[tuple[int, float, float]] = []

    def __call__(self, progress: Progress) -> None:
        if len(self.seen) < 2 and progress.evaluations >= self._marks[len(self.seen)]:
            self.seen.append((progress.evaluations, time.perf_counter(), own_cpu_seconds()))


def go_on(where: str, programs: int, slots: int) -> dict[str, float]:
    """Resume the run in the archive and measure what a candidate costs."""
    archive = open_archive(where)
    with archive.read() as connection:
        run = runs.find(connection, None)
    started = time.perf_counter()
    watch = _Watch(programs + _WARM_UP, programs + _WARM_UP + _MEASURED)
    resume_run(archive, run, add=_WARM_UP + _MEASURED + 20, slots=slots, watch=watch)
    (first, began, cpu_then), (last, ended, cpu_now) = watch.seen
    archive.close()
    return {
        "per_second": (last - first) / (ended - began),
        "cpu_ms": 1000 * (cpu_now - cpu_then) / (last - first),
        "peak_mb": own_peak_mb(),
        "to_first": began - started,
    }


def measure(sizes: tuple[int, ...] = (100, 10_000, 100_000)) -> list[Figure]:
    """Rates, their ratio, CPU, memory and disk a program."""
    found: dict[int, dict[str, float]] = {}
    with empty_folder() as folder:
        for size in sizes:
            where = folder / f"{size}.db"
            fill(str(where), size)
            found[size] = {"bytes": where.stat().st_size / size} | in_child(
                "bench.rate", "--child", str(where), str(size)
            )
    figures = []
    for size, one in found.items():
        name = f"{size:,} programs"
        figures += [
            Figure(f"candidates a second at {name}", one["per_second"], "/s", COMMAND, low=100),
            Figure(f"main process a candidate at {name}", one["cpu_ms"], "ms CPU", COMMAND, high=10),
            Figure(f"memory at {name}", one["peak_mb"], "MB", COMMAND, high=150 if size <= 10_000 else 300),
        ]
        if size >= 1000:
            figures.append(Figure(f"archive a program at {name}", one["bytes"] / 1024, "KB", COMMAND, high=3))
    small = found[sizes[0]]["per_second"]
    figures += [
        Figure(
            f"rate at {size:,} over the rate at {sizes[0]:,}", one["per_second"] / small, "", COMMAND, low=0.9
        )
        for size, one in found.items()
        if size != sizes[0]
    ]
    return figures


if __name__ == "__main__":
    if "--child" in sys.argv:
        _, where, size = sys.argv[1:4]
        print(json.dumps(go_on(str(Path(where)), int(size), slots=2)))
    else:
        print(table(measure((100, 10_000) if "--quick" in sys.argv else (100, 10_000, 100_000))))
