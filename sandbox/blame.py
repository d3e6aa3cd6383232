"""Who is to blame for what.

An evaluation has four parties: the program, the evaluator, the sandbox, and the machine. Everything that can
happen is laid at the door of exactly one, by rules that a program can't bend in its favour: whatever it does,
it gets a score from the evaluator or a failure of its own, and it can make neither the evaluator nor the
sandbox look guilty.

The program (`failed`, final, with a kind):
- A call fails and the evaluator doesn't catch CandidateFailed. The kinds by the program's own account, which
  can only harm itself: ``load`` (it raised while it was loaded), ``missing`` (no such function), ``raised``,
  ``exited`` (sys.exit), ``memory`` (MemoryError), ``result`` (it returned what can't be passed). Those that the
  supervisor finds: ``exited`` (its process ended), ``crashed`` (a signal ended it), ``memory``, ``processes``,
  ``disk`` (over the seed's limits), ``protocol`` (bytes that are no reply where only replies belong).
- ``timeout``: the time is over, once the first call was made. Even where the evaluator is the one that still runs:
  what keeps it busy came from the program.
- ``evaluation`` and ``score``: after the first call, the evaluator raised, died, or returned no finite Score.
  It was handed something that it didn't expect.
- ``killed-runner``: the supervisor died while the program ran, and in a second, fresh one again. The client
  sees to that.

The evaluator (`fault`; the run stops): whatever it does before its first call. It can't be imported, raises,
returns no finite Score, dies, or lets the time run out, and that twice, since a machine may be too busy once; the
seed's preload can't be imported. Before the first call no line of the program has run, so no program is the reason.

The sandbox or the machine (`broken`; tried again, held against nobody): a zygote or a child that fails before
any line of the program ran, a disk that is full at that moment, a runner that doesn't start.

A seed whose evaluator always returns NaN after a call passes for a failing program here. Its own program fails
then too, and a run doesn't start with a seed program that fails.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """How a job ended: `state` is ``scored``, ``failed``, ``fault`` or ``broken``."""

    state: str
    kind: str | None = None
    error: str | None = None
    score: dict[str, Any] | None = field(default=None)


def said(message: dict[str, Any], *, called: bool) -> Verdict:
    """The verdict on an evaluator's last message."""
    what, error = message["say"], str(message.get("error", ""))
    if what == "score":
        return Verdict("scored", score=message["score"])
    if what == "candidate-failed":
        return Verdict("failed", str(message["kind"])[:40], error) if called else _fault(error)
    if not called:
        return _fault(error)
    return Verdict("failed", "score" if what == "bad-score" else "evaluation", error)


def died(status: int, *, called: bool) -> Verdict:
    """The verdict on an evaluator whose process ended without a last word."""
    _, how = ending(status)
    error = f"the evaluator's process {how}"
    if not called and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return Verdict("broken", error=error)  # nothing in it does that: somebody outside, or memory ran out
    return Verdict("failed", "evaluation", error) if called else _fault(error)


def out_of_time(seconds: float, *, called: bool) -> Verdict:
    """The verdict when the time is over."""
    if called:
        return Verdict("failed", "timeout", f"not done within {seconds:g} s")
    error = f"the evaluator made no call and returned no score within {seconds:g} s"
    return Verdict("fault", "timeout", error)


def ending(status: int) -> tuple[str, str]:
    """How a process ended, from its wait status: kind and words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "timeout", "used up its processor time"
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return "crashed", f"was ended by {name}"
    return "exited", f"ended itself with exit code {os.waitstatus_to_exitcode(status)}"


def _fault(error: str) -> Verdict:
    return Verdict("fault", error=error)
