"""The Docker kind where its engine is slow, restarts, stops answering or dies, and where its worker is killed.

What every kind promises is in test_sandbox.py; these are the ways in which only this one can be let down.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guided_evolution.errors import SandboxBroken, SettingsError
from guided_evolution.sandbox import Outcome, Sandbox, client, container
from guided_evolution.sandbox.choice import choose
from guided_evolution.sandbox.engine import Engine
from guided_evolution.seed import Limits
from tests.contract.sandbox_kinds import HONEST, job_of, seed_of
from tests.docker_engine import base_image, real_engine, wheels
from tests.engine_proxy import EngineProxy
from tests.sandboxes import open_kind

SEED = seed_of(limits=Limits(seconds=2, memory_mb=128, processes=8))
SLOW = 0.15

PROGRAMS = {
    HONEST: "scored",
    b"import time\ndef solve():\n    time.sleep(1.5)\n    return 1.0\n": "scored",
    b"import time\ndef solve():\n    time.sleep(60)\n": "timeout",
    b"import os\ndef solve():\n    os._exit(0)\n": "exited",
    b"def solve():\n    raise ValueError('no')\n": "raised",
    b"def solve():\n    return object()\n": "result",
    b"def solve():\n    print('x' * 10**7)\n    return 1.0\n": "scored",
    b"def solve():\n    held = []\n    while True:\n        held.append(bytearray(1 << 20))\n": "memory",
}


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineProxy:
    real_engine().close()
    proxy = EngineProxy(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    return proxy


@pytest.fixture
def opened() -> Iterator[Callable[[], Sandbox]]:
    every: list[Sandbox] = []

    def open_one() -> Sandbox:
        every.append(open_kind("docker", SEED))
        return every[-1]

    yield open_one
    for one in every:
        one.close()


def ending(outcome: Outcome) -> str:
    return outcome.kind or outcome.state


def test_a_slow_engine_takes_nothing_from_a_programs_time(
    proxy: EngineProxy, opened: Callable[[], Sandbox]
) -> None:
    proxy.delay = SLOW
    sandbox = opened()
    for program, expected in PROGRAMS.items():
        outcome = sandbox.run(job_of(program))
        assert ending(outcome) == expected, outcome
        assert outcome.seconds < 2.5


def test_an_engine_that_restarts_between_jobs_costs_no_result(
    proxy: EngineProxy, opened: Callable[[], Sandbox]
) -> None:
    sandbox = opened()
    for program, expected in PROGRAMS.items():
        outcome = sandbox.run(job_of(program))
        assert ending(outcome) == expected, outcome
        proxy.restart()


def test_an_engine_that_restarts_in_mid_job_costs_no_result(
    proxy: EngineProxy, opened: Callable[[], Sandbox]
) -> None:
    sandbox = opened()
    sandbox.run(job_of())
    timer = threading.Timer(0.5, proxy.restart)
    timer.start()
    outcome = sandbox.run(job_of(b"import time\ndef solve():\n    time.sleep(1.2)\n    return 1.0\n"))
    assert outcome.state == "scored", outcome


def test_an_engine_that_dies_in_mid_job_is_the_worlds_failure(
    proxy: EngineProxy, opened: Callable[[], Sandbox]
) -> None:
    sandbox = opened()
    sandbox.run(job_of())
    threading.Timer(0.3, proxy.die).start()
    with pytest.raises(SandboxBroken):
        sandbox.run(job_of(b"import time\ndef solve():\n    time.sleep(1)\n    return 1.0\n"))
    sandbox.close()


def test_an_engine_that_stops_answering_in_mid_job_is_not_waited_for_for_ever(
    proxy: EngineProxy, opened: Callable[[], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "GUARD_SECONDS", 0.5)
    sandbox: Any = opened()
    sandbox.run(job_of())
    sandbox._link._container.engine.api.timeout = 0.5
    proxy.stalled.set()
    begun = time.monotonic()
    with pytest.raises(SandboxBroken):
        sandbox.run(job_of())
    sandbox.close()
    assert time.monotonic() - begun < 30  # it would be for ever
    proxy.stalled.clear()


def test_close_ends_a_job_at_work_and_removes_its_container(opened: Callable[[], Sandbox]) -> None:
    before = my_containers()
    sandbox = opened()
    sandbox.run(job_of())
    closing = threading.Timer(0.3, sandbox.close)
    closing.start()
    with pytest.raises(SandboxBroken):
        sandbox.run(job_of(b"import time\ndef solve():\n    time.sleep(60)\n"))
    closing.join()
    assert my_containers() <= before


def my_containers() -> set[str]:
    """Containers that this process made and that still are."""
    engine = Engine.connect()
    found = {one.id for one in container.slots(engine) if one.owner.startswith(f"{os.getpid()} ")}
    engine.close()
    return found


def test_a_memory_kill_of_the_runner_itself_is_the_programs_failure(opened: Callable[[], Sandbox]) -> None:
    """The kernel takes whom it likes; here we take the first process, as it might."""
    sandbox = opened()
    sandbox.run(job_of())
    outcome = sandbox.run(
        job_of(
            b"""
import os
def solve():
    held = []
    while True:
        held.append(os.memfd_create("unseen"))
        for _ in range(8):
            os.write(held[-1], bytes(8 << 20))
"""
        )
    )
    assert (outcome.state, outcome.kind) == ("failed", "memory"), outcome
    assert sandbox.run(job_of()).state == "scored"


def test_the_next_run_removes_what_a_killed_worker_left(tmp_path: Path) -> None:
    base = base_image(real_engine())
    code = """
from tests.contract.sandbox_kinds import job_of
from tests.contract.test_docker_kind import SEED
from tests.sandboxes import open_kind
sandbox = open_kind("docker", SEED)
print(sandbox.run(job_of()).state, flush=True)
sandbox.run(job_of("import time\\ndef solve():\\n    time.sleep(60)\\n"))
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    ) as worker:
        assert worker.stdout is not None
        while (line := worker.stdout.readline().strip()) != "scored":
            assert line, "the worker ended"
        time.sleep(0.3)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    choose("docker", model_writes=True, base_image=base, wheels=str(wheels() or "") or None).prepare(SEED)
    engine = Engine.connect()
    assert not [one for one in container.slots(engine) if one.owner.startswith(f"{worker.pid} ")]
    engine.close()


def test_auto_takes_docker_where_a_model_writes_and_names_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose("auto", model_writes=False).kind == "process"
    assert choose("process", model_writes=True).kind == "process"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert choose("docker", model_writes=False).kind == "docker"
    with pytest.raises(SettingsError) as refused:
        choose("auto", model_writes=True)
    assert "install and start Docker" in str(refused.value)
    assert "--sandbox process" in str(refused.value)
    assert "\n" not in str(refused.value)
