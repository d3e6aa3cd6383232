"""Services that several tests share: each is started once a session, at first need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import PostgreSQL, Redis, missing


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """A PostgreSQL cluster; `new_database()` gives each test its own."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing("psycopg isn't installed (the extra `postgres`)")
    server = PostgreSQL()
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis server."""
    try:
        import redis  # noqa: F401
    except ImportError:
        missing("redis isn't installed (the extra `redis`)")
    server = Redis()
    yield server
    server.close()
