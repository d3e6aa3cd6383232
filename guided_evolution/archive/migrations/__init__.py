"""Schema revisions. A new archive is made whole by `store`; these bring older ones up to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from guided_evolution.archive.store import alone


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the archive behind `engine` to `revision`, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with (
        engine.connect() as connection,
        _without_foreign_keys(connection),
        connection.execution_options(writes=True).begin(),
    ):
        alone(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite changes a column by making the table anew, and dropping the old one must not count as losing its rows."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # Past SQLAlchemy, which would begin a transaction, in which the pragma does nothing.
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")
