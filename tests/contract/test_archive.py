"""What every kind of database must do for a run: claim once, finish once, lose nothing, keep runs apart."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from guided_evolution.archive import (
    Archive,
    evaluations,
    leases,
    open_archive,
    programs,
    proposals,
    runs,
    workers,
)
from guided_evolution.archive.evaluations import Result
from guided_evolution.archive.migrations import upgrade
from guided_evolution.archive.store import SCHEMA
from guided_evolution.errors import ArchiveError, ArchiveUnavailable, WorkerRefuses
from guided_evolution.identity import Identity, this_process
from guided_evolution.seed import Objective, Seed
from tests.services import PostgreSQL

SEED = Seed(
    name="tiny",
    task="t",
    files=("program.py",),
    program={"program.py": b"x = 1\n"},
    objectives=(Objective("loss", "minimize", True),),
    evaluator_source="def evaluate(candidate, seed): ...\n",
)
GENES = {"program.py": [(b"a" * 16, b"x = 1\n"), (b"b" * 16, b"def f():\n    return \xff\n")]}


OLD = Path(__file__).parents[1] / "data" / "archives"
KINDS = ["sqlite", "postgresql"]


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Path or URL of an archive that isn't there yet."""
    if request.param == "sqlite":
        return str(tmp_path / "a.db")
    server: PostgreSQL = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def archive(where: str) -> Iterator[Archive]:
    opened = open_archive(where, create=True)
    yield opened
    opened.close()


on_sqlite = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("where", ["postgresql"], indirect=True)


def new_run(archive: Archive) -> runs.StoredRun:
    with archive.write() as connection:
        return runs.create(connection, SEED, settings={}, rng_seed=1, evaluation_seed=2, sandbox="process")


def new_worker(archive: Archive, who: Identity | None = None) -> int:
    with archive.write() as connection:
        return workers.enlist(connection, who or this_process(), "evaluate", 2, "0")


def dead_process() -> Identity:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    here = this_process()
    return Identity(here.host, here.boot, ended.pid, 1)


def new_evaluation(
    archive: Archive, run: runs.StoredRun, fingerprint: str = "1:f", number: int = 0
) -> tuple[int, int]:
    with archive.write() as connection:
        proposal_id = proposals.add(connection, run.id, number, "constant", [])
        claimed = proposals.claim(connection, proposal_id, 0, "p")
        assert claimed is not None
        new = programs.NewProgram(fingerprint, 30, GENES)
        program_id = programs.add(connection, run.id, new, generation=0, proposal_id=proposal_id, parents=[])
        assert proposals.settle(connection, claimed, "accepted", program_id=program_id)
        evaluation_id = evaluations.add(
            connection,
            run_id=run.id,
            program_id=program_id,
            proposal_id=proposal_id,
            purpose="search",
            seed=7,
            scoring_version="v",
        )
    return proposal_id, evaluation_id


def test_a_row_is_claimed_by_exactly_one_of_many_threads(archive: Archive) -> None:
    run = new_run(archive)
    _, evaluation_id = new_evaluation(archive, run)
    worker = new_worker(archive)

    def attempt(number: int) -> bool:
        with archive.write() as connection:
            return evaluations.claim(connection, evaluation_id, worker, f"token {number}") is not None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(64))) == 1


def test_only_the_holder_of_the_claim_can_finish_and_only_once(archive: Archive) -> None:
    run = new_run(archive)
    proposal_id, evaluation_id = new_evaluation(archive, run)
    worker = new_worker(archive)
    with archive.write() as connection:
        claimed = evaluations.claim(connection, evaluation_id, worker, "mine")
        assert claimed is not None
        thief = evaluations.Claimed(
            claimed.id, "theirs", claimed.run_id, claimed.program_id, claimed.purpose, claimed.seed
        )
        assert not evaluations.finish(connection, thief, Result("scored", metrics={"loss": 0.0}))
        assert evaluations.finish(connection, claimed, Result("scored", metrics={"loss": 0.5}, seconds=1.5))
        assert not evaluations.finish(connection, claimed, Result("failed", kind="raised"))
    with archive.read() as connection:
        assert [one.metrics for one in evaluations.scored(connection, run.id)] == [{"loss": 0.5}]
        (settled,) = proposals.settled(connection, [proposal_id])
    assert (settled.state, settled.metrics) == ("scored", {"loss": 0.5})


