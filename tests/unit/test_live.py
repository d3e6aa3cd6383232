"""What a watched run looks like, as a picture and as lines."""

from __future__ import annotations

import io

from rich.console import Console

from guided_evolution.budget import Budget
from guided_evolution.front import Member, measure
from guided_evolution.live import FRONT_ROWS, Lines, Picture, counted, line, panel, watching
from guided_evolution.progress import Progress
from guided_evolution.seed import Objective, Seed


def seed(self_scored: bool = False) -> Seed:
    return Seed(
        name="demo",
        task="t",
        files=("program.py",),
        program={"program.py": b""},
        objectives=(Objective("size", "minimize", False), Objective("accuracy", "maximize", True)),
        evaluator_source="",
        self_scored=self_scored,
    )


def member(program_id: int, accuracy: float, size: float) -> Member:
    return measure(seed(), program_id, {"accuracy": accuracy, "size": size})


def progress(state: str = "running", front: int = 2) -> Progress:
    return Progress(
        run_name="calm-fjord",
        state=state,
        evaluations=183,
        seconds=23.4,
        scored=171,
        running=4,
        seed=member(1, 0.801166667, 746),
        best={"accuracy": member(41, 0.83, 746), "size": member(88, 0.7, 402)},
        front=tuple(member(100 + n, 0.8 - n / 100, 700 - n) for n in range(front)),
        failures={"raised": 4, "timeout": 8},
        rejected={"no-op": 2},
        per_second=7.61,
    )


BUDGET = Budget(evaluations=500, seconds=60.0)


def drawn(width: int, **changes: object) -> list[str]:
    out = Console(file=io.StringIO(), width=width, force_terminal=False)
    values: dict[str, object] = {"progress": progress(), "seed": seed(), "budget": BUDGET, **changes}
    out.print(panel(**values, width=width, seconds=24.0, note="the note"))  # type: ignore[arg-type]
    assert isinstance(out.file, io.StringIO)
    return [" ".join(row.strip("│ ").split()) for row in out.file.getvalue().splitlines()]


def test_the_picture_says_all_there_is_to_say_in_80_columns() -> None:
    rows = drawn(80)
    assert rows[0].startswith("╭─ calm-fjord demo ─")
    assert rows[1:4] == [
        "seed program best change program",
        "accuracy ↑ 0.8011667 0.83 +0.02883 (+3.6 %) 41",
        "size ↓ 746 402 -344 (-46.1 %) 88",
    ]
    assert rows[5:8] == ["front (2) accuracy size", "100 0.8 700", "101 0.79 699"]
    assert rows[9:12] == [
        "183 evaluated 7.6/s 4 at work",
        "failed 12 (timeout 8, raised 4)",
        "rejected 2 (no-op 2)",
    ]
    assert rows[12].startswith("time ━")
    assert rows[12].endswith("36 s left")
    assert rows[13].endswith("317 left")
    assert rows[14].startswith("╰─ the note ─")


def test_the_front_stands_beside_the_best_where_there_is_room_and_is_cut_where_it_is_long() -> None:
    rows = drawn(120, progress=progress(front=FRONT_ROWS + 3))
    assert rows[1] == f"seed program best change program front ({FRONT_ROWS + 3}) accuracy size"
    assert rows[1 + FRONT_ROWS].endswith("0.75 695")
    assert rows[2 + FRONT_ROWS] == "…"


def test_labels_of_state_target_patience_and_self_scores() -> None:
    rows = drawn(
        80,
        progress=progress("paused"),
        seed=seed(self_scored=True),
        budget=Budget(target=("accuracy", 0.9), patience=20),
    )
    assert rows[0].startswith("╭─ calm-fjord demo self-scored paused ─")
    assert rows[12:14] == ["until accuracy reaches 0.9", "until 20 evaluations bring no gain"]


def test_a_line_says_the_same() -> None:
    assert line(progress(), seed(), BUDGET) == (
        "23 s | 183 evaluated | 7.6/s | accuracy 0.83 (seed 0.8011667) | size 402 (seed 746) | front 2 | "
        "failed 12 (timeout 8, raised 4) | rejected 2 (no-op 2) | left 317 evaluations, 37 s"
    )
    assert line(progress(), seed(self_scored=True), BUDGET).startswith("self-scored | ")


def test_counts_by_kind() -> None:
    assert counted({}) == "0"
    assert counted({"b": 1, "a": 1, "c": 5}) == "7 (c 5, a 1, b 1)"


def test_lines_come_every_few_seconds_only() -> None:
    out = Console(file=io.StringIO(), width=200)
    lines = Lines(out, seed(), BUDGET)
    for _ in range(100):
        lines.watch(progress())
    lines.say("stopping")
    assert isinstance(out.file, io.StringIO)
    written = out.file.getvalue().splitlines()
    assert written == ["run calm-fjord: demo", line(progress(), seed(), BUDGET), "stopping"]


class Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_ends_no_run() -> None:
    lines = Lines(Console(file=Gone()), seed(), BUDGET)
    lines.watch(progress())
    lines.say("stopping")


def test_a_pipe_gets_lines_and_a_terminal_a_picture() -> None:
    with watching(Console(file=io.StringIO()), seed(), BUDGET) as view:
        assert isinstance(view, Lines)
    with watching(Console(file=io.StringIO(), force_terminal=True), seed(), BUDGET) as view:
        assert isinstance(view, Picture)
        view.watch(progress())
