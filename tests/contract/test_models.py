"""What every kind of model must do: answer, keep the answer before anybody reads it, never be asked twice for it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guided_evolution.archive import completions
from guided_evolution.errors import ModelUnavailable, ReplayDiffers
from guided_evolution.manual import Manual
from guided_evolution.models import Message, Model
from guided_evolution.replay import Replay
from tests.model_runs import ASK, ModelRun
from tests.model_server import Behaviour, Hang, ModelServer, Text

Opened = tuple[Model, Callable[[], int]]
"""A model that answers "fine", and how often it was really asked."""

KINDS = ("openai/m", "hosted_vllm/m", "ollama_chat/m", "ollama/m", "manual", "replay")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ModelRun]:
    opened = ModelRun(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, run: ModelRun, tmp_path: Path) -> Iterator[Opened]:
    kind: str = request.param
    if kind == "manual":
        with _person(tmp_path / "folder") as asked:
            yield Manual(run.archive, run.run.id, tmp_path / "folder"), asked
    elif kind == "replay":
        (tmp_path / "source").mkdir()
        yield _replay(run, ModelRun(tmp_path / "source"), 20), lambda: 1
    else:
        with ModelServer("fine") as server:
            url = server.base_url if kind in ("openai/m", "hosted_vllm/m") else server.url
            yield run.models(kind, url=url), lambda: server.count


class _person:
    """Somebody who answers every prompt in a folder with "fine"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Path] = set()
        self._done = threading.Event()

    def __enter__(self) -> Callable[[], int]:
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        return lambda: len(self._seen)

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _answer(self) -> None:
        while not self._done.wait(0.02):
            for prompt in set(self._folder.glob("*.prompt.md")) - self._seen:
                self._seen.add(prompt)
                prompt.with_name(prompt.name.replace(".prompt.", ".reply.")).write_text("fine")


def _replay(run: ModelRun, source: ModelRun, calls: int) -> Replay:
    with ModelServer("fine") as server:
        asked = source.models("openai/m", url=server.base_url)
        for _ in range(calls):
            source.ask(asked)
    return Replay(
        run.archive, (source.archive, source.run.id), source_name=source.run.name, number_of=run.number_of
    )


def test_it_answers_and_the_answer_is_kept(run: ModelRun, model: Opened) -> None:
    call = run.call()
    reply = run.ask(model[0], call)
    assert (reply.text, reply.finish_reason, reply.error) == ("fine", "stop", None)
    (row,) = run.rows(call)
    assert (row.state, row.reply.text, row.messages) == ("answered", "fine", tuple(ASK))
    assert run.spent().reserved.calls == 0


def test_the_same_call_is_answered_from_the_archive(run: ModelRun, model: Opened) -> None:
    call = run.call()
    first = run.ask(model[0], call)
    again = run.ask(model[0], call)
    assert again.reused
    assert again.text == first.text
    assert model[1]() == 1
    assert len(run.rows(call)) == 1


def test_many_threads_get_their_own_answers(run: ModelRun, model: Opened) -> None:
    calls = [run.call() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda call: run.ask(model[0], call), calls))
    assert [one.text for one in replies] == ["fine"] * 12
    assert [len(run.rows(call)) for call in calls] == [1] * 12


def test_turns_and_purposes_are_calls_of_their_own(run: ModelRun) -> None:
    with ModelServer(["a", "b", "c"]) as server:
        models, call = run.models("openai/m", url=server.base_url), run.call()
        asked = [call, call.__class__(call.run_id, call.proposal_id, "mutate", 1)]
        asked.append(call.__class__(call.run_id, call.proposal_id, "repair", 0))
        assert [run.ask(models, one).text for one in asked] == ["a", "b", "c"]
        assert [run.ask(models, one).text for one in asked] == ["a", "b", "c"]
    assert server.count == 3


