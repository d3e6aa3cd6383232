"""What a model was asked for a program, what it answered, and what that cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from guided_evolution.archive.completions import Stored
from guided_evolution.errors import ArchiveError
from guided_evolution.figures import visible


def document(calls: Sequence[Stored]) -> list[dict[str, object]]:
    """The calls as JSON."""
    return [
        {
            "purpose": one.purpose,
            "turn": one.turn,
            "state": one.state,
            "model": one.model,
            "parameters": one.parameters,
            "messages": [{"role": message.role, "content": message.content} for message in one.messages],
            "reply": one.reply.text,
            "reasoning": one.reply.reasoning,
            "finish_reason": one.reply.finish_reason,
            "prompt_tokens": one.reply.prompt_tokens,
            "completion_tokens": one.reply.completion_tokens,
            "cost": one.reply.cost,
            "seconds": one.reply.seconds,
            "error": one.reply.error,
        }
        for one in calls
    ]


def rows(calls: Sequence[Stored]) -> Iterator[tuple[str, str]]:
    """Headings and what stands beside them in `show`: model, cost, prompt, reply."""
    if not calls:
        return
    yield "model", ", ".join(dict.fromkeys(one.model for one in calls))
    yield "cost", _cost(calls)
    size = sum(len(message.content) for message in calls[0].messages)
    yield "prompt", f"{size:,} characters; `show --prompt` prints it"
    answered = [one for one in calls if one.reply.text]
    if answered:
        yield "reply", visible(answered[-1].reply.text.strip())


def _cost(calls: Sequence[Stored]) -> str:
    known = [one.reply.cost for one in calls if one.reply.cost is not None]
    money = f"${sum(known):.4g}" if known else "price unknown"
    asked = sum(one.reply.prompt_tokens or 0 for one in calls)
    given = sum(one.reply.completion_tokens or 0 for one in calls)
    times = "1 call" if len(calls) == 1 else f"{len(calls)} calls"
    return f"{money}, {times}, {asked:,} + {given:,} tokens, {sum(one.reply.seconds for one in calls):.3g} s"


def print_whole(calls: Sequence[Stored]) -> None:
    """The conversation to the letter. Raises ArchiveError for a program that no model made."""
    if not calls:
        raise ArchiveError("no model was asked for this program; `show` tells how it was made")
    last = max(calls, key=lambda one: (one.turn, one.id))
    for message in last.messages:
        sys.stdout.write(f"[{message.role}]\n{message.content.rstrip()}\n\n")
    if last.reply.reasoning:
        sys.stdout.write(f"[reasoning of {last.model}]\n{last.reply.reasoning.rstrip()}\n\n")
    sys.stdout.write(f"[{last.model}]\n{(last.reply.text or last.reply.error or '').rstrip()}\n")