def test_what_a_dead_worker_held_is_tried_again_at_once_and_its_late_result_is_refused(
    archive: Archive,
) -> None:
    run = new_run(archive)
    proposal_id, evaluation_id = new_evaluation(archive, run)
    dead = new_worker(archive, dead_process())
    with archive.write() as connection:
        late = evaluations.claim(connection, evaluation_id, dead, "late")
        assert late is not None
        again, sent = workers.sweep(connection, run.id, mine=[])
        assert again == []
        assert len(sent) == 1
        assert not evaluations.finish(connection, late, Result("scored", metrics={"loss": 0.0}))
        assert proposals.settled(connection, [proposal_id]) == []
        fresh = evaluations.claim(connection, sent[0], new_live_worker(connection), "fresh")
        assert fresh is not None
        assert (fresh.program_id, fresh.seed) == (late.program_id, late.seed)
        assert evaluations.finish(connection, fresh, Result("scored", metrics={"loss": 0.25}))
    with archive.read() as connection:
        assert [one.metrics for one in proposals.settled(connection, [proposal_id])] == [{"loss": 0.25}]
        assert evaluations.counts(connection, run.id) == {("lost", None): 1, ("scored", None): 1}


def new_live_worker(connection: object) -> int:
    return workers.enlist(connection, this_process(), "evaluate", 1, "0")  # type: ignore[arg-type]


def test_a_program_that_kills_five_workers_fails_as_such(archive: Archive) -> None:
    run = new_run(archive)
    proposal_id, evaluation_id = new_evaluation(archive, run)
    for _ in range(5):
        dead = new_worker(archive, dead_process())
        with archive.write() as connection:
            assert evaluations.claim(connection, evaluation_id, dead, "t") is not None
            _, sent = workers.sweep(connection, run.id, mine=[])
        evaluation_id = sent[0] if sent else 0
    with archive.read() as connection:
        (settled,) = proposals.settled(connection, [proposal_id])
    assert (settled.state, settled.kind) == ("failed", "killed-worker")


def test_own_and_living_workers_are_never_swept(archive: Archive) -> None:
    run = new_run(archive)
    _, first = new_evaluation(archive, run, "1:a", 0)
    _, second = new_evaluation(archive, run, "1:b", 1)
    live, mine = new_worker(archive), new_worker(archive, dead_process())
    with archive.write() as connection:
        evaluations.claim(connection, first, live, "a")
        evaluations.claim(connection, second, mine, "b")
        assert workers.sweep(connection, run.id, mine=[mine]) == ([], [])


def test_a_silent_worker_elsewhere_is_dead_after_its_heartbeat_is_old(archive: Archive) -> None:
    run = new_run(archive)
    _, evaluation_id = new_evaluation(archive, run)
    elsewhere = new_worker(archive, Identity("another-host", "another-boot", 1, 1))
    with archive.write() as connection:
        evaluations.claim(connection, evaluation_id, elsewhere, "t")
        assert workers.sweep(connection, run.id, mine=[]) == ([], [])
        connection.execute(text("UPDATE worker SET heartbeat_at = heartbeat_at - 31"))
        assert len(workers.sweep(connection, run.id, mine=[])[1]) == 1


