"""What is the process kind's own: a runner that dies in every way, and nothing of it that outlives its user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guided_evolution.sandbox import Outcome, open_sandbox
from guided_evolution.seed import Seed
from tests.contract.sandbox_kinds import LIMITS, children_of, job_of, left_by_process, seed_of, x

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SLOW = """
import time
def solve():
    time.sleep(0.6)
    return 42.0
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sandboxes have a folder for temporary files of their own, which is empty in the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("guided-evolution-")]


def during(run: Callable[[], Outcome], act: Callable[[], None], after: float = 0.25) -> Outcome:
    """The outcome of a job during which something happens."""
    done: list[Outcome] = []
    thread = threading.Thread(target=lambda: done.append(run()))
    thread.start()
    time.sleep(after)
    act()
    thread.join(60)
    assert done, "the job never ended"
    return done[0]


def runner_of(sandbox: Any) -> int:
    pid: int = sandbox._link._process.pid
    return pid


def test_a_runner_killed_once_costs_nothing() -> None:
    sandbox = open_sandbox("process", seed_of())
    assert x(sandbox.run(job_of())) == 42.0
    for victims in (lambda runner: [runner], children_of):
        runner = runner_of(sandbox)
        kill = lambda: [os.kill(pid, signal.SIGKILL) for pid in victims(runner)]  # noqa: E731, B023
        outcome = during(lambda: sandbox.run(job_of(SLOW)), kill)
        assert x(outcome) == 42.0
        assert runner_of(sandbox) != runner
        assert left_by_process(sandbox) == []
    sandbox.close()


def test_a_runner_killed_between_jobs_costs_nothing() -> None:
    sandbox = open_sandbox("process", seed_of())
    for _ in range(2):
        assert x(sandbox.run(job_of())) == 42.0
        for pid in children_of(runner_of(sandbox)):
            os.kill(pid, signal.SIGKILL)
        assert x(sandbox.run(job_of())) == 42.0
        os.kill(runner_of(sandbox), signal.SIGKILL)
    assert x(sandbox.run(job_of())) == 42.0
    assert left_by_process(sandbox) == []
    sandbox.close()


@pytest.mark.parametrize(
    "victim", ["os.getppid()", "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"]
)
def test_a_program_that_kills_its_runner_twice_has_failed(victim: str) -> None:
    sandbox = open_sandbox("process", seed_of())
    kills = f"import os, time\ndef solve():\n    os.kill({victim}, 9)\n    time.sleep(60)\n"
    outcome = sandbox.run(job_of(kills))
    assert (outcome.state, outcome.kind) == ("failed", "killed-runner")
    assert x(sandbox.run(job_of())) == 42.0
    assert left_by_process(sandbox) == []
    sandbox.close()


def test_a_program_that_stops_its_runner_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guided_evolution.sandbox.client.GUARD_SECONDS", 1.0)
    sandbox = open_sandbox("process", seed_of(limits=replace(LIMITS, seconds=0.5)))
    stops = """
        import os, signal, time
        def solve():
            runner = int(open(f"/proc/{os.getppid()}/stat").read().split()[3])
            os.kill(runner, signal.SIGSTOP)
            time.sleep(60)
        """
    outcome = sandbox.run(job_of(stops))
    assert (outcome.state, outcome.kind) == ("failed", "killed-runner")
    assert x(sandbox.run(job_of())) == 42.0
    assert left_by_process(sandbox) == []
    sandbox.close()


def test_processes_that_a_dead_runner_left_are_found() -> None:
    sandbox = open_sandbox("process", seed_of())
    leaves = """
        import os, signal, time
        def solve():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
            time.sleep(0.1)
            os.kill(int(open(f"/proc/{os.getppid()}/stat").read().split()[3]), 9)
            time.sleep(60)
        """
    outcome = sandbox.run(job_of(leaves))
    assert outcome.kind == "killed-runner"
    assert left_by_process(sandbox) == []
    sandbox.close()


