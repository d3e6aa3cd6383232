"""The workers of a run that has no others: threads of its own process."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

from guided_evolution.archive import Archive, workers
from guided_evolution.errors import GuidedEvolutionError
from guided_evolution.identity import this_process
from guided_evolution.queues import make_app, start_worker

_HEARTBEAT_SECONDS = 5.0

Task = Callable[[int, int], int | None]


class EmbeddedWorkers:
    """A propose and an evaluate worker in threads of this process, on Celery's in-memory broker.

    `wake` is set whenever a row was finished. `trouble` holds the first error that a task raised.
    """

    def __init__(
        self,
        archive: Archive,
        propose: Task,
        evaluate: Task,
        *,
        slots: int,
        proposers: int,
        version: str,
        wake: threading.Event,
    ) -> None:
        self._archive = archive
        self._propose = propose
        self._evaluate = evaluate
        self._slots = slots
        self._proposers = proposers
        self._version = version
        self.wake = wake
        self.trouble: GuidedEvolutionError | None = None
        self._active = 0
        self._quiet = threading.Condition()
        self._draining = False
        self._stopped = threading.Event()
        self.worker_ids: list[int] = []
        self.elsewhere = False

    def start(self) -> None:
        """Enlist in the archive and begin to consume."""
        # Celery's transport is one per process and address, so each run in a process gets queues of its own.
        mark = secrets.token_hex(4)
        me = this_process()
        with self._archive.write() as connection:
            propose_id = workers.enlist(connection, me, "own-propose", self._proposers, self._version)
            evaluate_id = workers.enlist(connection, me, "own-evaluate", self._slots, self._version)
        self.worker_ids = [propose_id, evaluate_id]
        self._queues = (f"propose-{mark}", f"evaluate-{mark}")
        # Celery keeps task functions for good; what they reach must not be kept with them.
        handle_proposal, handle_evaluation = (
            WeakMethod(self._handle_proposal),
            WeakMethod(self._handle_evaluation),
        )
        self._proposing = make_app(
            self._queues[0], "memory://", lambda row: _call(handle_proposal, row, propose_id)
        )
        self._evaluating = make_app(
            self._queues[1], "memory://", lambda row: _call(handle_evaluation, row, evaluate_id)
        )
        for name in ("celery", "kombu"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._controllers = [
            start_worker(self._proposing, self._proposers),
            # One more than slots: its next row is claimed, and the last one finished, while every slot is busy.
            start_worker(self._evaluating, self._slots + 1),
        ]
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def send_proposals(self, ids: list[int]) -> None:
        """Queue these proposals."""
        for row_id in ids:
            self._proposing.send_task(self._queues[0], (row_id,))

    def send_evaluations(self, ids: list[int]) -> None:
        """Queue these evaluations."""
        for row_id in ids:
            self._evaluating.send_task(self._queues[1], (row_id,))

    def drain(self, seconds: float | None = None) -> bool:
        """Take nothing new and wait for what is at work; False if that took longer than `seconds`."""
        with self._quiet:
            self._draining = True
            return self._quiet.wait_for(lambda: self._active == 0, timeout=seconds)

    def reopen(self) -> None:
        """Take work again after a drain."""
        with self._quiet:
            self._draining = False

    def tend(self) -> None:
        """Nothing to do: no message is lost between threads."""

    def at_once(self, planned: int) -> int:
        """As planned: the slots are our own."""
        return planned

    def arrived(self) -> set[int] | None:
        """Nobody says: few proposals are open, so the controller looks at all of them."""
        return None

    def stop(self) -> None:
        """End the consumers; what they hold stays claimed by a worker that is gone, so drain first."""
        self._stopped.set()
        for controller in self._controllers:
            controller.stop()

    def _handle_proposal(self, row_id: int, worker_id: int) -> None:
        evaluation_id = self._guarded(self._propose, row_id, worker_id)
        if evaluation_id:
            self.send_evaluations([evaluation_id])

    def _handle_evaluation(self, row_id: int, worker_id: int) -> None:
        self._guarded(self._evaluate, row_id, worker_id)

    def _guarded(self, task: Task, row_id: int, worker_id: int) -> int | None:
        with self._quiet:
            if self._draining:
                return None
            self._active += 1
        try:
            return task(row_id, worker_id)
        except Exception as error:  # noqa: BLE001 - a task has no caller; the controller must learn of any error and end the run
            self.trouble = self.trouble or _as_ours(error)
            return None
        finally:
            with self._quiet:
                self._active -= 1
                self._quiet.notify_all()
            self.wake.set()

    def _beat(self) -> None:
        while not self._stopped.wait(_HEARTBEAT_SECONDS):
            try:
                with self._archive.write() as connection:
                    workers.beat(connection, self.worker_ids)
            except GuidedEvolutionError as error:
                self.trouble = self.trouble or error
                self.wake.set()


def _as_ours(error: Exception) -> GuidedEvolutionError:
    if isinstance(error, GuidedEvolutionError):
        return error
    wrapped = GuidedEvolutionError(f"internal error in a worker: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _call(method: WeakMethod[Any], row_id: int, worker_id: int) -> None:
    if (handle := method()) is not None:
        handle(row_id, worker_id)
