"""In the evaluator's process: imports evaluate.py, gives it a handle on the candidate, and reports what it says.

Messages to the supervisor: ``called`` before the first call, ``fresh`` and ``gone`` (each answered), ``rung``,
and one of ``score``, ``candidate-failed``, ``bad-score`` and ``raised`` at the end.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib.util
import math
import os
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from typing import Any

from .frames import Broken, Channel, Closed, close_all
from .values import Decoder, Encoder, Forged, NotCarried

MOST_TEXT = 1 << 20
MOST_RUNGS = 1000
MOST_NAMES = 1000
MOST_ERROR = 8000
KINDS = frozenset(("load", "missing", "raised", "exited", "memory", "result", "evaluation"))
"""How a call may fail by a candidate's own account; everything else the supervisor finds out."""


class BadScore(Exception):
    """What evaluate returned is no Score that can be used."""


class Evaluator:
    """evaluate.py, imported once."""

    def __init__(self, folder: str, source: str, score_source: str) -> None:
        self._folder = folder
        self.score_module = _stand_in(score_source)
        self._module: types.ModuleType | None = None
        place = os.path.join(folder, "evaluate.py")
        with open(place, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(source)
        self._place = place

    def load(self) -> None:
        """Import it; whatever it raises comes through."""
        if self._module is not None:
            return
        sys.path.insert(0, self._folder)
        spec = importlib.util.spec_from_file_location("evaluate", self._place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["evaluate"] = module
        spec.loader.exec_module(module)
        self._module = module

    def serve(self, control: Channel, first: Channel, job: dict[str, Any], most_bytes: int) -> None:
        """Evaluate, and report to the supervisor."""
        link = _Link(self.score_module, control, first, most_bytes)
        try:
            self.load()
            score = self._evaluate(_Handle(link), job, control)
            last = {"say": "score", "score": score}
        except Closed:
            return
        except BadScore as problem:
            last = {"say": "bad-score", "error": str(problem)}
        except self.score_module.CandidateFailed as problem:
            last = {
                "say": "candidate-failed",
                "kind": str(problem.kind),
                "error": _text(str(problem), MOST_ERROR),
            }
        except BaseException as problem:  # noqa: BLE001 - an evaluator may raise anything; the supervisor decides whose fault it is
            last = {"say": "raised", "error": _told(problem, self._folder)}
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(Closed):
            control.send(last)

    def _evaluate(self, handle: _Handle, job: dict[str, Any], control: Channel) -> dict[str, Any]:
        function = getattr(self._module, str(job["purpose"]), None)
        if not callable(function):
            raise BadScore(f"evaluate.py defines no function {job['purpose']}")
        result = function(handle, job["seed"])
        if not hasattr(type(result), "__next__"):
            return self._checked(result, str(job["purpose"]), "returned")
        last = None
        for count, rung in enumerate(_with_return(result)):
            if count >= MOST_RUNGS:
                raise BadScore(f"{job['purpose']} yielded more than {MOST_RUNGS} scores")
            last = self._checked(rung, str(job["purpose"]), "yielded")
            control.send({"say": "rung", "score": last})
        if last is None:
            raise BadScore(f"{job['purpose']} yielded no Score")
        return last

    def _checked(self, score: Any, function: str, how: str) -> dict[str, Any]:
        if not isinstance(score, self.score_module.Score):
            raise BadScore(f"{function} {how} {type(score).__name__}, not a Score")
        if not score.metrics:
            raise BadScore(f"{function} {how} a Score without metrics")
        numbers = {part: _numbers(getattr(score, part), part) for part in ("metrics", "measures", "private")}
        if not isinstance(score.feedback, str):
            raise BadScore(f"the score's feedback is of type {type(score.feedback).__name__}, not text")
        return {**numbers, "feedback": _text(score.feedback), "artifacts": _texts(score.artifacts)}


def _with_return(generator: Iterator[Any]) -> Iterator[Any]:
    """What it yields, then what it returns, if that is anything."""
    while True:
        try:
            yield next(generator)
        except StopIteration as end:
            if end.value is not None:
                yield end.value
            return


def _stand_in(score_source: str) -> Any:
    """Modules guided_evolution and guided_evolution.score, as far as evaluators need them."""
    package = types.ModuleType("guided_evolution", "What an evaluator may import of Guided Evolution.")
    package.__path__ = []
    score = types.ModuleType("guided_evolution.score")
    sys.modules.update({"guided_evolution": package, "guided_evolution.score": score})
    exec(compile(score_source, "guided_evolution/score.py", "exec"), score.__dict__)
    for name in ("Score", "CandidateFailed", "Candidate"):
        setattr(package, name, getattr(score, name))
    package.__dict__["score"] = score
    return score


class _Link:
    """The way to whichever process holds the program now; handles come and go, it stays."""

    def __init__(self, score_module: Any, control: Channel, first: Channel, most_bytes: int) -> None:
        self.failure = score_module.CandidateFailed
        self.control = control
        self.channel = first
        self.most_bytes = most_bytes
        self.number = 0
        self.used = False
        self.ended: tuple[str, str] | None = None
        self._called = False
        self._ready = False
        self.lock = _thread.allocate_lock()

    def fresh(self) -> int:
        """The number of a new process; the same one where nothing was called yet."""
        with self.lock:
            self.number += 1
            if self.used:
                self.control.send({"say": "fresh"})
                _, _, descriptors = self.control.receive(most_descriptors=1)
                self.channel.close()
                self.channel = Channel.of(descriptors[0])
                self.used, self.ended, self._ready = False, None, False
            return self.number

    def call(self, number: int, function: str, arguments: Any, keywords: Any) -> Any:
        with self.lock:
            if number != self.number:
                raise RuntimeError("this handle's process has ended: fresh() ends what was before it")
            if not isinstance(function, str):
                raise TypeError(f"a function is called by its name, not by {type(function).__name__}")
            encoder = Encoder(self.most_bytes)
            try:
                encoder.put((function, arguments, keywords), f"{function}()")
            except NotCarried as problem:
                close_all(encoder.descriptors)
                raise TypeError(
                    str(problem).replace("()[1]", "() argument ").replace("()[2]", "() argument ")
                ) from None
            try:
                return self._answered(encoder)
            finally:
                close_all(encoder.descriptors)

    def _answered(self, encoder: Encoder) -> Any:
        self.used = True
        if self.ended is None:
            try:
                if not self._ready:
                    self._ready = self.channel.receive(most_body=0)[0] == "ready"
                if not self._called:
                    self.control.send({"say": "called"})
                    self._called = True
                self.channel.send(None, encoder.out, encoder.descriptors)
                _, body, descriptors = self.channel.receive(
                    most_body=self.most_bytes + (64 << 20), most_descriptors=64
                )
            except Closed:
                self._fail(None, "")
            except Broken as problem:
                self._fail("protocol", f"the program wrote where only its results belong: {problem}")
            else:
                return self._value(body, descriptors)
        kind, error = self.ended or ("exited", "the program's process has ended")
        raise self.failure(error, kind)

    def _value(self, body: bytearray, descriptors: list[int]) -> Any:
        try:
            reply = Decoder(body, descriptors, self.most_bytes).value()
            if not isinstance(reply, list) or len(reply) not in (2, 3):
                raise Forged("a reply has other parts")
            if reply[0] == "ok" and len(reply) == 2:
                return reply[1]
            _, kind, error = reply
            if reply[0] != "failed" or kind not in KINDS or not isinstance(error, str):
                raise Forged("a reply has other parts")
        except (Forged, ValueError, TypeError) as problem:
            self._fail("protocol", f"the program answered what can't be read: {problem}")
            kind, error = self.ended or ("protocol", "")
        finally:
            close_all(descriptors)
        raise self.failure(_text(error, MOST_ERROR), kind)

    def _fail(self, kind: str | None, error: str) -> None:
        """The process is of no more use: have it ended, and learn from the supervisor how it died if it did by
        itself."""
        self.channel.close()
        self.control.send({"say": "gone", "kind": kind, "error": error, "ready": self._ready})
        answer, _, _ = self.control.receive()
        self.ended = (str(answer["kind"]), str(answer["error"]))


class _Handle:
    """What `evaluate` gets as `candidate`."""

    def __init__(self, link: _Link, number: int = 0) -> None:
        self._link = link
        self._number = number

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the program, a name or a dotted path. Raises CandidateFailed."""
        return self._link.call(self._number, function, args, kwargs)

    def fresh(self) -> _Handle:
        """A new process with the same program; the one before it ends, with its files."""
        return _Handle(self._link, self._link.fresh())


def _numbers(values: Any, part: str) -> dict[str, float]:
    if not isinstance(values, dict | Mapping) or len(values) > MOST_NAMES:
        raise BadScore(f"the score's {part} are no dict of at most {MOST_NAMES} numbers by name")
    found = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise BadScore(f"the score's {part} have the key {name!r:.60}, which is no name")
        try:
            number = float(value) if not isinstance(value, str | bytes | bytearray) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None:
            raise BadScore(f"the score's {name} is {value!r:.60}, not a number")
        if not math.isfinite(number):
            raise BadScore(f"the score's {name} is {number}; it must be finite")
        found[_text(name, 200)] = number
    return found


def _texts(values: Any) -> dict[str, str]:
    if not isinstance(values, dict | Mapping) or len(values) > MOST_NAMES:
        raise BadScore(f"the score's artifacts are no dict of at most {MOST_NAMES} texts by name")
    for name, text in values.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise BadScore(f"the score's artifact {name!r:.60} is of type {type(text).__name__}, not text")
    return {_text(name, 200): _text(text) for name, text in values.items()}


def _text(text: str, most: int = MOST_TEXT) -> str:
    text = text if len(text) <= most else text[:most] + " [cut]"
    return text.encode("utf-8", "replace").decode()


def _told(problem: BaseException, folder: str) -> str:
    try:
        trace = problem.__traceback__
        ours = os.path.dirname(os.path.abspath(__file__))
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith((ours, "<frozen importlib")):
            trace = trace.tb_next
        lines = traceback.format_list(traceback.extract_tb(trace, limit=-12)) if trace is not None else []
        text = "".join([*lines, *traceback.format_exception_only(problem)])
    except Exception:  # noqa: BLE001 - the exception's own text may raise anything
        text = type(problem).__name__
    text = text.replace(os.path.join(folder, ""), "").strip()
    return _text(
        text if len(text) <= MOST_ERROR else text[:2000] + "\n[...]\n" + text[-(MOST_ERROR - 2000) :]
    )
