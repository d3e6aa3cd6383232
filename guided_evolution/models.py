"""What the rest of the package knows of a model: messages go in, one reply comes out, and every call has a name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Call:
    """What a call is known by, in the archive and in a replay: at most one reply is ever bought for it.

    Attributes:
        purpose: ``mutate``, ``repair``, ``reflect``, …
        turn: 0 for the first question of this purpose, 1 for what follows its answer, and so on.
    """

    run_id: int
    proposal_id: int | None
    purpose: str
    turn: int = 0


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: the answer without its reasoning; empty when the call failed for itself alone (`error` says how).
        model: the ensemble's name of the model that answered.
        finish_reason: ``stop``, ``length``, ``content_filter``, ``tool_calls``, ``empty``, ``error``, …; or None.
        cost: US dollars; None where neither price nor provider tells.
        seconds: from the first byte sent to the last received, waits between retries included.
        reasoning: what the model thought aloud before it answered.
        error: one sentence for people and for the archive; None when there is an answer.
        reused: taken from the archive, not bought now.
    """

    text: str
    model: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    seconds: float = 0.0
    reasoning: str | None = None
    error: str | None = None
    reused: bool = False


class Model(Protocol):
    """The seam: a provider's client, an ensemble of them, a person, or a replay of an archived run."""

    def complete(
        self,
        messages: Sequence[Message],
        call: Call,
        rng: random.Random,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """Answer `messages`, at most once per `call`: a reply that the archive holds is returned, not bought again.

        Args:
            rng: chooses the model of an ensemble; derived from the run's seed and the proposal's number.
            temperature: sent where the model accepts one.
            max_tokens: most tokens of the answer; None leaves it to the model's settings.

        Raises:
            ModelUnavailable: the provider is dead or the run can't go on without it; resumable.
            ModelRefused: the key, the model's name or the account is refused; resumable.
            BudgetExhausted: the ledger can't afford the call; the run stops cleanly.
            ReplayDiffers: the replayed run asked something else here.
        """
        ...
