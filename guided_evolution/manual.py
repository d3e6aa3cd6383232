"""A person as the model: prompts are written to a folder as Markdown, and replies are read from beside them.

<folder>/<run>/0007-mutate-0.prompt.md     what to ask, anywhere
<folder>/<run>/0007-mutate-0.reply.md      what came back; saved by the person, taken when it has stopped growing
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from guided_evolution.archive import Archive, completions
from guided_evolution.errors import BadInput, ModelUnavailable
from guided_evolution.ledger import Ledger, Wanted
from guided_evolution.model_settings import MANUAL
from guided_evolution.models import Call, Message, Reply
from guided_evolution.prices import FREE, Limits

_LOOK_SECONDS = 0.2
_HEADS = {"system": "# System", "user": "# Prompt", "assistant": "# Your earlier reply"}


class Manual:
    """A `Model` that waits for a person. Safe for many threads; a run that was stopped goes on with the same files."""

    def __init__(
        self,
        archive: Archive,
        run_id: int,
        folder: Path,
        *,
        limits: Limits | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.ledger = Ledger(archive, run_id, limits or Limits())
        self._archive = archive
        self._folder = folder
        self._notice = notice
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Wait for nobody any more; who waits raises ModelUnavailable."""
        self._stopping.set()

    def complete(
        self,
        messages: Sequence[Message],
        call: Call,
        rng: random.Random,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """See `Model.complete`; all but messages and call are left to the person."""
        with self._archive.read() as connection:
            stored = completions.answered(connection, call)
        if stored is not None:
            return stored
        name = f"{call.proposal_id or 0:04}-{call.purpose}-{call.turn}"
        prompt, place = self._folder / f"{name}.prompt.md", self._folder / f"{name}.reply.md"
        ticket = self.ledger.begin(Wanted(call, MANUAL, messages, 0, None, FREE))
        began = time.monotonic()
        state, reply = "failed", Reply("", MANUAL, "error", cost=0.0, error="no reply was written yet")
        try:
            _write(prompt, _markdown(messages, place.name))
            if self._notice:
                self._notice(f"prompt in {prompt}; save the reply as {place.name} beside it")
            text = self._wait(place)
            error = None if text.strip() else "the reply is empty"
            finish = "stop" if error is None else "empty"
            reply = Reply(text, MANUAL, finish, cost=0.0, seconds=time.monotonic() - began, error=error)
            state = "answered"
            return reply
        finally:
            self.ledger.settle(ticket, state, reply, {}, 0)

    def _wait(self, place: Path) -> str:
        """The file's text once it is there and two looks in a row find it the same."""
        seen: tuple[int, int] | None = None
        while not self._stopping.is_set():
            try:
                stat = place.stat()
                if seen == (stat.st_size, stat.st_mtime_ns):
                    return place.read_text("utf-8", errors="replace").removeprefix(
                        "\N{ZERO WIDTH NO-BREAK SPACE}"
                    )
                seen = (stat.st_size, stat.st_mtime_ns)
            except FileNotFoundError:
                seen = None
            except OSError as error:
                raise BadInput(f"--model manual: {place} can't be read: {error.strerror}") from error
            self._stopping.wait(_LOOK_SECONDS)
        raise ModelUnavailable(
            "the run stopped while a reply was awaited; resume goes on with the same files"
        )


def _markdown(messages: Sequence[Message], reply_name: str) -> str:
    parts = [f"{_HEADS[one.role]}\n\n{one.content.strip()}\n" for one in messages]
    return "\n".join(parts) + f"\n<!-- Save the reply as {reply_name} in this folder. -->\n"


def _write(place: Path, text: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
        half.write_text(text, "utf-8", errors="replace")
        half.replace(place)  # whole or not at all: somebody may be watching the folder
    except OSError as error:
        raise BadInput(f"--model manual: {place.parent} can't be written: {error.strerror}") from error
