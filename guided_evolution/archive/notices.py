"""Word of what is finished, for a controller on PostgreSQL; SQLite has none, and the controller looks for itself."""

from __future__ import annotations

from sqlalchemy import Connection, text

CHANNEL = "guided_evolution"

_tell = text("SELECT pg_notify(:channel, :words)")


def tell(connection: Connection, run_id: int, proposal_id: int | None) -> None:
    """Say, once this transaction is committed, that a proposal of the run has come to its end."""
    if connection.dialect.name == "postgresql":
        connection.execute(_tell, {"channel": CHANNEL, "words": f"{run_id} {proposal_id or 0}"})
