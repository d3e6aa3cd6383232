"""OpenEvolve (and ShinkaEvolve with `--shinka`) on the same program, in the same run: `python -m bench.peers`.

Each is installed from the package registry in an environment of its own, under `.bench/`. A local model server answers
at once with a changed constant and notes when it was asked, so everybody's rate is calls a second. The evaluator costs
nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure, empty_folder, machine, table
from bench.free_seed import PROGRAM
from bench.instant_model import InstantModel, instant_model
from bench.startup import command
from guided_evolution.settings import OPERATORS

OPENEVOLVE, SHINKA = "openevolve==0.4.0", "shinka-evolve==0.0.7"
COMMAND = "python -m bench.peers"
EARLY, LATE = (50, 150), (750, 850)
"""Between which calls the rate is taken."""
SHINKA_EARLY, SHINKA_LATE = (10, 40), (120, 150)

Run = Callable[[Path, int], InstantModel]

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
_SHINKA_RUN = """
import sys
from shinka.core import EvolutionConfig, ShinkaEvolveRunner
from shinka.database import DatabaseConfig
from shinka.launch import LocalJobConfig

ShinkaEvolveRunner(
    evo_config=EvolutionConfig(
        patch_types=["diff"],
        patch_type_probs=[1.0],
        num_generations=int(sys.argv[2]),
        llm_models=["local/instant@" + sys.argv[1]],
        llm_dynamic_selection=None,
        meta_rec_interval=None,
        embedding_model=None,
        init_program_path="initial.py",
        results_dir="results",
    ),
    job_config=LocalJobConfig(eval_program_path="evaluate.py", numeric_threads_per_job=1),
    db_config=DatabaseConfig(db_path="evolution.sqlite"),
    verbose=False,
    max_evaluation_jobs=2,
    max_proposal_jobs=4,
).run()
"""
_SHINKA_EVALUATOR = """
import argparse
import importlib.util
import json
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
asked = parser.parse_args()
spec = importlib.util.spec_from_file_location("program", asked.program_path)
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
start, step, width = program.solve()
score = 1.0 / (1.0 + abs(start - 1.0) + abs(step - 2.0))
folder = pathlib.Path(asked.results_dir)
folder.mkdir(parents=True, exist_ok=True)
metrics = {"combined_score": score, "public": {}, "private": {}, "text_feedback": ""}
(folder / "metrics.json").write_text(json.dumps(metrics))
(folder / "correct.json").write_text(json.dumps({"correct": True, "error": None}))
"""
_OUR_SEED = """
name = "free"
files = ["program.py"]
protected = ["solve"]
[[objectives]]
metric = "score"
direction = "maximize"
"""
_MUTATE = ",".join(f"{name}={int(name == 'mutate')}" for name in OPERATORS)
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


def shinka(folder: Path, count: int) -> InstantModel:
    """Run ShinkaEvolve for `count` generations with a plain evaluator script (its own helper imports every SDK)."""
    python = environment(SHINKA)
    (folder / "initial.py").write_text(f"# EVOLVE-BLOCK-START\n{PROGRAM}# EVOLVE-BLOCK-END\n")
    (folder / "evaluate.py").write_text(_SHINKA_EVALUATOR)
    (folder / "run.py").write_text(_SHINKA_RUN)
    with instant_model() as server:
        _run([str(python), "run.py", server.url, str(count)], folder)
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
        words = ["evolve", "free", "--model", "openai/instant", "--base-url", server.url]
        words += ["--operators", _MUTATE, "--sandbox", "process", "--evaluations", str(count)]
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


def measure(*, with_shinka: bool = False) -> list[Figure]:
    """Early and late rates of each."""
    peers: list[tuple[str, Run, tuple[int, int], tuple[int, int]]] = [
        ("OpenEvolve 0.4.0", openevolve, EARLY, LATE),
        ("Guided Evolution", ours, EARLY, LATE),
    ]
    if with_shinka:
        peers.append(("ShinkaEvolve 0.0.7", shinka, SHINKA_EARLY, SHINKA_LATE))
    figures = []
    for name, run, early, late in peers:
        with empty_folder() as folder:
            server = run(folder, late[1] + 20)
        figures += [
            Figure(f"{name}, candidates a second at {span[1]} programs", server.rate(*span), "/s", COMMAND)
            for span in (early, late)
        ]
    return figures


if __name__ == "__main__":
    print(f"on {machine()}")
    print(table(measure(with_shinka="--shinka" in sys.argv)))
