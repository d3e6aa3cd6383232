"""A scripted model server: real HTTP on a free loopback port, in the formats of OpenAI, Ollama and vLLM.

    with ModelServer(lambda messages: "the answer") as server:
        ...                       # server.base_url ("…/v1") for OpenAI's format, server.url for Ollama's
        server.requests           # every request: path, headers, body
        server.count              # how many asked for a completion

A script is called with the messages of a request and returns a text, which is answered at once, or one of the
behaviours below, which are also what a list of steps holds: `ModelServer([Status(500), "fine"])` fails once and then
answers "fine" for ever. The script runs under the server's lock; behaviours run outside it, many at a time.

    python -m tests.model_server --port 8000 --delay 1 --text "hello"
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Text:
    """An answer; `seconds` later. Token counts are made from the lengths (4 bytes a token) unless given.

    `reasoning` is sent in the format's own field; write `<think>…</think>` into `text` for the other way.
    """

    text: str | None
    seconds: float = 0.0
    finish_reason: str = "stop"
    reasoning: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usage: bool = True
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    parts: bool = False
    """Send the content as a list of parts, as some servers do."""
    refusal: str | None = None


@dataclass(frozen=True)
class Status:
    """An HTTP error with an error body in OpenAI's format."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    param: str | None = None


@dataclass(frozen=True)
class Raw:
    """A 200 with this body, whatever it is: not JSON, wrong types, a proxy's HTML page."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class Hang:
    """Take the request and never answer."""


@dataclass(frozen=True)
class Drip:
    """Send the headers, then a byte of the answer every `every` seconds, for ever (spaces, which JSON allows)."""

    every: float = 1.0


@dataclass(frozen=True)
class Drop:
    """Close the connection: before a byte of the answer, or in the middle of it."""

    midway: bool = False


Behaviour = Text | Status | Raw | Hang | Drip | Drop
Script = Callable[[Messages], "str | Behaviour"]


@dataclass(frozen=True)
class Request:
    """What arrived; names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float

    @property
    def messages(self) -> Messages:
        found = self.body.get("messages")
        return (
            list(found) if isinstance(found, list) else [{"role": "user", "content": self.body.get("prompt")}]
        )


