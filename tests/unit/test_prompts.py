"""What a model is told: literal prompts, and what gives way when they get long."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from guided_evolution.briefing import Attempt, Briefing, Known
from guided_evolution.errors import EditRejected, SettingsError
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome, unified_diff
from guided_evolution.models import Message
from guided_evolution.operators.asking import again, question
from guided_evolution.operators.draft import DraftOperator
from guided_evolution.operators.merge import MergeOperator
from guided_evolution.operators.mutate import MutateOperator
from guided_evolution.operators.repair import RepairOperator
from guided_evolution.prompts import (
    PLACEHOLDERS,
    Prompts,
    builtin_templates,
    count_tokens,
    fill,
    read_templates,
)
from guided_evolution.prompts.sections import cut, fenced, program_text
from guided_evolution.seed import Constraint, Environment, Limits, Objective, Seed

PROGRAM = '''STEP = 0.5


def improve(x):
    """One step."""
    return {"x": x - STEP * x}["x"]


def solve():
    return improve(3.0)
'''
SEED = Seed(
    name="tiny",
    task="Bring x to 1. {braces} and {{more}} stay.",
    files=("program.py",),
    program={"program.py": PROGRAM.encode()},
    objectives=(Objective("size", "minimize", False), Objective("score", "maximize", True)),
    constraints=(Constraint("seconds", at_most=2.0), Constraint("depth", at_least=1.0)),
    evaluator_source="SECRET = 'the evaluator'",
    protected=("solve",),
    limits=Limits(seconds=6, memory_mb=512, cpus=1, program_kb=16),
    candidate=Environment(),
)
RULES = FrozenRules(("solve",), (), 16)
BASE = Genome.split(SEED.program)
CHILD = BASE.replace("program.py", PROGRAM.replace("0.5", "0.25"))
METRICS = {"score": 2.6358627564123456, "size": 4, "seconds": 0.123, "depth": 0.5}
BETTER = {"score": 2.6359830849, "size": 4, "seconds": 0.2, "depth": 2.0}


def briefing(**changes: object) -> Briefing:
    plain = Briefing(
        seed=SEED,
        rules=RULES,
        base=Known(7, BASE, METRICS, "x = 1.5, off by ``` and {y}"),
        seed_metrics={"score": 1.0, "size": 4},
        best_metrics=BETTER,
        packages=("numpy==1.26.4",),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def prompts(budget: int = 24_000, **templates: str) -> Prompts:
    return Prompts(templates, budget)


def user(messages: tuple[Message, ...]) -> str:
    assert [one.role for one in messages[:2]] == ["system", "user"]
    return messages[1].content


ATTEMPTS = (
    Attempt("mutate", "Half the step.", "scored", True, unified_diff(BASE, CHILD), METRICS, BETTER),
    Attempt("mutate", "A loop.", "failed", kind="timeout", error="Traceback:\n  ^^^^\nran out of 6 s"),
    Attempt("constant", "", "rejected", kind="no-match", error="the text to find is not\nin the program"),
    Attempt("mutate", "The same.", "known"),
)

WHOLE_PROMPT = """## Task

Bring x to 1. {braces} and {{more}} stay.

## What counts

- `score`, higher is better, the primary objective: this program 2.6358627564123456, the seed program 1.0, the best so far 2.6359830849
- `size`, lower is better: this program 4, the seed program 4, the best so far 4
- constraint: `seconds` at most 2.0: this program keeps it
- constraint: `depth` at least 1.0: this program breaks it with 0.5

## The program

`program.py`:

```python
STEP = 0.5


def improve(x):
    \"\"\"One step.\"\"\"
    return {"x": x - STEP * x}["x"]


def solve():
    return improve(3.0)
```

## What its evaluation said

````
x = 1.5, off by ``` and {y}
````

## What was tried on this line

- mutate: Half the step. → score 2.6358627564123456 → 2.6359830849 (better), size 4 → 4 (the same), part of this program

```diff
@@ -1,4 +1,4 @@
-STEP = 0.5
+STEP = 0.25
 
 
 def improve(x):
```

- mutate: A loop. → failed (timeout): Traceback: | ran out of 6 s

- constant: no summary → rejected (no-match): the text to find is not | in the program

- mutate: The same. → no new program

## Other good programs of this run

- a program with score 2.6359830849, size 4; from this one to it:

```diff
--- this/program.py
+++ other/program.py
@@ -1,4 +1,4 @@
-STEP = 0.5
+STEP = 0.25
 
 
 def improve(x):
