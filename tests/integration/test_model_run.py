"""Whole runs that ask a model over real HTTP, behind the real litellm client: what replies cost, kills, caps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import text

from guided_evolution.archive import Archive, open_archive, programs, runs
from guided_evolution.budget import Budget
from guided_evolution.errors import ModelRefused, ReplayDiffers
from guided_evolution.first_prompt import first_prompt
from guided_evolution.model_plan import plan_models
from guided_evolution.model_run import ModelRun
from guided_evolution.model_settings import choose_models
from guided_evolution.prices import Limits
from guided_evolution.prompts import Prompts
from guided_evolution.sandbox.choice import Opener
from guided_evolution.seed import Objective, Seed
from guided_evolution.session import MODEL_SHARES, Finished, Plan, replayed, resume_run, start_run
from tests.model_server import Drop, ModelServer, Raw, Status, Text

PROGRAM = b"""# EVOLVE-BLOCK-START
START = 3.0
STEP = 0.5


def improve(x):
    return x - STEP * x


# EVOLVE-BLOCK-END
def solve():
    return improve(START)
"""
SEED = Seed(
    name="tiny",
    task="Bring x to 1.",
    files=("program.py",),
    program={"program.py": PROGRAM},
    objectives=(Objective("loss", "minimize", True),),
    evaluator_source=textwrap.dedent(
        """
        from guided_evolution import Score

        def evaluate(candidate, seed):
            x = candidate.call("solve")
            return Score({"loss": abs(float(x) - 1.0)}, feedback=f"x = {x}", private={"secret": 424242.0})
        """
    ),
    protected=("solve",),
)
ONLY_MUTATE = {name: float(name == "mutate") for name in MODEL_SHARES}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = open_archive(str(tmp_path / "runs.db"), create=True)
    yield opened
    opened.close()


def block(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"


class Better:
    """A model that always has another constant to offer: it counts what it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _messages: object) -> str:
        self.count += 1
        return f"Idea: number {self.count}.\n```python\nSTART = {2 + self.count / 1000}\n```"


def by_prompt(messages: list[dict[str, str]]) -> str:
    """A reply that depends on the prompt alone, whatever was asked before."""
    prompt = str(messages[-1]["content"])
    value = sum(map(ord, prompt)) % 9973 / 1000
    return f"Idea: {value}.\n```python\nSTART = {value}\n```"


def plan(
    server: ModelServer,
    evaluations: int,
    *,
    slots: int = 2,
    calls: int = 4,
    limits: Limits | None = None,
    operators: Mapping[str, float] = ONLY_MUTATE,
    templates: Mapping[str, str] | None = None,
) -> Plan:
    models = plan_models(
        choose_models(["test"], base_url=server.base_url), limits or Limits(calls=1000), no_cap=False
    )
    asked = ModelRun(models, calls, templates or {})
    return Plan(Budget(evaluations=evaluations), slots, None, tuple(operators.items()), asked)


def evolve(archive: Archive, plan: Plan, *, rng_seed: int = 1, seed: Seed = SEED) -> Finished:
    return start_run(archive, seed, plan, rng_seed=rng_seed)


def rows(archive: Archive, query: str, **values: object) -> list[tuple[object, ...]]:
    with archive.read() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def sources(archive: Archive, run_id: int) -> list[dict[str, bytes]]:
    ids = rows(archive, "SELECT id FROM program WHERE run_id = :run ORDER BY id", run=run_id)
    with archive.read() as connection:
        return [programs.sources(connection, int(str(one))) for (one,) in ids]


COUNTED = """SELECT count(*) FROM evaluation
    WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed') AND run_id = :run"""
BOUGHT_TWICE = """SELECT proposal_id, purpose, turn, count(*) FROM completion WHERE state = 'answered'
    GROUP BY run_id, proposal_id, purpose, turn HAVING count(*) > 1"""


