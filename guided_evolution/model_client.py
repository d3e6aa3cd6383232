"""One request to one model over litellm: what is sent, what came back, and what kind of failure a failure is.

Every request runs in one event loop in a thread of its own, so that a deadline or a stop really ends it: its connection
is closed whatever the server goes on dripping. litellm is imported here, at the first need, and never retries.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from guided_evolution.answer import Answer, read_answer, read_body
from guided_evolution.call_failed import CallFailed, classify
from guided_evolution.errors import ModelUnavailable
from guided_evolution.model_settings import ModelSpec
from guided_evolution.models import Message

_GRACE_SECONDS = 5.0
_NEVER_STORED = (
    "messages",
    "prompt",
    "model",
    "images",
    "stream",
    "input",
    "contents",
    "system",
    "extra_body",
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|deprecated|extra inputs",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Request:
    """What is asked of a model. None of the optional ones is sent when None."""

    spec: ModelSpec
    messages: Sequence[Message]
    temperature: float | None = None
    max_tokens: int | None = None
    window: int | None = None
    """Tokens of prompt and reply that Ollama is told to make room for; else it cuts long prompts without a word."""


@dataclass
class Sent:
    """What went over the wire besides the messages, filled in while a request is made; and the raw answer."""

    parameters: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None

    def __call__(self, details: Mapping[str, Any]) -> None:
        """litellm's own record of a request, before it is sent and after the answer."""
        body = (details.get("additional_args") or {}).get("complete_input_dict")
        if isinstance(body, Mapping):
            kept = {key: value for key, value in body.items() if key not in _NEVER_STORED}
            self.parameters = {key: _plain(value) for key, value in kept.items()}
        answer = details.get("original_response")
        if isinstance(answer, str):
            self.raw = answer


