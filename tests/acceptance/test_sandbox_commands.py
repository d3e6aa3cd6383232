"""`sandbox build` and `ls`, and whole runs in Docker, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from guided_evolution.sandbox import images
from guided_evolution.sandbox.engine import Engine
from tests.docker_engine import base_image, real_engine, wheels

COMMAND = [sys.executable, "-m", "guided_evolution.cli"]
PROGRAM = "STEP = 0.5\n\n\ndef solve():\n    return STEP\n"
EVALUATE = """from guided_evolution import Score


def evaluate(candidate, seed):
    return Score({"error": abs(candidate.call("solve") - 2.0)})
"""
TOML = """name = "steps"
files = ["program.py"]
protected = ["solve"]

[[objectives]]
metric = "error"
direction = "minimize"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a seed in it that needs no package."""
    seed = tmp_path / "steps"
    seed.mkdir()
    for name, text in {
        "program.py": PROGRAM,
        "evaluate.py": EVALUATE,
        "seed.toml": TOML,
        "task.md": "Return 2.\n",
    }.items():
        (seed / name).write_text(text)
    return tmp_path


@pytest.fixture
def environment() -> Mapping[str, str]:
    """What the commands find; skips, or in CI fails, without an engine."""
    engine = real_engine()
    base = base_image(engine)
    engine.close()
    more = {"GUIDED_EVOLUTION_BASE_IMAGE": base, "GUIDED_EVOLUTION_WHEELS": str(wheels() or "")}
    return {**os.environ, **more}


def run(place: Path, environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=place, env=dict(environment), capture_output=True, text=True, timeout=300
    )


def test_build_names_the_image_that_ls_shows(place: Path, environment: Mapping[str, str]) -> None:
    built = run(place, environment, "sandbox", "build", "./steps")
    assert built.returncode == 0, built.stderr
    name, digest = built.stdout.split()
    assert name.startswith("guided-evolution/sandbox:")
    again = run(place, environment, "sandbox", "build", "./steps")
    assert (again.stdout, again.stderr) == (built.stdout, "")
    listed = json.loads(run(place, environment, "sandbox", "ls", "--json").stdout)
    assert digest in [one["digest"] for one in listed["images"]]


def test_a_run_in_docker_keeps_kind_and_digest_with_every_evaluation(
    place: Path, environment: Mapping[str, str]
) -> None:
    words = ("evolve", "./steps", "--sandbox", "docker", "--evaluations", "8", "--slots", "2")
    done = run(place, environment, *words)
    assert done.returncode == 0, done.stderr
    digest = run(place, environment, "sandbox", "build", "./steps").stdout.split()[1]
    shown = json.loads(run(place, environment, "show", "best", "--json").stdout)
    assert [one["sandbox"] for one in shown["evaluations"]] == [f"docker@{digest}"] * len(
        shown["evaluations"]
    )
    assert run(place, environment, "resume", "--add", "4").returncode == 0
    assert run(place, environment, "doctor").returncode == 0


def test_without_an_engine_the_docker_kind_is_refused_in_one_sentence(place: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    refused = run(place, environment, "evolve", "./steps", "--sandbox", "docker", "--evaluations", "3")
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "no container engine runs here" in refused.stderr
    assert not (place / "guided-evolution.db").exists()


def test_an_image_can_be_removed(environment: Mapping[str, str], place: Path, tmp_path: Path) -> None:
    """An image of its own: another folder of wheels makes another name."""
    from guided_evolution.seed import load_seed

    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "nothing-1.0-py3-none-any.whl").write_bytes(b"")
    engine = Engine.connect()
    recipe = images.recipe(
        load_seed(str(place / "steps")), environment["GUIDED_EVOLUTION_BASE_IMAGE"], folder
    )
    image = images.ensure(engine, recipe, "steps", print)
    (mine,) = [one for one in images.built(engine) if one.digest == image.digest]
    assert mine.names == (image.name,)
    images.remove(engine, mine)
    assert image.digest not in [one.digest for one in images.built(engine)]
    engine.close()
