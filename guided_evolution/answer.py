"""What a provider sent, read with tolerance: text apart from reasoning, and a word for what isn't text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"\s*<(think|thinking|reasoning|thought)>(.*?)(?:</\1>|\Z)", re.DOTALL)
_TAIL = re.compile(r"\A((?:(?!<think>).)*?)</think>", re.DOTALL)
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")

_Usage = tuple[int | None, int | None, int, float | None]

_WORDS = {
    "length": "the reply was cut off at its length limit before any answer",
    "content_filter": "the provider's content filter stopped the reply",
    "refusal": "the model refused",
    "tool_calls": "the model called a tool instead of answering",
    "empty": "the reply is empty",
    "unreadable": "the provider's answer has no readable reply",
}


@dataclass(frozen=True)
class Answer:
    """One reply of a provider. `finish` is a word of `_WORDS`, ``stop``, or the provider's own.

    `error` says why there is no text; tokens and cost are None where the provider doesn't tell.
    """

    text: str
    finish: str | None
    reasoning: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    cost: float | None = None
    error: str | None = None


def read_answer(body: object) -> Answer:
    """The reply in a response: litellm's, or a provider's own body in the format of OpenAI or Ollama. Never raises."""
    if not isinstance(body, Mapping):
        return _nothing("unreadable")
    usage = _usage(body)
    found = _message(body)
    if found is None:
        return _nothing("unreadable", usage)
    message, finish = found
    text, thoughts = _content(message.get("content"))
    for key in _REASONING_KEYS:
        if isinstance(message.get(key), str) and message[key].strip():
            thoughts.append(message[key])
            break
    text, inline = split_reasoning(text)
    if inline and inline.strip() not in [one.strip() for one in thoughts]:
        thoughts.append(inline)
    reasoning = "\n\n".join(one.strip() for one in thoughts) or None
    text = text.lstrip("\n") if reasoning else text
    word = _why_nothing(message, finish, text)
    if word is not None:
        said = message.get("refusal")
        detail = (
            f": {said.strip()[:300]}" if word == "refusal" and isinstance(said, str) and said.strip() else ""
        )
        return Answer("", word, reasoning, *usage, _WORDS[word] + detail)
    return Answer(text, finish or "stop", reasoning, *usage)


def read_body(raw: str) -> Answer:
    """The reply in a response's raw text. Never raises."""
    try:
        return read_answer(json.loads(raw))
    except (ValueError, RecursionError):
        return _nothing("unreadable")


def split_reasoning(text: str) -> tuple[str, str | None]:
    """(answer, reasoning) of a text that may begin with a block of reasoning, closed or cut off.

    Some chat templates open the block in the prompt, so that only its end is in the reply.
    """
    parts = []
    while match := _BLOCK.match(text):
        parts.append(match[2])
        text = text[match.end() :]
    if not parts and (tail := _TAIL.match(text)):
        parts.append(tail[1])
        text = text[tail.end() :]
    return text, "\n\n".join(part.strip() for part in parts) or None


def _nothing(word: str, usage: _Usage = (None, None, 0, None)) -> Answer:
    return Answer("", word, None, *usage, _WORDS[word])


def _message(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None] | None:
    """The message and its finish reason, wherever this format keeps them."""
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        message, finish = choices[0].get("message"), choices[0].get("finish_reason")
        if message is None and isinstance(choices[0].get("text"), str):
            message = {"content": choices[0]["text"]}
    elif isinstance(body.get("response"), str):
        message, finish = {"content": body["response"]}, body.get("done_reason")
    else:
        message, finish = body.get("message"), body.get("done_reason")
    if not isinstance(message, Mapping):
        return None
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        return None
    return message, finish if isinstance(finish, str) else None


def _content(content: object) -> tuple[str, list[str]]:
    """(text, thoughts) of a content, which some servers send as a list of parts."""
    if isinstance(content, str):
        return content, []
    texts, thoughts = [], []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            if isinstance(part.get("thinking"), str):
                thoughts.append(part["thinking"])
            elif isinstance(part.get("text"), str):
                (thoughts if part.get("type") in ("reasoning", "thinking") else texts).append(part["text"])
    return "".join(texts), thoughts


def _why_nothing(message: Mapping[str, Any], finish: str | None, text: str) -> str | None:
    if finish == "content_filter":
        return "content_filter"
    if text.strip():
        return None
    if message.get("refusal") or finish == "refusal":
        return "refusal"
    if message.get("tool_calls") or message.get("function_call"):
        return "tool_calls"
    return "length" if finish in ("length", "max_tokens") else "empty"


def _usage(body: Mapping[str, Any]) -> _Usage:
    """(prompt tokens, completion tokens, cached ones of the prompt, cost); zeros that mean "not told" are None."""
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return _count(body.get("prompt_eval_count")), _count(body.get("eval_count")), 0, None
    prompt, given = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not prompt:
        # Servers without usage come through litellm as 0; no prompt is empty.
        return None, given or None, 0, None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    cost = usage.get("cost")
    told = (
        float(cost)
        if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e6
        else None
    )
    return prompt, given or 0, min(cached or 0, prompt), told


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else None