def test_a_run_asks_keeps_every_exchange_and_ends_on_its_budget(archive: Archive) -> None:
    with ModelServer(Better()) as server:
        finished = evolve(archive, plan(server, 15))
        asked = server.count
    assert finished.run.reason == "budget of 15 evaluations reached"
    assert rows(archive, COUNTED, run=finished.run.id) == [(15,)]
    assert finished.progress.model_calls == asked
    assert finished.progress.model_tokens == rows(archive, "SELECT tokens FROM spending")[0][0]
    kept = rows(archive, "SELECT purpose, turn, state, model, reply, cost FROM completion")
    assert len(kept) == asked == 14
    assert {one[:4] for one in kept} == {("mutate", 0, "answered", "openai/test")}
    assert all(str(one[4]).startswith("Idea: number ") for one in kept)
    summaries = {one for (one,) in rows(archive, "SELECT summary FROM proposal WHERE number > 0")}
    assert summaries == {f"number {n}." for n in range(1, 15)}


def test_no_prompt_holds_anything_private(archive: Archive) -> None:
    with ModelServer(Better()) as server:
        finished = evolve(archive, plan(server, 8))
    prompts = " ".join(str(one) for (one,) in rows(archive, "SELECT messages FROM completion"))
    assert "loss" in prompts
    assert "424242" not in prompts
    assert "secret" not in prompts
    assert str(finished.run.evaluation_seed) not in prompts


def test_the_prompt_command_tells_what_the_first_proposal_asks(archive: Archive) -> None:
    with ModelServer(Better()) as server:
        evolve(archive, plan(server, 2, slots=1, calls=1), rng_seed=5)
    asked = json.loads(str(rows(archive, "SELECT messages FROM completion")[0][0]))
    sandbox = Opener()(SEED)
    try:
        told = first_prompt(
            SEED, sandbox, Prompts(None, 24_000), operator="mutate", rng_seed=5, evaluation_seed=0
        )
    finally:
        sandbox.close()
    assert [{"role": one.role, "content": one.content} for one in told.messages] == asked
    assert told.tokens > 400


def test_later_prompts_show_what_was_tried_failures_and_rejections_too(archive: Archive) -> None:
    steps = iter(
        ["Nothing.", "Nothing again.", "Idea: a break.\n```python\ndef improve(x):\n    return x.no\n```"]
    )
    better = Better()
    with ModelServer(lambda messages: next(steps, None) or better(messages)) as server:
        evolve(archive, plan(server, 6, slots=1, calls=1))
    said = " ".join(str(one) for (one,) in rows(archive, "SELECT messages FROM completion")).replace(
        "\\n", "\n"
    )
    assert "mutate: a break. → failed (raised): " in said
    assert "AttributeError: 'float' object has no attribute 'no'" in said
    assert "mutate: no summary → rejected (prose): the reply holds no code" in said
    assert "\n-    return x - STEP * x\n+    return x.no\n" in said


