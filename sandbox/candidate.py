"""In the program's process: loads it at the first call and answers calls. Everything here is in the program's
hands.

What the evaluator is told is nothing but what comes over the channel, and a program could write that itself: so
it is checked on the other side, and a lie costs only the liar.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
import types
from typing import Any

from .frames import Broken, Channel, Closed, close_all, pack
from .values import Decoder, Encoder, Forged, NotCarried

MOST_TEXT = 6000
_READY = pack("ready")
_FRAMES = 12


def serve(channel: Channel, folder: str, entry: str, most_bytes: int) -> None:
    """Answer calls until the evaluator's side is closed."""
    channel.sock.sendall(_READY)
    program = _Program(folder, entry)
    while True:
        try:
            head, body, descriptors = channel.receive(most_body=most_bytes + (64 << 20), most_descriptors=64)
        except (Closed, Broken):
            return
        try:
            function, arguments, keywords = Decoder(body, descriptors, most_bytes).value()
        except Forged as problem:
            _reply(channel, ["failed", "evaluation", f"the call can't be read: {problem}"], most_bytes)
            continue
        finally:
            close_all(descriptors)
        del head, body
        reply = program.answer(function, arguments, keywords)
        del arguments, keywords
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):  # the program may have put anything in their place
                stream.flush()
        _reply(channel, reply, most_bytes)


class _Program:
    def __init__(self, folder: str, entry: str) -> None:
        self._folder = folder
        self._entry = entry
        self._module: types.ModuleType | None = None
        self._broken: list[Any] | None = None

    def answer(self, function: str, arguments: Any, keywords: Any) -> list[Any]:
        """["ok", value] or ["failed", kind, message]."""
        if self._broken is not None:
            return self._broken
        if self._module is None:
            try:
                self._module = _load(self._folder, self._entry)
            except BaseException as problem:  # noqa: BLE001 - a program may raise anything, and none of it is ours
                self._broken = self._failed(problem, "load")
                return self._broken
        try:
            target: Any = self._module
            for name in function.split("."):
                target = getattr(target, name)
            if not callable(target):
                raise AttributeError
        except AttributeError:
            return ["failed", "missing", f"{self._entry} defines no function {function}"]
        except BaseException as problem:  # noqa: BLE001 - as above: a module may define __getattr__
            return self._failed(problem, "raised")
        try:
            return ["ok", target(*arguments, **keywords)]
        except BaseException as problem:  # noqa: BLE001 - as above
            return self._failed(problem, "raised")

    def _failed(self, problem: BaseException, kind: str) -> list[Any]:
        if isinstance(problem, SystemExit):
            kind = "exited"
        elif isinstance(problem, MemoryError):
            kind = "memory"
        return ["failed", kind, _told(problem, self._folder)]


def _load(folder: str, entry: str) -> types.ModuleType:
    place = os.path.join(folder, entry + ".py")
    try:
        with open(place, "rb") as file:
            source = file.read()
    except OSError:
        return importlib.import_module(entry)  # one inside a package
    # Without the import system: that is slow after a fork, and a name like `types` is taken already.
    module = types.ModuleType(entry)
    module.__file__ = place
    sys.modules[entry] = module
    exec(compile(source, place, "exec", dont_inherit=True), module.__dict__)
    return module


def _told(problem: BaseException, folder: str) -> str:
    """The exception with the program's own part of the traceback, last lines last."""
    try:
        text = "".join(_lines(problem))
    except BaseException:  # noqa: BLE001 - an exception's own text may raise anything
        text = f"{type(problem).__name__} (its text can't be had)"
    text = text.replace(os.path.join(folder, ""), "")
    return text if len(text) <= MOST_TEXT else text[:1000] + "\n[...]\n" + text[-(MOST_TEXT - 1000) :]


def _lines(problem: BaseException) -> list[str]:
    trace = problem.__traceback__
    ours = os.path.dirname(os.path.abspath(__file__))
    while trace is not None and (trace.tb_frame.f_code.co_filename.startswith((ours, "<frozen importlib"))):
        trace = trace.tb_next
    frames = traceback.extract_tb(trace, limit=-_FRAMES)
    if isinstance(problem, SyntaxError):
        return [*traceback.format_list(frames), *traceback.format_exception_only(problem)]
    # By hand: `traceback` follows chains of causes to their end, and a program may have made a long one.
    name, text = type(problem).__qualname__, str(problem)
    return [*traceback.format_list(frames), f"{name}: {text}\n" if text else f"{name}\n"]


def _reply(channel: Channel, reply: list[Any], most_bytes: int) -> None:
    encoder = Encoder(most_bytes)
    try:
        encoder.put(reply, "result")
    except BaseException as problem:  # noqa: BLE001 - values may be of the program's own classes, which run its code
        close_all(encoder.descriptors)
        kind = "memory" if isinstance(problem, MemoryError) else "result"
        text = (
            str(problem)
            if isinstance(problem, NotCarried)
            else f"the result can't be passed: {_told(problem, '')}"
        )
        encoder = Encoder(most_bytes)
        encoder.put(["failed", kind, text.replace("result[1]", "the result")])
    try:
        channel.send(None, encoder.out, encoder.descriptors)
    finally:
        close_all(encoder.descriptors)