def test_programs_are_rebuilt_to_the_byte_and_equal_genes_are_stored_once(archive: Archive) -> None:
    run = new_run(archive)
    new_evaluation(archive, run, "1:a", 0)
    new_evaluation(archive, run, "1:b", 1)
    with archive.read() as connection:
        ids = list(connection.execute(text("SELECT id FROM program")).scalars())
        assert [programs.sources(connection, one) for one in ids] == [
            {"program.py": b"x = 1\ndef f():\n    return \xff\n"}
        ] * 2
        assert connection.execute(text("SELECT count(*) FROM gene")).scalar() == 2
        with pytest.raises(ArchiveError, match="program 99 isn't in this archive"):
            programs.sources(connection, 99)


def test_two_runs_in_one_archive_never_mix(archive: Archive) -> None:
    one, other = new_run(archive), new_run(archive)
    assert one.name != other.name
    new_evaluation(archive, one, "1:same")
    with archive.read() as connection:
        assert programs.known(connection, one.id, "1:same") is not None
        assert programs.known(connection, other.id, "1:same") is None
        assert proposals.last_number(connection, other.id) == -1
        assert evaluations.pending_ids(connection, other.id) == []
        assert connection.execute(text("SELECT count(*) FROM seed")).scalar() == 1
        assert runs.seed_of(connection, other) == SEED


def test_a_lease_has_one_holder_and_its_fence_keeps_the_old_one_out(archive: Archive) -> None:
    run = new_run(archive)
    with archive.write() as connection:
        old = leases.take(connection, run.id, run.name, dead_process(), "evolve tiny")
        new = leases.take(connection, run.id, run.name, this_process(), "resume")
        assert new.fence == old.fence + 1
        with pytest.raises(leases.LeaseLost):
            runs.set_state(connection, old, "finished", None)
        with pytest.raises(
            leases.RunBusy, match=rf"run {run.name} is driven by `resume` \(process {os.getpid()} on"
        ):
            leases.take(connection, run.id, run.name, this_process(), "resume")
        leases.give_up(connection, new)
        assert leases.take(connection, run.id, run.name, this_process(), "resume").fence == new.fence + 1


def test_a_lease_of_another_machine_is_taken_when_it_expired(archive: Archive) -> None:
    run = new_run(archive)
    elsewhere = Identity("another-host", "another-boot", 1, 1)
    with archive.write() as connection:
        leases.take(connection, run.id, run.name, elsewhere, "evolve")
        with pytest.raises(leases.RunBusy, match="another-host"):
            leases.take(connection, run.id, run.name, this_process(), "resume")
        connection.execute(text("UPDATE lease SET renewed_at = renewed_at - 31"))
        assert leases.take(connection, run.id, run.name, this_process(), "resume").fence == 2


def test_a_failed_transaction_leaves_nothing(archive: Archive) -> None:
    with pytest.raises(ZeroDivisionError), archive.write() as connection:
        runs.create(connection, SEED, settings={}, rng_seed=1, evaluation_seed=2, sandbox="process")
        raise ZeroDivisionError
    with archive.read() as connection:
        assert runs.all_runs(connection) == []