@pytest.mark.parametrize(
    ("reply", "calls", "kind"),
    [
        (Text("Idea: x.\n```python\nSTART = 9.0\n```"), 1, None),
        (Text("<think>START = 1?</think>\n```python\nSTART = 9.0\n```"), 1, None),
        (Text("```python\nSTART = 9.0\n```", reasoning="I think."), 1, None),
        (Text("```python\nSTART = 9.0\n```", usage=False), 1, None),
        (Text("```python\nSTART = 9.0\n```", parts=True), 1, None),
        (Text(""), 3, "empty"),
        (Text(None), 3, "empty"),
        (Text("I can't help with that."), 3, "prose"),
        (Text("I think that I think that " * 500, finish_reason="length"), 3, "truncated"),
        (Text("```python\nSTART = 9.0\n```\n" * 50), 1, None),
        (Text("```python\ndef Net.forward(self, x):\n    return x\n```"), 3, "unknown-gene"),
        (Text(block("ABSENT = 1", "ABSENT = 2")), 3, "no-match"),
        (Text(block("    return improve(START)", "    return 1.0")), 3, "frozen"),
        (Text("```python\ndef solve():\n    return 1.0\n```"), 3, "frozen"),
        (Text("```python\nSTART = 3.0\n```"), 3, "no-op"),
        (Text("```python\ndef improve(x:\n    return x\n```"), 3, "syntax"),
        (Text("```python\nSTART = 9.0", finish_reason="length"), 3, "truncated"),
        (Text(None, tool_calls=[("edit", {"x": 1})], finish_reason="tool_calls"), 3, "tool-calls"),
        (Raw(b"<html>bad gateway</html>", "text/html"), None, None),
        (Raw(b'{"choices": 5}'), None, None),
    ],
)
def test_what_a_reply_costs_in_calls_and_evaluations(
    archive: Archive, reply: Text | Raw, calls: int | None, kind: str | None
) -> None:
    """The first proposal gets this reply, to its second turn too; the next one is answered well."""
    better = Better()
    asked = 0

    def script(messages: list[dict[str, str]]) -> object:
        nonlocal asked
        asked += 1
        first = asked == 1 or (asked == 2 and len(messages) > 2)
        return reply if first else better(messages)

    with ModelServer(script) as server:  # type: ignore[arg-type]
        finished = evolve(archive, plan(server, 2, slots=1, calls=1))
    assert rows(archive, COUNTED, run=finished.run.id) == [(2,)]
    if calls is not None:
        assert asked == calls
    if kind is not None:
        assert rows(archive, "SELECT state, kind FROM proposal WHERE number = 1") == [("rejected", kind)]
        second = str(rows(archive, "SELECT messages FROM completion WHERE turn = 1")[0][0])
        assert f"({kind})" in second
    assert asked <= 4


def test_a_second_turn_mends_a_reply_and_costs_no_evaluation(archive: Archive) -> None:
    replies = iter([block("START = 4.0", "START = 1.5"), block("START = 3.0", "START = 1.5")])
    with ModelServer(lambda _messages: next(replies)) as server:
        evolve(archive, plan(server, 2, slots=1, calls=1))
        conversation = server.calls[1].messages
    assert [one["role"] for one in conversation] == ["system", "user", "assistant", "user"]
    assert conversation[2]["content"] == block("START = 4.0", "START = 1.5")
    assert "the closest is at program.py line 2:\nSTART = 3.0" in conversation[3]["content"]
    assert rows(archive, "SELECT state, kind FROM proposal WHERE number = 1") == [("accepted", None)]


def test_with_a_third_failing_and_a_third_malformed_the_run_ends_on_its_full_number(archive: Archive) -> None:
    better = Better()
    asked = 0

    def script(messages: object) -> object:
        nonlocal asked
        asked += 1
        kinds = (
            Status(500),
            "Prose only.",
            None,
            Drop(),
            block("NOT = 1", "x"),
            None,
            None,
            None,
            None,
            None,
        )
        return kinds[asked % 10] or better(messages)

    with ModelServer(script) as server:  # type: ignore[arg-type]
        finished = evolve(archive, plan(server, 25, calls=8))
    assert finished.run.state == "finished"
    assert rows(archive, COUNTED, run=finished.run.id) == [(25,)]
    assert rows(archive, BOUGHT_TWICE) == []


def test_one_slot_and_one_call_in_flight_give_the_same_programs(archive: Archive) -> None:
    shares = {**MODEL_SHARES}
    with ModelServer(by_prompt) as server:  # type: ignore[arg-type]
        first, second, other = (
            evolve(archive, plan(server, 12, slots=1, calls=1, operators=shares), rng_seed=number)
            for number in (7, 7, 8)
        )
    assert sources(archive, first.run.id) == sources(archive, second.run.id)
    assert sources(archive, first.run.id) != sources(archive, other.run.id)


