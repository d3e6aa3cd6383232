"""Why a request to a model brought no answer: from litellm's errors to a kind, a sentence and what it may have cost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from guided_evolution.errors import GuidedEvolutionError
from guided_evolution.scrub import scrub

_CONNECTING = (
    "ConnectError",
    "ConnectTimeout",
    "ConnectionRefusedError",
    "gaierror",
    "ClientConnectorError",
    "PoolTimeout",
)
_DROPPED = ("ReadError", "WriteError", "RemoteProtocolError", "ClientPayloadError", "ServerDisconnectedError")
_MISREAD = (
    "JSONDecodeError KeyError IndexError TypeError AttributeError ValueError ValidationError UnicodeDecodeError"
).split()
_INVALID = re.compile(r"(empty or )?invalid response( object)?\b", re.IGNORECASE)
_CONTEXT = re.compile(
    r"context.{0,20}(length|window|size)|too many (input )?tokens|prompt is too long|maximum.{0,20}tokens",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content.?(policy|filter|management)|responsible.?ai|safety system|moderation", re.IGNORECASE
)


class CallFailed(GuidedEvolutionError):
    """A request brought no answer.

    Attributes:
        kind: ``refused`` (key, account or name: nothing will help), ``request`` (this request will never do),
            ``context`` (too long), ``content_filter``, ``busy``, ``down``, ``dropped``, ``timeout``, ``unreadable``,
            ``parameter`` (one that the model refuses, and that is left out from now on).
        retry_after: seconds that the provider asks to wait.
        charged: the provider may have worked on it, and charge for that.
        status: the HTTP status, where there was one.
        parameters: what was sent besides the messages, where that is known.
        times_charged: how many requests of the call may be charged, when it was sent several times.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        retry_after: float | None = None,
        charged: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.charged = charged
        self.status = status
        self.times_charged = int(charged)
        self.parameters: Mapping[str, Any] = {}

    @property
    def is_transient(self) -> bool:
        """Worth sending again."""
        return self.kind in ("busy", "down", "dropped", "parameter")


def classify(error: BaseException) -> CallFailed:
    """What kind of failure an error of litellm is. It keeps the HTTP client's own error in its chain."""
    chain = list(_chain(error))
    names = {type(one).__name__ for one in chain}
    for one in chain:
        response = getattr(one, "response", None)
        if type(one).__name__.endswith("HTTPStatusError") and response is not None:
            return _of_status(int(response.status_code), _body_text(response), response.headers)
    if names & set(_CONNECTING):
        return CallFailed("down", _reason(chain, "nobody answers at its address"))
    if names & set(_DROPPED):
        return CallFailed("dropped", "the connection was dropped before the answer", charged=True)
    status = getattr(error, "status_code", None)
    if any("Timeout" in name for name in names) or status == 408:
        return CallFailed("timeout", "no answer in time", charged=True)
    if names & set(_MISREAD) or _INVALID.search(str(error)):
        return CallFailed("unreadable", "the provider's answer can't be read", charged=True)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if isinstance(status, int) and 400 <= status < 600:
        return _of_status(status, str(error), headers)
    return CallFailed("unreadable", f"{type(error).__name__}: {_short(str(error))}", charged=True)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _reason(chain: Sequence[BaseException], otherwise: str) -> str:
    for one in chain:
        if isinstance(one, ConnectionError) and one.errno:
            return f"{otherwise} ({os.strerror(one.errno)})"
    for one in chain:
        if isinstance(one, OSError) and one.strerror:
            return f"{otherwise} ({_short(one.strerror)})"
    return otherwise


def _of_status(status: int, body: str, headers: Mapping[str, str]) -> CallFailed:
    said = f"{status}: {_short(body)}"
    if status in (429, 529, 503):
        if "insufficient_quota" in body:
            return CallFailed("refused", f"the account's quota is used up ({said})", status=status)
        return CallFailed(
            "busy", f"the provider is busy ({said})", retry_after=retry_after(headers), status=status
        )
    if status in (408, 409, 425) or status >= 500:
        return CallFailed(
            "down", f"the provider fails ({said})", retry_after=retry_after(headers), status=status
        )
    if (
        status in (400, 413, 422)
        and _CONTEXT.search(body)
        and not re.search("max_(completion_)?tokens.{0,40}large", body)
    ):
        return CallFailed("context", f"the prompt is too long for the model ({said})", status=status)
    if status in (400, 403, 422) and _FILTER.search(body):
        return CallFailed(
            "content_filter", f"the provider's content filter refused the prompt ({said})", status=status
        )
    if status == 401:
        return CallFailed("refused", f"the provider refuses the key ({said})", status=status)
    if status in (402, 403, 404):
        what = {
            402: "the account can't pay",
            403: "the provider forbids it",
            404: "there is no such model or address",
        }
        return CallFailed("refused", f"{what[status]} ({said})", status=status)
    return CallFailed("request", f"the provider refuses the request ({said})", status=status)


def _body_text(response: Any) -> str:
    """The error's words from a response's body, whatever its shape."""
    try:
        body = response.json()
    except Exception:  # noqa: BLE001 - a body that wasn't read, isn't text or isn't JSON raises errors of many libraries
        try:
            return str(response.text)
        except Exception:  # noqa: BLE001 - as above
            return "no reason given"
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        words = str(error.get("message") or error.get("detail") or error)
        code = error.get("code")
        return f"{words} [{code}]" if isinstance(code, str) and code not in words else words
    return str(error)


def _short(text: str) -> str:
    line = " ".join(scrub(text).split())
    return line if len(line) <= 300 else line[:299] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, from ``Retry-After`` as seconds or as a date; None if it doesn't."""
    lower = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if re.fullmatch(r"\d{1,9}(\.\d+)?", lower.get(name, "")):
            return float(lower[name]) / scale
    if "retry-after" not in lower:
        return None
    try:
        then = parsedate_to_datetime(lower["retry-after"])
        # The server's own clock, where it tells, because ours may be off.
        now = parsedate_to_datetime(lower["date"]) if "date" in lower else then.now(then.tzinfo)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, IndexError):
        return None