def test_many_writers_in_two_processes_never_meet_a_lock(archive: Archive, where: str) -> None:
    run = new_run(archive)
    script = (
        "import sys; from guided_evolution.archive import open_archive, runs\n"
        "archive = open_archive(sys.argv[1])\n"
        "for _ in range(100):\n"
        "    with archive.write() as connection: runs.command(connection, int(sys.argv[2]), 'pause')\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, where, str(run.id)]) for _ in range(2)]

    def write(_: int) -> None:
        with archive.write() as connection:
            runs.command(connection, run.id, "pause")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert [other.wait() for other in others] == [0, 0]
    with archive.read() as connection:
        assert len(runs.open_commands(connection, run.id)) == 400


def test_the_migrations_make_the_same_tables_as_a_new_archive(
    archive: Archive, where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if where.startswith("postgresql"):
        migrated = request.getfixturevalue("postgres").new_database()
    else:
        migrated = f"sqlite:///{tmp_path / 'migrated.db'}"
    engine = create_engine(migrated)
    upgrade(engine)

    def shape(of: object) -> dict[str, object]:
        look = inspect(of)
        return {
            table: (
                sorted((c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(table)),
                sorted(
                    (str(i["name"]), i["column_names"], bool(i["unique"])) for i in look.get_indexes(table)
                ),
                sorted(map(str, look.get_unique_constraints(table))),
                look.get_pk_constraint(table)["constrained_columns"],
            )
            for table in look.get_table_names()
        }

    assert shape(engine) == shape(archive.engine)
    engine.dispose()
    open_archive(migrated).close()


@on_sqlite
@pytest.mark.parametrize("dump", sorted(OLD.glob("*.sql")), ids=lambda path: path.stem)
def test_an_archive_of_an_earlier_schema_is_brought_up_to_date(where: str, dump: Path) -> None:
    old = sqlite3.connect(where)
    old.executescript(dump.read_text())
    old.close()
    opened = open_archive(where)
    try:
        with opened.read() as connection:
            run = runs.find(connection, "calm-otter")
            assert (run.state, run.reason) == ("finished", "budget of 1 evaluations reached")
            assert [one.metrics for one in evaluations.scored(connection, run.id)] == [{"loss": 0.5}]
            assert programs.sources(connection, 1) == {"program.py": b"x = 1\n"}
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == SCHEMA
            assert connection.execute(text("SELECT started, done, note FROM worker")).all() == [(6, 0, None)]
            assert list(connection.exec_driver_sql("PRAGMA foreign_key_check")) == []
        with opened.write() as connection:
            assert leases.take(connection, run.id, run.name, this_process(), "resume").fence == 4
    finally:
        opened.close()


def test_whatever_a_candidate_prints_can_be_stored(archive: Archive) -> None:
    run = new_run(archive)
    proposal_id, evaluation_id = new_evaluation(archive, run)
    wild = "a\0b \udc80 \\u0000"
    result = Result("failed", kind="raised", error=wild, output=wild, artifacts={"k\0": wild})
    with archive.write() as connection:
        claimed = evaluations.claim(connection, evaluation_id, new_live_worker(connection), "t")
        assert claimed is not None
        assert evaluations.finish(connection, claimed, result)
    with archive.read() as connection:
        assert [one.state for one in proposals.settled(connection, [proposal_id])] == ["failed"]
        row = connection.execute(text("SELECT error, output FROM evaluation")).one()
    assert tuple(row) == ("a\ufffdb ? \\u0000",) * 2


def test_another_version_takes_nothing_and_says_which(archive: Archive) -> None:
    run = new_run(archive)
    _, evaluation_id = new_evaluation(archive, run)
    with archive.write() as connection:
        waiting = proposals.add(connection, run.id, 1, "constant", [])
        leases.take(connection, run.id, run.name, this_process(), "evolve")
        connection.execute(text("UPDATE lease SET version = '0.0.9'"))
        with pytest.raises(WorkerRefuses, match=r"driven by version 0\.0\.9"):
            evaluations.claim(connection, evaluation_id, 1, "t")
        with pytest.raises(WorkerRefuses, match=r"driven by version 0\.0\.9"):
            proposals.claim(connection, waiting, 1, "t")


def test_of_a_run_that_nobody_drives_on_nothing_is_begun_but_its_confirmation(archive: Archive) -> None:
    run = new_run(archive)
    _, evaluation_id = new_evaluation(archive, run)
    with archive.write() as connection:
        waiting = proposals.add(connection, run.id, 1, "constant", [])
        values = {"run_id": run.id, "program_id": 1, "seed": 8, "scoring_version": "v"}
        confirmation = evaluations.add(connection, proposal_id=None, purpose="confirm", **values)
        connection.execute(text("UPDATE run SET state = 'paused'"))
        assert evaluations.claim(connection, evaluation_id, 1, "t") is None
        assert proposals.claim(connection, waiting, 1, "t") is None
        assert evaluations.claim(connection, confirmation, 1, "t") is not None
        connection.execute(text("UPDATE run SET state = 'running'"))
        assert evaluations.claim(connection, evaluation_id, 1, "t") is not None
        assert proposals.claim(connection, waiting, 1, "t") is not None


def test_what_is_done_again_after_a_lost_answer_changes_nothing(archive: Archive) -> None:
    run = new_run(archive)
    _, evaluation_id = new_evaluation(archive, run)
    with archive.write() as connection:
        first = proposals.add(connection, run.id, 1, "constant", [])
        assert proposals.add(connection, run.id, 1, "constant", []) == first
        once = proposals.claim(connection, first, 1, "mine")
        assert proposals.claim(connection, first, 1, "mine") == once is not None
        assert proposals.claim(connection, first, 1, "other") is None
        claimed = evaluations.claim(connection, evaluation_id, 1, "mine")
        assert evaluations.claim(connection, evaluation_id, 1, "mine") == claimed is not None
        assert evaluations.claim(connection, evaluation_id, 1, "other") is None


def test_equal_programs_of_two_workers_at_once_are_stored_once(archive: Archive) -> None:
    run = new_run(archive)

    def store(number: int) -> int | None:
        with archive.write() as connection:
            proposal_id = proposals.add(connection, run.id, number, "constant", [])
            new = programs.NewProgram("1:same", 30, GENES)
            return programs.add(connection, run.id, new, generation=0, proposal_id=proposal_id, parents=[])

    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(store, range(16)))
    assert len([one for one in stored if one is not None]) == 1


@on_postgresql
def test_a_server_that_restarts_is_waited_for(archive: Archive, postgres: PostgreSQL) -> None:
    run = new_run(archive)
    tries = 0

    def work(connection: Connection) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            postgres.stop("immediate")
            postgres.start()
        runs.command(connection, run.id, "pause")
        return tries

    assert archive.transact(work) == 2
    assert len(archive.look(lambda connection: runs.open_commands(connection, run.id))) == 1


@on_postgresql
def test_a_server_that_stays_away_is_the_worlds_failure(archive: Archive, postgres: PostgreSQL) -> None:
    archive.patience = 0.3
    postgres.stop("fast")
    try:
        with pytest.raises(ArchiveUnavailable, match="resume when it works again"):
            archive.transact(lambda connection: None)
    finally:
        postgres.start()


def test_files_that_are_no_archive_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database at all")
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE albums (id INTEGER)")
    foreign.commit()
    open_archive(str(tmp_path / "newer.db"), create=True).close()
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.commit()
    whole = (tmp_path / "newer.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(whole[: len(whole) // 2])
    cases = {
        "notes.txt": "that file is no archive of guided-evolution",
        "foreign.db": "holds other tables and is no archive",
        "newer.db": "written by a newer version",
        "cut.db": "can't be opened",
        "missing.db": "there is no such file",
        "missing/a.db": "there is no such file",
        ".": "that is a folder",
        "nosuch://x": "driver|database",
    }
    for name, words in cases.items():
        where = name if "://" in name else str(tmp_path / name)
        with pytest.raises(ArchiveError, match=words) as caught:
            open_archive(where)
        assert "\n" not in str(caught.value).strip()
    assert (tmp_path / "notes.txt").read_text() == "not a database at all"


@on_sqlite
def test_an_archive_that_stops_answering_is_the_worlds_failure(archive: Archive, tmp_path: Path) -> None:
    run = new_run(archive)
    with archive.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(ArchiveUnavailable, match="full"), archive.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        for _ in range(2000):
            runs.command(connection, run.id, "pause", {"padding": "x" * 500})
    with archive.read() as connection:
        assert runs.find(connection, run.name).id == run.id
