"""The client of a runner (`sandbox/runner.py`), whatever it runs in: sends jobs, reads outcomes, never hangs.

A kind of sandbox brings a `Link`: the way to a runner that was started for it, and how to end that. The client
starts runners as they are needed, replaces them when they die, when a program left processes behind, and after
many jobs.
"""

from __future__ import annotations

import json
import math
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import guided_evolution.score
from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox.job import Job, Outcome
from guided_evolution.sandbox.patience import Patience
from guided_evolution.score import Score
from guided_evolution.seed import Limits, Seed

MOST_JOBS = 2000
"""Jobs after which a runner is replaced: whatever leaks slowly in its libraries ends with it."""

START_SECONDS = 300.0
GUARD_SECONDS = 30.0
"""How much longer than a job's own deadline the client waits for a runner that cleans up after it."""

_START = struct.Struct("!2sBIQ")
_MAGIC = b"GE"
_MOST_HEAD = 64 << 20
_TRIES = 2
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class Link(Protocol):
    """A started runner's input and output. Every wait is bounded by a Patience, which raises TimeoutError."""

    def write(self, data: bytes, patience: Patience) -> None:
        """Write all of it. Raises OSError where the runner is gone."""
        ...

    def read(self, count: int, patience: Patience) -> bytes:
        """Between 1 and `count` bytes; none at the end of the runner's output. May raise OSError."""
        ...

    def end(self) -> None:
        """End the runner with everything that came from it, if need be by force; safe to call twice and from
        any thread."""
        ...

    def settle(self) -> None:
        """Told once, when the runner has imported what jobs need and before the first. Raises SandboxBroken."""
        ...

    def killed_for_memory(self) -> bool:
        """Whether the runner died because memory ran out where it ran; False where that can't be told."""
        ...

    def last_words(self) -> str:
        """What the runner wrote to its standard error, or else why it is gone; the end of it."""
        ...


class RunnerLost(Exception):
    """The runner died or stopped answering; `called`: a line of the program may have run before."""

    def __init__(self, why: str, *, called: bool) -> None:
        super().__init__(why)
        self.called = called


class RunnerSandbox:
    """A sandbox made of runners; see Sandbox."""

    def __init__(self, kind: str, seed: Seed, connect: Callable[[], tuple[Link, Mapping[str, Any]]]) -> None:
        """`connect` starts a runner and gives the way to it and what `configuration` has to be told of the
        place."""
        self.kind = kind
        self._name = kind.partition("@")[0]
        self._seed = seed
        self._connect = connect
        self._link: Link | None = None
        self._jobs = 0
        self._notices: tuple[str, ...] = ()
        self._closed = False
        self._at_work = threading.Lock()
        self._swap = threading.Lock()

    @property
    def notices(self) -> tuple[str, ...]:
        """What doesn't hold here, a sentence each; complete after the first job."""
        return self._notices

    def run(self, job: Job) -> Outcome:
        """Run one job. Raises SandboxBroken only for broken infrastructure."""
        with self._at_work:
            for attempt in range(1, _TRIES + 1):
                try:
                    outcome = self._run(job)
                    if (outcome.state, outcome.kind) != ("fault", "timeout") or attempt == _TRIES:
                        return outcome
                    # This would end the run, and the machine may just have been too busy.
                    self._drop()
                except RunnerLost as problem:
                    self._drop()
                    if self._closed:
                        raise SandboxBroken("the sandbox was closed while a job ran") from problem
                    if attempt == _TRIES:
                        if not problem.called:
                            raise SandboxBroken(
                                f"the {self._name} sandbox doesn't work: {problem}"
                            ) from problem
                        return Outcome("failed", kind="killed-runner", error=_killed(problem))
            raise AssertionError("unreachable")

    def close(self) -> None:
        """End every process of it; safe to call twice, and while a job runs."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        with self._swap:
            link, self._link = self._link, None
        if link is not None:
            link.end()

    def _run(self, job: Job) -> Outcome:
        link = self._ready()
        patience = Patience(self._seed.limits.seconds + GUARD_SECONDS)
        rungs: list[Score] = []
        try:
            names = [[path, len(content)] for path, content in job.program.items()]
            head = {"job": {"seed": job.seed, "purpose": job.purpose, "files": names}}
            send(link, head, b"".join(job.program.values()), patience)
            while True:
                message, _ = receive(link, patience)
                if "rung" in message:
                    rungs.append(_score(message["rung"]))
                elif "outcome" in message:
                    break
                else:
                    raise RunnerLost(str(message.get("broken")), called=bool(message.get("called")))
            outcome = _outcome(message["outcome"], tuple(rungs))
        except TimeoutError as problem:
            raise RunnerLost("the runner didn't end the job in time", called=True) from problem
        except (OSError, EOFError) as problem:
            if link.killed_for_memory():
                self._drop()
                most = self._seed.limits.memory_mb
                error = f"used more than the {most} MB of memory that it may, and ended its runner"
                return Outcome("failed", kind="memory", error=error, rungs=tuple(rungs))
            raise RunnerLost(f"the runner ended: {link.last_words()}", called=True) from problem
        except (ValueError, TypeError, KeyError) as problem:
            raise RunnerLost(f"the runner sent what can't be read: {problem!r}", called=True) from problem
        self._jobs += 1
        if message["outcome"].get("leftovers") or self._jobs >= MOST_JOBS:
            self._drop()
        return outcome

    def _ready(self) -> Link:
        """The runner, started and configured if there is none. Raises SandboxBroken where it doesn't start."""
        if self._closed:
            raise SandboxBroken("the sandbox is closed")
        if self._link is not None:
            return self._link
        link, place = self._connect()
        with self._swap:
            self._link, self._jobs = link, 0
        if self._closed:
            self._drop()
            raise SandboxBroken("the sandbox is closed")
        patience = Patience(START_SECONDS)
        try:
            head, body = configuration(self._seed, place)
            send(link, head, body, patience)
            message, _ = receive(link, patience)
            ready = message["ready"]
            self._notices = tuple(str(notice) for notice in (*place.get("notices", ()), *ready["notices"]))
            link.settle()
        except SandboxBroken:
            self._drop()
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError) as problem:
            why = (
                "it took too long"
                if isinstance(problem, TimeoutError)
                else link.last_words() or repr(problem)
            )
            self._drop()
            raise SandboxBroken(f"the {self._name} sandbox's runner doesn't start: {why}") from problem
        return link