def replay(archive: Archive, source: runs.StoredRun) -> Finished:
    again = replayed(Plan.from_json(source.settings), source)
    return start_run(archive, SEED, again, rng_seed=source.rng_seed, evaluation_seed=source.evaluation_seed)


def test_a_parallel_run_is_replayed_without_its_server(archive: Archive) -> None:
    with ModelServer(Better(), delay=0.05) as server:
        source = evolve(archive, plan(server, 20, operators=MODEL_SHARES))
    again = replay(archive, source.run)
    assert again.run.reason == f"all of run {source.run.name} is replayed"
    by_number = """SELECT number, operator, p.state, kind, fingerprint FROM proposal p
        LEFT JOIN program g ON g.id = p.program_id WHERE p.run_id = :run ORDER BY number"""
    assert rows(archive, by_number, run=again.run.id) == rows(archive, by_number, run=source.run.id)
    assert rows(archive, "SELECT sum(cost) FROM completion WHERE run_id = :run", run=again.run.id) == [(0.0,)]


def test_a_replay_stops_at_the_first_prompt_that_differs_and_shows_it(archive: Archive) -> None:
    with ModelServer(Better()) as server:
        source = evolve(archive, plan(server, 6, slots=1, calls=1))
    with archive.write() as connection:
        connection.execute(
            text("""UPDATE completion SET messages = replace(messages, 'Bring x to 1.', 'Bring x to 2.')
                WHERE proposal_id = (SELECT id FROM proposal WHERE number = 3)""")
        )
    with pytest.raises(ReplayDiffers) as caught:
        replay(archive, source.run)
    said = str(caught.value)
    assert "the prompt of proposal 3, mutate, turn 0 differs" in said
    assert "-Bring x to 2." in said
    assert "+Bring x to 1." in said


@pytest.mark.parametrize(
    ("limits", "words", "most_calls"),
    [
        (Limits(calls=5), "budget of 5 model calls reached", 5),
        (Limits(tokens=12_000), r"budget of 12,000 tokens reached \([\d,]+ used\)", 40),
    ],
)
def test_at_a_cap_the_run_finishes_what_is_paid_for_and_stops_cleanly(
    archive: Archive, limits: Limits, words: str, most_calls: int
) -> None:
    with ModelServer(Better(), delay=0.02) as server:
        finished = evolve(archive, plan(server, 50, limits=limits))
        asked = server.count
        assert finished.run.state == "finished"
        assert re.fullmatch(words, finished.run.reason or "")
        assert 1 <= asked <= most_calls
        tokens = rows(archive, "SELECT tokens, reserved_tokens FROM spending")
        assert tokens[0][1] == 0
        assert int(str(tokens[0][0])) <= (limits.tokens or 10**9)
        assert rows(archive, COUNTED, run=finished.run.id) == [(asked + 1,)]
        open_rows = "SELECT count(*) FROM proposal WHERE state IN ('pending', 'running')"
        assert rows(archive, open_rows) == [(0,)]
        more = resume_run(archive, finished.run, limits=Limits(calls=1000), add=0)
        assert more.run.reason == "budget of 50 evaluations reached"


def test_a_refused_key_ends_the_run_and_the_same_command_goes_on_with_it(archive: Archive) -> None:
    better = Better()
    open_for = [4]

    def script(messages: object) -> object:
        open_for[0] -= 1
        return better(messages) if open_for[0] >= 0 else Status(401, "Incorrect API key provided")

    with ModelServer(script) as server:  # type: ignore[arg-type]
        began = time.monotonic()
        with pytest.raises(ModelRefused, match="Incorrect API key"):
            evolve(archive, plan(server, 12))
        assert time.monotonic() - began < 60
        with archive.read() as connection:
            run = runs.find(connection, None)
        assert run.state == "failed"
        open_for[0] = 1000
        again = resume_run(archive, run)
    assert again.run.reason == "budget of 12 evaluations reached"
    assert rows(archive, COUNTED, run=run.id) == [(12,)]
    assert rows(archive, BOUGHT_TWICE) == []


