"""An OpenAI-compatible server on loopback: answers at once with one changed constant, notes when it was asked."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LINE = re.compile(r"^START = [-\d.e]+$", re.MULTILINE)


class InstantModel(ThreadingHTTPServer):
    """Answers every chat completion with a SEARCH/REPLACE block over the prompt's last `START = …` line."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, wait: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wait = wait
        self.asked: list[float] = []
        self.rng = random.Random(1)

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def reply(self, prompt: str) -> str:
        """The edit: the constant becomes one that no program had before."""
        lines = _LINE.findall(prompt)
        old = lines[-1] if lines else "START = 3.0"
        new = f"START = {1 + self.rng.random():.12f}"
        return f"A smaller start.\n\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"

    def rate(self, first: int, last: int) -> float:
        """Calls a second between the first-th and the last-th."""
        return (last - first) / (self.asked[last] - self.asked[first])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: InstantModel

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(time.perf_counter())
        if self.server.wait:
            time.sleep(self.server.wait)
        prompt = "\n".join(_text(message["content"]) for message in asked["messages"])
        body = json.dumps(_completion(asked.get("model", "instant"), self.server.reply(prompt), len(prompt)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: Any) -> None:
        """Nothing: a line a call would be measured too."""


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])


def _completion(model: str, text: str, prompt_characters: int) -> dict[str, Any]:
    used = {"prompt_tokens": prompt_characters // 4, "completion_tokens": len(text) // 4}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": used | {"total_tokens": sum(used.values())},
    }


@contextmanager
def instant_model(wait: float = 0.0) -> Iterator[InstantModel]:
    """The server, answering after `wait` seconds, until the end of the block."""
    server = InstantModel(wait)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
