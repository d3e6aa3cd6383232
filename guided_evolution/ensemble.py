"""The models of a run as one: choose by weight, buy each reply once, account for it, go on when one of them is dead."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from guided_evolution.answer import Answer
from guided_evolution.archive import Archive, completions
from guided_evolution.call_failed import CallFailed
from guided_evolution.errors import GuidedEvolutionError, ModelRefused, ModelUnavailable
from guided_evolution.ledger import Ledger, Ticket, Wanted
from guided_evolution.model_client import Client, Request
from guided_evolution.model_plan import ModelPlan
from guided_evolution.model_settings import ModelSpec, eligible
from guided_evolution.models import Call, Message, Reply
from guided_evolution.patience import Patience, patiently
from guided_evolution.prices import Price
from guided_evolution.scrub import scrub, without_secrets

_FAILURES_UNTIL_DEAD = {
    "down": 3,
    "busy": 3,
    "dropped": 3,
    "refused": 3,
    "timeout": 5,
    "request": 5,
    "unreadable": 10,
}
"""Calls in a row, each after all patience with it, that end a model; the milder ones may be a matter of the prompt."""

_AT_ONCE = ("refused", "down", "busy")
"""What ends a model that never answered at the first call that fails so, after all patience with it."""
_REPLY_TOKENS = 16384
"""What a paid model may answer with, where nobody says otherwise: it is what gets set aside."""

_OLLAMA_LEAST = 8192


class Member:
    """One model, and how it has been doing in this process."""

    def __init__(
        self, spec: ModelSpec, price: Price | None, window: int | None, most_reply: int | None
    ) -> None:
        self.spec = spec
        self.price = price
        self.window = window
        self.dead: CallFailed | None = None
        self._most_reply = most_reply
        self._dead_since = 0.0
        self._has_answered = False
        self._failures = 0
        self._held_until = 0.0
        self._tokens_per_byte = 0.4
        self._suspicious = False
        self._lock = threading.Lock()

    def is_out(self, recovery: float) -> bool:
        """Not to be asked now. One that was only down gets a try after `recovery` seconds, one call at a time."""
        with self._lock:
            if self.dead is None:
                return False
            if self.dead.kind == "refused" or time.monotonic() - self._dead_since < recovery:
                return True
            self._dead_since = time.monotonic()
            return False

    def hold(self, seconds: float) -> None:
        """Nobody should ask it for so long."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def held(self) -> float:
        """Seconds until it may be asked."""
        with self._lock:
            return max(0.0, self._held_until - time.monotonic())

    def answered(self) -> None:
        """It works."""
        with self._lock:
            self._has_answered, self._failures, self.dead = True, 0, None

    def failed(self, failure: CallFailed) -> bool:
        """Count a call that failed for good; True if that is the end of this model for now.

        A key that is refused will be refused again. Otherwise it takes some calls in a row, and fewer when the model
        never answered; a prompt that is too long or filtered says nothing of the model.
        """
        with self._lock:
            if failure.kind in ("context", "content_filter"):
                return self.dead is not None
            self._failures += 1
            enough = _FAILURES_UNTIL_DEAD[failure.kind]
            if failure.kind == "refused" and failure.status in (401, 402, 429):
                enough = 1
            elif not self._has_answered and failure.kind != "unreadable":
                enough = 1 if failure.kind in _AT_ONCE else 2
            if self._failures >= enough:
                self.dead, self._dead_since = failure, time.monotonic()
            return self.dead is not None

    def prompt_tokens(self, size: int) -> int:
        """Tokens of a prompt of `size` bytes, at most by what was seen of this model so far."""
        with self._lock:
            return int(size * self._tokens_per_byte) + 32

    def learn(self, size: int, tokens: int) -> None:
        """A prompt of `size` bytes was counted as so many tokens."""
        with self._lock:
            self._tokens_per_byte = min(1.0, max(self._tokens_per_byte, 1.1 * tokens / max(size, 1)))

    def reply_tokens(self, wanted: int | None, prompt: int) -> int | None:
        """The limit of a reply; None where the model decides, which only a free one may."""
        given = [one for one in (wanted, self.spec.max_tokens) if one is not None]
        if not given and (self.price is None or not self.price.is_free):
            given = [min(_REPLY_TOKENS, self._most_reply or _REPLY_TOKENS)]
        if given and self.window:
            given.append(max(self.window - prompt, 256))
        return min(given) if given else None

    def looks_cut(self, size: int, tokens: int) -> bool:
        """The server counted far fewer tokens than it was sent: it cut the prompt. True once."""
        with self._lock:
            first = not self._suspicious and 0 < tokens * 12 < size
            self._suspicious = self._suspicious or first
            return first


@dataclass(frozen=True)
class _Asked:
    """One call as it goes to one member."""

    member: Member
    request: Request
    call: Call
    ticket: Ticket
    size: int
    began: float


def _nobody(_said: str) -> None:
    """Tell nobody."""