def configuration(seed: Seed, place: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The first message to a runner, as `Settings` in `sandbox/runner.py` describes it.

    `place` may hold root, users, wipe, kills, parent, environment, and `candidate` and `evaluator` with path,
    python, user, group.
    """
    candidate = {
        "path": [],
        "python": None,
        **place.get("candidate", {}),
        "preload": list(seed.candidate.preload),
    }
    evaluator = {
        **{"path": [], "python": None, "user": None, "group": None},
        **place.get("evaluator", {}),
        "preload": list(seed.evaluator.preload),
        "source": seed.evaluator_source,
        "score_source": Path(guided_evolution.score.__file__).read_text(encoding="utf-8"),
        "files": [[path, len(content)] for path, content in seed.evaluator_files.items()],
    }
    settings = {
        "root": place["root"],
        "limits": asdict(seed.limits),
        "entry": seed.entry_module,
        "candidate": candidate,
        "evaluator": evaluator,
        "support": [[path, len(content)] for path, content in seed.support.items()],
        "users": place.get("users"),
        "wipe": place.get("wipe", []),
        "kills": place.get("kills"),
        "parent": place.get("parent"),
        "environment": {**environment(seed.limits, place["root"]), **place.get("environment", {})},
    }
    return {"configure": settings}, b"".join((*seed.evaluator_files.values(), *seed.support.values()))


def environment(limits: Limits, root: str) -> dict[str, str]:
    """All that programs and evaluators find in their environment, but HOME and TMPDIR, which become their own."""
    found = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": root,
        "TMPDIR": root,
        "PYTHONHASHSEED": "0",
    }
    found.update(dict.fromkeys(_THREADS, str(max(1, limits.cpus))))
    if not limits.gpus:
        found["CUDA_VISIBLE_DEVICES"] = ""
    return found


def send(link: Link, head: Mapping[str, Any], body: bytes, patience: Patience) -> None:
    """Write a frame (`sandbox/frames.py`)."""
    raw = json.dumps(head).encode()
    link.write(_START.pack(_MAGIC, 0, len(raw), len(body)) + raw + body, patience)


def receive(link: Link, patience: Patience) -> tuple[dict[str, Any], bytes]:
    """Read a frame. Raises EOFError, and ValueError for what is none."""
    magic, _, head, body = _START.unpack(_exactly(link, _START.size, patience))
    if magic != _MAGIC or head > _MOST_HEAD or body > _MOST_HEAD:
        raise ValueError("no frame")
    message = json.loads(_exactly(link, head, patience))
    if not isinstance(message, dict):
        raise ValueError("no message")
    return message, _exactly(link, body, patience)


def _exactly(link: Link, count: int, patience: Patience) -> bytes:
    parts = []
    while count:
        part = link.read(min(count, 1 << 20), patience)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _outcome(found: Mapping[str, Any], rungs: tuple[Score, ...]) -> Outcome:
    state = found["state"]
    if state not in ("scored", "failed", "fault"):
        raise ValueError(f"state {state!r}")
    return Outcome(
        state=state,
        score=_score(found["score"]) if state == "scored" else None,
        rungs=rungs,
        kind=_text(found["kind"]) if found.get("kind") is not None else None,
        error=_text(found["error"]) if found.get("error") is not None else None,
        output=_text(found.get("output", "")),
        evaluator_output=_text(found.get("evaluator_output", "")),
        seconds=_number(found.get("seconds", 0.0)),
        memory_mb=_number(found.get("memory_mb", 0.0)),
    )


def _score(found: Mapping[str, Any]) -> Score:
    numbers = {
        part: {_text(name): _number(value) for name, value in found[part].items()}
        for part in ("metrics", "measures", "private")
    }
    artifacts = {_text(name): _text(value) for name, value in found["artifacts"].items()}
    return Score(**numbers, feedback=_text(found["feedback"]), artifacts=artifacts)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no finite number")
    return float(value)


def _text(value: object) -> str:
    """Text that any database takes: without NUL, which PostgreSQL refuses, and without lone surrogates."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is no text")
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _killed(problem: RunnerLost) -> str:
    return f"the program ended its runner, and a second one too: {problem}"
