"""Everything that a provider can do wrong, over real HTTP through the real client, and what each costs in calls."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from guided_evolution.errors import ModelRefused, ModelUnavailable
from guided_evolution.model_plan import plan_models
from guided_evolution.model_settings import ModelSpec
from guided_evolution.models import Reply
from guided_evolution.prices import Limits
from tests.model_runs import QUICK, ModelRun
from tests.model_server import Behaviour, Drip, Drop, Hang, ModelServer, Raw, Status, Text

FORMATS = {"openai/m": "v1", "hosted_vllm/m": "v1", "ollama_chat/m": "", "ollama/m": ""}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ModelRun]:
    opened = ModelRun(tmp_path)
    yield opened
    opened.close()


def url_of(server: ModelServer, name: str) -> str:
    return server.base_url if FORMATS[name] == "v1" else server.url


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_answers_and_tells_its_tokens(run: ModelRun, name: str) -> None:
    with ModelServer(Text("x = 2", prompt_tokens=120, completion_tokens=5)) as server:
        call = run.call()
        reply = run.ask(run.models(name, url=url_of(server, name)), call, temperature=0.25, max_tokens=50)
    assert (reply.text, reply.model, reply.finish_reason, reply.error) == ("x = 2", name, "stop", None)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost) == (120, 5, 0.0)
    assert server.count == 1
    (row,) = run.rows(call)
    assert (row.state, row.reply.text, row.messages[0].role) == ("answered", "x = 2", "system")
    sent = row.parameters.get("options", row.parameters)
    assert sent["temperature"] == 0.25
    assert sent.get("max_tokens", sent.get("num_predict")) == 50
    assert (run.spent().settled.tokens, run.spent().settled.calls, run.spent().reserved.tokens) == (125, 1, 0)


PASSING: dict[str, tuple[list[str | Behaviour], int]] = {
    "500 once": ([Status(500), "fine"], 2),
    "502 and 503": ([Status(502), Status(503), "fine"], 3),
    "429 without Retry-After": ([Status(429), "fine"], 2),
    "429 with Retry-After": ([Status(429, headers={"Retry-After": "0.3"}), "fine"], 2),
    "dropped before the answer": ([Drop(), "fine"], 2),
    "dropped in mid-answer": ([Drop(midway=True), "fine"], 2),
    "slow": ([Text("fine", seconds=0.3)], 1),
    "a list of parts": ([Text("fine", parts=True)], 1),
    "no usage": ([Text("fine", usage=False)], 1),
}


@pytest.mark.parametrize("name", ["openai/m", "hosted_vllm/m", "ollama_chat/m"])
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_waited_for(run: ModelRun, name: str, fault: str) -> None:
    steps, calls = PASSING[fault]
    with ModelServer(steps) as server:
        call = run.call()
        assert run.ask(run.models(name, url=url_of(server, name)), call).text == "fine"
    assert server.count == calls
    assert run.spent().settled.calls == calls
    assert [row.state for row in run.rows(call)] == ["answered"]


USELESS: dict[str, tuple[Behaviour, str, str]] = {
    "empty": (Text(""), "empty", "the reply is empty"),
    "null": (Text(None), "empty", "the reply is empty"),
    "a tool call": (
        Text(None, tool_calls=[("edit", {"line": 1})], finish_reason="tool_calls"),
        "tool_calls",
        "the model called a tool instead of answering",
    ),
    "a refusal": (Text(None, refusal="I can't help."), "refusal", "the model refused: I can't help."),
    "filtered": (
        Text("par", finish_reason="content_filter"),
        "content_filter",
        "the provider's content filter stopped the reply",
    ),
    "only reasoning, cut off": (
        Text("<think>let me see", finish_reason="length"),
        "length",
        "the reply was cut off at its length limit before any answer",
    ),
    "not JSON": (Raw(b"<html>busy</html>"), "unreadable", "the provider's answer has no readable reply"),
    "a list": (Raw(b"[1, 2]"), "unreadable", "the provider's answer has no readable reply"),
    "no choices": (Raw(b'{"choices": []}'), "unreadable", "the provider's answer has no readable reply"),
    "wrong types": (
        Raw(b'{"choices": [{"message": {"content": 5}}]}'),
        "unreadable",
        "the provider's answer has no readable reply",
    ),
}


@pytest.mark.parametrize("fault", USELESS)
def test_a_useless_answer_costs_one_call_and_is_kept(run: ModelRun, fault: str) -> None:
    step, finish, said = USELESS[fault]
    with ModelServer(step) as server:
        model, call = run.models("openai/m", url=server.base_url), run.call()
        reply = run.ask(model, call)
        assert (reply.text, reply.finish_reason, reply.error) == ("", finish, said)
        again = run.ask(model, call)
    assert replace(again, seconds=reply.seconds) == replace(reply, reused=True)
    assert server.count == 1


def test_a_reply_cut_at_its_length_limit_is_given_as_it_is(run: ModelRun) -> None:
    with ModelServer(Text("x = ", finish_reason="length")) as server:
        reply = run.ask(run.models("openai/m", url=server.base_url))
    assert (reply.text, reply.finish_reason, reply.error) == ("x = ", "length", None)


@pytest.mark.parametrize("name", ["openai/m", "ollama_chat/m"])
@pytest.mark.parametrize(
    "step", [Text("<think>\nhm\n</think>\n\nx = 2"), Text("x = 2", reasoning="hm"), Text("hm</think>\nx = 2")]
)
def test_reasoning_is_kept_apart_from_the_answer(run: ModelRun, name: str, step: Text) -> None:
    with ModelServer(step) as server:
        call = run.call()
        reply = run.ask(run.models(name, url=url_of(server, name)), call)
    assert (reply.text, reply.reasoning) == ("x = 2", "hm")
    assert run.rows(call)[0].reply.reasoning == "hm"


REFUSED = {
    "401": (Status(401, "Incorrect API key"), "the provider refuses the key (401: Incorrect API key)"),
    "402": (Status(402, "Insufficient credits"), "the account can't pay (402: Insufficient credits)"),
    "403": (Status(403, "no access"), "the provider forbids it (403: no access)"),
    "404": (Status(404, "no model m"), "there is no such model or address (404: no model m)"),
    "quota": (
        Status(429, "You exceeded your current quota", code="insufficient_quota"),
        "the account's quota is used up (429: You exceeded your current quota [insufficient_quota])",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_refused_key_or_name_ends_it_after_one_call(run: ModelRun, fault: str) -> None:
    step, said = REFUSED[fault]
    with ModelServer(step) as server:
        model, call = run.models("openai/m", url=server.base_url), run.call()
        with pytest.raises(ModelRefused) as refused:
            run.ask(model, call)
        with pytest.raises(ModelRefused):
            run.ask(model)
    assert str(refused.value).startswith(f"model openai/m: {said}; what is finished is kept")
    assert refused.value.exit_code == 3
    assert server.count == 1
    (row,) = run.rows(call)
    assert (row.state, row.reply.error) == ("failed", said)


@pytest.mark.parametrize("name", FORMATS)
def test_a_dead_provider_ends_it_when_patience_does(run: ModelRun, name: str) -> None:
    with ModelServer(Status(500, "out of order")) as server:
        model = run.models(name, url=url_of(server, name))
        with pytest.raises(ModelUnavailable, match="the provider fails \\(500: out of order\\)"):
            run.ask(model)
    assert 5 <= server.count <= 20  # 0.4 s of waits that double from 0.02 to 0.1


def test_an_address_where_nobody_listens(run: ModelRun) -> None:
    with ModelServer() as server:
        url = server.base_url
    with pytest.raises(
        ModelUnavailable, match=r"nobody answers at its address \(Connection refused\).*resume"
    ):
        run.ask(run.models("openai/m", url=url))
    assert run.spent().settled.tokens == 0


def test_many_calls_meet_a_dead_provider_once(run: ModelRun) -> None:
    with ModelServer(Status(500)) as server:
        model = run.models("openai/m", url=server.base_url)
        calls = [run.call() for _ in range(16)]

        def ask(number: int) -> str:
            try:
                return run.ask(model, calls[number]).text
            except ModelUnavailable:
                return "dead"

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, range(16))) == {"dead"}
        before = server.count
        assert ask(0) == "dead"
        assert server.count == before


@pytest.mark.parametrize("step", [Hang(), Drip(0.05)])
@pytest.mark.parametrize("name", ["openai/m", "hosted_vllm/m", "ollama_chat/m"])
def test_the_deadline_ends_a_call_whatever_the_server_sends(
    run: ModelRun, step: Behaviour, name: str
) -> None:
    with ModelServer(["fine", step]) as server:
        model = run.models(name, url=url_of(server, name), patience=replace(QUICK, call=0.6))
        assert run.ask(model).text == "fine"
        began = time.monotonic()
        reply = run.ask(model)
        assert time.monotonic() - began < 30
        assert (reply.text, reply.finish_reason, reply.error) == ("", "timeout", "no answer within 0.6 s")
        assert server.count == 2
        # The connection is closed and not left to drip: the server's handler notices.
        for _ in range(100):
            if not server.in_flight or isinstance(step, Hang):
                break
            time.sleep(0.05)
        assert not server.in_flight or isinstance(step, Hang)


def test_a_provider_that_never_answers_is_dead_after_two_deadlines(run: ModelRun) -> None:
    with ModelServer(Hang()) as server:
        model = run.models("openai/m", url=server.base_url, patience=replace(QUICK, call=0.3))
        assert run.ask(model).finish_reason == "timeout"
        with pytest.raises(ModelUnavailable, match=r"no answer within 0\.3 s"):
            run.ask(model)
    assert server.count == 2


def test_retry_after_is_waited_for_in_seconds_and_as_a_date(run: ModelRun) -> None:
    for as_date in (False, True):
        answers: list[str | Behaviour] = []

        def script(
            _messages: object, as_date: bool = as_date, answers: list[str | Behaviour] = answers
        ) -> str | Behaviour:
            header = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
            answers.append(Status(429, headers={"Retry-After": header}) if not answers else "fine")
            return answers[-1]

        with ModelServer(script) as server:
            assert run.ask(run.models("openai/m", url=server.base_url)).text == "fine"
        first, second = server.calls
        assert second.at - first.at >= 0.9
        assert server.count == 2


def test_a_wait_longer_than_the_deadline_is_not_begun(run: ModelRun) -> None:
    tomorrow = Status(429, "come tomorrow", headers={"Retry-After": "86400"})
    with ModelServer(tomorrow) as server, pytest.raises(ModelUnavailable, match="come tomorrow"):
        run.ask(run.models("openai/m", url=server.base_url))
    assert server.count == 1


@pytest.mark.parametrize("name", ["openai/m", "ollama_chat/m", "hosted_vllm/m"])
def test_a_prompt_too_long_is_this_calls_failure_alone(run: ModelRun, name: str) -> None:
    too_long = Status(
        400, "This model's maximum context length is 4096 tokens", code="context_length_exceeded"
    )
    with ModelServer([too_long, too_long, too_long, too_long, "fine"]) as server:
        model = run.models(name, url=url_of(server, name))
        replies = [run.ask(model) for _ in range(5)]
    assert [one.finish_reason for one in replies] == ["context"] * 4 + ["stop"]
    assert "the prompt is too long for the model (400:" in str(replies[0].error)
    assert server.count == 5


def test_another_400_fails_at_once_and_its_repetition_ends_the_model(run: ModelRun) -> None:
    with ModelServer(["fine", *[Status(400, "messages: bad shape")] * 5]) as server:
        model = run.models("openai/m", url=server.base_url)
        assert run.ask(model).text == "fine"
        assert [run.ask(model).finish_reason for _ in range(4)] == ["error"] * 4
        with pytest.raises(
            ModelUnavailable, match="the provider refuses the request \\(400: messages: bad shape"
        ):
            run.ask(model)
    assert server.count == 6


def test_parameters_that_a_model_refuses_are_left_out_and_stay_out(run: ModelRun) -> None:
    spec = ModelSpec("openai/m", reasoning_effort="low", parameters={"top_k": 5})
    with ModelServer("fine", refuses=["temperature", "top_k"]) as server:
        spec = replace(spec, base_url=server.base_url)
        model = run.models(plan=plan_models([spec], Limits(), no_cap=True))
        call = run.call()
        assert run.ask(model, call, temperature=0.5, max_tokens=99).text == "fine"
        assert server.count == 3  # one more for each of the two
        assert run.ask(model, temperature=0.5).text == "fine"
        assert server.count == 4
    assert run.rows(call)[0].parameters == {"max_tokens": 99, "reasoning_effort": "low"}
    assert "temperature" not in server.calls[-1].body
    assert server.calls[-1].body["reasoning_effort"] == "low"


def test_max_tokens_goes_under_its_newer_name_when_the_old_one_is_refused(run: ModelRun) -> None:
    with ModelServer("fine", refuses=["max_tokens"]) as server:
        assert run.ask(run.models("openai/m", url=server.base_url), max_tokens=77).text == "fine"
        assert server.calls[-1].body["max_completion_tokens"] == 77


def test_known_reasoning_models_get_effort_and_no_temperature(run: ModelRun) -> None:
    with ModelServer("fine") as server:
        spec = ModelSpec("openai/o3", base_url=server.base_url, reasoning_effort="high")
        run.ask(run.models(plan=plan_models([spec], Limits(), no_cap=True)), temperature=0.3, max_tokens=500)
    (request,) = server.calls
    assert request.body["reasoning_effort"] == "high"
    assert request.body["max_completion_tokens"] == 500
    assert "temperature" not in request.body


def test_ollama_is_asked_for_a_window_that_holds_the_prompt(run: ModelRun) -> None:
    with ModelServer("fine") as server:
        run.ask(run.models("ollama_chat/m", url=server.url))
        assert server.calls[-1].body["options"]["num_ctx"] == 8192
        spec = ModelSpec("ollama_chat/m", base_url=server.url, context_window=32768)
        run.ask(run.models(plan=plan_models([spec], Limits(), no_cap=True)))
        assert server.calls[-1].body["options"]["num_ctx"] == 32768


def test_a_prompt_that_the_server_cut_is_noticed_once(run: ModelRun) -> None:
    with ModelServer(Text("fine", prompt_tokens=20)) as server:
        model = run.models("ollama_chat/m", url=server.url)
        run.ask(model)
        run.ask(model)
    (said,) = run.notices
    assert "read only 20 tokens of a prompt of" in said
    assert "context window is too small" in said


def test_a_prompt_that_cant_fit_the_known_window_is_not_sent(run: ModelRun) -> None:
    with ModelServer("fine") as server:
        spec = ModelSpec("hosted_vllm/m", base_url=server.base_url, context_window=16)
        reply = run.ask(run.models(plan=plan_models([spec], Limits(), no_cap=True)))
    assert (reply.text, reply.finish_reason) == ("", "context")
    assert "doesn't fit the model's window of 16 tokens" in str(reply.error)
    assert server.count == 0


def test_one_dead_model_of_two_is_said_and_the_other_goes_on(run: ModelRun) -> None:
    with ModelServer(Status(401, "bad key")) as dead, ModelServer("fine") as alive:
        specs = [
            ModelSpec("openai/a", base_url=dead.base_url),
            ModelSpec("openai/b", base_url=alive.base_url),
        ]
        model = run.models(plan=plan_models(specs, Limits(), no_cap=True))
        replies: list[Reply] = []
        for _ in range(4):
            call = run.call()
            replies.append(run.ask(model, call))
    assert [one.model for one in replies] == ["openai/b"] * 4
    assert dead.count == 1
    (said,) = run.notices
    assert said == (
        "model openai/a is out: the provider refuses the key (401: bad key); going on with openai/b"
    )


def test_a_model_that_was_down_is_tried_again_after_a_while(run: ModelRun) -> None:
    down = threading.Event()
    down.set()

    def script(_messages: object) -> str | Behaviour:
        return Status(500) if down.is_set() else "a"

    with ModelServer(script) as first, ModelServer("b") as second:
        specs = [
            ModelSpec("openai/a", base_url=first.base_url),
            ModelSpec("openai/b", base_url=second.base_url),
        ]
        specs[0] = replace(specs[0], weight=1e6)
        model = run.models(plan=plan_models(specs, Limits(), no_cap=True))
        assert run.ask(model).text == "b"
        down.clear()
        time.sleep(QUICK.recovery + 0.1)
        assert run.ask(model).text == "a"


def test_keys_are_sent_to_the_provider_and_are_nowhere_else(
    run: ModelRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-test-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with ModelServer(f"print({key!r})", key=key) as server:
        reply = run.ask(run.models("openai/m", url=server.base_url))
        assert server.calls[0].headers["authorization"] == f"Bearer {key}"
    assert reply.text == "print('***')"
    with ModelServer(key="another") as server, pytest.raises(ModelRefused) as refused:
        run.ask(run.models("openai/m", url=server.base_url))
    assert key not in str(refused.value)
    run.archive.close()
    stored = b"".join(path.read_bytes() for path in run.path.parent.iterdir())
    assert b"0123456789abcdef" not in stored


def test_stopping_cuts_off_calls_in_flight(run: ModelRun) -> None:
    with ModelServer(Hang()) as server, ThreadPoolExecutor(4) as pool:
        model = run.models("openai/m", url=server.base_url, patience=replace(QUICK, call=60.0))
        waiting = [pool.submit(run.ask, model, run.call()) for _ in range(4)]
        while server.count < 4:
            time.sleep(0.01)
        model.stop()
        for one in waiting:
            with pytest.raises(ModelUnavailable, match="the run stopped"):
                one.result(30)
    assert run.spent().reserved.tokens == 0


def test_thirty_percent_failures_lose_no_call(run: ModelRun) -> None:
    rng = random.Random(3)

    def script(_messages: object) -> str | Behaviour:
        if rng.random() < 0.7:
            return "fine"
        return rng.choice([Status(500), Status(429), Status(503)])

    with ModelServer(script) as server:
        model = run.models("openai/m", url=server.base_url, patience=replace(QUICK, outage=5.0))
        calls = [run.call() for _ in range(100)]
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda call: run.ask(model, call).text, calls))
    assert texts == ["fine"] * 100
    assert 120 <= server.count <= 180
    assert run.spent().settled.calls == server.count


def test_what_a_provider_asks_of_one_call_goes_for_all(run: ModelRun) -> None:
    with ModelServer([Status(429, headers={"Retry-After": "1"}), "fine"]) as server:
        model = run.models("openai/m", url=server.base_url)
        calls = [run.call() for _ in range(5)]
        with ThreadPoolExecutor(5) as pool:
            first = pool.submit(run.ask, model, calls[0])
            while not server.count:
                time.sleep(0.01)
            time.sleep(0.2)
            others = [pool.submit(run.ask, model, call) for call in calls[1:]]
            assert [one.result(30).text for one in (first, *others)] == ["fine"] * 5
    refused, *answered = server.calls
    assert all(one.at - refused.at > 0.9 for one in answered)


def test_a_connection_that_nobody_takes_is_given_up_soon(run: ModelRun) -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the queue is full, and further connections get no answer at all
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        patience = replace(QUICK, call=60.0, connect=0.3, outage=0.1)
        with pytest.raises(ModelUnavailable, match="nobody answers at its address"):
            run.ask(run.models("openai/m", url=url, patience=patience))


def test_a_closing_run_waits_for_calls_that_answer_soon_and_for_no_others(run: ModelRun) -> None:
    with ModelServer([Text("soon", seconds=0.3), Hang()]) as server, ThreadPoolExecutor(2) as pool:
        model = run.models("openai/m", url=server.base_url, patience=replace(QUICK, call=60.0))
        calls = [run.call(), run.call()]
        waiting = []
        for call in calls:
            waiting.append(pool.submit(run.ask, model, call))
            while server.count < len(waiting):
                time.sleep(0.01)
        model.stop_within(0.8)
        soon, never = (one.result(30) for one in waiting)
    assert soon.text == "soon"
    assert (never.text, never.finish_reason, never.error) == ("", "error", "the call was cut off")
    assert [run.rows(call)[0].state for call in calls] == ["answered", "failed"]


def test_a_model_has_a_deadline_of_its_own(run: ModelRun) -> None:
    with ModelServer(Hang()) as server:
        spec = ModelSpec("openai/m", base_url=server.base_url, seconds=0.2)
        model = run.models(
            plan=plan_models([spec], Limits(), no_cap=True), patience=replace(QUICK, call=None)
        )
        assert run.ask(model).error == "no answer within 0.2 s"
