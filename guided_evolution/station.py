"""A worker of its own: one queue, some slots, for every run of an archive, until it is told to stop.

What is whose fault: a program's outcome is a result; a broken sandbox or archive is this machine's trouble, gives the
work back, and ends the worker when it lasts; what no machine can mend (no model answers) is told to the run.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from sqlalchemy import Connection

from guided_evolution.archive import Archive, evaluations, proposals, runs, workers
from guided_evolution.errors import ArchiveUnavailable, GuidedEvolutionError, SandboxBroken, WorkerRefuses
from guided_evolution.identity import this_process
from guided_evolution.queues import (
    EVALUATE,
    PROPOSE,
    Queue,
    free_lost_places,
    make_app,
    start_worker,
    stop_consuming,
)
from guided_evolution.version import __version__

Work = Callable[[int, int], int | None]
"""Given the id of a row and of the worker; returns the id of the evaluation that it calls for, if any."""

NOTHING = 0
"""What a `Work` returns when somebody else has the row, or had it."""

_HEARTBEAT_SECONDS = 5.0
_RATE_SECONDS = 60.0
_TROUBLES_IN_A_ROW = 5
_LONGEST_PAUSE = 30.0
_GIVE_UP_SECONDS = 5.0
DONE, WORLD_FAILED = 0, 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """What a worker has done since it started; `failed` are tasks that this machine or the world was to blame for."""

    slots: int
    busy: int
    done: int
    failed: int
    per_minute: float


class Station:
    """Serves one queue. `serve` blocks; `stop` may be called from a signal's thread.

    Args:
        work: does what a row asks for.
        abort: cuts short what is at work, which then gives its rows back.
        grace: seconds that work at hand may take to finish after `stop`.
        events: tell Flower what happens.
    """

    def __init__(
        self,
        archive: Archive,
        broker: str,
        queue: Queue,
        slots: int,
        work: Work,
        *,
        abort: Callable[[], None],
        grace: float,
        events: bool = False,
    ) -> None:
        self._archive = archive
        self._queue = queue
        self._slots = slots
        self._work = work
        self._abort = abort
        self._grace = grace
        self._events = events
        self._app = make_app(queue, broker, self._handle, events=events)
        self._next_app = make_app(EVALUATE, broker) if queue == PROPOSE else None
        self._lock = threading.Lock()
        self._hands: set[int] = set()
        self._done = self._failed = self._troubles = 0
        self._ends: collections.deque[float] = collections.deque(maxlen=10_000)
        self._note: str | None = None
        self._stopping = threading.Event()
        self._trouble: GuidedEvolutionError | None = None
        self.worker_id = 0

    def serve(self) -> int:
        """Work until told to stop, or until this machine can't; returns the exit code.

        Raises:
            WorldFailed: why it can't.
        """
        me = this_process()
        self.worker_id = self._archive.transact(
            lambda connection: workers.enlist(connection, me, self._queue, self._slots, __version__)
        )
        name = f"{self._queue}-{self.worker_id}@{me.host}"
        controller = start_worker(self._app, self._slots, name=name, events=self._events)
        _log.info("worker %s serves %s with %s slots", self.worker_id, self._queue, self._slots)
        while not self._stopping.wait(_HEARTBEAT_SECONDS):
            self._beat()
            free_lost_places(controller)
        stop_consuming(controller, self._queue)
        self._finish_or_give_back()
        if self._trouble is not None:
            raise self._trouble
        return DONE

    def stop(self) -> None:
        """Take nothing new, finish what is at hand or give it back, and let `serve` return."""
        self._stopping.set()

    def counts(self) -> Counts:
        """The worker as it stands now."""
        with self._lock:
            since = time.monotonic() - _RATE_SECONDS
            recent = sum(1 for moment in self._ends if moment > since)
            return Counts(self._slots, len(self._hands), self._done, self._failed, float(recent))

    # One message

    def _handle(self, row_id: int) -> None:
        if self._stopping.is_set():
            raise Reject("stopping", requeue=True)
        with self._lock:
            if row_id in self._hands:  # the same message again, while it is being worked off
                return
            self._hands.add(row_id)
        try:
            self._try(row_id)
        finally:
            with self._lock:
                self._hands.discard(row_id)

    def _try(self, row_id: int) -> None:
        try:
            evaluation_id = self._work(row_id, self.worker_id)
        except WorkerRefuses as error:
            self._not_here(row_id, error)
        except SandboxBroken as error:
            self._not_here(row_id, error, last=self._end)
        except ArchiveUnavailable as error:
            self._not_here(row_id, error, last=self._end)
        except GuidedEvolutionError as error:
            self._not_here(row_id, error, last=lambda error: self._fail_run(row_id, error))
        except Exception as error:  # noqa: BLE001 - a task has no caller; its run must learn of any error and end
            _log.exception("internal error", extra={self._queue: row_id})
            wrapped = GuidedEvolutionError(f"internal error in a worker: {type(error).__name__}: {error}")
            self._not_here(row_id, wrapped, last=lambda error: self._fail_run(row_id, error))
        else:
            if evaluation_id == NOTHING:
                return
            with self._lock:
                self._done += 1
                self._troubles = 0
                self._note = None
                self._ends.append(time.monotonic())
            if evaluation_id is not None and self._next_app is not None:
                with contextlib.suppress(OperationalError):  # the controller sends what waits for long
                    self._next_app.send_task(EVALUATE, (evaluation_id,), retry=False)

    def _not_here(
        self,
        row_id: int,
        error: GuidedEvolutionError,
        last: Callable[[GuidedEvolutionError], None] | None = None,
    ) -> None:
        """Give the row to others; the slot rests, so that a machine in trouble doesn't eat the queue."""
        with self._lock:
            self._failed += 1
            self._troubles += 1
            troubles = self._troubles
            self._note = str(error)
        _log.warning("%s", error, extra={self._queue: row_id})
        try:
            self._archive.transact(lambda connection: self._release(connection, row_id))
        except ArchiveUnavailable as gone:
            self._end(gone)
            return
        if self._stopping.wait(min(2.0 ** (troubles - 1), _LONGEST_PAUSE)):
            return
        with contextlib.suppress(OperationalError):
            self._app.send_task(self._queue, (row_id,), retry=False)
        if last is not None and troubles >= _TROUBLES_IN_A_ROW:
            last(error)

    def _release(self, connection: Connection, row_id: int) -> None:
        if self._queue == PROPOSE:
            proposals.give_back(connection, row_id, self.worker_id)
        else:
            evaluations.release(connection, row_id, self.worker_id)

    def _fail_run(self, row_id: int, error: GuidedEvolutionError) -> None:
        """Tell the run that it can't go on; whoever drives it ends it, to be resumed."""
        noun = proposals if self._queue == PROPOSE else evaluations

        def tell(connection: Connection) -> None:
            run_id = noun.run_of(connection, row_id)
            runs.command(connection, run_id, "fail", {"reason": str(error)})

        try:
            self._archive.transact(tell)
        except ArchiveUnavailable as gone:
            self._end(gone)

    def _end(self, error: GuidedEvolutionError) -> None:
        self._trouble = self._trouble or error
        self._stopping.set()

    # The worker's own life

    def _beat(self) -> None:
        counts = self.counts()
        with self._lock:
            note = self._note
        try:
            self._archive.transact(
                lambda connection: workers.report(
                    connection,
                    self.worker_id,
                    done=counts.done,
                    failed=counts.failed,
                    per_minute=counts.per_minute,
                    note=note,
                )
            )
        except ArchiveUnavailable as error:
            self._end(error)

    def _finish_or_give_back(self) -> None:
        if not self._quiet_within(self._grace if self._trouble is None else 0.0):
            _log.warning("giving back %s", sorted(self._hands))
            self._abort()
            self._quiet_within(_GIVE_UP_SECONDS)
        with self._lock:
            left, note = sorted(self._hands), str(self._trouble) if self._trouble else None

        def leave(connection: Connection) -> None:
            for row_id in left:
                self._release(connection, row_id)
            workers.leave(connection, self.worker_id, note)

        with contextlib.suppress(ArchiveUnavailable):
            self._archive.transact(leave)

    def _quiet_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        beaten = 0.0
        while True:
            with self._lock:
                if not self._hands:
                    return True
            if (left := deadline - time.monotonic()) <= 0:
                return False
            if time.monotonic() - beaten > _HEARTBEAT_SECONDS:
                self._beat()
                beaten = time.monotonic()
            time.sleep(min(0.05, left))
