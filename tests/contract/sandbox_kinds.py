"""The kinds of the sandbox as the contract suite opens them, and what is known to differ between them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from guided_evolution.sandbox import Job, Outcome, Sandbox, open_sandbox
from guided_evolution.seed import Environment, Limits, Objective, Seed
from tests.sandboxes import open_kind

LIMITS = Limits(seconds=1.5, memory_mb=192, processes=12, output_kb=16)

HONEST = b"def solve(*given):\n    return 42.0\n"

EVALUATE = """
from guided_evolution import Score

def evaluate(candidate, seed):
    return Score({"x": candidate.call("solve")})
"""


@dataclass(frozen=True)
class Kind:
    """One kind: how it is opened, what it leaves behind, and the tests in which it is known to differ."""

    name: str
    open: Callable[[Seed], Sandbox]
    left: Callable[[Sandbox], list[str]]
    differs: dict[str, str] = field(default_factory=dict)
    """Names of hostile programs whose outcome is another kind of failure here, with that kind."""


def seed_of(
    evaluate: str = EVALUATE,
    program: bytes | str = HONEST,
    *,
    limits: Limits = LIMITS,
    preload: tuple[str, ...] = (),
    **more: Any,
) -> Seed:
    """A seed with one objective, x."""
    source = textwrap.dedent(program).encode() if isinstance(program, str) else program
    return Seed(
        name="contract",
        task="",
        files=("program.py",),
        program={"program.py": source},
        objectives=(Objective("x", "maximize", True),),
        evaluator_source=textwrap.dedent(evaluate),
        limits=limits,
        candidate=Environment(preload=preload),
        evaluator=Environment(preload=preload),
        **more,
    )


def job_of(program: str | bytes = HONEST, *, seed: int = 1, **files: bytes) -> Job:
    """A job with this program; keywords are further files, `net__layers` is net/layers.py."""
    source = textwrap.dedent(program).encode() if isinstance(program, str) else program
    others = {name.replace("__", "/") + ".py": content for name, content in files.items()}
    return Job({"program.py": source, **others}, seed)


def x(outcome: Outcome) -> float:
    """The score of a scored outcome."""
    assert outcome.state == "scored", outcome
    assert outcome.score is not None
    return outcome.score.metrics["x"]


def left_by_process(sandbox: Sandbox) -> list[str]:
    """Processes and files under the process kind's folder that belong to no waiting sandbox."""
    link: Any = sandbox._link  # type: ignore[attr-defined]
    found = (
        [] if link is None else [name for name in os.listdir(link._root) if not name.startswith("evaluator-")]
    )
    known = set()
    for runner in children_of(os.getpid()):
        # Its zygotes are the first that it started; whatever else is there was left by a job.
        known |= {runner, *sorted(children_of(runner))[:2]}
    for pid in _marked():
        if pid not in known:
            found.append(f"process {pid}: {_command(pid)}")
    return found


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for other in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            fields = Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(other)
    return found


def _marked() -> list[int]:
    """Processes whose environment names a folder of this test session's sandboxes: TMPDIR is one of a kind here."""
    import tempfile

    mark = f"TMPDIR={tempfile.gettempdir()}/guided-evolution-".encode()
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "gone"


def open_docker(seed: Seed) -> Sandbox:
    """A sandbox of the Docker kind; its image has NumPy, which the suite's evaluators import where the host has it."""
    numpy = ("numpy",)
    seed = replace(
        seed,
        candidate=replace(seed.candidate, requirements=numpy),
        evaluator=replace(seed.evaluator, requirements=numpy),
    )
    return open_kind("docker", seed)


def left_by_docker(sandbox: Sandbox) -> list[str]:
    """Processes and files in the container that belong to no waiting sandbox, as its root sees them."""
    link: Any = sandbox._link  # type: ignore[attr-defined]
    if link is None:
        return []
    code = """
import os
own = {1, os.getpid()}
with open("/proc/1/task/1/children") as file:
    own.update(map(int, file.read().split()))
print(*(f"process {pid}" for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid not in own), sep="\\n")
for place in ("/work", "/dev/shm"):
    print(*(name for name in os.listdir(place) if not name.startswith("evaluator-")), sep="\\n")
"""
    api = link._container.engine.api
    job = api.exec_create(link._container.id, ["python3", "-I", "-c", code])
    said: bytes = api.exec_start(job["Id"])
    return said.decode().split("\n") if said.strip() else []


KINDS = {
    "process": Kind("process", lambda seed: open_sandbox("process", seed), left_by_process),
    "docker": Kind(
        "docker",
        open_docker,
        left_by_docker,
        # There the kernel refuses what here the supervisor notices.
        differs={"thread_bomb": "raised", "fork_bomb": "raised", "many_files": "raised"},
    ),
}
