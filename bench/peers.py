"""OpenEvolve on the same program, in the same run: `python -m bench.peers`.

It is installed from the package registry in an environment of its own, under `.bench/`. A local model server answers
at once with a changed constant and notes when it was asked, so everybody's rate is calls a second. The evaluator costs
nothing.
"""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

from bench.figures import Figure, empty_folder, machine, table
from bench.free_seed import PROGRAM
from bench.instant_model import InstantModel, instant_model
from bench.startup import command

OPENEVOLVE = "openevolve==0.4.0"
COMMAND = "python -m bench.peers"
EARLY, LATE = (50, 150), (750, 850)
"""Between which calls the rate is taken."""

_EVALUATOR = """
import importlib.util

def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    start, step, width = program.solve()
    return {"combined_score": 1.0 / (1.0 + abs(start - 1.0) + abs(step - 2.0))}
"""
_CONFIG = """
max_iterations: {count}
checkpoint_interval: {count}
log_level: ERROR
max_code_length: 20000
diff_based_evolution: true
llm:
  api_base: {url}
  api_key: none
  models: [{{name: instant, weight: 1.0}}]
evaluator: {{timeout: 30, cascade_evaluation: false, parallel_evaluations: 2, max_retries: 0}}
"""
_OUR_SEED = """
name = "free"
files = ["program.py"]
protected = ["solve"]
[[objectives]]
metric = "score"
direction = "maximize"
"""
_OUR_EVALUATOR = """
from guided_evolution import Score

def evaluate(candidate, seed):
    start, step, width = candidate.call("solve")
    return Score({"score": 1.0 / (1.0 + abs(start - 1.0) + abs(step - 2.0))})
"""


def environment(requirement: str) -> Path:
    """The Python of an environment that has the package, made at first need."""
    folder = Path(".bench") / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        (folder / "complete").touch()
    return python.absolute()


def openevolve(folder: Path, count: int) -> InstantModel:
    """Run OpenEvolve for `count` iterations; the server that it asked."""
    python = environment(OPENEVOLVE)
    (folder / "initial_program.py").write_text(f"# EVOLVE-BLOCK-START\n{PROGRAM}# EVOLVE-BLOCK-END\n")
    (folder / "evaluator.py").write_text(_EVALUATOR)
    with instant_model() as server:
        (folder / "config.yaml").write_text(_CONFIG.format(count=count, url=server.url))
        words = ["openevolve.cli", "initial_program.py", "evaluator.py", "--config", "config.yaml"]
        _run([str(python), "-m", *words, "--iterations", str(count)], folder)
    return server


def ours(folder: Path, count: int) -> InstantModel:
    """Run Guided Evolution with a model, for as many calls."""
    seed = folder / "free"
    seed.mkdir()
    (seed / "seed.toml").write_text(_OUR_SEED)
    (seed / "task.md").write_text("Bring START to 1 and STEP to 2.")
    (seed / "program.py").write_text(PROGRAM)
    (seed / "evaluate.py").write_text(_OUR_EVALUATOR)
    with instant_model() as server:
        words = [
            "evolve",
            "free",
            "--model",
            "openai/instant",
            "--base-url",
            server.url,
            "--max-calls",
            str(count),
        ]
        words += ["--operators", "mutate=1", "--sandbox", "process", "--evaluations", str(count)]
        _run([command(), *words, "--slots", "2"], folder)
    return server


def _run(words: list[str], folder: Path) -> None:
    with (folder / "said.txt").open("wb") as said:
        done = subprocess.run(
            words, cwd=folder, stdout=said, stderr=said, env={**os.environ, "OPENAI_API_KEY": "none"}
        )
    if done.returncode:
        said_last = (folder / "said.txt").read_text(errors="replace")[-600:]
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {said_last}")


def measure() -> list[Figure]:
    """Early and late rates of both."""
    figures: dict[str, list[float]] = {}
    for name, run in (("OpenEvolve 0.4.0", openevolve), ("Guided Evolution", ours)):
        with empty_folder() as folder:
            server = run(folder, LATE[1] + 20)
        figures[name] = [server.rate(*EARLY), server.rate(*LATE)]
    return [
        Figure(f"{name}, candidates a second at {when} programs", rate, "/s", COMMAND)
        for name, rates in figures.items()
        for when, rate in zip((EARLY[1], LATE[1]), rates, strict=True)
    ]


if __name__ == "__main__":
    print(f"on {machine()}")
    print(table(measure()))
