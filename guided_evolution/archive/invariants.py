"""What must hold in every archive at every moment, whatever was killed: the questions that `doctor` asks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from guided_evolution.archive import programs

_RUN = {
    "accepted proposals without a program": """
        SELECT p.id FROM proposal p LEFT JOIN program g ON g.id = p.program_id AND g.run_id = p.run_id
        WHERE p.run_id = :run AND p.state IN ('accepted', 'known') AND g.id IS NULL""",
    "accepted proposals without exactly one evaluation that isn't lost": """
        SELECT p.id FROM proposal p WHERE p.run_id = :run AND p.state = 'accepted' AND 1 !=
        (SELECT count(*) FROM evaluation e WHERE e.proposal_id = p.id AND e.state != 'lost')""",
    "rejected proposals without a kind": """
        SELECT id FROM proposal WHERE run_id = :run AND state = 'rejected' AND kind IS NULL""",
    "proposals in an unknown state": """
        SELECT id FROM proposal WHERE run_id = :run
        AND state NOT IN ('pending', 'running', 'accepted', 'rejected', 'known')""",
    "evaluations in an unknown state": """
        SELECT id FROM evaluation WHERE run_id = :run
        AND state NOT IN ('pending', 'running', 'scored', 'failed', 'lost')""",
    "model calls in an unknown state": """
        SELECT id FROM completion WHERE run_id = :run AND state NOT IN ('open', 'answered', 'failed', 'lost')""",
    "runs whose ledger isn't the sum of their model calls": """
        SELECT s.run_id FROM spending s WHERE s.run_id = :run AND (
            abs(s.cost - (SELECT coalesce(sum(cost), 0) FROM completion c
                WHERE c.run_id = :run AND c.state != 'open')) > 0.000001
            OR abs(s.reserved_cost - (SELECT coalesce(sum(reserved_cost), 0) FROM completion c
                WHERE c.run_id = :run AND c.state = 'open')) > 0.000001
            OR s.reserved_tokens != (SELECT coalesce(sum(reserved_tokens), 0) FROM completion c
                WHERE c.run_id = :run AND c.state = 'open')
            OR s.calls != (SELECT coalesce(sum(requests), 0) FROM completion c WHERE c.run_id = :run))""",
    "running rows that nobody has claimed": """
        SELECT id FROM evaluation WHERE run_id = :run AND state = 'running' AND (claim IS NULL OR worker_id IS NULL)
        UNION ALL
        SELECT id FROM proposal WHERE run_id = :run AND state = 'running' AND (claim IS NULL OR worker_id IS NULL)""",
    "final evaluations without a result": """
        SELECT id FROM evaluation WHERE run_id = :run AND (finished_at IS NULL AND state IN ('scored', 'failed', 'lost')
        OR metrics IS NULL AND state = 'scored' OR kind IS NULL AND state = 'failed')""",
    "evaluations of another scoring version than their run's": """
        SELECT e.id FROM evaluation e JOIN run r ON r.id = e.run_id
        WHERE e.run_id = :run AND e.scoring_version != r.scoring_version""",
    "evaluations of another run's program": """
        SELECT e.id FROM evaluation e JOIN program p ON p.id = e.program_id
        WHERE e.run_id = :run AND p.run_id != :run""",
    "programs without a base parent in their run": """
        SELECT c.id FROM program c WHERE c.run_id = :run AND c.generation > 0 AND NOT EXISTS (SELECT 1 FROM parentage a
        JOIN program p ON p.id = a.parent_id WHERE a.child_id = c.id AND a.role = 'base' AND p.run_id = c.run_id)""",
    "programs whose generation isn't one more than their parents' largest": """
        SELECT c.id FROM program c WHERE c.run_id = :run AND c.generation != COALESCE((SELECT 1 + max(p.generation)
        FROM parentage a JOIN program p ON p.id = a.parent_id WHERE a.child_id = c.id), 0)""",
    "programs that no accepted proposal made": """
        SELECT c.id FROM program c LEFT JOIN proposal p ON p.id = c.proposal_id AND p.program_id = c.id
        AND p.state = 'accepted' WHERE c.run_id = :run AND p.id IS NULL""",
}


@dataclass(frozen=True)
class Problem:
    """An invariant that doesn't hold, with some of the rows that break it."""

    what: str
    rows: tuple[int, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.rows[:5])) + (", …" if len(self.rows) > 5 else "")
        return f"{self.what}: {shown}" if self.rows else self.what


def of_file(connection: Connection) -> Iterator[Problem]:
    """Damage of the file itself, for SQLite."""
    if connection.dialect.name != "sqlite":
        return
    answers = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
    if answers != ["ok"]:
        yield Problem(f"the file is damaged: {'; '.join(answers)}", ())
    broken = [int(row[1] or 0) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    if broken:
        yield Problem("rows that refer to rows that aren't there", tuple(broken))


def of_run(connection: Connection, run_id: int) -> Iterator[Problem]:
    """States, claims, counts and lineage of one run."""
    for what, query in _RUN.items():
        found = tuple(connection.execute(text(query), {"run": run_id}).scalars())
        if found:
            yield Problem(what, found)
    scores = connection.execute(
        text("SELECT id, metrics FROM evaluation WHERE run_id = :run AND state = 'scored'"), {"run": run_id}
    )
    infinite = tuple(row.id for row in scores if not _finite(row.metrics))
    if infinite:
        yield Problem("scores that aren't finite numbers", infinite)


def over_budget(connection: Connection, run_id: int, evaluations: int) -> Iterator[Problem]:
    """More final evaluations than the run's budget allows."""
    query = """SELECT count(*) FROM evaluation WHERE run_id = :run AND purpose IN ('seed', 'search')
        AND state IN ('scored', 'failed')"""
    counted = connection.execute(text(query), {"run": run_id}).scalar_one()
    if counted > evaluations:
        yield Problem(f"{counted} evaluations count against a budget of {evaluations}", ())


def sources_of_run(connection: Connection, run_id: int) -> Iterator[tuple[int, str, dict[str, bytes] | None]]:
    """Each program's id, stored fingerprint and files; None for files where a gene is missing."""
    found = connection.execute(
        text("SELECT id, fingerprint FROM program WHERE run_id = :run ORDER BY id"), {"run": run_id}
    ).all()
    for row in found:
        yield row.id, row.fingerprint, programs.sources_or_none(connection, row.id)


def _finite(stored: object) -> bool:
    metrics = json.loads(stored) if isinstance(stored, str) else stored
    if not isinstance(metrics, dict) or not metrics:
        return False
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in metrics.values())
