"""Workers of their own on Redis and PostgreSQL: whatever comes, goes, breaks or lies, each evaluation counts once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from guided_evolution.archive import open_archive
from guided_evolution.doctor import examine
from guided_evolution.queues import make_app
from tests.cluster import Cluster, write_seed
from tests.services import PostgreSQL, Redis, free_port, wait_until

COUNTED = "purpose != 'confirm' AND state IN ('scored', 'failed')"


@pytest.fixture(scope="module")
def cluster(
    postgres: PostgreSQL, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """With a propose and an evaluate worker that go on from test to test."""
    made = Cluster(postgres, redis_server, tmp_path_factory.mktemp("cluster"))
    made.worker("propose", 2)
    made.worker("evaluate", 2)
    yield made
    made.close()


@pytest.fixture
def bare(postgres: PostgreSQL, redis_server: Redis, tmp_path: Path) -> Iterator[Cluster]:
    """Without any worker."""
    made = Cluster(postgres, redis_server, tmp_path, broker=1)
    yield made
    made.close()


def ended_well(cluster: Cluster, run: object, evaluations: int, seconds: float = 60.0) -> None:
    """The run ended on its budget, every evaluation is final and counts once, and the archive is whole."""
    assert run.wait(seconds) == 0, cluster.said()  # type: ignore[attr-defined]
    newest = "(SELECT max(id) FROM run)"
    assert cluster.rows(f"SELECT state, reason FROM run WHERE id = {newest}") == [
        ("finished", f"budget of {evaluations} evaluations reached")
    ]
    assert cluster.rows(
        f"SELECT count(*), count(DISTINCT program_id) FROM evaluation WHERE {COUNTED} AND run_id = {newest}"
    ) == [(evaluations, evaluations)]
    assert cluster.rows("SELECT count(*) FROM evaluation WHERE state IN ('pending', 'running')") == [(0,)]
    archive = open_archive(cluster.archive)
    try:
        assert list(examine(archive)) == []
    finally:
        archive.close()


def begin(cluster: Cluster, evaluations: int, wait: float = 0.02) -> subprocess.Popen[bytes]:
    seed = write_seed(cluster.folder, wait)
    return cluster.start("evolve", str(seed), "--evaluations", str(evaluations), "--rng-seed", "1")


def test_workers_come_and_go_and_the_run_ends_on_its_budget(cluster: Cluster) -> None:
    before = cluster.finished()
    run = begin(cluster, 60)
    extra = cluster.worker("evaluate", 2)
    cluster.wait_for(before + 30)
    assert cluster.end(extra) == 0
    ended_well(cluster, run, 60)
    assert cluster.rows("SELECT count(*) FROM worker WHERE ended_at IS NOT NULL") == [(1,)]
    assert cluster.rows("SELECT count(*) FROM evaluation WHERE state = 'lost'") == [(0,)]
    lines = [json.loads(line) for line in cluster.said("evaluate").splitlines()]
    scored = [line for line in lines if line["event"] == "scored"]
    assert {"run", "program", "evaluation", "seconds"} <= scored[0].keys()
    assert len({line["evaluation"] for line in scored}) == len(scored)


def test_killed_workers_and_controller_lose_nothing(cluster: Cluster) -> None:
    before = cluster.finished()
    run = begin(cluster, 60)
    cluster.wait_for(before + 10)
    for worker in [one for one in cluster.processes if one is not run and one.poll() is None]:
        worker.kill()
        worker.wait()
    cluster.worker("propose", 2)
    cluster.worker("evaluate", 2)
    cluster.wait_for(before + 30)
    run.kill()
    run.wait()
    kept = cluster.rows(f"SELECT id, metrics::text, finished_at FROM evaluation WHERE {COUNTED}")
    ended_well(cluster, cluster.start("resume"), 60)
    assert set(kept) <= set(
        cluster.rows(f"SELECT id, metrics::text, finished_at FROM evaluation WHERE {COUNTED}")
    )


def test_a_broker_that_forgets_or_restarts_costs_only_time(cluster: Cluster) -> None:
    before = cluster.finished()
    run = begin(cluster, 60)
    cluster.wait_for(before + 10)
    cluster.redis.flush()
    cluster.wait_for(before + 25)
    cluster.redis.kill()
    time.sleep(0.5)
    cluster.redis.start()
    ended_well(cluster, run, 60)


def test_an_archive_that_restarts_costs_only_time(postgres: PostgreSQL, cluster: Cluster) -> None:
    before = cluster.finished()
    run = begin(cluster, 60)
    cluster.wait_for(before + 10)
    postgres.stop("immediate")
    time.sleep(0.5)
    postgres.start()
    cluster.wait_for(before + 25)
    postgres.stop("fast")
    postgres.start()
    ended_well(cluster, run, 60)


def test_a_message_replayed_a_hundred_times_changes_nothing(cluster: Cluster) -> None:
    before = cluster.finished()
    run = begin(cluster, 40)
    cluster.wait_for(before + 5)
    for queue in ("evaluate", "propose"):
        (row_id,) = cluster.rows(
            f"SELECT max(id) FROM {'evaluation' if queue == 'evaluate' else 'proposal'}"
        )[0]
        app = make_app(queue, cluster.redis.url)
        for _ in range(100):
            app.send_task(queue, (row_id,))
        app.send_task(queue, (10**6,))
        app.close()
    ended_well(cluster, run, 40)
    assert cluster.rows(
        "SELECT count(*) FROM evaluation WHERE run_id = (SELECT max(id) FROM run) AND attempt > 1"
    ) == [(0,)]


def test_a_second_controller_is_kept_out_and_a_stopped_run_leaves_the_rest_for_resume(
    cluster: Cluster,
) -> None:
    before = cluster.finished()
    run = begin(cluster, 100, wait=0.2)
    cluster.wait_for(before + 2)
    second = cluster.start("resume", log="second")
    assert second.wait(30) == 2
    assert "is driven by `evolve" in cluster.said("second")
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 0
    assert cluster.rows("SELECT state FROM run ORDER BY id DESC LIMIT 1") == [("stopped",)]
    count = cluster.finished()
    time.sleep(0.7)
    assert cluster.finished() == count
    assert cluster.start("resume", "--add-time", "1s").wait(30) == 0
    assert cluster.finished() > count


def test_sigterm_gives_back_what_would_take_too_long(bare: Cluster) -> None:
    seed = write_seed(bare.folder, wait=20.0)
    bare.start("evolve", str(seed), "--evaluations", "2", "--rng-seed", "1")
    bare.worker("propose", 1)
    evaluate = bare.worker("evaluate", 1, "--grace", "0.5")
    running = "SELECT id FROM evaluation WHERE state = 'running'"
    wait_until(lambda: bare.rows("SELECT 1 FROM pg_tables WHERE tablename = 'lease'") != [], 30)
    wait_until(lambda: bare.rows(running) != [], 30, "a running evaluation")
    began = time.monotonic()
    assert bare.end(evaluate) == 0
    assert time.monotonic() - began < 10
    assert bare.rows("SELECT state, attempt, claim FROM evaluation") == [("pending", 1, None)]


def test_a_worker_of_another_version_refuses_and_says_why(bare: Cluster) -> None:
    seed = write_seed(bare.folder, wait=0.0)
    run = bare.start("evolve", str(seed), "--evaluations", "3", "--rng-seed", "1")
    wait_until(lambda: started(bare), 30, "a run")
    bare.change("UPDATE lease SET version = '0.0.9'")
    bare.worker("propose", 1)
    wait_until(lambda: "driven by version 0.0.9" in bare.said("propose"), 20, "a refusal")
    assert bare.rows("SELECT state FROM proposal") == [("pending",)]
    wait_until(
        lambda: "0.0.9" in str(bare.rows("SELECT note FROM worker")), 20, "the reason in the worker's row"
    )
    bare.change("UPDATE lease SET version = (SELECT version FROM worker LIMIT 1)")
    bare.worker("evaluate", 1)
    ended_well(bare, run, 3)


def started(cluster: Cluster) -> bool:
    try:
        return cluster.rows("SELECT 1 FROM proposal") != []
    except Exception:  # noqa: BLE001 - the tables aren't there yet
        return False


def test_prometheus_reads_a_worker(bare: Cluster) -> None:
    port = free_port()
    bare.worker("evaluate", 3, "--metrics-port", str(port))

    def read() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    wait_until(lambda: "guided_evolution_slots" in read(), 20, "metrics")
    assert 'guided_evolution_slots{queue="evaluate"} 3.0' in read()
    assert 'guided_evolution_done_total{queue="evaluate"} 0.0' in read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--queue", "sleep"), "must be propose or evaluate"),
        (("--queue", "evaluate", "--concurrency", "0"), "must be at least 1"),
        (("--queue", "evaluate", "--broker", "http://x"), "redis://"),
        (("--queue", "evaluate", "--log-format", "xml"), "must be text or json"),
    ],
)
def test_bad_input_to_a_worker_is_one_sentence(bare: Cluster, words: tuple[str, ...], said: str) -> None:
    assert bare.start("worker", *words).wait(20) == 2
    assert said in bare.said()
    assert "Traceback" not in bare.said()
