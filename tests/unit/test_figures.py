"""Numbers and foreign text as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.figures import better, change, gist, one_line, shown, visible
from guided_evolution.seed import Objective


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.801166667, "0.8011667"),
        (746.0, "746"),
        (1234567.0, "1,234,567"),
        (-3.0, "-3"),
        (2.6359830849, "2.635983"),
        (1e22, "1e+22"),
        (1.5e-9, "1.5e-09"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert shown(value) == expected


def test_scores_that_differ_in_the_fifth_decimal_look_different() -> None:
    assert shown(2.63586) != shown(2.63598)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (0.5, 0.75, "+0.25 (+50.0 %)"),
        (746, 402, "-344 (-46.1 %)"),
        (-2.0, -1.0, "+1 (+50.0 %)"),
        (0.0, 3.0, "+3"),
        (4.0, 4.0, "="),
    ],
)
def test_changes(old: float, new: float, expected: str) -> None:
    assert change(old, new) == expected


def test_better_follows_the_direction() -> None:
    up, down = Objective("a", "maximize", True), Objective("b", "minimize", False)
    assert better(up, 1, 2)
    assert not better(up, 2, 2)
    assert better(down, 2, 1)
    assert not better(down, 1, 2)


def test_foreign_text_obeys_no_terminal() -> None:
    assert visible("a\x1b[2Jb\r\nc\td\x07") == "a\\x1b[2Jb\\r\nc\td\\x07"
    assert visible("\udc80é") == "\\udc80é"
    assert one_line("\n  first \x1b[31m\nsecond") == "first \\x1b[31m"
    assert one_line("x" * 300, 10) == "xxxxxxxxx…"


@given(st.text(st.characters()))
def test_visible_text_can_be_printed(text: str) -> None:
    made = visible(text)
    assert all(one.isprintable() or one in "\n\t" for one in made)
    made.encode()


TRACEBACK = """Traceback (most recent call last):
  File "/tmp/x/evaluate.py", line 4, in evaluate
    raise ValueError("no data\\nat all")
           ^^^^^^^^^^
  File "/tmp/x/helper.py", line 12, in load
    return 1 / 0
ValueError: no data
at all
"""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TRACEBACK, "ValueError: no data at all (helper.py, line 12)"),
        (
            '  File "program.py", line 2, in solve\n    return 1/0\nZeroDivisionError: x\n',
            "ZeroDivisionError: x (program.py, line 2)",
        ),
        ("evaluate.py can't be imported: boom\n" + TRACEBACK, "evaluate.py can't be imported: boom"),
        ("not done within 1 s", "not done within 1 s"),
        ("", ""),
        ("Traceback (most recent call last):\n  cut off here", "Traceback (most recent call last):"),
    ],
)
def test_the_gist_of_an_error_is_one_line(error: str, expected: str) -> None:
    assert gist(error) == expected


@given(st.text())
def test_a_gist_is_always_one_printable_line(error: str) -> None:
    assert "\n" not in gist(error)
    assert len(gist(error)) <= 600
