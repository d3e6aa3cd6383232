"""OpenEvolve's task folders through the real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from guided_evolution.sandbox import Job, Outcome, open_sandbox
from guided_evolution.seed import Seed, load_seed

PROGRAM = """\
import random

# EVOLVE-BLOCK-START
def search():
    return 0.5
# EVOLVE-BLOCK-END


def draw():
    return random.random()
"""
LOAD = """\
import importlib.util
import os

from openevolve.evaluation_result import EvaluationResult


def load(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


"""
EVALUATOR = LOAD + "def evaluate(program_path):\n    return {'combined_score': load(program_path).search()}\n"
STAGED = (
    LOAD
    + """\
def evaluate(program_path):
    raise RuntimeError("stages come first")


def evaluate_stage1(program_path):
    return {"combined_score": load(program_path).search(), "first": 1, "error": 0.0}


def evaluate_stage2(program_path):
    return EvaluationResult({"combined_score": load(program_path).search() + 0.3, "second": 2}, {"log": b"two"})


def evaluate_stage3(program_path):
    return EvaluationResult(metrics={"third": 3, "note": "done"}, artifacts={"log": "three"})
"""
)


def task(folder: Path, **files: str) -> Path:
    """An OpenEvolve folder; keyword `config_yaml` is the file config.yaml."""
    folder.mkdir(exist_ok=True)
    (folder / "initial_program.py").write_text(PROGRAM)
    (folder / "evaluator.py").write_text(EVALUATOR)
    for name, text in files.items():
        (folder / name.replace("_yaml", ".yaml").replace("_txt", ".txt").replace("_py", ".py")).write_text(
            text
        )
    return folder


def returning(expression: str) -> str:
    return LOAD + f"def evaluate(program_path):\n    return {expression}\n"


def evaluated(seed: Seed, *, run_seed: int = 1) -> Outcome:
    sandbox = open_sandbox("process", seed)
    try:
        return sandbox.run(Job(seed.program, run_seed))
    finally:
        sandbox.close()


def test_the_program_is_scored_by_its_own_evaluator(tmp_path: Path) -> None:
    folder = task(
        tmp_path, evaluator_py=returning("{'combined_score': load(program_path).search(), 'size': 3}")
    )
    outcome = evaluated(load_seed(str(folder)))
    assert outcome.state == "scored", outcome
    assert outcome.score is not None
    assert outcome.score.metrics == {"combined_score": 0.5, "size": 3.0}


def test_without_a_combined_score_the_mean_of_the_numbers_counts(tmp_path: Path) -> None:
    folder = task(
        tmp_path, evaluator_py=returning("{'a': 1.0, 'b': 0.5, 'complexity': 9, 'flag': True, 'c': 'x'}")
    )
    outcome = evaluated(load_seed(str(folder)))
    assert outcome.score is not None
    assert outcome.score.metrics["combined_score"] == 0.75


def test_data_beside_the_evaluator_and_helpers_are_found(tmp_path: Path) -> None:
    evaluator = "import helper\n" + returning(
        "{'combined_score': float(open(os.path.join(os.path.dirname(__file__), 'data.txt')).read()) + helper.x}"
    )
    folder = task(tmp_path, evaluator_py=evaluator, helper_py="x = 1", data_txt="2")
    outcome = evaluated(load_seed(str(folder)))
    assert outcome.score is not None, outcome
    assert outcome.score.metrics["combined_score"] == 3.0


def test_stages_are_rungs_and_merge(tmp_path: Path) -> None:
    config = "evaluator: {cascade_thresholds: [0.4, 0.7]}"
    outcome = evaluated(load_seed(str(task(tmp_path, evaluator_py=STAGED, config_yaml=config))))
    assert outcome.score is not None, outcome
    assert outcome.score.metrics == {"combined_score": 0.8, "first": 1.0, "second": 2.0, "third": 3.0}
    assert outcome.score.artifacts["log"] == "three"
    assert "note: done" in outcome.score.feedback
    assert [rung.metrics["combined_score"] for rung in outcome.rungs][:2] == [0.5, 0.8]


@pytest.mark.parametrize(("thresholds", "score"), [("[0.6]", 0.5), ("[0.5]", 0.8), ("[0.5, 0.9]", 0.8)])
def test_a_stage_below_its_threshold_is_the_last(tmp_path: Path, thresholds: str, score: float) -> None:
    config = f"evaluator: {{cascade_thresholds: {thresholds}}}"
    outcome = evaluated(load_seed(str(task(tmp_path, evaluator_py=STAGED, config_yaml=config))))
    assert outcome.score is not None, outcome
    assert outcome.score.metrics["combined_score"] == score
    assert "third" not in outcome.score.metrics


def test_stages_can_be_turned_off(tmp_path: Path) -> None:
    folder = task(tmp_path, evaluator_py=STAGED, config_yaml="evaluator: {cascade_evaluation: false}")
    outcome = evaluated(load_seed(str(folder)))
    assert outcome.state == "failed"
    assert "stages come first" in str(outcome.error)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("None", "evaluate returned NoneType"),
        ("'text'", "evaluate returned str"),
        ("{'combined_score': float('inf')}", "combined_score is inf"),
        ("{}", "no finite number"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_evaluation_without_a_number_fails(tmp_path: Path, expression: str, said: str) -> None:
    outcome = evaluated(load_seed(str(task(tmp_path, evaluator_py=returning(expression)))))
    assert outcome.state == "failed", outcome
    assert said in str(outcome.error)


def test_the_run_seed_decides_what_the_program_draws(tmp_path: Path) -> None:
    seed = load_seed(
        str(task(tmp_path, evaluator_py=returning("{'combined_score': load(program_path).draw()}")))
    )
    scores = [evaluated(seed, run_seed=run_seed).score for run_seed in (1, 1, 2)]
    first, again, other = [score.metrics["combined_score"] for score in scores if score is not None]
    assert first == again != other
