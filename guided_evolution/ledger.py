"""The ledger: a call is reserved before it is sent and settled after it, so that a cap holds whatever happens between.

It lives in the archive. What a killed process had open counts at its reservation; a reply without usage is settled at
its reservation too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guided_evolution.archive import Archive, completions
from guided_evolution.archive.completions import Amount, Spent
from guided_evolution.errors import BudgetExhausted
from guided_evolution.models import Call, Message, Reply
from guided_evolution.prices import Limits, Price

SMALLEST_REPLY = 1024
"""Fewer tokens than this aren't worth asking for when the money runs out."""

_SHARE = 4
"""No call sets aside more than this part of what is left, so that calls near the end don't wait for each other."""


@dataclass(frozen=True)
class Wanted:
    """A call about to be sent.

    Attributes:
        prompt_tokens: at most.
        reply_tokens: at most; None where the model isn't told a limit, and then nothing bounds the reply.
        price: None where nobody knows it.
    """

    call: Call
    model: str
    messages: Sequence[Message]
    prompt_tokens: int
    reply_tokens: int | None
    price: Price | None


@dataclass(frozen=True)
class Ticket:
    """An open call: the row's id, what was set aside, and the tokens that its reply may have."""

    id: int
    reserved: Amount
    reply_tokens: int | None


class Ledger:
    """One run's model calls. Safe for many threads, and for many processes on one archive."""

    def __init__(self, archive: Archive, run_id: int, limits: Limits) -> None:
        self.limits = limits
        self.exhausted: str | None = None
        self._archive = archive
        self._run_id = run_id
        self._open = 0
        self._settled = threading.Condition()
        with archive.write() as connection:
            completions.open_account(connection, run_id)

    def spent(self) -> Spent:
        """What is spent and set aside now."""
        with self._archive.read() as connection:
            return completions.spent(connection, self._run_id)

    def begin(self, wanted: Wanted) -> Ticket:
        """Open a call. Waits while calls of this process are open whose settling may free what it needs.

        Raises:
            BudgetExhausted: the limits can't afford it, and nothing that is open will change that.
        """
        while True:
            with self._settled:
                ticket = self._try(wanted)
                if ticket is not None:
                    self._open += 1
                    return ticket
                if self._open == 0:
                    raise BudgetExhausted(self._why(wanted))
                self._settled.wait()

    def _try(self, wanted: Wanted) -> Ticket | None:
        with self._archive.write() as connection:
            spent = completions.spent(connection, self._run_id, for_update=True)
            afforded = self._afford(wanted, spent)
            if afforded is None:
                return None
            reserved, reply_tokens = afforded
            row = completions.begin(connection, wanted.call, wanted.model, wanted.messages, reserved)
        return Ticket(row, reserved, reply_tokens)

    def _afford(self, wanted: Wanted, spent: Spent) -> tuple[Amount, int | None] | None:
        """What to set aside, and the tokens of the reply, which get fewer when the end is near; None if too few."""
        if self.limits.calls is not None and spent.settled.calls >= self.limits.calls:
            return None
        room = self._room(wanted, spent)
        asked = wanted.reply_tokens
        if room is not None:
            if room < min(SMALLEST_REPLY, asked or SMALLEST_REPLY):
                return None
            share = max(room // _SHARE, min(SMALLEST_REPLY, room))
            asked = share if asked is None else min(asked, share)
        price = wanted.price.of(wanted.prompt_tokens, asked or 0) if wanted.price else 0.0
        return Amount(price, wanted.prompt_tokens + (asked or 0), 1), asked

    def _room(self, wanted: Wanted, spent: Spent) -> int | None:
        """Tokens that the reply may have under the limits; None for any number."""
        rooms = []
        if self.limits.tokens is not None:
            used = spent.settled.tokens + spent.reserved.tokens
            rooms.append(self.limits.tokens - used - wanted.prompt_tokens)
        if self.limits.cost is not None and wanted.price is not None and not wanted.price.is_free:
            left = self.limits.cost - spent.settled.cost - spent.reserved.cost
            left -= wanted.price.of(wanted.prompt_tokens, 0)
            if wanted.price.completion > 0:
                rooms.append(int(left * 1e6 / wanted.price.completion) if left > 0 else -1)
            elif left < 0:
                rooms.append(-1)
        return min(rooms) if rooms else None

    def again(self, ticket: Ticket, *, charged: bool) -> Ticket | None:
        """Account for sending the same call once more; None if the limits don't allow it.

        Args:
            charged: the request before may have cost something, so this one needs a reservation of its own.
        """
        more = Amount(ticket.reserved.cost, ticket.reserved.tokens, 1) if charged else Amount(calls=1)
        with self._archive.write() as connection:
            spent = completions.spent(connection, self._run_id, for_update=True)
            limits = self.limits
            if (
                (limits.calls is not None and spent.settled.calls + 1 > limits.calls)
                or (
                    limits.tokens is not None
                    and spent.settled.tokens + spent.reserved.tokens + more.tokens > limits.tokens
                )
                or (
                    limits.cost is not None
                    and spent.settled.cost + spent.reserved.cost + more.cost > limits.cost
                )
            ):
                return None
            completions.extend(connection, ticket.id, more)
        return ticket

    def settle(
        self, ticket: Ticket, state: str, reply: Reply, parameters: Mapping[str, Any], tokens: int
    ) -> None:
        """Commit how a call ended, before anything reads its reply.

        Args:
            state: ``answered`` or ``failed``.
            tokens: used, or set aside where nobody knows; the cost is the reply's.
        """
        try:
            self._archive.transact(
                lambda connection: completions.finish(connection, ticket.id, state, reply, parameters, tokens)
            )
        finally:
            with self._settled:
                self._open -= 1
                self._settled.notify_all()

    def _why(self, wanted: Wanted) -> str:
        spent = self.spent()
        done = spent.settled
        limits = self.limits
        if limits.calls is not None and done.calls >= limits.calls:
            said = f"budget of {limits.calls} model calls reached"
        elif limits.tokens is not None and self._room_by(Limits(tokens=limits.tokens), wanted, spent):
            said = f"budget of {limits.tokens:,} tokens reached ({done.tokens:,} used)"
        else:
            said = f"budget of ${limits.cost:g} reached (${done.cost:.4g} spent)"
        if done.calls == 0:
            said += f", too little for one call of {wanted.model}"
        self.exhausted = said
        return said

    def _room_by(self, limits: Limits, wanted: Wanted, spent: Spent) -> bool:
        """Whether these limits alone refuse the call."""
        assert limits.tokens is not None
        used = spent.settled.tokens + spent.reserved.tokens + wanted.prompt_tokens
        return limits.tokens - used < min(SMALLEST_REPLY, wanted.reply_tokens or SMALLEST_REPLY)