def _plain(value: Any) -> Any:
    """The value as JSON takes it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


class Client:
    """Sends requests, many at a time, from any thread. What models refuse is remembered and not sent again."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._litellm: ModuleType | None = None
        self._refused: dict[str, set[str]] = {}
        self._known: set[str] = set()
        self._flying: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    @property
    def litellm(self) -> ModuleType:
        """The library, imported at first use (seconds)."""
        with self._lock:
            if self._litellm is None:
                self._litellm = load_litellm()
            return self._litellm

    def send(self, request: Request, *, seconds: float, connect: float) -> tuple[Answer, dict[str, Any]]:
        """One HTTP request. A parameter that the model turns out to refuse is left out from the next one on.

        Returns:
            The answer, and the parameters that were really sent.

        Raises:
            CallFailed: no answer, or none within `seconds`, however the server keeps the connection busy.
            ModelUnavailable: the client was closed meanwhile.
        """
        self._make_known(request.spec)
        sent = Sent()
        try:
            return self._run(self._ask(request, sent, seconds, connect), seconds), sent.parameters
        except CallFailed as failure:
            failure.parameters = sent.parameters
            word = self._refused_parameter(request, sent, failure)
            if word is None:
                raise
            self._refused.setdefault(request.spec.name, set()).add(word)
            raise CallFailed("parameter", str(failure), retry_after=0.0, status=failure.status) from failure

    def _make_known(self, spec: ModelSpec) -> None:
        """Import litellm, and tell it of a local model.

        Of those that it doesn't know it would ask their server, synchronously in the event loop.
        """
        litellm = self.litellm
        with self._lock:
            if not spec.is_local or spec.provider == "openai" or spec.name in self._known:
                return
            self._known.add(spec.name)
            if spec.name not in litellm.model_cost:
                entry = {"litellm_provider": spec.provider, "mode": "chat", "max_tokens": 8192}
                free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
                litellm.register_model({spec.name: {**entry, **free}})

    def close(self) -> None:
        """End every request in flight; they raise ModelUnavailable."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            flying, loop = list(self._flying), self._loop
        for one in flying:
            one.cancel()
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _run(self, work: Coroutine[Any, Any, Answer], seconds: float) -> Answer:
        with self._lock:
            if self._closed:
                work.close()
                raise ModelUnavailable("the run is stopping; no model is asked any more")
            future = asyncio.run_coroutine_threadsafe(work, self._running_loop())
            self._flying.add(future)
        try:
            # The loop keeps the deadline; a loop that is stuck itself must not keep us.
            return future.result(seconds + _GRACE_SECONDS)
        except concurrent.futures.CancelledError as error:
            raise ModelUnavailable("the run stopped while a model was asked") from error
        except TimeoutError as error:
            future.cancel()
            raise CallFailed("timeout", f"no answer within {seconds:g} s", charged=True) from error
        finally:
            with self._lock:
                self._flying.discard(future)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self._loop,), daemon=True, name="models").start()
        return self._loop

    async def _ask(self, request: Request, sent: Sent, seconds: float, connect: float) -> Answer:
        arguments = self._arguments(request)
        timeout = importlib.import_module("httpx").Timeout(seconds + _GRACE_SECONDS, connect=connect)
        try:
            async with asyncio.timeout(seconds):
                response = await self.litellm.acompletion(**arguments, timeout=timeout, logger_fn=sent)
        except TimeoutError as error:
            raise CallFailed("timeout", f"no answer within {seconds:g} s", charged=True) from error
        except Exception as error:  # noqa: BLE001 - litellm lets errors of any type through; each becomes one of ours
            return self._salvaged(sent, error)
        if not sent.parameters:
            sent.parameters = {key: value for key, value in arguments.items() if key in _TUNABLE}
        return read_answer(response.model_dump())

    def _salvaged(self, sent: Sent, error: Exception) -> Answer:
        """The answer that litellm stumbled over, if there is one to be read; else the failure."""
        failure = classify(error)
        if failure.kind == "unreadable":
            return read_body(sent.raw or "")
        raise failure from error

    def _arguments(self, request: Request) -> dict[str, Any]:
        spec = request.spec
        given = {
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "reasoning_effort": spec.reasoning_effort,
            "num_ctx": request.window,
            **spec.parameters,
        }
        arguments: dict[str, Any] = {
            "model": spec.name,
            "messages": [{"role": one.role, "content": one.content} for one in request.messages],
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
        }
        refused = self._refused.get(spec.name, set())
        for name, value in given.items():
            if name == "max_tokens" and name in refused:
                name = "max_completion_tokens"
            if value is not None and name not in refused and self._accepts(spec, name):
                arguments[name] = value
        if spec.base_url:
            arguments["api_base"] = spec.base_url
        if key := self._key(spec):
            arguments["api_key"] = key
        return arguments

    def _accepts(self, spec: ModelSpec, parameter: str) -> bool:
        """Whether litellm thinks that the model takes a parameter; those it doesn't know are the user's own choice."""
        if parameter not in _TUNABLE or parameter in spec.parameters:
            return True
        known = self.litellm.get_supported_openai_params(spec.name) or _TUNABLE
        return parameter in known or (parameter == "max_tokens" and "max_completion_tokens" in known)

    def _key(self, spec: ModelSpec) -> str | None:
        """The key to name; None leaves it to litellm, which takes the provider's variable."""
        if spec.api_key_env:
            return self._environ.get(spec.api_key_env) or "none"
        if spec.base_url and spec.provider == "openai":
            return self._environ.get("OPENAI_API_KEY") or "none"  # its client refuses to start without one
        return None

    def _refused_parameter(self, request: Request, sent: Sent, failure: CallFailed) -> str | None:
        """The parameter that a 400 complains of, unless it was left out already."""
        if failure.status not in (400, 422) or not _UNSUPPORTED.search(str(failure)):
            return None
        tried = self._refused.get(request.spec.name, set())
        names = [*sent.parameters, *request.spec.parameters, *_TUNABLE]
        for name in names:
            if name not in tried and re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", str(failure)):
                return name
        return None


_TUNABLE = ("temperature", "max_tokens", "max_completion_tokens", "reasoning_effort", "top_p", "seed")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped; then end what litellm still has running in the background, and close it."""
    loop.run_forever()
    while left := asyncio.all_tasks(loop):
        for one in left:
            one.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


def load_litellm() -> ModuleType:
    """litellm without its telemetry, downloads, `.env` reading, retries and prints.

    Raises:
        ModelUnavailable: it isn't installed.
    """
    for name in ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "BLOG_POSTS", "AUTOROUTER_PRESETS"):
        os.environ.setdefault(f"LITELLM_LOCAL_{name}", "True")  # read at import; else it downloads them
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it reads .env of the working folder
    try:
        litellm = importlib.import_module("litellm")
    except ModuleNotFoundError as error:
        raise ModelUnavailable(
            f"asking a model needs {error.name}, which isn't installed: pip install 'guided-evolution[models]'"
        ) from error
    vars(litellm).update(telemetry=False, suppress_debug_info=True, num_retries=0)
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    # Servers that send a list where OpenAI sends text make litellm's own models warn on stderr.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)
    return litellm
