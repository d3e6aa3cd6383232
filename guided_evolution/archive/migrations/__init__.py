"""Schema revisions. A new archive is made whole by `store`; these bring older ones up to it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the archive behind `engine` to `revision`, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.connect() as connection, connection.execution_options(writes=True).begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
