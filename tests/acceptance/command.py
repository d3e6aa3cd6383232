"""The real command in a process of its own, as a user starts it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from guided_evolution import cli

COMMAND = [sys.executable, "-m", "guided_evolution.cli"]

SEED_TOML = """
name = "{name}"
files = ["program.py"]
protected = ["solve"]

[[objectives]]
metric = "loss"
direction = "minimize"
primary = true

[[objectives]]
metric = "rounds"
direction = "minimize"

[limits]
seconds = {seconds}
memory_mb = 256
"""

PROGRAM = """
START = 3.0
STEP = 0.5
ROUNDS = 4


def solve():
    x = START
    for _ in range(ROUNDS):
        x = x - STEP * x
    return [x, ROUNDS]
"""

EVALUATE = """
import time
from guided_evolution import Score

def evaluate(candidate, seed):
    x, rounds = candidate.call("solve")
    time.sleep({wait})
    return Score({{"loss": abs(float(x) - 1.0), "rounds": float(rounds)}}, feedback=f"x = {{x}}")

def confirm(candidate, seed):
    return evaluate(candidate, seed)
"""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUIDED_EVOLUTION_")}
    return {**kept, "COLUMNS": "120", **variables}


def gev(
    *arguments: str, cwd: Path, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start the command and return at once."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a second faster, for commands that only read or refuse."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    argv, sys.argv = sys.argv, ["guided-evolution", *arguments]
    variables, os.environ["COLUMNS"] = dict(os.environ), "120"
    code: Any = None
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as ending:
        code = ending.code
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(variables)
    written = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        written.append(stream.read())
    return subprocess.CompletedProcess(list(arguments), code, *written)


def document(*arguments: str, cwd: Path) -> Any:
    """The JSON that a reading command prints, which must be all it prints."""
    done = here(*arguments, "--json", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def write_seed(
    folder: Path,
    *,
    evaluate: str | None = None,
    program: str = PROGRAM,
    wait: float = 0.0,
    seconds: float = 10,
) -> Path:
    """A seed whose evaluation costs `wait` seconds."""
    folder.mkdir(parents=True)
    (folder / "seed.toml").write_text(SEED_TOML.format(name=folder.name, seconds=seconds))
    (folder / "task.md").write_text("Bring x to 1.\n")
    (folder / "program.py").write_text(program)
    (folder / "evaluate.py").write_text(EVALUATE.format(wait=wait) if evaluate is None else evaluate)
    return folder
