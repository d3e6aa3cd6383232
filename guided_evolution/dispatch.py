"""Sends a run's ids to workers on other machines, again and again until somebody has claimed them.

The broker may forget, double, delay or reorder messages: an id that waits in the archive is sent again, with a pause
that grows, and at once when the queue has run empty without it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kombu.exceptions import ChannelError, OperationalError
from sqlalchemy import Connection

from guided_evolution.archive import Archive, evaluations, proposals, workers
from guided_evolution.archive.notices import Listener
from guided_evolution.errors import GuidedEvolutionError, WorldFailed
from guided_evolution.queues import EVALUATE, PROPOSE, Queue, make_app

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_SETTLING_SECONDS = 2.0
_LOOK_SECONDS = 0.1
BROKER_PATIENCE = 300.0
"""Seconds without an answer of the broker after which the run ends, to be resumed."""

_log = logging.getLogger(__name__)


@dataclass
class _Sent:
    """When an id went out last, and for how long to wait before it goes out again."""

    at: float
    pause: float = _FIRST_PAUSE


class RemoteDispatch:
    """The controller's way to workers that share its broker and its archive. See `controller.Dispatch`."""

    elsewhere = True

    def __init__(self, archive: Archive, run_id: int, broker: str, *, wake: threading.Event) -> None:
        self.worker_ids: list[int] = []
        self.trouble: GuidedEvolutionError | None = None
        self._archive = archive
        self._run_id = run_id
        self._wake = wake
        self._apps = {queue: make_app(queue, broker) for queue in (PROPOSE, EVALUATE)}
        self._sent: dict[tuple[Queue, int], _Sent] = {}
        self._slots: dict[str, int] = {}
        self._said: set[str] = set()
        self._away_since: float | None = None
        self._arrived: set[int] = set()
        self._lock = threading.Lock()
        self._listener = Listener(archive, run_id, self._hear) if archive.on_server else None

    def start(self) -> None:
        """Begin to hear of what is finished."""
        if self._listener is not None:
            self._listener.start()

    def stop(self) -> None:
        """Hear and send nothing any more."""
        if self._listener is not None:
            self._listener.stop()
        for app in self._apps.values():
            app.close()

    def send_proposals(self, ids: list[int]) -> None:
        """Queue these proposals."""
        self._send(PROPOSE, ids)

    def send_evaluations(self, ids: list[int]) -> None:
        """Queue these evaluations."""
        self._send(EVALUATE, ids)

    def drain(self, seconds: float | None = None) -> bool:
        """Wait for what workers have in hand; False if that took longer than `seconds`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._in_hand():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def reopen(self) -> None:
        """Nothing was shut."""

    def at_once(self, planned: int) -> int:
        """As many as the living workers can take: each propose slot has one, each evaluate slot one and one waiting."""
        evaluating = self._slots.get(EVALUATE, 0)
        return self._slots.get(PROPOSE, 0) + 2 * evaluating if evaluating else planned

    def arrived(self) -> set[int] | None:
        """Proposals that came to their end since the last call; None while nobody says."""
        if self._listener is None or not self._listener.listening:
            return None
        with self._lock:
            arrived, self._arrived = self._arrived, set()
        return arrived

    def tend(self) -> None:
        """Count the workers, and send again what has waited for long."""
        self._slots, waiting = self._archive.look(self._waiting)
        still = {(queue, row_id) for queue, ids in waiting.items() for row_id in ids}
        self._sent = {key: sent for key, sent in self._sent.items() if key in still}
        for queue, ids in waiting.items():
            self._warn_of_absence(queue, ids)
            self._send(queue, self._overdue(queue, ids))

    def _waiting(self, connection: Connection) -> tuple[dict[str, int], dict[Queue, list[int]]]:
        return workers.slots(connection), {
            PROPOSE: proposals.pending_ids(connection, self._run_id),
            EVALUATE: evaluations.pending_ids(connection, self._run_id),
        }

    def _overdue(self, queue: Queue, ids: Sequence[int]) -> list[int]:
        clock = time.monotonic()
        ages = {row_id: clock - sent.at for row_id in ids if (sent := self._sent.get((queue, row_id)))}
        new = [row_id for row_id in ids if row_id not in ages]
        settled = [row_id for row_id, age in ages.items() if age > _SETTLING_SECONDS]
        # As many slots are busy with nothing as there are messages missing, so an empty queue can't wait for the pause.
        if settled and self._queue_is_empty(queue) and self._slots.get(queue):
            return new + settled
        return new + [row_id for row_id in settled if ages[row_id] > self._sent[queue, row_id].pause]

    def _send(self, queue: Queue, ids: Sequence[int]) -> None:
        clock = time.monotonic()
        for row_id in ids:
            try:
                self._apps[queue].send_task(queue, (row_id,), retry=False)
            except OperationalError as error:
                self._broker_is_away(error)
                return
            before = self._sent.get((queue, row_id))
            pause = min(2 * before.pause, _LONGEST_PAUSE) if before else _FIRST_PAUSE
            self._sent[queue, row_id] = _Sent(clock, pause)
            self._away_since = None

    def _queue_is_empty(self, queue: Queue) -> bool:
        try:
            with self._apps[queue].connection_or_acquire() as connection:
                declared = connection.default_channel.queue_declare(queue=queue, passive=True)
                return bool(declared.message_count == 0)
        except ChannelError:  # Redis has no empty lists
            return True
        except OperationalError as error:
            self._broker_is_away(error)
            return False

    def _broker_is_away(self, error: Exception) -> None:
        """Nothing is lost: what waits in the archive is sent when the broker is back."""
        clock = time.monotonic()
        if self._away_since is None:
            self._away_since = clock
            _log.warning("the broker doesn't answer (%s); sending again until it does", error)
        elif clock - self._away_since > BROKER_PATIENCE:
            self.trouble = WorldFailed(
                f"the broker doesn't answer ({error}); what is finished is kept, resume when it works again"
            )

    def _warn_of_absence(self, queue: Queue, waiting: Sequence[int]) -> None:
        if self._slots.get(queue):
            self._said.discard(queue)
        elif waiting and queue not in self._said:
            self._said.add(queue)
            _log.warning(
                "work waits and no %s worker is alive; start one: guided-evolution worker --queue %s",
                queue,
                queue,
            )

    def _in_hand(self) -> int:
        return self._archive.look(
            lambda connection: (
                proposals.running(connection, self._run_id) + evaluations.running(connection, self._run_id)
            )
        )

    def _hear(self, proposal_id: int) -> None:
        with self._lock:
            self._arrived.add(proposal_id)
        self._wake.set()