```

## Lessons so far

- Small steps help.

## Limits

One evaluation may take 6 s in all, 512 MB of memory and 1 processor; the program may have 16 KB.

It runs on PYTHON and may import the standard library and numpy==1.26.4.

Keep `solve`, with their parameters: the evaluator uses them.

## What to do

Do better.

Look at `program.py::improve` first.

## How to answer

Send SEARCH/REPLACE.
"""  # noqa: E501


def test_a_whole_prompt_to_the_letter() -> None:
    asked = question(
        "mutate",
        briefing(attempts=ATTEMPTS, inspirations=(Known(9, CHILD, BETTER),), lessons=("Small steps help.",)),
        prompts(notation="Send SEARCH/REPLACE.\n"),
        notation=None,
        temperature=0.5,
        intent="Do better.",
        said_scope="Look at `program.py::improve` first.",
    )
    said = re.sub(r"Python 3\.\d+", "PYTHON", user(asked.messages))
    assert said == WHOLE_PROMPT


def test_parts_without_content_leave_no_heading() -> None:
    asked = question(
        "mutate", briefing(base=Known(7, BASE, METRICS)), prompts(), notation=None, temperature=0.5
    )
    headings = re.findall(r"^## .*$", user(asked.messages), re.MULTILINE)
    assert headings == [
        "## Task",
        "## What counts",
        "## The program",
        "## Limits",
        "## How to answer",
    ]


def test_scores_that_differ_in_the_fifth_place_look_different() -> None:
    said = user(question("mutate", briefing(), prompts(), notation=None, temperature=0.5).messages)
    assert "2.6358627564123456" in said
    assert "2.6359830849" in said


def test_nothing_secret_is_in_any_prompt() -> None:
    failed = Known(8, CHILD, None, "", "raised", "ZeroDivisionError: division by zero")
    full = briefing(base=failed, partner=Known(9, CHILD, BETTER), attempts=ATTEMPTS)
    for operator in (MutateOperator(), MergeOperator(), DraftOperator(), RepairOperator()):
        asked = operator.ask(full, prompts(), random.Random(1), None)
        text = "\n".join(message.content for message in asked.messages)
        assert "SECRET" not in text
        assert "evaluation seed" not in text


def test_a_repair_shows_how_the_program_fails() -> None:
    failed = Known(8, CHILD, None, "", "raised", "Traceback …\nZeroDivisionError: division by zero")
    asked = RepairOperator().ask(
        briefing(base=failed, attempts=ATTEMPTS[:1]), prompts(), random.Random(1), None
    )
    said = user(asked.messages)
    assert (
        "## How it fails\n\nIt fails (raised):\n\n```\nTraceback …\nZeroDivisionError: division by zero\n```"
        in said
    )
    assert "STEP = 0.25" in said
    assert asked.temperature is not None
    assert asked.temperature <= 0.4


def test_a_merge_shows_the_other_parent_as_differences_and_names_a_gene_or_all() -> None:
    said = {
        user(
            MergeOperator()
            .ask(briefing(partner=Known(9, other, BETTER)), prompts(), random.Random(number), None)
            .messages
        )
        for number in range(12)
        for other in (BASE.replace("program.py", PROGRAM.replace("x - STEP", "x + STEP")),)
    }
    assert all(
        "the other parent 2.6359830849" in one and '+    return {"x": x + STEP * x}["x"]' in one
        for one in said
    )
    assert {"Bring `program.py::improve` of the other parent" in one for one in said} == {True, False}


def test_a_draft_shows_what_must_be_there_and_asks_for_the_whole_file() -> None:
    asked = DraftOperator().ask(briefing(), prompts(), random.Random(1), "diff")
    said = user(asked.messages)
    assert asked.whole_file
    assert "`program.py` has to define:\n\n```python\ndef solve():\n    ...\n```" in said
    assert (
        "STEP"
        not in said.partition("## What to do")[0].partition("## Task")[2].partition("## What counts")[2]
    )
    assert "send the whole file in one ```python block" in said
    marked = Genome.split(
        {"program.py": b"# EVOLVE-BLOCK-START\n" + PROGRAM.encode() + b"# EVOLVE-BLOCK-END\n"}
    )
    frozen = DraftOperator().ask(briefing(base=Known(7, marked, METRICS)), prompts(), random.Random(1), None)
    assert not frozen.whole_file
    assert "# EVOLVE-BLOCK-START" in user(frozen.messages)


def test_the_notation_is_what_the_model_writes_best() -> None:
    for kind, words in (
        ("diff", "as SEARCH/REPLACE blocks"),
        ("genes", "send whole definitions"),
        (None, "in one of"),
    ):
        asked = MutateOperator().ask(briefing(), prompts(), random.Random(1), kind)
        assert words in user(asked.messages)


