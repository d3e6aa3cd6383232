"""A run played again: every reply comes from an archived run, so it needs no network, no key and no money."""

from __future__ import annotations

import difflib
import random
import threading
from collections.abc import Callable, Sequence

from guided_evolution.archive import Archive, completions
from guided_evolution.archive.completions import Amount, Stored
from guided_evolution.errors import ReplayDiffers
from guided_evolution.models import Call, Message, Reply

_MOST_LINES = 60


class Replay:
    """A `Model` that answers what an archived run was answered. Safe for many threads.

    A call is known by its proposal's number, purpose and turn; its messages must be the same to the letter. Replies are
    written to the new run too, at no cost, so that it can be looked at and replayed like any other.

    Args:
        archive: of the run that is played now.
        number_of: the number of a proposal, by its id.
        source: the archive of the run that is replayed, and its id.
    """

    def __init__(
        self,
        archive: Archive,
        source: tuple[Archive, int],
        *,
        source_name: str,
        number_of: Callable[[int], int],
    ) -> None:
        self._archive = archive
        self._source_name = source_name
        self._number_of = number_of
        self._lock = threading.Lock()
        with source[0].read() as connection:
            self._known = {
                (one.proposal, one.purpose, one.turn): one
                for one in completions.of_run(connection, source[1])
            }

    def stop(self) -> None:
        """Nothing to stop: no call takes time."""

    def complete(
        self,
        messages: Sequence[Message],
        call: Call,
        rng: random.Random,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """See `Model.complete`.

        Raises:
            ReplayDiffers: the archived run asked something else here, or nothing.
        """
        number = None if call.proposal_id is None else self._number_of(call.proposal_id)
        where = f"proposal {number}, {call.purpose}, turn {call.turn}"
        stored = self._known.get((number, call.purpose, call.turn))
        if stored is None:
            raise ReplayDiffers(
                f"run {self._source_name} made no model call at {where}; the replay ends here"
            )
        if stored.messages != tuple(messages):
            raise ReplayDiffers(
                f"the prompt of {where} differs from that of run {self._source_name}; the replay ends here\n"
                + difference(stored.messages, messages)
            )
        return self._keep(call, stored)

    def _keep(self, call: Call, stored: Stored) -> Reply:
        old = stored.reply
        reply = Reply(
            old.text,
            old.model,
            old.finish_reason,
            old.prompt_tokens,
            old.completion_tokens,
            cost=0.0,
            reasoning=old.reasoning,
            error=old.error,
            reused=True,
        )
        with self._lock, self._archive.write() as connection:
            if completions.answered(connection, call) is None:
                row = completions.begin(connection, call, old.model, stored.messages, Amount())
                completions.finish(connection, row, stored.state, reply, stored.parameters, 0)
        return reply


def difference(old: Sequence[Message], new: Sequence[Message]) -> str:
    """A unified diff of two prompts, cut to what fits a screen."""
    lines = list(
        difflib.unified_diff(_lines(old), _lines(new), "archived prompt", "prompt now", lineterm="", n=2)
    )
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(lines)


def _lines(messages: Sequence[Message]) -> list[str]:
    return [line for one in messages for line in (f"[{one.role}]", *one.content.split("\n"))]
