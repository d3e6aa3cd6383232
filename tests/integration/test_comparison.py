"""A whole comparison on a seed that costs nothing, and the compare command."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from guided_evolution.archive import Archive, open_archive
from guided_evolution.compare import Arm, Comparison, Stopped, compare, parse_arm
from guided_evolution.seed import load_seed

PROGRAM = """
A = 9.0
B = 9.0


def solve():
    return [A, B]
"""
EVALUATE = """
from guided_evolution import Score


def evaluate(candidate, seed):
    a, b = candidate.call("solve")
    return Score({"loss": abs(a - 1) + abs(b - 2)})


def confirm(candidate, seed):
    a, b = candidate.call("solve")
    return Score({"loss": abs(a - 1) + abs(b - 2) + 0.5})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny"
    place.mkdir()
    (place / "program.py").write_text(PROGRAM)
    (place / "evaluate.py").write_text(EVALUATE)
    (place / "task.md").write_text("Bring A to 1 and B to 2.")
    objective = '[[objectives]]\nmetric = "loss"\ndirection = "minimize"\n'
    (place / "seed.toml").write_text(
        f'name = "tiny"\nfiles = ["program.py"]\nprotected = ["solve"]\n{objective}'
    )
    return place


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = open_archive(str(tmp_path / "runs.db"), create=True)
    yield opened
    opened.close()


def arms(*texts: str) -> list[Arm]:
    return [parse_arm(one) for one in texts]


def compared(archive: Archive, folder: Path, **other: object) -> Comparison:
    options: dict[str, object] = {"repetitions": 1, "evaluations_each": 6, "confirmations": 1} | other
    return compare(archive, [load_seed(str(folder))], arms("hill-climb", "random-walk"), **options)  # type: ignore[arg-type]


def count(archive: Archive, what: str) -> int:
    with archive.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {what}")).scalar_one())


def test_arms_take_turns_share_their_seeds_and_are_confirmed(archive: Archive, folder: Path) -> None:
    told: list[tuple[int, str]] = []
    found = compared(
        archive,
        folder,
        repetitions=2,
        confirmations=2,
        tell=lambda trial: told.append((trial.repetition, trial.arm)),
    )
    assert told == [(0, "hill-climb"), (0, "random-walk"), (1, "random-walk"), (1, "hill-climb")]
    for one in found.trials:
        assert one.confirmed == pytest.approx(one.searched + 0.5)
        assert one.seed_program == 15.5
        assert not one.failed
    with archive.read() as connection:
        seeds = connection.execute(text("SELECT rng_seed, evaluation_seed FROM run ORDER BY id")).all()
        used = connection.execute(
            text("SELECT DISTINCT seed FROM evaluation WHERE purpose IN ('seed', 'search')")
        ).all()
    assert seeds[0] == seeds[1]
    assert seeds[2] == seeds[3]
    assert seeds[0] != seeds[2]
    assert len(used) == 2
    evaluated = "evaluation WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed')"
    assert count(archive, evaluated) == 4 * 6
    assert found.contrast("hill-climb", "random-walk").verdict in ("better", "worse", "no difference")


def test_what_is_finished_is_not_done_again_and_more_repetitions_add_to_it(
    archive: Archive, folder: Path
) -> None:
    first = compared(archive, folder)
    before = count(archive, "evaluation")
    assert compared(archive, folder) == first
    assert count(archive, "evaluation") == before
    more = compared(archive, folder, repetitions=2)
    assert set(first.trials) < set(more.trials)
    assert count(archive, "run") == 4


def test_a_stopped_comparison_goes_on(archive: Archive, folder: Path) -> None:
    @contextlib.contextmanager
    def at_once(stop: Callable[[str], None]) -> Iterator[None]:
        stop("enough")
        yield

    with pytest.raises(Stopped, match="enough"):
        compared(archive, folder, stop_hook=at_once)
    assert count(archive, "run WHERE state = 'stopped'") == 1
    assert len(compared(archive, folder).trials) == 2
    assert count(archive, "run") == 2
    assert count(archive, "run WHERE state = 'finished'") == 2


def test_a_winner_that_fails_when_confirmed_counts_as_the_seed_program(
    archive: Archive, folder: Path
) -> None:
    trap = EVALUATE.replace(" + 0.5})", "} if (a, b) == (9.0, 9.0) else {})")
    (folder / "evaluate.py").write_text(textwrap.dedent(trap))
    found = compared(archive, folder, evaluations_each=15)
    improved = [one for one in found.trials if one.searched < 15]
    assert improved
    assert all(one.failed and one.confirmed == one.seed_program == 15.0 for one in improved)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GUIDED_EVOLUTION_ARCHIVE": str(folder.parent / "cli.db")}
    line = [sys.executable, "-m", "guided_evolution.cli", "compare", str(folder), *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_the_command_prints_tables_then_the_same_as_json(folder: Path) -> None:
    arguments = ["--arms", "hill-climb,best-of-n", "--seeds", "1", "--evaluations", "5", "--slots", "1"]
    shown = command(folder, *arguments)
    assert shown.returncode == 0, shown.stderr
    assert "hill-climb against" in shown.stdout
    assert "95% interval" in shown.stdout
    assert "best-of-n" in shown.stdout
    assert len(shown.stderr.splitlines()) == 2
    document = json.loads(command(folder, *arguments, "--json").stdout)
    assert len(document["trials"]) == 2
    assert {one["arm"] for one in document["confirmed"]} == {"hill-climb", "best-of-n"}
    assert document["contrasts"][0]["against"] == "best-of-n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arms", "evolve"], "name at least two"),
        (["--arms", "evolve,climb"], 'strategy "climb" is unknown'),
        (["--seeds", "0"], "--seeds 0: must be at least 1"),
        (["--confirmations", "0"], "--confirmations 0: must be at least 1"),
        (["--evaluations", "0"], "evaluations must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, arguments: list[str], said: str) -> None:
    done = command(folder, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
