from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guided_evolution.errors import SeedError
from guided_evolution.openevolve import ADAPTER
from guided_evolution.seed import Limits, Objective, Seed, load_seed

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


def complaint(folder: Path) -> str:
    with pytest.raises(SeedError) as caught:
        load_seed(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_the_candidate(seed: Seed, folder: Path, code: str) -> Any:
    """What `code` prints as JSON, run beside the files that a candidate gets."""
    for path, content in {**seed.support, **seed.program}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    setup = f"import json, {ADAPTER} as adapter\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + code], cwd=folder, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_a_task_folder_becomes_a_self_scored_seed(tmp_path: Path) -> None:
    seed = load_seed(str(task(tmp_path / "my task")))
    assert seed.name == "my-task"
    assert seed.self_scored
    assert seed.files == ("initial_program.py",)
    assert seed.program == {"initial_program.py": PROGRAM.encode()}
    assert seed.objectives == (Objective("combined_score", "maximize", True),)
    assert seed.limits == Limits(seconds=60, memory_mb=2048, processes=64, output_kb=64)
    assert seed.entry_module == ADAPTER
    assert not seed.has_confirm
    assert seed.support["evaluator.py"] == EVALUATOR.encode()
    assert Seed.from_json(seed.to_json()) == seed
    assert "initial_program.py" in seed.task


def test_the_configuration_is_used_as_far_as_it_matters(tmp_path: Path) -> None:
    config = (
        "max_iterations: 5\nllm:\n  temperature: 0.7\nprompt:\n  system_message: You are good at searching.\n"
        "evaluator:\n  timeout: 7\n  cascade_evaluation:\nnonsense: [1]\n"
    )
    seed = load_seed(str(task(tmp_path, config_yaml=config)))
    assert seed.task == "You are good at searching.\n"
    assert seed.limits.seconds == 7


def test_the_timeout_holds_for_each_stage(tmp_path: Path) -> None:
    seed = load_seed(str(task(tmp_path, evaluator_py=STAGED, config_yaml="evaluator: {timeout: 7}")))
    assert seed.limits.seconds == 21


def test_files_that_the_evaluator_may_need_go_along_and_leftovers_stay(tmp_path: Path) -> None:
    folder = task(tmp_path, helper_py="x = 1", data_txt="1")
    for path in ("cases/one.json", "openevolve_output/best/best_program.py", ".env", "best_program.py", "README.md",
                 "venv/pyvenv.cfg", "__pycache__/a.pyc", "hollow/.keep"):  # fmt: skip
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    assert set(load_seed(str(folder)).support) == {
        "evaluator.py", "helper.py", "data.txt", "cases/one.json",
        "openevolve/__init__.py", "openevolve/evaluation_result.py", f"{ADAPTER}.py",
    }  # fmt: skip


def test_requirements_count_as_far_as_they_are_installed_or_imported(tmp_path: Path) -> None:
    listed = (
        "numpy>=1.20 # arrays\n# plots\nno-such-plot\nNo.Such-Solver==1\n-r a.txt\n\nhttps://example.org\n"
    )
    evaluator = (
        "import numpy\nimport no_such_solver\ntry:\n    import no_such_extra\nexcept ImportError:\n    pass\n"
    )
    seed = load_seed(str(task(tmp_path, requirements_txt=listed, evaluator_py=evaluator + EVALUATOR)))
    assert seed.candidate.requirements == ("numpy>=1.20", "No.Such-Solver==1")
    assert seed.candidate.preload == ("numpy",)


def test_an_imported_package_that_nobody_lists_is_a_requirement(tmp_path: Path) -> None:
    seed = load_seed(str(task(tmp_path, initial_program_py="import no_such_package\n" + PROGRAM)))
    assert seed.candidate.requirements == ("no_such_package",)
    assert seed.candidate.preload == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config_yaml": "a: [1"}, "config.yaml: isn't valid YAML"),
        ({"config_yaml": "- 1"}, "config.yaml: must hold keys and values"),
        ({"config_yaml": "evaluator: 3"}, "config.yaml: evaluator must be a table, not a number"),
        ({"config_yaml": "evaluator: {timeout: 0}"}, "config.yaml: evaluator.timeout is 0"),
        ({"config_yaml": "evaluator: {timeout: soon}"}, "evaluator.timeout must be a number, not text"),
        (
            {"evaluator_py": STAGED, "config_yaml": "evaluator: {cascade_thresholds: [high]}"},
            "evaluator.cascade_thresholds is ['high']; it must be a list of numbers",
        ),
        (
            {"evaluator_py": STAGED, "config_yaml": "evaluator: {cascade_thresholds: []}"},
            "it must be a list of numbers",
        ),
        ({"evaluator_py": "def f(:\n"}, "evaluator.py:1: isn't valid Python"),
        ({"evaluator_py": "x = 1\n"}, "evaluator.py: doesn't define evaluate(program_path)"),
        ({"initial_program_py": "def f(:\n"}, "initial_program.py:1: isn't valid Python"),
        ({"initial_program_py": "# EVOLVE-BLOCK-START\n"}, "EVOLVE-BLOCK-START without an END"),
    ],
)
def test_a_mistake_in_the_folder_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    text = complaint(task(tmp_path, **files))
    assert said in text
    assert text.startswith(str(tmp_path))


