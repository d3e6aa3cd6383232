"""One job, as the supervisor sees it: two processes, one deadline, one verdict, and nothing left of it."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import blame, frames, limits, wipe
from .blame import Verdict
from .frames import Channel, Closed

if TYPE_CHECKING:
    from .runner import Supervisor, Zygote

_TICK_SECONDS = 0.02
_DISK_TICKS = 10
_DISK_SLACK = 4 << 20
_DYING_SECONDS = 0.3
_ASLEEP_SECONDS = 1.0
_CHUNK = 1 << 16


class Job:
    """Runs one evaluation; `run` returns the message to the client."""

    def __init__(self, supervisor: Supervisor, request: dict[str, Any], files: dict[str, bytes]) -> None:
        self._supervisor = supervisor
        self._request = {"seed": request["seed"], "purpose": request["purpose"]}
        self._files = files
        self._limits: dict[str, Any] = supervisor.settings.limits
        self._called = False
        self._verdict: Verdict | None = None
        self._peak_mb = 0.0
        self._leftovers = 0
        self._output = _Output(int(self._limits["output_kb"]) * 1024)
        self._evaluator_output = _Output(max(64, int(self._limits["output_kb"])) * 1024)
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], object]] = {}

    def run(self) -> dict[str, Any]:
        """Run it to its verdict. Raises Stopped at the end of the client's input, and Closed for a zygote that
        is gone."""
        started = time.monotonic()
        self._deadline = started + float(self._limits["seconds"])
        self._ticked, self._ticks = started, 0
        self._kills = limits.memory_kills(self._supervisor.settings.kills)
        try:
            self._start()
            while self._verdict is None:
                self._step()
            seconds = time.monotonic() - started
            self._end()
            if self._called and self._killed_for_memory():
                self._verdict = self._out_of_memory()
        except Closed as problem:
            if self._called and self._killed_for_memory():
                return self._message(self._out_of_memory(), time.monotonic() - started)
            return {"broken": f"a process of the sandbox is gone: {problem!r}", "called": self._called}
        finally:
            self._close()
        return self._message(self._verdict, seconds)

    def _killed_for_memory(self) -> bool:
        """Whether the kernel killed anybody for memory during this job: the program, the evaluator, a zygote."""
        return limits.memory_kills(self._supervisor.settings.kills) > self._kills

    def _out_of_memory(self) -> Verdict:
        self._leftovers += 1  # whoever else was killed may be missed later: the client takes a new runner
        return Verdict(
            "failed", "memory", f"used more than the {self._limits['memory_mb']} MB of memory that it may"
        )

    def _message(self, verdict: Verdict, seconds: float) -> dict[str, Any]:
        if verdict.state == "broken":
            return {"broken": verdict.error, "called": self._called}
        outcome = {
            "state": verdict.state,
            "kind": verdict.kind,
            "error": verdict.error,
            "score": verdict.score,
            "output": self._output.text(),
            "evaluator_output": self._evaluator_output.text(),
            "seconds": seconds,
            "memory_mb": self._peak_mb,
            "leftovers": self._leftovers,
        }
        return {"outcome": outcome}

    # Beginning

    def _start(self) -> None:
        supervisor = self._supervisor
        self._user = supervisor.user()
        self._control, control = Channel.pair()
        candidate = self._ask_for_candidate()
        self._evaluator = _Process(supervisor.evaluator)
        supervisor.evaluator.ask(
            "fork",
            self._request,
            (control.fileno(), self._evaluator_output.writer, self._to_candidate.fileno()),
        )
        self._candidate = candidate
        self._candidate.started()
        self._evaluator.started()
        control.close()
        self._watch(supervisor.client.incoming, self._client_spoke)
        self._watch(self._control.fileno(), self._evaluator_spoke)
        self._watch(self._evaluator.pidfd, self._evaluator_died)
        self._watch(self._candidate.pidfd, self._candidate_died)
        self._watch(self._output.reader, self._output.read)
        self._watch(self._evaluator_output.reader, self._evaluator_output.read)

    def _ask_for_candidate(self) -> _Process:
        """Ask for a process for the program. `_to_candidate` is the evaluator's end of the channel to it."""
        zygote = self._supervisor.candidate
        self._folder = self._supervisor.new_folder("candidate")
        self._to_candidate, theirs = Channel.pair()
        program = _anonymous_file(marshal.dumps(self._files, frames.ANY_PYTHON))
        zygote.ask("fork", (self._folder, self._user), (theirs.fileno(), self._output.writer, program))
        os.close(program)
        theirs.close()
        self._death: tuple[str, str] | None = None
        return _Process(zygote)

    def _watch(self, descriptor: int, handler: Callable[[], object]) -> None:
        if descriptor >= 0:
            self._handlers[descriptor] = handler
            self._poll.register(descriptor, select.POLLIN)

    def _forget(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    # Going on

    def _step(self) -> None:
        before = time.monotonic()
        wait = min(_TICK_SECONDS, max(0.0, self._deadline - before))
        for descriptor, _ in self._poll.poll(wait * 1000 + 1):
            if self._verdict is None and descriptor in self._handlers:
                self._handlers[descriptor]()
        now = time.monotonic()
        if now - before > _ASLEEP_SECONDS + wait:
            # This process was stopped, or the machine slept. So were the job's, and that isn't held against them.
            self._deadline += now - before
        if self._verdict is None and now >= self._deadline:
            self._verdict = blame.out_of_time(self._limits["seconds"], called=self._called)
        elif now - self._ticked >= _TICK_SECONDS:
            self._ticked = now
            self._tick()

    def _client_spoke(self) -> None:
        """Input during a job is its end: there is nothing else to say to a supervisor at work."""
        raise Stopped

    def _evaluator_spoke(self) -> None:
        try:
            message, _, _ = self._control.receive()
        except Closed:
            self._forget(self._control.fileno())
            self._evaluator_died()
            return
        what = message["say"]
        if what == "called":
            self._called = True
        elif what == "rung":
            self._supervisor.client.send({"rung": message["score"]})
        elif what == "fresh":
            self._fresh()
        elif what == "gone":
            self._gone(message)
        else:
            self._verdict = blame.said(message, called=self._called)

    def _evaluator_died(self) -> None:
        """Its last words may still be on the way."""
        self._forget(self._evaluator.pidfd)
        if self._control.fileno() in self._handlers:
            readable = select.select([self._control], [], [], 0)[0]
            if readable:
                return
        status = self._reap(self._evaluator)
        self._verdict = blame.died(status, called=self._called)

    def _candidate_died(self) -> None:
        self._end_candidate()

    def _gone(self, message: dict[str, Any]) -> None:
        """The evaluator can't reach the program any more, or won't: end it and say how it ended."""
        if self._death is None and message["kind"] is not None:
            self._death = (str(message["kind"]), str(message["error"]))
        if self._death is None and self._candidate.pidfd >= 0:
            select.select([self._candidate.pidfd], [], [], _DYING_SECONDS)
        living = not self._candidate.dead()
        self._end_candidate()
        if not message["ready"] and self._death is not None and self._death[0] in ("exited", "crashed"):
            self._output.drain()
            error = f"a program's process {self._death[1]} before the program was loaded: {self._output.text()[-2000:]}"
            self._verdict = Verdict("broken", error=error)
            return
        if living and self._death is not None and self._death[0] == "crashed":
            self._death = ("protocol", "the program closed the descriptor that its results go over")
        kind, error = self._death or ("exited", "the program's process has ended")
        self._control.send({"kind": kind, "error": error})

    def _fresh(self) -> None:
        self._end_candidate()
        self._remove_files()
        self._to_candidate.close()
        self._candidate = self._ask_for_candidate()
        self._candidate.started()
        self._watch(self._candidate.pidfd, self._candidate_died)
        self._control.send({}, descriptors=(self._to_candidate.fileno(),))

    # Limits that the kernel doesn't watch

    def _tick(self) -> None:
        if self._candidate.status is not None:
            return
        self._ticks += 1
        most = int(self._limits["processes"])
        every = limits.family(self._candidate.pid, most)
        if len(every) > 1:
            keep = {zygote.pid for zygote in self._supervisor.zygotes}
            every += [pid for pid in limits.children(os.getpid()) if pid not in keep][:most]
        memory = self._memory(every)
        self._peak_mb = max(self._peak_mb, memory / limits.MEGABYTE)
        # A dead process counts too, as long as nobody waited for it.
        count = sum(map(limits.tasks, every))
        if memory > self._limits["memory_mb"] * limits.MEGABYTE:
            self._condemn(
                "memory", f"used more than the {self._limits['memory_mb']} MB of memory that it may"
            )
        elif count > self._limits["processes"]:
            self._condemn("processes", f"ran more than the {most} processes and threads that it may")
        elif self._disk_full():
            self._condemn("disk", f"wrote files of more than the {self._limits['memory_mb']} MB that it may")

    def _disk_full(self) -> bool:
        """Whether the program's folder outgrew its share, looked at now and then; its own user's disk is
        bounded anyway."""
        if self._ticks % _DISK_TICKS or self._user is not None:
            return False
        return wipe.size(self._folder) > limits.file_bytes(self._limits) + _DISK_SLACK

    def _memory(self, every: list[int]) -> int:
        """Bytes in use by these processes together."""
        parts = [limits.resident(pid) for pid in every]
        total = parts[0][0] + sum(whole - shared for whole, shared in parts[1:])
        if len(every) > 1 and total > self._limits["memory_mb"] * limits.MEGABYTE:
            # Forked processes share pages that count in each of them.
            total = sum(map(limits.proportional, every))
        return total

    def _condemn(self, kind: str, error: str) -> None:
        self._death = (kind, error)
        self._end_candidate()

    # The end

    def _end_candidate(self) -> None:
        """Kill the program's processes, if that hasn't been done, and let the evaluator see the end of the
        channel."""
        candidate = self._candidate
        if candidate.status is not None:
            return
        self._forget(candidate.pidfd)
        wipe.kill(candidate.pid)
        status = self._reap(candidate)
        if self._death is None:
            verdict = self._out_of_memory() if self._killed_for_memory() else None
            self._death = ("memory", str(verdict.error)) if verdict else blame.ending(status)
        self._end_leftovers()
        self._to_candidate.shutdown()

    def _end_leftovers(self) -> None:
        keep = {zygote.pid for zygote in self._supervisor.zygotes}
        self._leftovers += wipe.end_orphans(keep)
        if self._user is not None:
            wipe.as_user(self._user, self._supervisor.settings.wipe)

    def _reap(self, process: _Process) -> int:
        if process.status is None:
            process.ask_to_reap()
            self._take_reaped(process)
        assert process.status is not None
        return process.status

    def _take_reaped(self, process: _Process) -> None:
        peak = process.reaped()
        if process is self._candidate:
            self._peak_mb = max(self._peak_mb, peak)

    def _end(self) -> None:
        """End both processes and whatever they left."""
        wipe.kill(self._evaluator.pid)
        wipe.kill(self._candidate.pid)
        asked = [process for process in (self._evaluator, self._candidate) if process.status is None]
        for process in asked:
            process.ask_to_reap()
        for process in asked:
            self._take_reaped(process)
        self._end_leftovers()
        self._output.drain()
        self._evaluator_output.drain()
        self._remove_files()

    def _remove_files(self) -> None:
        if self._user is None:
            wipe.remove(self._folder)

    def _close(self) -> None:
        for name in ("_control", "_to_candidate", "_output", "_evaluator_output", "_evaluator", "_candidate"):
            part = getattr(self, name, None)
            if part is not None:
                part.close()


class Stopped(Exception):
    """The client's input ended in the middle of a job."""


class _Process:
    """A process that a zygote forks for a job."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote
        self.pid = 0
        self.pidfd = -1
        self.status: int | None = None

    def started(self) -> None:
        """Take the zygote's answer. Until it is asked to reap, the process's number can't go to another."""
        self.pid = self._zygote.answer()[0]
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(self.pid)

    def dead(self) -> bool:
        """Whether it has ended, as far as this system tells."""
        if self.status is not None or self.pidfd < 0:
            return True
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def ask_to_reap(self) -> None:
        self._zygote.ask("reap", self.pid)

    def reaped(self) -> float:
        """Take the answer; its peak memory in MB."""
        self.status, peak = self._zygote.answer()
        # Kilobytes, but bytes on macOS.
        return peak / (1024 if limits.LINUX else limits.MEGABYTE)

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class _Output:
    """What a process prints: its beginning and its end, the middle dropped."""

    def __init__(self, most: int) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._half = max(1, most // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def read(self) -> bool:
        """Read some; False if there was none."""
        try:
            chunk = os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return False
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:] if room > 0 else chunk
        if (over := len(self._tail) - self._half) > 0:
            del self._tail[:over]
            self._dropped += over
        return bool(chunk)

    def drain(self) -> None:
        """Read what is still in the pipe."""
        for _ in range(64):
            if not self.read():
                return

    def text(self) -> str:
        cut = b"\n[... %d bytes cut ...]\n" % self._dropped if self._dropped else b""
        return bytes(self._head + cut + self._tail).decode("utf-8", "replace")

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


def _anonymous_file(content: bytes) -> int:
    """A file without a name, to be read from its beginning."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("program", os.MFD_CLOEXEC)
    else:
        import tempfile  # macOS only

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
