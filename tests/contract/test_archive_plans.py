"""The hot queries use the indices made for them, on both databases: what they cost doesn't grow with the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, event, text

from guided_evolution.archive import Archive, evaluations, open_archive, programs, proposals, runs, workers
from guided_evolution.seed import Objective, Seed
from tests.services import PostgreSQL

ROWS = 100_000
SEED = Seed(
    name="tiny",
    task="t",
    files=("program.py",),
    program={"program.py": b"x = 1\n"},
    objectives=(Objective("loss", "minimize", True),),
    evaluator_source="def evaluate(candidate, seed): ...\n",
)
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n",
    "postgresql": "SELECT i FROM generate_series(1, {rows}) AS n(i)",
}

HOT: dict[str, Callable[[Connection], object]] = {
    "open proposals": lambda c: proposals.open_ids(c, 1),
    "pending proposals": lambda c: proposals.pending_ids(c, 1),
    "pending evaluations": lambda c: evaluations.pending_ids(c, 1),
    "running": lambda c: (proposals.running(c, 1), evaluations.running(c, 1)),
    "what ended": lambda c: proposals.settled(c, [5, 50_000, 99_999]),
    "what the dead hold": lambda c: workers.sweep(c, 1, [1]),
    "lost proposals": lambda c: proposals.lose(c, 1, [7]),
    "lost evaluations": lambda c: evaluations.lose(c, 1, [7]),
    "claim of a proposal": lambda c: proposals.claim(c, 99_999, 1, "t"),
    "claim of an evaluation": lambda c: evaluations.claim(c, 99_999, 1, "t"),
    "known program": lambda c: programs.known(c, 1, "1:f500"),
    "generations": lambda c: programs.generations(c, [5, 6]),
    "last number": lambda c: proposals.last_number(c, 1),
    "commands": lambda c: runs.open_commands(c, 1),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    if request.param == "sqlite":
        where = str(tmp_path_factory.mktemp("plans") / "a.db")
    else:
        server: PostgreSQL = request.getfixturevalue("postgres")
        where = server.new_database()
    opened = open_archive(where, create=True)
    with opened.write() as connection:
        runs.create(connection, SEED, settings={}, rng_seed=1, evaluation_seed=2, sandbox="process")
        fill(connection, _NUMBERS[connection.dialect.name].format(rows=ROWS))
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    yield opened
    opened.close()


def fill(connection: Connection, numbers: str) -> None:
    """A run of many finished proposals, programs and evaluations; the last ones are open."""
    state = f"CASE WHEN i > {ROWS - 4} THEN 'running' ELSE"
    source = f"FROM ({numbers}) AS m"
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SET LOCAL session_replication_role = replica"
        )  # no checks of foreign keys
    for statement in (
        f"""INSERT INTO proposal (id, run_id, number, operator, parents, state, attempt, worker_id, program_id,
            created_at) SELECT i, 1, i, 'constant', '[]', {state} 'accepted' END, 1, 1, i, 0 {source}""",
        f"""INSERT INTO program (id, run_id, proposal_id, fingerprint, generation, genome, size)
            SELECT i, 1, i, '1:f' || i, 1, '{{}}', 10 {source}""",
        f"""INSERT INTO evaluation (id, run_id, program_id, proposal_id, purpose, seed, attempt, state, worker_id,
            metrics, scoring_version, created_at, finished_at)
            SELECT i, 1, i, i, 'search', 2, 1, {state} 'scored' END, 1, '{{"loss":1}}', 'v', 0, i {source}""",
    ):
        # Not through text(): a colon in it would be a parameter.
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("what", HOT)
def test_hot_queries_scan_no_table(archive: Archive, what: str) -> None:
    seen: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, values: object, _x: object, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "INSERT")):
            seen.append((statement, values))

    event.listen(archive.engine, "before_cursor_execute", note)
    try:
        with archive.write() as connection:
            HOT[what](connection)
            event.remove(archive.engine, "before_cursor_execute", note)
            assert seen
            for statement, values in list(seen):
                assert_indexed(connection, statement, values)
            connection.rollback()
    finally:
        if event.contains(archive.engine, "before_cursor_execute", note):
            event.remove(archive.engine, "before_cursor_execute", note)


def assert_indexed(connection: Connection, statement: str, values: object) -> None:
    lite = connection.dialect.name == "sqlite"
    explain = f"EXPLAIN {'QUERY PLAN ' if lite else ''}{statement}"
    plan = [str(row[-1]) for row in connection.exec_driver_sql(explain, values)]  # type: ignore[arg-type]
    big = ("proposal", "program", "evaluation")
    if lite:
        bad = [line for line in plan if line.startswith("SCAN ") and line.split()[1] in big]
        # The whole run by its number, or by purpose, is as bad as a scan: a run has all the rows.
        bad += [
            line
            for line in plan
            if line.startswith("SEARCH")
            and line.endswith("(run_id=?)")
            and line.split()[1] in big
            and "COVERING" not in line
        ]
    else:
        bad = [
            line for line in plan if "Seq Scan on" in line and line.split("Seq Scan on ")[1].split()[0] in big
        ]
    assert not bad, "\n".join([statement, *plan])