def test_the_second_turn_repeats_the_conversation_and_the_exact_error() -> None:
    asked = question("mutate", briefing(), prompts(), notation="genes", temperature=0.5)
    rejected = EditRejected("no-match", "the text {to} find is not in the program")
    messages = again(asked, "", rejected, prompts(notation_genes="Send genes.\n"))
    assert messages[:2] == asked.messages
    assert messages[2] == Message("assistant", "(empty)")
    assert messages[3].content.startswith(
        "Your answer could not be used, and nothing of it was applied (no-match):\n\n"
        "the text {to} find is not in the program\n\nSend the whole change again"
    )
    assert asked.notation in messages[3].content


LONG = Genome.split(
    {
        "program.py": (
            "A = 1\n\n\n"
            + "".join(
                f'def part_{n}(x):\n    """Part {n}."""\n' + "    x += 1\n" * 60 + "    return x\n\n\n"
                for n in range(9)
            )
            + "def solve():\n    return A\n"
        ).encode()
    }
)


@pytest.mark.parametrize("budget", [1200, 1600, 2500, 5000, 24_000])
def test_a_budget_cuts_by_importance_and_never_the_task(budget: int) -> None:
    noisy = briefing(
        base=Known(7, LONG, METRICS, "feedback " * 4000, None),
        attempts=ATTEMPTS * 20,
        inspirations=(Known(9, CHILD, BETTER),) * 5,
        lessons=tuple(f"Lesson {n}." for n in range(300)),
    )
    asked = MutateOperator().ask(noisy, prompts(budget), random.Random(3), None)
    said = user(asked.messages)
    assert asked.tokens <= budget * 1.02
    assert "Bring x to 1. {braces} and {{more}} stay." in said
    assert "2.6358627564123456" in said
    assert "## How to answer" in said
    assert "bytes left out" in said  # of the feedback


def test_a_long_program_shows_the_genes_in_scope_and_signatures_of_the_others() -> None:
    text = program_text(LONG, 1000, RULES, ("program.py::part_4",))
    assert text.startswith("The program is long: bodies that are not shown stand as `...` here.")
    whole = LONG.gene("program.py::part_4").source
    assert whole in text
    assert 'def part_3(x):\n    """Part 3."""\n    ...' in text
    assert count_tokens(text) <= 1000
    assert "x += 1" in program_text(LONG, 24_000, RULES)


def test_tokens_are_guessed_upwards() -> None:
    assert count_tokens("") == 0
    assert count_tokens("abc" * 100) == 100
    assert count_tokens("é" * 30) == 20


def test_cutting_keeps_head_and_tail() -> None:
    text = "head " * 100 + "tail " * 100
    short = cut(text, 60)
    assert short.startswith("head head")
    assert short.endswith("tail ")
    assert count_tokens(short) <= 60
    assert cut("short", 60) == "short"


def test_a_fence_can_not_be_closed_by_what_it_holds() -> None:
    assert fenced("a ``` b") == "````\na ``` b\n````"
    assert fenced("a ````` b", "python") == "``````python\na ````` b\n``````"


def test_braces_and_backslashes_in_values_mean_nothing() -> None:
    assert fill("## A\n\n{{task}}\n", {"task": r"{x} {{y}} \1 \g<0> {{task}}"}) == (
        "## A\n\n" + r"{x} {{y}} \1 \g<0> {{task}}" + "\n"
    )


def test_a_users_folder_takes_the_place_of_our_templates(tmp_path: Path) -> None:
    (tmp_path / "mutate.md").write_text("Only {{ task }} and {{notation}}\n")
    (tmp_path / "notes.txt").write_text("not ours")
    own = read_templates(tmp_path)
    asked = MutateOperator().ask(briefing(), Prompts(own, 24_000), random.Random(1), "diff")
    assert user(asked.messages).startswith("Only Bring x to 1.")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mutat.md", "x", "there is no template 'mutat'; did you mean \"mutate\"?"),
        (
            "mutate.md",
            "a\n{{tasks}}",
            'mutate.md, line 2: unknown placeholder {{tasks}}; did you mean "task"?',
        ),
        ("system.md", "{{task}}", "unknown placeholder {{task}}; it can't have any"),
        ("intents.md", "\n", "holds no intent"),
    ],
)
def test_a_template_that_can_not_work_is_refused_in_a_sentence(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_templates(tmp_path)
    assert words in str(caught.value)


def test_an_empty_or_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no template"):
        read_templates(tmp_path)
    with pytest.raises(SettingsError, match="no such folder"):
        read_templates(tmp_path / "absent")


def test_our_own_templates_hold_only_what_they_may() -> None:
    for name, template in builtin_templates().items():
        found = set(re.findall(r"\{\{\s*([\w.-]+)\s*\}\}", template))
        assert found <= set(PLACEHOLDERS[name]), name
        assert template.endswith("\n")
