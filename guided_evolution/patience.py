"""The one retry layer: how long a call waits for a provider that is busy, down or dropping connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from guided_evolution.call_failed import CallFailed

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for a model, in seconds.

    Attributes:
        call: for one request until its whole answer is there, and for waits that a provider asks for; None leaves
            it to the model's settings.
        connect: until somebody takes the connection.
        outage: waited in all, between requests, for a provider that fails without saying when to come back.
        first_wait, longest_wait: between requests; doubled from one to the next, then cut by up to half at random.
        charged: requests at most of which the provider may charge each, though no answer came.
        recovery: until a model that was down is tried again, while others answer.
    """

    call: float | None = None
    connect: float = 10.0
    outage: float = 25.0
    first_wait: float = 0.5
    longest_wait: float = 8.0
    charged: int = 3
    recovery: float = 60.0


def patiently(
    send: Callable[[], T],
    patience: Patience,
    *,
    deadline: float,
    may_resend: Callable[[CallFailed], bool],
    stopping: threading.Event,
) -> T:
    """What `send` returns, sent again after failures that pass.

    Args:
        deadline: seconds that a provider may ask to wait.
        may_resend: asked before each resend; False gives up.
        stopping: ends a wait at once.

    Raises:
        CallFailed: the last failure, when it doesn't pass, patience ends, or a resend isn't allowed.
    """
    # Late: tenacity comes with the extra `models`.
    from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event

    def failure(state: RetryCallState) -> CallFailed:
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, CallFailed)
        return error

    def wait(state: RetryCallState) -> float:
        asked = failure(state).retry_after
        if asked is not None:
            return asked + (random.uniform(0.0, 0.25) if asked else 0.0)
        longest = min(patience.longest_wait, patience.first_wait * 2 ** min(state.attempt_number - 1, 30))
        return float(longest * random.uniform(0.5, 1.0))

    charged = 0

    def stop(state: RetryCallState) -> bool:
        nonlocal charged
        error = failure(state)
        charged += error.charged
        limit = patience.outage if error.retry_after is None else deadline
        too_long = state.idle_for + state.upcoming_sleep > limit
        return too_long or charged >= patience.charged or stopping.is_set() or not may_resend(error)

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, CallFailed) and error.is_transient),
        wait=wait,
        stop=stop,
        sleep=sleep_using_event(stopping),
        reraise=True,
    )
    return retrying(send)