class ModelServer:
    """See the module. `refuses` are parameters that are answered by OpenAI's 400 "unsupported parameter".

    Args:
        script: a callable on messages, one behaviour, or a list of steps (the last one stays).
        key: when given, another bearer token is answered by 401.
        models: names that exist; empty means every name does, others are answered by 404.
        context_window: told by /v1/models (vLLM) and /api/show (Ollama); Ollama cuts prompts to it silently.
    """

    def __init__(
        self,
        script: Script | str | Behaviour | Sequence[str | Behaviour] = "ok",
        *,
        port: int = 0,
        key: str | None = None,
        models: Iterable[str] = (),
        refuses: Iterable[str] = (),
        context_window: int | None = None,
        delay: float = 0.0,
    ) -> None:
        self.script = script if callable(script) else _steps(script)
        self.key = key
        self.models = frozenset(models)
        self.refuses = frozenset(refuses)
        self.context_window = context_window
        self.delay = delay
        self.requests: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def calls(self) -> list[Request]:
        """The requests that asked for a completion."""
        with self.lock:
            return [one for one in self.requests if one.method == "POST" and one.path != "/api/show"]

    @property
    def count(self) -> int:
        return len(self.calls)

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _steps(script: str | Behaviour | Sequence[str | Behaviour]) -> Script:
    steps = list(script) if isinstance(script, list | tuple) else [script]

    def play(_messages: Messages) -> str | Behaviour:
        return steps.pop(0) if len(steps) > 1 else steps[0]  # type: ignore[return-value]

    return play


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests look at `requests`."""

    def do_GET(self) -> None:
        self._record({})
        owner = self.server.owner
        if not self._allowed():
            return
        names = sorted(owner.models) or ["test"]
        if self.path.endswith("/models"):
            models = [{"id": n, "object": "model", "max_model_len": owner.context_window} for n in names]
            self._send(200, {"object": "list", "data": models})
        elif self.path == "/api/tags":
            self._send(200, {"models": [{"name": name, "model": name} for name in names]})
        else:
            self._send(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        request = self._record(json.loads(raw) if raw else {})
        if not self._allowed() or not self._known_model(request):
            return
        if self.path == "/api/show":
            window = self.server.owner.context_window
            self._send(
                200, {"model_info": {"test.context_length": window} if window else {}, "parameters": ""}
            )
        elif refused := sorted(self.server.owner.refuses & set(request.body)):
            message = f"Unsupported parameter: '{refused[0]}' is not supported with this model."
            self._fail(Status(400, message, code="unsupported_parameter", param=refused[0]))
        else:
            self._play(request)

    def _record(self, body: dict[str, Any]) -> Request:
        request = Request(
            self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body, time.monotonic()
        )
        with self.server.owner.lock:
            self.server.owner.requests.append(request)
        return request

    def _allowed(self) -> bool:
        key = self.server.owner.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        sent = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self._fail(Status(401, f"Incorrect API key provided: {sent}.", code="invalid_api_key"))
        return False

    def _known_model(self, request: Request) -> bool:
        models, name = self.server.owner.models, request.body.get("model")
        if not models or name in models:
            return True
        self._fail(Status(404, f"The model `{name}` does not exist", code="model_not_found"))
        return False

    def _play(self, request: Request) -> None:
        owner = self.server.owner
        with owner.lock:
            step = owner.script(request.messages)
            owner.in_flight += 1
            owner.most_in_flight = max(owner.most_in_flight, owner.in_flight)
        try:
            self._behave(Text(step) if isinstance(step, str) else step, request)
        finally:
            with owner.lock:
                owner.in_flight -= 1

    def _behave(self, step: Behaviour, request: Request) -> None:
        owner = self.server.owner
        if isinstance(step, Text):
            owner.closing.wait(step.seconds + owner.delay)
            self._send(200, answer(step, request, owner.context_window))
        elif isinstance(step, Status):
            self._fail(step)
        elif isinstance(step, Raw):
            self._send_bytes(200, step.body, {"Content-Type": step.content_type})
        elif isinstance(step, Hang):
            owner.closing.wait()
            self.close_connection = True
        elif isinstance(step, Drip):
            self._drip(step)
        else:
            self._drop(step)

    def _drip(self, step: Drip) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.close_connection = True
        while not self.server.owner.closing.wait(step.every):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return

    def _drop(self, step: Drop) -> None:
        if step.midway:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": "x", "choi')
            self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _fail(self, step: Status) -> None:
        error = {"message": step.message, "type": "scripted", "code": step.code, "param": step.param}
        openai = not self.path.startswith("/api/")
        self._send(step.status, {"error": error if openai else step.message}, step.headers)

    def _send(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        self._send_bytes(
            status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer(step: Text, request: Request, window: int | None = None) -> dict[str, Any]:
    """The body of a 200 in the format that the request's path asks for."""
    asked = sum(len(str(message.get("content"))) for message in request.messages) // 4 + 1
    prompt = asked if step.prompt_tokens is None else step.prompt_tokens
    given = len(step.text or "") // 4 + 1 if step.completion_tokens is None else step.completion_tokens
    if request.path.startswith("/api/"):
        return _ollama(step, request, min(prompt, window or prompt), given)
    return _openai(step, request, prompt, given)


def _openai(step: Text, request: Request, prompt: int, given: int) -> dict[str, Any]:
    content: object = [{"type": "text", "text": step.text}] if step.parts else step.text
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if step.reasoning is not None:
        message["reasoning_content"] = step.reasoning
    if step.refusal is not None:
        message["refusal"] = step.refusal
    if step.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given_)},
            }
            for n, (name, given_) in enumerate(step.tool_calls)
        ]
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request.body.get("model", "test"),
        "choices": [{"index": 0, "message": message, "finish_reason": step.finish_reason}],
    }
    if step.usage:
        body["usage"] = {
            "prompt_tokens": prompt, "completion_tokens": given, "total_tokens": prompt + given
        }  # fmt: skip
    return body


def _ollama(step: Text, request: Request, prompt: int, given: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.body.get("model", "test"),
        "created_at": "2026-01-01T00:00:00Z",
        "done": True,
        "done_reason": step.finish_reason,
        "total_duration": 1,
    }
    if step.usage:
        body |= {"prompt_eval_count": prompt, "eval_count": given}
    if request.path == "/api/generate":
        return body | {"response": step.text or ""}
    message: dict[str, Any] = {"role": "assistant", "content": step.text or ""}
    if step.reasoning is not None:
        message["thinking"] = step.reasoning
    if step.tool_calls:
        message["tool_calls"] = [{"function": {"name": n, "arguments": dict(a)}} for n, a in step.tool_calls]
    return body | {"message": message}


def main() -> None:
    """Serve one fixed answer until interrupted, for demonstrations."""
    parser = argparse.ArgumentParser(prog="python -m tests.model_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--text", default="ok", help="the answer")
    given = parser.parse_args()
    with ModelServer(given.text, port=given.port, delay=given.delay) as server:
        print(f"openai: {server.base_url}   ollama: {server.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{server.count} calls answered")


if __name__ == "__main__":
    main()