def test_a_folder_without_a_program_or_with_several_is_refused(tmp_path: Path) -> None:
    folder = task(tmp_path)
    (folder / "initial_program.py").unlink()
    assert "initial_program.py: is missing" in complaint(folder)
    (folder / "initial_a.txt").write_text("a")
    (folder / "initial_b.txt").write_text("b")
    assert "holds initial_a.txt, initial_b.txt; keep one" in complaint(folder)


def test_a_program_in_another_language_keeps_its_name(tmp_path: Path) -> None:
    folder = task(tmp_path)
    (folder / "initial_program.py").unlink()
    (folder / "initial_program.rs").write_text("fn main() {}\n")
    assert load_seed(str(folder)).files == ("initial_program.rs",)


def test_numbers_become_metrics_and_all_else_notes(tmp_path: Path) -> None:
    expression = (
        "EvaluationResult({'a': 1, 'b': 0.5, 'ok': True, 'why': 'slow', 'bad': float('nan'), 'combined_score': '0.25'},"
        " {'log': b'\\xff!', 'table': [1], 'long': 'x' * 10000})"
    )
    seed = load_seed(str(task(tmp_path / "task", evaluator_py=returning(expression))))
    found = in_the_candidate(
        seed, tmp_path, "print(json.dumps(adapter.run_stage('initial_program.py', 'evaluate', 1)))"
    )
    assert found["metrics"] == {"a": 1.0, "b": 0.5, "combined_score": 0.25}
    assert found["notes"].pop("long") == "x" * 8000 + " [cut]"
    assert found["notes"] == {"ok": "True", "why": "slow", "bad": "nan", "log": "\ufffd!", "table": "[1]"}


def test_the_result_type_behaves_as_documented(tmp_path: Path) -> None:
    seed = load_seed(str(task(tmp_path / "task")))
    code = """
from openevolve.evaluation_result import EvaluationResult
plain = EvaluationResult.from_dict({"a": 1.0})
rich = EvaluationResult(metrics={}, artifacts={"text": "\\u00e9", "bytes": b"123"})
print(json.dumps([plain.to_dict(), plain.has_artifacts(), rich.has_artifacts(), rich.get_artifact_keys(),
    rich.get_artifact_size("text"), rich.get_artifact_size("none"), rich.get_total_artifact_size()]))
"""
    assert in_the_candidate(seed, tmp_path, code) == [{"a": 1.0}, False, True, ["text", "bytes"], 2, 0, 5]