class Ensemble:
    """A `Model` made of a run's models. Safe for many threads.

    A model with a group answers only calls of the purpose of that name, and they are asked of nobody else.
    """

    def __init__(
        self,
        archive: Archive,
        run_id: int,
        plan: ModelPlan,
        *,
        client: Client | None = None,
        patience: Patience | None = None,
        notice: Callable[[str], None] = _nobody,
    ) -> None:
        self.ledger = Ledger(archive, run_id, plan.limits)
        self._archive = archive
        self._client = client or Client()
        self._patience = patience or Patience()
        self._notice = notice
        self._stopping = threading.Event()
        self._closing = False
        self._members = [
            Member(one, plan.prices.get(one.name), plan.windows.get(one.name), plan.most_reply.get(one.name))
            for one in plan.specs
        ]

    def stop(self) -> None:
        """Ask nobody any more; calls in flight are cut off and raise ModelUnavailable."""
        self._stopping.set()
        self._client.close()

    def stop_within(self, seconds: float) -> None:
        """The run is closing: let calls in flight finish that do so soon; the others are answered by nothing."""
        self._closing = True
        timer = threading.Timer(seconds, self.stop)
        timer.daemon = True
        timer.start()

    def chosen(self, rng: random.Random, purpose: str) -> ModelSpec:
        """The model that `complete` will ask, given an equal `rng` and that all are well."""
        return self._draw(self._eligible(purpose), rng).spec

    @property
    def context_window(self) -> int | None:
        """Tokens of prompt and reply that every model of the run has room for; None if nothing is known."""
        return min((one.window for one in self._members if one.window), default=None)

    def complete(
        self,
        messages: Sequence[Message],
        call: Call,
        rng: random.Random,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """See `Model.complete`."""
        with self._archive.read() as connection:
            stored = completions.answered(connection, call)
        if stored is not None:
            return stored
        able = self._eligible(call.purpose)
        first = self._draw(able, rng)
        tried: list[Member] = []
        while True:
            member = self._next(first, able, tried, rng)
            tried.append(member)
            reply = self._ask(member, messages, call, temperature, max_tokens)
            if reply is not None:
                return reply

    def _eligible(self, purpose: str) -> list[Member]:
        names = {one.name for one in eligible([one.spec for one in self._members], purpose)}
        return [one for one in self._members if one.spec.name in names]

    @staticmethod
    def _draw(members: Sequence[Member], rng: random.Random) -> Member:
        return rng.choices(members, weights=[one.spec.weight for one in members])[0]

    def _next(
        self, first: Member, able: Sequence[Member], tried: Sequence[Member], rng: random.Random
    ) -> Member:
        """`first` while it lives, else another that does; raises when there is none."""
        left = [one for one in able if one not in tried and not one.is_out(self._patience.recovery)]
        if first in left:
            return first
        if not left:
            raise self._all_dead(able)
        return self._draw(left, rng)

    @staticmethod
    def _all_dead(members: Sequence[Member]) -> GuidedEvolutionError:
        said = "; ".join(f"model {one.spec.name}: {one.dead}" for one in members if one.dead)
        refused = all(one.dead is not None and one.dead.kind == "refused" for one in members)
        way_out = "correct key or name and resume" if refused else "resume when it answers again"
        error = ModelRefused if refused else ModelUnavailable
        return error(f"{said or 'no model answers'}; what is finished is kept, {way_out}")

    def _ask(
        self,
        member: Member,
        messages: Sequence[Message],
        call: Call,
        temperature: float | None,
        max_tokens: int | None,
    ) -> Reply | None:
        """One call of one model, committed however it ends; None when it is this model's end and another may do."""
        size = sum(len(one.content.encode("utf-8", "replace")) + 16 for one in messages)
        prompt = member.prompt_tokens(size)
        wanted = member.reply_tokens(max_tokens, prompt)
        ticket = self.ledger.begin(Wanted(call, member.spec.name, messages, prompt, wanted, member.price))
        request = Request(
            member.spec, messages, temperature, ticket.reply_tokens, _ollama_window(member, prompt, ticket)
        )
        asked = _Asked(member, request, call, ticket, size, time.monotonic())
        sent: dict[str, Any] = {}
        aside = ticket.reserved
        state, tokens = "failed", aside.tokens
        reply = Reply("", member.spec.name, "error", cost=aside.cost, error="the call was cut off")
        try:
            answer, sent, charged = self._patiently(asked)
            state, (reply, tokens) = "answered", self._reply(asked, answer, charged)
            if answer.finish != "unreadable":
                member.answered()
            elif member.failed(CallFailed("unreadable", str(answer.error))):
                return None
            return reply
        except ModelUnavailable:
            if self._closing:
                return reply
            raise
        except CallFailed as failure:
            (reply, tokens), sent = self._failure(asked, failure), dict(failure.parameters)
            return self._after_failure(member, failure, reply)
        finally:
            self.ledger.settle(ticket, state, reply, sent, tokens)
            self._look(asked, reply)

    def _patiently(self, asked: _Asked) -> tuple[Answer, dict[str, Any], int]:
        """(answer, what was sent, requests before it that may be charged)."""
        charged = 0
        deadline = self._patience.call or asked.member.spec.deadline

        def may_resend(failure: CallFailed) -> bool:
            nonlocal charged
            if asked.member.dead is not None:
                return False
            if failure.retry_after:
                asked.member.hold(failure.retry_after)
            if self.ledger.again(asked.ticket, charged=failure.charged) is None:
                return False
            charged += failure.charged
            return True

        def send() -> tuple[Answer, dict[str, Any]]:
            self._check_window(asked)
            if held := asked.member.held():  # what a provider asks of one call goes for all of them
                self._stopping.wait(held + random.uniform(0.0, 0.1 * held))
            return self._client.send(asked.request, seconds=deadline, connect=self._patience.connect)

        try:
            answer, sent = patiently(
                send, self._patience, deadline=deadline, may_resend=may_resend, stopping=self._stopping
            )
        except CallFailed as failure:
            failure.times_charged = charged + failure.charged
            raise
        return answer, sent, charged

    @staticmethod
    def _check_window(asked: _Asked) -> None:
        """Don't pay for a prompt that can't fit, by a count that is surely not too high."""
        window = asked.member.window
        if window and asked.size // 8 > window:
            raise CallFailed(
                "context",
                f"a prompt of {asked.size:,} bytes doesn't fit the model's window of {window:,} tokens; "
                "set context_window in the models file if that is wrong",
            )

    def _reply(self, asked: _Asked, answer: Answer, charged: int) -> tuple[Reply, int]:
        """The reply to keep and the tokens to settle: unknown usage at the reservation."""
        price, aside = asked.member.price, asked.ticket.reserved
        prompt, given = answer.prompt_tokens, answer.completion_tokens
        if prompt is None or given is None:
            cost, tokens = aside.cost, aside.tokens
        else:
            asked.member.learn(asked.size, prompt)
            cost = price.of(prompt, given, answer.cached_tokens) if price else 0.0
            tokens = prompt + given
        cost = answer.cost if answer.cost is not None else cost
        known = price is not None or answer.cost is not None
        reply = Reply(
            text=without_secrets(answer.text),
            model=asked.member.spec.name,
            finish_reason=answer.finish,
            prompt_tokens=prompt,
            completion_tokens=given,
            cost=cost + charged * aside.cost if known else None,
            seconds=time.monotonic() - asked.began,
            reasoning=without_secrets(answer.reasoning) if answer.reasoning else None,
            error=scrub(answer.error) if answer.error else None,
        )
        return reply, tokens + charged * aside.tokens

    @staticmethod
    def _failure(asked: _Asked, failure: CallFailed) -> tuple[Reply, int]:
        times, aside = failure.times_charged, asked.ticket.reserved
        word = failure.kind if failure.kind in ("context", "content_filter", "timeout") else "error"
        reply = Reply(
            text="",
            model=asked.member.spec.name,
            finish_reason=word,
            cost=times * aside.cost,
            seconds=time.monotonic() - asked.began,
            error=str(failure),
        )
        return reply, times * aside.tokens

    def _after_failure(self, member: Member, failure: CallFailed, reply: Reply) -> Reply | None:
        """The failed call as a reply without text, or None when its model is dead and another has to be asked."""
        if self._stopping.is_set():
            if self._closing:
                return reply
            raise ModelUnavailable("the run stopped while a model was asked")
        was_dead = member.dead is not None
        if not member.failed(failure):
            return reply
        others = [one.spec.name for one in self._members if one.dead is None]
        if others and not was_dead:
            self._notice(f"model {member.spec.name} is out: {failure}; going on with {', '.join(others)}")
        return None

    def _look(self, asked: _Asked, reply: Reply) -> None:
        """Say it when a server cut the prompt without a word, as Ollama does."""
        tokens = reply.prompt_tokens
        if tokens is not None and asked.member.looks_cut(asked.size, tokens):
            self._notice(
                f"model {asked.member.spec.name} read only {tokens:,} tokens of a prompt of {asked.size:,} bytes: "
                "its context window is too small and the prompt was cut; set context_window in the models file"
            )


def _ollama_window(member: Member, prompt: int, ticket: Ticket) -> int | None:
    """Tokens that Ollama is asked to make room for: a power of two, so that it seldom has to load the model anew."""
    if member.spec.provider not in ("ollama", "ollama_chat") or "num_ctx" in member.spec.parameters:
        return None
    if member.spec.context_window:
        return member.spec.context_window
    needed = max(prompt + (ticket.reply_tokens or _OLLAMA_LEAST // 2), _OLLAMA_LEAST)
    rounded = 1 << (needed - 1).bit_length()
    return min(rounded, member.window) if member.window else rounded