def test_calls_without_a_proposal_are_kept_too(run: ModelRun) -> None:
    with ModelServer(["a", "b"]) as server:
        models, call = run.models("openai/m", url=server.base_url), run.call()
        lesson = call.__class__(call.run_id, None, "reflect", 0)
        assert [run.ask(models, lesson).text for _ in range(2)] == ["a", "a"]
    assert server.count == 1


# The ensemble


def test_weights_and_seeds_choose_the_model(run: ModelRun) -> None:
    with ModelServer("fine") as server:
        models = run.models("openai/a=3", "openai/b=1", url=server.base_url)
        asked = [models.complete(ASK, run.call(), random.Random(f"1/{number}")).model for number in range(80)]
        expected = [models.chosen(random.Random(f"1/{number}"), "mutate").name for number in range(80)]
    assert asked == expected
    assert 48 <= asked.count("openai/a") <= 72
    assert {request.body["model"] for request in server.calls} == {"a", "b"}


def test_a_group_named_like_a_purpose_serves_it_alone(run: ModelRun, tmp_path: Path) -> None:
    from guided_evolution.model_plan import plan_models
    from guided_evolution.model_settings import ModelSpec
    from guided_evolution.prices import Limits

    with ModelServer("fine") as server:
        specs = [
            ModelSpec("openai/a", base_url=server.base_url),
            ModelSpec("openai/cheap", base_url=server.base_url, group="reflect"),
        ]
        models = run.models(plan=plan_models(specs, Limits(), no_cap=False))
        for purpose, name in (("reflect", "openai/cheap"), ("mutate", "openai/a")):
            drawn = [models.complete(ASK, run.call(purpose), random.Random(n)).model for n in range(8)]
            assert drawn == [name] * 8


# Kills

_WORKER = """
import sys
from pathlib import Path
from guided_evolution.archive import open_archive
from guided_evolution.ensemble import Ensemble
from guided_evolution.model_plan import plan_models
from guided_evolution.model_settings import choose_models
from guided_evolution.models import Call
from guided_evolution.prices import Limits
from tests.model_runs import ASK
import random
path, run_id, proposal_id, url = sys.argv[1:]
plan = plan_models(choose_models(["openai/m"], base_url=url), Limits(), no_cap=False)
models = Ensemble(open_archive(path), int(run_id), plan)
print("ready", flush=True)
print(models.complete(ASK, Call(int(run_id), int(proposal_id), "mutate"), random.Random(1)).text, flush=True)
sys.stdin.read()
"""


