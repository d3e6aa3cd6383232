"""From an evaluation's row to its result: claim, sandbox, finish. No model and no key here."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from guided_evolution.archive import evaluations, programs
from guided_evolution.archive.evaluations import Result
from guided_evolution.context import Contexts, RunContext
from guided_evolution.errors import SandboxBroken, WorkerRefuses
from guided_evolution.figures import gist
from guided_evolution.sandbox import Job, Outcome, Sandbox
from guided_evolution.score import Score
from guided_evolution.seed import Seed

EVALUATOR_FAULT = "evaluator-fault"
"""Kind of a failure that is the evaluator's; it stops the run."""

_TRIES = 2

_log = logging.getLogger(__name__)


class SandboxPool:
    """Warm sandboxes, one a slot; made at first need, kept for the next job of the same seed in the same kind.

    The opener is given the seed and the kind that the run names. With `slots`, so many jobs run at once and others
    wait: one thread more than that claims and finishes rows while every slot is busy.
    """

    def __init__(self, opener: Callable[[Seed, str], Sandbox], slots: int | None = None) -> None:
        self._opener = opener
        self._room = contextlib.nullcontext() if slots is None else threading.Semaphore(slots)
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[Sandbox]] = {}
        self._all: list[Sandbox] = []
        self._closed = False

    @contextlib.contextmanager
    def borrow(self, seed: Seed, kind: str = "") -> Iterator[Sandbox]:
        """A sandbox for one job; one that breaks is closed and not lent again."""
        with self._room, self._lent((seed.hash, kind), seed) as sandbox:
            yield sandbox

    @contextlib.contextmanager
    def _lent(self, key: tuple[str, str], seed: Seed) -> Iterator[Sandbox]:
        with self._lock:
            if self._closed:
                raise SandboxBroken("the worker is ending")
            idle = self._idle.get(key)
            sandbox = idle.pop() if idle else None
        if sandbox is None:
            sandbox = self._opener(seed, key[1])
            with self._lock:
                closed = self._closed
                self._all.append(sandbox)
            if closed:
                sandbox.close()
                raise SandboxBroken("the worker is ending")
        try:
            yield sandbox
        except SandboxBroken:
            with self._lock:
                if sandbox in self._all:
                    self._all.remove(sandbox)
            sandbox.close()
            raise
        with self._lock:
            self._idle.setdefault(key, []).append(sandbox)

    def close(self) -> None:
        """End every sandbox, also those at work."""
        with self._lock:
            self._closed = True
            every, self._all, self._idle = self._all, [], {}
        for sandbox in every:
            sandbox.close()


class Evaluator:
    """Works off evaluations; safe to use from as many threads as there are slots."""

    def __init__(self, contexts: Contexts, pool: SandboxPool) -> None:
        self._contexts = contexts
        self._archive = contexts.archive
        self._pool = pool

    def evaluate(self, evaluation_id: int, worker_id: int) -> int | None:
        """Score a pending evaluation and store the result; returns 0 if there was nothing to do.

        Raises:
            SandboxBroken: the sandbox doesn't work here; the evaluation is pending again.
        """
        token = secrets.token_hex(8)

        def take(connection: Connection) -> tuple[evaluations.Claimed | None, Mapping[str, bytes]]:
            claimed = evaluations.claim(connection, evaluation_id, worker_id, token)
            return claimed, programs.sources(connection, claimed.program_id) if claimed else {}

        claimed, program = self._archive.transact(take)
        if claimed is None:
            return 0
        run = self._contexts.run(claimed.run_id)
        try:
            result = self._run(run, program, claimed)
        except (SandboxBroken, WorkerRefuses):
            self._archive.transact(lambda connection: evaluations.give_back(connection, claimed))
            raise
        kept = self._archive.transact(lambda connection: evaluations.finish(connection, claimed, result))
        ids = {"run": claimed.run_id, "program": claimed.program_id, "evaluation": claimed.id}
        said = result.state if kept else "too late: somebody else has this evaluation now"
        _log.info(said, extra={**ids, "kind": result.kind, "seconds": round(result.seconds, 3)})
        return None

    def _run(self, run: RunContext, program: Mapping[str, bytes], claimed: evaluations.Claimed) -> Result:
        seed = run.seed
        held_out = claimed.purpose == "confirm" and seed.has_confirm
        job = Job(program=program, seed=claimed.seed, purpose="confirm" if held_out else "evaluate")
        for attempt in range(1, _TRIES + 1):
            try:
                with self._pool.borrow(seed, run.sandbox) as sandbox:
                    return judge(seed, sandbox.run(job), sandbox.kind, held_out=held_out)
            except SandboxBroken:
                if attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")


def judge(seed: Seed, outcome: Outcome, sandbox_kind: str, *, held_out: bool = False) -> Result:
    """Turn what the sandbox returned into what the archive keeps.

    A score without one of the seed's objectives or constraints is a failure, except in `confirm`, which may
    report others.
    """
    common: dict[str, Any] = {
        "rungs": [asdict(rung) for rung in outcome.rungs],
        "output": outcome.output,
        "seconds": outcome.seconds,
        "memory_mb": outcome.memory_mb,
        "sandbox": sandbox_kind,
    }
    if outcome.state == "fault":
        error = "\n".join(part for part in (outcome.error, outcome.evaluator_output) if part)
        return Result("failed", kind=EVALUATOR_FAULT, error=error, **common)
    if outcome.state == "failed" or outcome.score is None:
        return Result("failed", kind=outcome.kind, error=outcome.error, **common)
    score = outcome.score
    missing = [] if held_out else missing_metrics(seed, score)
    if missing:
        wanted = ", ".join(missing)
        return Result(
            "failed", kind="missing-metric", error=f"evaluate returned no metric {wanted}", **common
        )
    return Result(
        "scored",
        metrics={**_ranked_measures(seed, score), **score.metrics},
        feedback=score.feedback,
        measures=score.measures,
        artifacts=score.artifacts,
        private=score.private,
        **common,
    )


def why_failed(seed_name: str, kind: str, error: str) -> str:
    """A failure of a seed's own program in half a sentence: who is to blame, and the gist of the error."""
    blame = "its evaluator fails" if kind == EVALUATOR_FAULT else f"its own program fails ({kind})"
    return f"seed {seed_name}: {blame}: {gist(error)}"


def missing_metrics(seed: Seed, score: Score) -> list[str]:
    """Metrics that the seed ranks by and the score lacks."""
    wanted = [objective.metric for objective in seed.objectives] + [
        constraint.metric for constraint in seed.constraints
    ]
    return [
        metric
        for metric in dict.fromkeys(wanted)
        if metric not in score.metrics and metric not in score.measures
    ]


def _ranked_measures(seed: Seed, score: Score) -> dict[str, float]:
    """Measures that a constraint names: they are ranked by, so they stand with the metrics."""
    names = {constraint.metric for constraint in seed.constraints}
    return {name: value for name, value in score.measures.items() if name in names}
