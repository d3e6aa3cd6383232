"""What reading commands read: results, lineage and single programs of an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_run import SmallRun, small_seed

from guided_evolution.archive import lineage, reading, runs
from guided_evolution.archive.lineage import Step
from guided_evolution.archive.reading import Parent
from guided_evolution.errors import ArchiveError
from guided_evolution.results import read_results


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallRun]:
    made = SmallRun(tmp_path / "runs.db")
    yield made
    made.archive.close()


def test_results_hold_seed_front_and_best(small: SmallRun) -> None:
    with small.archive.read() as connection:
        results = read_results(connection, small.run)
    assert [one.metric for one in results.objectives] == ["rate", "size"]
    assert results.seed_member is not None
    assert results.seed_member.program_id == 1
    assert [member.program_id for member in results.front] == [4, 1]
    assert results.best().program_id == 4
    assert results.best("size").program_id == 1
    assert results.confirmed == {}


def test_the_best_by_an_unknown_metric_names_those_there_are(small: SmallRun) -> None:
    with small.archive.read() as connection:
        results = read_results(connection, small.run)
    with pytest.raises(ArchiveError, match=r"has no objective 'rte'; it has rate, size"):
        results.best("rte")


def test_a_program_that_misses_a_constraint_is_never_best(small: SmallRun) -> None:
    small.add("constant", (1,), "0.5 -> 3.0", "RATE = 3.0\n", {"rate": 3.0, "size": 10.0})
    with small.archive.read() as connection:
        results = read_results(connection, small.run)
    assert results.best().program_id == 4
    assert results.best("size").program_id == 1


def test_the_last_confirmation_counts(small: SmallRun) -> None:
    small.evaluate(4, None, "confirm", {"rate": 1.0, "size": 41.0})
    small.evaluate(4, None, "confirm", None)
    small.evaluate(4, None, "confirm", {"rate": 1.125, "size": 41.0})
    with small.archive.read() as connection:
        results = read_results(connection, small.run)
        program = reading.program(connection, 4)
    assert results.confirmed == {4: {"rate": 1.125, "size": 41.0}}
    assert program.confirmation is not None
    assert program.confirmation.metrics == {"rate": 1.125, "size": 41.0}
    assert program.score is not None
    assert program.score.metrics == {"rate": 1.25, "size": 41.0}


def test_a_program_is_read_with_its_origin_and_its_evaluations(small: SmallRun) -> None:
    with small.archive.read() as connection:
        program = reading.program(connection, 4)
        failed = reading.program(connection, 3)
    assert (program.operator, program.summary, program.generation) == ("crossover", "solve of 1", 2)
    assert program.parents == (Parent(2, "base"), Parent(1, "donor"))
    assert program.children == 0
    assert failed.score is not None
    assert (failed.score.state, failed.score.kind) == ("failed", "raised")
    with (
        small.archive.read() as connection,
        pytest.raises(ArchiveError, match="no program 99 in this archive"),
    ):
        reading.program(connection, 99)


def test_a_lineage_leads_from_the_seed_program_to_the_program(small: SmallRun) -> None:
    with small.archive.read() as connection:
        steps = lineage.story(connection, 4)
        assert lineage.story(connection, 99) == []
    assert steps == [
        Step(1, 0, "seed", "the seed program", (), {"rate": 0.5, "size": 40.0}, None),
        Step(2, 1, "constant", "0.5 -> 0.75", (), {"rate": 0.75, "size": 41.0}, None),
        Step(4, 2, "crossover", "solve of 1", (1,), {"rate": 1.25, "size": 41.0}, None),
    ]


def test_counts_and_pace_look_at_what_counts_only(small: SmallRun) -> None:
    small.evaluate(4, None, "confirm", {"rate": 1.0, "size": 41.0})
    with small.archive.read() as connection:
        assert reading.final_counts(connection, [small.run.id, 99]) == {small.run.id: 4}
        assert reading.pace(connection, small.run.id, 3600.0) == 4 / 3600.0


def test_runs_of_one_archive_are_read_apart(small: SmallRun) -> None:
    with small.archive.write() as connection:
        other = runs.create(
            connection,
            small_seed(has_confirm=False),
            settings=small.run.settings,
            rng_seed=1,
            evaluation_seed=2,
            sandbox="process",
        )
    with small.archive.read() as connection:
        results = read_results(connection, other)
    assert results.front == ()
    with pytest.raises(ArchiveError, match="has no scored program yet"):
        results.best()