def test_a_person_is_asked_through_files(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    models = plan_models(choose_models(["manual"]), Limits(), no_cap=False)
    asked = ModelRun(models, 2, {}, None, str(folder))
    done = threading.Event()

    def person() -> None:
        number = 0
        while not done.wait(0.05):
            for prompt in folder.rglob("*.prompt.md"):
                reply = prompt.with_name(prompt.name.replace(".prompt.", ".reply."))
                if not reply.exists():
                    number += 1
                    reply.write_text(f"Idea: by hand.\n```python\nSTART = {1 + number / 10}\n```")

    thread = threading.Thread(target=person)
    thread.start()
    try:
        finished = evolve(archive, Plan(Budget(evaluations=5), 2, None, tuple(ONLY_MUTATE.items()), asked))
    finally:
        done.set()
        thread.join()
    assert finished.run.reason == "budget of 5 evaluations reached"
    assert {one for (one,) in rows(archive, "SELECT summary FROM proposal WHERE number > 0")} == {"by hand."}


CHILD = """
import os, signal, sys
from guided_evolution.archive import open_archive, runs, completions, proposals
from guided_evolution import asker, ensemble, ledger, proposal
from guided_evolution.session import resume_run
place, step, after = sys.argv[1:4]
left = [int(after)]
def deadly(kept):
    def call(*args, **more):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return kept(*args, **more)
    return call
if step == "before the call":
    completions.begin = deadly(completions.begin)
elif step == "in flight":
    ensemble.Ensemble._patiently = deadly(ensemble.Ensemble._patiently)
elif step == "before the reply is kept":
    completions.finish = deadly(completions.finish)
elif step == "before the reply is read":
    asker.read_reply = deadly(asker.read_reply)
elif step == "before it is settled":
    proposals.settle = deadly(proposals.settle)
elif step == "after it is settled":
    proposal._accept = deadly(proposal._accept)
archive = open_archive(place, durable=True)
with archive.read() as connection:
    run = runs.find(connection, None)
resume_run(archive, run)
"""
STEPS = {
    "before the call": 0,
    "in flight": 1,
    "before the reply is kept": 1,
    "before the reply is read": 0,
    "before it is settled": 0,
    "after it is settled": 0,
}
"""Where the process is killed, and how many replies may be lost by that: those that nobody had kept yet."""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_no_reply_is_bought_twice(archive: Archive, tmp_path: Path, step: str) -> None:
    with ModelServer(Better(), delay=0.02) as server:
        started = evolve(archive, plan(server, 3))
        before = server.count
        with archive.write() as connection:
            plan_now = plan(server, 12).to_json()
            connection.execute(
                text("UPDATE run SET settings = :settings, state = 'running' WHERE id = :run"),
                {"settings": json.dumps(plan_now), "run": started.run.id},
            )
        where = str(tmp_path / "runs.db")
        killed = subprocess.run([sys.executable, "-c", CHILD, where, step, "4"], timeout=120, check=False)
        assert killed.returncode == -9
        with archive.read() as connection:
            run = runs.find(connection, None)
        finished = resume_run(archive, run)
        asked = server.count - before
    assert finished.run.reason == "budget of 12 evaluations reached"
    assert rows(archive, COUNTED, run=run.id) == [(12,)]
    assert rows(archive, BOUGHT_TWICE) == []
    answered = rows(archive, "SELECT count(*) FROM completion WHERE state = 'answered'")[0][0]
    in_flight = 4  # with as many calls at once
    lost = int(str(rows(archive, "SELECT count(*) FROM completion WHERE state = 'lost'")[0][0]))
    assert lost <= in_flight
    assert asked + before <= int(str(answered)) + lost
