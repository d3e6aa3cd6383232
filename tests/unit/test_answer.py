"""Replies read with tolerance, failures told apart, keys kept out of words: pure functions on what providers send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.answer import Answer, read_answer, read_body, split_reasoning
from guided_evolution.call_failed import retry_after
from guided_evolution.scrub import scrub, without_secrets

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("choices message content usage text finish_reason tool_calls response a".split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_body_makes_the_reader_raise(body: object) -> None:
    answer = read_answer(body)
    assert isinstance(answer, Answer)
    assert (answer.error is None) == bool(answer.text.strip())
    read_body(json.dumps(body))


@given(st.text())
def test_text_without_blocks_is_left_as_it_is(text: str) -> None:
    if "think" not in text and "thought" not in text and "reasoning" not in text:
        assert split_reasoning(text) == (text, None)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("<think>a</think>b", "b", "a"),
        ("\n <thinking>a\n</thinking>\n\nb", "\n\nb", "a"),
        ("<think>a</think><think>b</think>c", "c", "a\n\nb"),
        ("<think>a", "", "a"),
        ("a</think>b", "b", "a"),
        ("x = '<think>a</think>'", "x = '<think>a</think>'", None),
    ],
)
def test_reasoning_blocks(text: str, answer: str, reasoning: str | None) -> None:
    assert split_reasoning(text) == (answer, reasoning)


def test_parts_and_thoughts_are_told_apart() -> None:
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    answer = read_answer({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    assert (answer.text, answer.reasoning, answer.finish) == ("ab", "hm", "stop")


def test_a_cost_that_the_provider_tells_is_taken() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "cost": 0.25,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    answer = read_answer({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens, answer.cost) == (
        10,
        2,
        8,
        0.25,
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"Retry-After": "Wed, 25 Nov 2026 10:00:30 GMT", "Date": "Wed, 25 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 25 Nov 2026 09:00:00 GMT", "Date": "Wed, 25 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-4"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_secrets_are_taken_out_of_words() -> None:
    environ = {
        "MY_API_KEY": "abcdef123",
        "HOME": "/root/abc",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_TOKEN": "hf_xyz123",
    }
    assert scrub("key abcdef123 at /root/abc, hf_xyz123", environ) == "key *** at /root/abc, ***"
    assert scrub("Incorrect API key: sk-proj-abcdefgh1234", {}) == "Incorrect API key: ***"
    assert scrub("Authorization: Bearer abcdefgh.ijkl", {}) == "Authorization: Bearer ***"
    assert scrub("http://me:pass@host/v1", {}) == "http://***@host/v1"
    assert without_secrets("sk-proj-abcdefgh1234 false", environ) == "sk-proj-abcdefgh1234 false"