def test_a_runner_that_slept_with_its_job_holds_nothing_against_it() -> None:
    sandbox = open_sandbox("process", seed_of(limits=replace(LIMITS, seconds=2.0)))
    assert x(sandbox.run(job_of())) == 42.0
    runner = runner_of(sandbox)

    def sleep_and_wake() -> None:
        zygotes = children_of(runner)
        every = [runner, *zygotes, *(pid for zygote in zygotes for pid in children_of(zygote))]
        for sent in (signal.SIGSTOP, signal.SIGCONT):
            for pid in every:
                os.kill(pid, sent)
            time.sleep(3.0 if sent == signal.SIGSTOP else 0)

    assert x(during(lambda: sandbox.run(job_of(SLOW)), sleep_and_wake)) == 42.0
    sandbox.close()


HANGS = """
import sys, tempfile
from guided_evolution.sandbox import Job, open_sandbox
from guided_evolution.seed import Seed
tempfile.tempdir = sys.argv[1]
seed = Seed.from_json(sys.stdin.read())
sandbox = open_sandbox("process", seed)
sandbox.run(Job(seed.program, 1))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_a_killed_user(sent: signal.Signals, tmp_path: Path) -> None:
    program = """
        import os, signal, threading, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

        def solve():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
            open("started", "w").close()
            while True:
                sum(range(10**7))
        """
    seed = seed_of(program=program, limits=replace(LIMITS, seconds=60))
    user = start_user(seed, tmp_path)
    sandbox: Any = open_sandbox("process", seed)
    assert left_by_process(sandbox) != []
    user.send_signal(sent)
    user.wait()
    wait_for(lambda: not left_by_process(sandbox))
    wait_for(lambda: not list(tmp_path.glob("guided-evolution-*")))


def test_what_a_user_and_its_runner_left_when_both_were_killed_goes_at_the_next_start(tmp_path: Path) -> None:
    program = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\nopen('started', 'w').close()\ntime.sleep(60)\n"
    )
    seed = seed_of(program=program, limits=replace(LIMITS, seconds=60))
    user = start_user(seed, tmp_path)
    for pid in (*children_of(user.pid), user.pid):
        os.kill(pid, signal.SIGSTOP)
    for pid in (*children_of(user.pid), user.pid):
        os.kill(pid, signal.SIGKILL)
    user.wait()
    assert list(tmp_path.glob("guided-evolution-*/candidate-*/started"))
    sandbox = open_sandbox("process", seed_of())
    assert x(sandbox.run(job_of())) == 42.0
    assert left_by_process(sandbox) == []
    assert not list(tmp_path.glob("guided-evolution-*/candidate-*"))
    sandbox.close()


def start_user(seed: Seed, tmp_path: Path) -> subprocess.Popen[str]:
    """A process with a sandbox in which the seed's program has started."""
    user = subprocess.Popen([sys.executable, "-c", HANGS, str(tmp_path)], stdin=subprocess.PIPE, text=True)
    assert user.stdin is not None
    user.stdin.write(seed.to_json())
    user.stdin.close()
    wait_for(lambda: list(tmp_path.glob("guided-evolution-*/candidate-*/started")))
    return user


def wait_for(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sandbox_whose_user_starts_threads_and_programs_meanwhile_ends_all_the_same() -> None:
    sandbox = open_sandbox("process", seed_of())
    assert x(sandbox.run(job_of())) == 42.0
    others = [subprocess.Popen(["sleep", "30"]) for _ in range(3)]
    runner = runner_of(sandbox)
    sandbox.close()
    assert not Path(f"/proc/{runner}").exists()
    for other in others:
        other.kill()
        other.wait()


def test_it_says_that_it_has_no_walls() -> None:
    sandbox = open_sandbox("process", seed_of())
    assert x(sandbox.run(job_of())) == 42.0
    assert sandbox.notices == (
        "the process sandbox has no walls: a program runs with your rights, on your files and your network",
    )
    sandbox.close()
