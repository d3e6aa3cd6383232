"""One schedule of `python -m bench.distributed_faults`, short: what is killed in the middle of work costs only time."""

from __future__ import annotations

import pytest

from bench.distributed_faults import schedule
from tests.services import PostgreSQL, Redis

# PostgreSQL and the controller killed, then Redis in the middle of acknowledgements
_NUMBER = 0


@pytest.mark.slow
def test_a_run_survives_a_schedule_of_kills(postgres: PostgreSQL, redis_server: Redis) -> None:
    report = schedule(_NUMBER, (postgres, redis_server), evaluations=100, faults=4, wait=0.1)
    assert report.problems == []
    assert report.final == 100
    assert len(report.faults) >= 2  # a fast run may end before the last one strikes