def _worker(run: ModelRun, call: object, server: ModelServer) -> subprocess.Popen[str]:
    assert run.run.id is not None
    arguments = [str(run.path), str(run.run.id), str(call.proposal_id), server.base_url]  # type: ignore[attr-defined]
    started = subprocess.Popen(
        [sys.executable, "-c", _WORKER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def _kill(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()


def test_a_kill_after_the_reply_buys_nothing_again(run: ModelRun) -> None:
    with ModelServer(["bought", "bought again"]) as server:
        call = run.call()
        worker = _worker(run, call, server)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "bought\n"
        _kill(worker)
        assert run.ask(run.models("openai/m", url=server.base_url), call).text == "bought"
    assert server.count == 1


def test_a_kill_in_mid_call_is_paid_for_at_most_once_more_and_accounted(run: ModelRun) -> None:
    with ModelServer([Hang(), Text("fine", prompt_tokens=100, completion_tokens=10)]) as server:
        call = run.call()
        worker = _worker(run, call, server)
        while server.count < 1:
            time.sleep(0.01)
        _kill(worker)
        reserved = run.spent().reserved.tokens
        assert reserved > 0
        assert run.ask(run.models("openai/m", url=server.base_url), call).text == "fine"
    assert server.count == 2
    assert [row.state for row in run.rows(call)] == ["lost", "answered"]
    assert run.spent().settled.tokens == reserved + 110
    assert run.spent().settled.calls == 2
    assert run.spent().reserved.tokens == 0


# Manual


def test_a_person_finds_the_prompt_as_markdown_and_may_answer_later(run: ModelRun, tmp_path: Path) -> None:
    folder, call = tmp_path / "prompts", run.call()
    said: list[str] = []
    manual = Manual(run.archive, run.run.id, folder, notice=said.append)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.ask, manual, call)
        name = f"{call.proposal_id:04}-mutate-0"
        while not (folder / f"{name}.prompt.md").exists():
            time.sleep(0.01)
        manual.stop()
        with pytest.raises(ModelUnavailable, match="stopped while a reply was awaited"):
            waiting.result(10)
    text = (folder / f"{name}.prompt.md").read_text()
    assert text.startswith("# System\n\nYou improve programs.\n\n# Prompt\n\nMake it better.\nx = 1\n")
    assert text.endswith(f"<!-- Save the reply as {name}.reply.md in this folder. -->\n")
    assert said == [f"prompt in {folder / name}.prompt.md; save the reply as {name}.reply.md beside it"]
    (folder / f"{name}.reply.md").write_text("\ufeffx = 2")
    assert run.ask(Manual(run.archive, run.run.id, folder), call).text == "x = 2"
    assert [row.state for row in run.rows(call)] == ["failed", "answered"]


# Replay


def test_a_replay_needs_no_network_and_costs_nothing(run: ModelRun, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = ModelRun(tmp_path / "source")
    steps: list[str | Behaviour] = ["a", Text(None), Text("c", prompt_tokens=10, completion_tokens=2)]
    with ModelServer(steps) as server:
        asked = source.models("openai/m", url=server.base_url)
        bought = [source.ask(asked) for _ in range(3)]
    replay = Replay(
        run.archive, (source.archive, source.run.id), source_name=source.run.name, number_of=run.number_of
    )
    played = [run.ask(replay) for _ in range(3)]
    assert [(one.text, one.finish_reason, one.error) for one in played] == [
        (one.text, one.finish_reason, one.error) for one in bought
    ]
    assert (played[2].prompt_tokens, played[2].cost) == (10, 0.0)
    assert run.spent().settled.cost == 0
    source.close()


def test_a_replay_stops_at_the_first_prompt_that_differs_and_shows_it(run: ModelRun, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = ModelRun(tmp_path / "source")
    replay = _replay(run, source, 2)
    assert run.ask(replay).text == "fine"
    other = [ASK[0], Message("user", ASK[1].content.replace("better", "faster"))]
    with pytest.raises(ReplayDiffers) as differs:
        replay.complete(other, run.call(), random.Random(1))
    assert differs.value.exit_code == 3
    lines = str(differs.value).splitlines()
    assert lines[0] == (
        f"the prompt of proposal 1, mutate, turn 0 differs from that of run {source.run.name}; "
        "the replay ends here"
    )
    assert "-Make it better." in lines
    assert "+Make it faster." in lines
    with pytest.raises(ReplayDiffers, match="made no model call at proposal 2, mutate, turn 0"):
        run.ask(replay)
    source.close()


def test_replay_and_manual_never_import_litellm() -> None:
    script = "import sys, guided_evolution.replay, guided_evolution.manual, guided_evolution.ensemble\n"
    script += "print([name for name in ('litellm', 'tenacity', 'openai', 'httpx') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_the_archive_keeps_of_a_call_is_in_order(run: ModelRun) -> None:
    with ModelServer("fine") as server:
        models = run.models("openai/m", url=server.base_url)
        for _ in range(3):
            run.ask(models, temperature=0.5, max_tokens=20)
    with run.archive.read() as connection:
        kept = list(completions.of_run(connection, run.run.id))
    assert [(one.proposal, one.purpose, one.turn) for one in kept] == [(n, "mutate", 0) for n in range(3)]
    assert kept[0].parameters == {"temperature": 0.5, "max_tokens": 20}
