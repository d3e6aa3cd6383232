"""Are the slots kept busy? An evaluation that waits 0.2 s on 8 slots: `python -m bench.slots`."""

from __future__ import annotations

import json
import sys
import time

from bench.figures import Figure, empty_folder, in_child, table
from bench.fill import fill
from guided_evolution.archive import open_archive, runs
from guided_evolution.progress import Progress
from guided_evolution.session import resume_run

COMMAND = "python -m bench.slots"
_WAIT, _SLOTS, _WARM_UP, _MEASURED = 0.2, 8, 40, 400


def go_on(where: str, programs: int) -> dict[str, float]:
    """Resume the run and measure its rate."""
    marks = [programs + _WARM_UP, programs + _WARM_UP + _MEASURED]
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        if len(seen) < 2 and progress.evaluations >= marks[len(seen)]:
            seen.append((progress.evaluations, time.perf_counter()))

    archive = open_archive(where)
    with archive.read() as connection:
        run = runs.find(connection, None)
    resume_run(archive, run, add=_WARM_UP + _MEASURED + 20, slots=_SLOTS, watch=watch)
    archive.close()
    (first, began), (last, ended) = seen
    return {"per_second": (last - first) / (ended - began)}


def measure() -> list[Figure]:
    """The rate as a share of what the slots allow, fresh and with 10,000 programs."""
    figures = []
    with empty_folder() as folder:
        for programs, name in ((1, "fresh"), (10_000, "with 10,000 programs")):
            where = str(folder / f"{programs}.db")
            fill(where, programs, wait=_WAIT)
            rate = in_child("bench.slots", "--child", where, str(programs))["per_second"]
            share = 100 * rate * _WAIT / _SLOTS
            figures.append(
                Figure(f"slots busy, {_SLOTS} of {_WAIT:g} s each, {name}", share, "%", COMMAND, low=95)
            )
    return figures


if __name__ == "__main__":
    if "--child" in sys.argv:
        print(json.dumps(go_on(sys.argv[2], int(sys.argv[3]))))
    else:
        print(table(measure()))
