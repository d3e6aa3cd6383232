"""How long a user waits for the first sign of life: `python -m bench.startup`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from sqlalchemy import create_engine, text

from bench.figures import Figure, empty_folder, table
from bench.free_seed import EVALUATE, PROGRAM

COMMAND = "python -m bench.startup"
HEAVY = ("celery", "docker", "litellm", "libcst")
_SEED_TOML = """
name = "free"
files = ["program.py"]
protected = ["solve"]
[[objectives]]
metric = "loss"
direction = "minimize"
"""


def command() -> str:
    """The installed command, beside this Python."""
    return str(Path(sys.executable).with_name("guided-evolution"))


def first_score(folder: Path) -> float:
    """Seconds from the command to the first scored candidate's row."""
    seed, archive = folder / "seed", folder / "first.db"
    seed.mkdir(exist_ok=True)
    for name, content in (
        ("seed.toml", _SEED_TOML),
        ("task.md", "Bring START to 1 and STEP to 2."),
        ("program.py", PROGRAM),
        ("evaluate.py", EVALUATE.format(wait=0.0)),
    ):
        (seed / name).write_text(content)
    archive.unlink(missing_ok=True)
    started = time.time()
    subprocess.run(
        [command(), "evolve", str(seed), "--evaluations", "5", "--archive", str(archive)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    engine = create_engine(f"sqlite:///{archive}")
    with engine.connect() as connection:
        query = "SELECT min(finished_at) FROM evaluation WHERE state = 'scored'"
        first: float = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return first - started


def help_seconds() -> float:
    """Seconds that `--help` takes."""
    started = time.perf_counter()
    subprocess.run([command(), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def heavy_modules() -> list[str]:
    """Heavy packages that importing the package and its command line loads."""
    code = "import sys, guided_evolution, guided_evolution.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return [name for name in HEAVY if name in loaded.split()]


def measure() -> list[Figure]:
    """Medians of five."""
    os.environ.pop("GUIDED_EVOLUTION_ARCHIVE", None)
    with empty_folder() as folder:
        score = median(first_score(folder) for _ in range(5))
    return [
        Figure("first scored candidate after the command", score, "s", COMMAND, high=1.5),
        Figure("`gev --help`", median(help_seconds() for _ in range(5)), "s", COMMAND, high=0.3),
        Figure("heavy packages that an import loads", len(heavy_modules()), "", COMMAND, high=0),
    ]


if __name__ == "__main__":
    print(table(measure()))
