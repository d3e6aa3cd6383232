"""Opening an archive, and the two ways into it: `read()` and `write()`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from guided_evolution.archive.tables import SQLModel
from guided_evolution.archive.text import to_json
from guided_evolution.errors import ArchiveError, ArchiveUnavailable

SCHEMA = "0003"
"""The revision that this code reads and writes; the newest file in `migrations/versions`."""

_EARLIER: tuple[str, ...] = ("0001", "0002")
"""Revisions that are upgraded when met."""

_LOCK_SECONDS = 30
_PATIENCE = 60.0
_ADVISORY_LOCK = 0x6775_6465_766F
_SLOWEST_RETRY = 2.0
_POSTGRES = {
    "connect_timeout": 5,
    "application_name": "guided-evolution",
    # A cut network is noticed within some 20 s, and a stopped process doesn't hold locks for ever.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": "-c idle_in_transaction_session_timeout=60s -c lock_timeout=30s",
}

T = TypeVar("T")


class Archive:
    """An open archive, safe to share between threads. All of a `write()` commits together or not at all.

    SQLite allows one writer at a time and makes the others poll, so writers of one process queue on a lock first.
    A server may be restarted: whoever wants a connection waits for it up to `patience` seconds.
    """

    def __init__(self, engine: Engine, label: str) -> None:
        self.engine = engine
        self.label = label
        self.on_server = engine.dialect.name != "sqlite"
        self.patience = _PATIENCE
        self._writer = contextlib.nullcontext() if self.on_server else threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; sees what is committed when its first statement runs, and nothing later."""
        with _said(self.label), self._connect() as connection:
            if self.on_server:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction for writing, immediate from its first moment.

        Raises:
            ArchiveUnavailable: disk full, read-only, or locked by another program for longer than 30 s.
        """
        with self._writer, _said(self.label), self._connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, done in one transaction for writing, and done again if the server goes away in it.

        The commit may have reached a server that died before it said so; `work` must come to the same when done twice.

        Raises:
            ArchiveUnavailable: as `write()`, or the server stays away for longer than `patience`.
        """
        return self._again(self.write, work)

    def look(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, reading; done again if the server goes away in it. Raises as `transact`."""
        return self._again(self.read, work)

    def _again(
        self,
        way: Callable[[], contextlib.AbstractContextManager[Connection]],
        work: Callable[[Connection], T],
    ) -> T:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                with way() as connection:
                    return work(connection)
            except ArchiveUnavailable:
                if not self.on_server or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _connect(self) -> Connection:
        if not self.on_server:
            return self.engine.connect()
        deadline, pause = time.monotonic() + self.patience, 0.05
        while True:
            try:
                return self.engine.connect()
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _SLOWEST_RETRY)

    def close(self) -> None:
        """Give the connections back; the archive can't be used afterwards."""
        self.engine.dispose()


@contextmanager
def _said(label: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        if isinstance(error.orig, Exception) and _is_world(error):
            raise ArchiveUnavailable(
                f"archive {label}: {_one_line(error)}; what is finished is kept, resume when it works again"
            ) from error
        raise


def _one_line(error: DatabaseError) -> str:
    return " ".join(str(error.orig).split())


def _is_world(error: DatabaseError) -> bool:
    words = str(error.orig)
    return isinstance(error, OperationalError) or any(
        sign in words for sign in ("malformed", "not a database", "disk", "read-only")
    )


def archive_url(where: str) -> str:
    """`where` as a database URL; a plain path means a SQLite file, and PostgreSQL's own URLs get the driver we use."""
    scheme, separator, rest = where.partition("://")
    if not separator:
        return f"sqlite:///{Path(where).expanduser()}"
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else where


def open_archive(where: str, *, create: bool = False, durable: bool = False) -> Archive:
    """Open the archive at a path or database URL.

    Args:
        where: a path of a SQLite file, or an SQLAlchemy URL (``sqlite:///…``, ``postgresql+psycopg://…``).
        create: make it if it doesn't exist.
        durable: survive a power cut, not only a killed process (SQLite: one disk flush a commit); for paid replies.

    Raises:
        ArchiveError: no archive there, not one of ours, of a newer version, or a folder that can't be written.
    """
    try:
        url = make_url(archive_url(where))
    except ArgumentError as error:
        raise ArchiveError(f"archive {where}: that is neither a path nor a database URL") from error
    label = (
        url.render_as_string(hide_password=True) if url.get_backend_name() != "sqlite" else str(url.database)
    )
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if is_file:
        _check_file(Path(str(url.database)), create)
    try:
        engine = create_engine(url, json_serializer=to_json, **_engine_options(url.get_backend_name()))
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        install = "; `pip install 'guided-evolution[postgres]'`" if "postgres" in str(url) else ""
        raise ArchiveError(
            f"archive {label}: no driver for this kind of database is installed ({error}){install}"
        ) from error
    if url.get_backend_name() == "sqlite":
        _set_up_sqlite(engine, durable)
    try:
        _check_schema(engine, label, create)
    except (OperationalError, DatabaseError) as error:
        engine.dispose()
        raise ArchiveError(f"archive {label}: can't be opened: {_one_line(error)}") from error
    except ArchiveError:
        engine.dispose()
        raise
    return Archive(engine, label)


def _engine_options(backend: str) -> dict[str, Any]:
    if backend == "sqlite":
        return {
            "connect_args": {"timeout": _LOCK_SECONDS, "check_same_thread": False},
            "pool_size": 64,
            "max_overflow": 64,
        }
    connect_args = _POSTGRES if backend == "postgresql" else {}
    return {"pool_size": 16, "max_overflow": 64, "pool_pre_ping": True, "connect_args": connect_args}


def _check_file(path: Path, create: bool) -> None:
    if path.is_dir():
        raise ArchiveError(f"archive {path}: that is a folder; name a file")
    if not path.exists() and not create:
        raise ArchiveError(
            f"archive {path}: there is no such file; "
            "start a run with `guided-evolution evolve`, or name another by --archive"
        )
    folder = path.parent
    if not folder.is_dir():
        raise ArchiveError(f"archive {path}: the folder {folder} doesn't exist; make it first")
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ArchiveError(
            f"archive {path}: can't be written ({error.strerror}); choose another place by --archive"
        ) from error
    with path.open("rb") as file:
        head = file.read(16)
    if head and head != b"SQLite format 3\0":
        raise ArchiveError(
            f"archive {path}: that file is no archive of guided-evolution; name another by --archive"
        )


def _set_up_sqlite(engine: Engine, durable: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, as IMMEDIATE
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # Deferred transactions that turn writer fail with "locked" as soon as two threads write.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_schema(engine: Engine, label: str, create: bool) -> None:
    stamp = _stamp(engine, label)
    if stamp == SCHEMA:
        return
    if stamp is None:
        if not create:
            raise ArchiveError(f"archive {label}: it is empty; start a run with `guided-evolution evolve`")
        _create(engine)
    elif stamp in _EARLIER:
        from guided_evolution.archive.migrations import upgrade

        upgrade(engine)
    else:
        raise ArchiveError(
            f"archive {label}: it was written by a newer version (schema {stamp}, this one knows {SCHEMA}); "
            "upgrade guided-evolution"
        )


def _stamp(engine: Engine, label: str) -> str | None:
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        if not tables:
            return None
        if not {"alembic_version", "lease", "proposal"} <= tables:
            raise ArchiveError(
                f"archive {label}: that database holds other tables and is no archive of guided-evolution; "
                "name another by --archive"
            )
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _create(engine: Engine) -> None:
    """Make all tables and stamp them, as the migrations would (a test compares the two) but without loading Alembic."""
    with engine.connect() as connection, connection.execution_options(writes=True).begin():
        alone(connection)
        SQLModel.metadata.create_all(connection)
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        if connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0:
            connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": SCHEMA})


def dialect_of(connection: Connection) -> Any:
    """The module whose `insert` knows what to do about rows that are there already."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite


def alone(connection: Connection) -> None:
    """Until this transaction ends, no other process makes or changes tables. SQLite's writers are alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
