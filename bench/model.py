"""Runs that ask a model: are the slots kept busy, and what does a candidate cost? `python -m bench.model [--quick]`.

The model is a server on loopback in this process; the run is a process of its own, behind the real litellm client.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

from bench.figures import Figure, empty_folder, in_child, own_cpu_seconds, table
from bench.fill import fill
from bench.instant_model import instant_model
from guided_evolution.archive import leases, open_archive, runs
from guided_evolution.identity import this_process
from guided_evolution.model_plan import plan_models
from guided_evolution.model_run import ModelRun
from guided_evolution.model_settings import choose_models
from guided_evolution.prices import Limits
from guided_evolution.progress import Progress
from guided_evolution.session import MODEL_SHARES, Plan, resume_run

COMMAND = "python -m bench.model"
_MODEL_SECONDS, _EVALUATION_SECONDS, _CALLS, _SLOTS = 1.0, 0.2, 32, 2
_WARM_UP, _MEASURED = 60, 200


def go_on(where: str, programs: int, url: str, calls: int) -> dict[str, float]:
    """Resume the run of an archive with a model, and measure rate and CPU of a candidate."""
    archive = open_archive(where, durable=True)
    models = plan_models(choose_models(["instant"], base_url=url), Limits(calls=10**6), no_cap=False)
    only_mutate = tuple((name, float(name == "mutate")) for name in MODEL_SHARES)
    with archive.write() as connection:
        run = runs.find(connection, None)
        held = leases.take(connection, run.id, run.name, this_process(), "bench")
        plan = replace(Plan.from_json(run.settings), operators=only_mutate, model_run=ModelRun(models, calls))
        runs.set_settings(connection, held, plan.to_json())
        leases.give_up(connection, held)
        run = runs.get(connection, run.id)
    marks = [programs + _WARM_UP, programs + _WARM_UP + _MEASURED]
    seen: list[tuple[int, float, float]] = []

    def watch(progress: Progress) -> None:
        if len(seen) < 2 and progress.evaluations >= marks[len(seen)]:
            seen.append((progress.evaluations, time.perf_counter(), own_cpu_seconds()))

    resume_run(archive, run, add=_WARM_UP + _MEASURED + _CALLS + 20, slots=_SLOTS, watch=watch)
    archive.close()
    (first, began, cpu_then), (last, ended, cpu_now) = seen
    return {
        "per_second": (last - first) / (ended - began),
        "cpu_ms": 1000 * (cpu_now - cpu_then) / (last - first),
    }


def _measured(programs: int, model_seconds: float, evaluation_seconds: float, calls: int) -> dict[str, float]:
    with empty_folder() as folder, instant_model(model_seconds) as server:
        where = str(folder / "run.db")
        fill(where, programs, wait=evaluation_seconds)
        return in_child("bench.model", "--child", where, str(programs), server.url, str(calls))


def measure(sizes: tuple[int, int] = (100, 10_000)) -> list[Figure]:
    """Throughput as a share of the slower stage's limit; CPU of the run's process a candidate, small and large."""
    limit = min(_CALLS / _MODEL_SECONDS, _SLOTS / _EVALUATION_SECONDS)
    figures = []
    for programs, name in ((1, "fresh"), (sizes[1], f"with {sizes[1]:,} programs")):
        found = _measured(programs, _MODEL_SECONDS, _EVALUATION_SECONDS, _CALLS)
        share = 100 * found["per_second"] / limit
        what = f"{_CALLS} calls of 1 s, {_SLOTS} slots of 0.2 s, {name}: share of the limit"
        figures.append(Figure(what, share, "%", COMMAND, low=95))
    costs = [_measured(programs, 0.0, 0.0, 4)["cpu_ms"] for programs in sizes]
    for programs, cost in zip(sizes, costs, strict=True):
        figures.append(
            Figure(f"instant model, {programs:,} programs: CPU a candidate", cost, "ms CPU", COMMAND)
        )
    growth = costs[1] / costs[0]
    figures.append(
        Figure(f"instant model: cost at {sizes[1]:,} over {sizes[0]:,}", growth, "", COMMAND, high=1.15)
    )
    return figures


if __name__ == "__main__":
    if "--child" in sys.argv:
        _, where, programs, url, calls = sys.argv[1:6]
        print(json.dumps(go_on(where, int(programs), url, int(calls))))
    else:
        print(table(measure((100, 1_000) if "--quick" in sys.argv else (100, 10_000))))
