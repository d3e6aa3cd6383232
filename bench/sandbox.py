"""What an isolated evaluation costs, beside other ways to isolate one: `python -m bench.sandbox [JOBS [PRELOAD]]`.

In one run: a bare fork, the process kind, the Docker kind, `docker exec` and `docker run` for each candidate; with
nothing, NumPy and PyTorch preloaded, as far as they are installed here. Times are over that of the evaluation itself.
Docker needs an engine, a base image (GUIDED_EVOLUTION_BASE_IMAGE) and, without network, wheels
(GUIDED_EVOLUTION_WHEELS).
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import Figure, empty_folder, machine, table
from bench.free_seed import free_seed
from bench.runner import PROGRAM, bare, bench_seed, times
from guided_evolution.archive import open_archive
from guided_evolution.budget import Budget
from guided_evolution.progress import Progress
from guided_evolution.sandbox import Job, Sandbox, container
from guided_evolution.sandbox.choice import Opener
from guided_evolution.sandbox.engine import Engine, NoEngine
from guided_evolution.seed import Seed
from guided_evolution.session import Plan, start_run
from guided_evolution.settings import load_settings

COMMAND = "python -m bench.sandbox"
PRELOADS = {"plain": (), "numpy": ("numpy",), "torch": ("torch",)}
MOST_MS = {"plain": 10.0, "numpy": 10.0, "torch": 40.0}
TIMES_CHEAPER = {"plain": 25.0, "numpy": 25.0, "torch": 50.0}
_FEW = 12
_WARM_UP, _MEASURED = 50, 400


@dataclass(frozen=True)
class Cost:
    """Milliseconds over the evaluation itself."""

    median: float
    p95: float


def measure(jobs: int = 200, only: str | None = None) -> list[Figure]:
    """Costs by what is preloaded, how many times cheaper than `docker run`, rates, and memory a slot.

    Nothing where no engine answers.
    """
    settings = load_settings({})
    docker = Opener("docker", settings.base_image, settings.wheels, _say)
    try:
        Engine.connect().close()
    except NoEngine as problem:
        _say(f"{COMMAND} measures nothing: {problem}")
        return []
    figures: list[Figure] = _of_runs(docker) if only in (None, "runs") else []
    for name, modules in PRELOADS.items():
        if only not in (None, name):
            continue
        if any(importlib.util.find_spec(module) is None for module in modules):
            _say(f"{name} isn't installed here")
            continue
        figures += _of_preload(
            name, bench_seed(modules), docker, jobs if name != "torch" else max(20, jobs // 4)
        )
    return figures


def _of_preload(name: str, seed: Seed, docker: Opener, jobs: int) -> list[Figure]:
    alone = statistics.median(times(bare, jobs))
    figures = [
        Figure(f"bare fork, {name}", _cost(times(lambda: _fork(seed), jobs), alone).median, "ms", COMMAND)
    ]
    rates: dict[str, float] = {}
    for kind, opener in (("process", Opener("process")), ("docker", docker)):
        opener.prepare(seed)
        sandbox = opener(seed)
        try:
            taken = times(lambda sandbox=sandbox: _job(sandbox, seed), jobs)  # type: ignore[misc]
            if kind == "docker":
                figures.append(Figure(f"memory a docker slot, {name}", _memory_mb(sandbox), "MB", COMMAND))
        finally:
            sandbox.close()
        rates[kind] = 1000 * len(taken) / sum(taken)
        one = _cost(taken, alone)
        high = MOST_MS[name] if kind == "docker" else None
        figures += [
            Figure(f"{kind} kind, {name}, median", one.median, "ms", COMMAND, high=high),
            Figure(f"{kind} kind, {name}, p95", one.p95, "ms", COMMAND),
        ]
        mine = one.median
    figures.append(
        Figure(
            f"jobs of the docker kind, {name}",
            100 * rates["docker"] / rates["process"],
            "% of process",
            COMMAND,
            low=80,
        )
    )
    for way, cost in _by_hand(seed, docker, alone).items():
        figures += [
            Figure(f"docker {way} a candidate, {name}, median", cost.median, "ms", COMMAND),
            Figure(f"docker {way} a candidate, {name}, p95", cost.p95, "ms", COMMAND),
        ]
        if way == "run":
            low = TIMES_CHEAPER[name]
            figures.append(
                Figure(
                    f"docker kind against docker run, {name}",
                    cost.median / mine,
                    "times cheaper",
                    COMMAND,
                    low=low,
                )
            )
    return figures


def _of_runs(docker: Opener) -> list[Figure]:
    """Evaluations a second of whole runs on both kinds."""
    rates = {kind: _run_rate(opener) for kind, opener in (("process", Opener("process")), ("docker", docker))}
    share = 100 * rates["docker"] / rates["process"]
    return [
        *(Figure(f"evolve on the {kind} kind", rate, "/s", COMMAND) for kind, rate in rates.items()),
        Figure("evolve on the docker kind, of the process kind's rate", share, "%", COMMAND, low=80),
    ]


def _run_rate(opener: Opener) -> float:
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        if len(seen) < 2 and progress.evaluations >= (_WARM_UP, _WARM_UP + _MEASURED)[len(seen)]:
            seen.append((progress.evaluations, time.perf_counter()))

    with empty_folder() as folder:
        archive = open_archive(str(folder / "bench.db"), create=True)
        plan = Plan(Budget(evaluations=_WARM_UP + _MEASURED + 20), slots=2)
        start_run(archive, free_seed(), plan, rng_seed=1, opener=opener, watch=watch)
        archive.close()
    (first, began), (last, ended) = seen
    return (last - first) / (ended - began)


def _job(sandbox: Sandbox, seed: Seed) -> None:
    outcome = sandbox.run(Job(seed.program, 1))
    assert outcome.state == "scored", outcome


def _fork(seed: Seed) -> None:
    """The evaluation in a child of this process, which has imported what the seed preloads."""
    for module in seed.candidate.preload:
        __import__(module)
    pid = os.fork()
    if pid == 0:
        bare()
        os._exit(0)
    os.waitpid(pid, 0)


def _by_hand(seed: Seed, docker: Opener, alone: float) -> dict[str, Cost]:
    """`docker exec` and `docker run` for each candidate, by the engine's own interface."""
    engine = Engine.connect()
    image = docker.prepare(seed).partition("@")[2]
    imports = "".join(f"import {module}\n" for module in seed.candidate.preload)
    code = f"import sys; sys.path[:0] = ['/opt/candidate']\n{imports}{PROGRAM.decode()}\nprint(solve())"
    command = ["python3", "-c", code]
    host = engine.api.create_host_config(network_mode="none")

    def run() -> None:
        made = engine.api.create_container(image, entrypoint="", command=command, host_config=host)["Id"]
        engine.api.start(made)
        assert engine.api.wait(made)["StatusCode"] == 0
        engine.remove(made)

    warm = engine.api.create_container(image, entrypoint="", command=["sleep", "600"], host_config=host)["Id"]
    engine.api.start(warm)

    def execute() -> None:
        job = engine.api.exec_create(warm, command)["Id"]
        assert b"3.0" in engine.api.exec_start(job)

    try:
        return {"exec": _cost(times(execute, _FEW), alone), "run": _cost(times(run, _FEW), alone)}
    finally:
        engine.remove(warm)
        engine.close()


def _memory_mb(sandbox: Any) -> float:
    """What an idle container of this sandbox holds, its page cache not counted."""
    one: container.Container = sandbox._link._container
    return container.in_use(one.engine.api.stats(one.id, stream=False, one_shot=True)["memory_stats"]) / 1e6


def _cost(taken: Sequence[float], alone: float) -> Cost:
    ordered = sorted(taken)
    return Cost(statistics.median(ordered) - alone, ordered[int(len(ordered) * 0.95)] - alone)


def _say(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


def main() -> int:
    """Print the table; 1 if a figure misses what was promised."""
    print(f"on {machine()}, {time.strftime('%Y-%m-%d')}", flush=True)
    figures = measure(
        int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2] if len(sys.argv) > 2 else None
    )
    print(table(figures))
    return int(not all(figure.kept for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
