"""Word of what is finished, for a controller on PostgreSQL; SQLite has none, and the controller looks for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from guided_evolution.archive.store import Archive

CHANNEL = "guided_evolution"

_tell = text("SELECT pg_notify(:channel, :words)")
_RETRY_SECONDS = 1.0


def tell(connection: Connection, run_id: int, proposal_id: int | None) -> None:
    """Say, once this transaction is committed, that a proposal of the run has come to its end."""
    if connection.dialect.name == "postgresql":
        connection.execute(_tell, {"channel": CHANNEL, "words": f"{run_id} {proposal_id or 0}"})


class Listener:
    """Hears in a thread of its own which proposals of one run came to their end.

    A notice may be missed while the server is away, so whoever listens looks for itself now and then.
    """

    def __init__(self, archive: Archive, run_id: int, heard: Callable[[int], None]) -> None:
        self._archive = archive
        self._run_id = run_id
        self._heard = heard
        self._stopped = threading.Event()
        self.listening = False

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._listen, daemon=True, name="listener").start()

    def stop(self) -> None:
        """End within a second."""
        self._stopped.set()

    def _listen(self) -> None:
        import psycopg

        while not self._stopped.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self.listening = True
                    while not self._stopped.is_set():
                        for notice in connection.notifies(timeout=1.0):
                            self._take(notice.payload)
            except psycopg.Error:
                self.listening = False
                self._stopped.wait(_RETRY_SECONDS)

    def _connect(self) -> Any:
        import psycopg

        engine = self._archive.engine
        words, named = engine.dialect.create_connect_args(engine.url)
        return psycopg.connect(*words, **named, autocommit=True)

    def _take(self, payload: str) -> None:
        run_id, _, proposal_id = payload.partition(" ")
        if run_id == str(self._run_id):
            self._heard(int(proposal_id))
