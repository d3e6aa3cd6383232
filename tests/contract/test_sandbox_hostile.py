"""Programs that mean harm, and ones that go wrong: each costs exactly itself, on every kind of sandbox.

After every one of them an honest program is judged as if alone, and nothing is left.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from guided_evolution.sandbox import Sandbox
from tests.contract.sandbox_kinds import HONEST, KINDS, LIMITS, Kind, job_of, seed_of, x

EVALUATE = """
from guided_evolution import Score

def evaluate(candidate, seed):
    first = candidate.call("solve", 1)
    return Score({"x": float(first) + float(candidate.call("solve", 2))})
"""

WITNESS = """
import builtins, json, os, struct, sys, threading

def solve(given):
    found = [name for name in os.listdir(".") if name != "program.py"]
    found += [name for name in os.listdir(os.environ["TMPDIR"]) if name.startswith(("trap", "left"))]
    found += [thread.name for thread in threading.enumerate()][1:]
    if len("four") != 4 or json.loads("4") != 4 or struct.pack("b", 4) != b"\\x04" or hasattr(builtins, "left"):
        found.append("patched")
    if os.getcwd() != os.environ["HOME"] or "left" in sys.modules:
        found.append("moved")
    if found:
        raise AssertionError(found)
    return 21.0
"""

HOSTILE: dict[str, tuple[str, str | None]] = {
    # Time
    "hangs": ("def solve(given):\n    while True:\n        pass", "timeout"),
    "hangs_in_c": ("def solve(given):\n    return sum(range(10 ** 12))", "timeout"),
    "hangs_at_import": ("import time\ntime.sleep(60)", "timeout"),
    "ignores_sigterm": (
        """
        import signal, time
        def solve(given):
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            while True:
                time.sleep(1)
        """,
        "timeout",
    ),
    "stops_itself": ("import os, signal\ndef solve(given):\n    os.kill(os.getpid(), signal.SIGSTOP)", "timeout"),
    # Ends
    "exits": ("import sys\ndef solve(given):\n    sys.exit(0)", "exited"),
    "exits_at_import": ("raise SystemExit", "exited"),
    "exits_at_once": ("import os\ndef solve(given):\n    os._exit(0)", "exited"),
    "exits_with_our_code": ("import os\nos._exit(1)", "exited"),
    "aborts": ("import os\ndef solve(given):\n    os.abort()", "crashed"),
    "segfaults": ("import ctypes\ndef solve(given):\n    ctypes.string_at(8)", "crashed"),
    "kills_itself": ("import os\ndef solve(given):\n    os.kill(os.getpid(), 9)", "crashed"),
    "recurses": ("def solve(given):\n    return solve(given)", "raised"),
    "execs": ("import os\ndef solve(given):\n    os.execv('/bin/true', ['true'])", "exited"),
    # Raises
    "raises": ("def solve(given):\n    raise ValueError('too much')", "raised"),
    "interrupts": ("def solve(given):\n    raise KeyboardInterrupt", "raised"),
    "raises_base": ("class Odd(BaseException):\n    pass\ndef solve(given):\n    raise Odd", "raised"),
    "raises_text_that_raises": (
        """
        class Odd(BaseException):
            def __str__(self):
                raise SystemExit
            __repr__ = __str__
        def solve(given):
            raise Odd
        """,
        "raised",
    ),
    "raises_text_that_exits": (
        "import os\nclass Odd(Exception):\n    def __str__(self):\n        os._exit(0)\ndef solve(given):\n"
        "    raise Odd",
        "exited",
    ),
    "raises_huge_text": ("def solve(given):\n    raise ValueError('x' * 10 ** 7)", "raised"),
    "raises_chain": (
        """
        def solve(given):
            problem = None
            for _ in range(100_000):
                new = ValueError()
                new.__cause__ = problem
                problem = new
            raise problem
        """,
        "raised",
    ),
    # Processes
    "leaves_children": (
        """
        import os, time
        def solve(given):
            for _ in range(3):
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
            return 21.0
        """,
        None,
    ),
    "leaves_daemons": (
        """
        import os, signal, time
        def solve(given):
            if os.fork() == 0:
                os.setsid()
                for number in range(1, 32):
                    if number not in (9, 19):
                        signal.signal(number, signal.SIG_IGN)
                if os.fork() == 0:
                    while True:
                        time.sleep(0.01)
                os._exit(0)
            return 21.0
        """,
        None,
    ),
    "leaves_programs": (
        "import subprocess\ndef solve(given):\n"
        "    subprocess.Popen(['sleep', '60'], start_new_session=True, env={})\n    return 21.0",
        None,
    ),
    "answers_from_a_child": (
        """
        import os, time
        def solve(given):
            if os.fork():
                time.sleep(60)
            return 21.0
        """,
        None,
    ),
    "starts_threads": (
        """
        import threading
        def spin():
            while True:
                pass
        def solve(given):
            threading.Thread(target=spin, daemon=given == 1).start()
            return 21.0
        """,
        None,
    ),
    "thread_bomb": (
        "import threading, time\ndef solve(given):\n"
        "    while True:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "        time.sleep(0.001)",
        "processes",
    ),
    "fork_bomb": ("import os\ndef solve(given):\n    while True:\n        os.fork()", "processes"),
    "comet": (
        """
        import os, time
        def solve(given):
            if os.fork() == 0:
                os.setsid()
                while True:
                    if os.fork():
                        os._exit(0)
            time.sleep(0.1)
            return 21.0
        """,
        "any",
    ),
    # Memory, disk, output
    "fills_memory": (
        "def solve(given):\n    kept = []\n    while True:\n        kept.append(bytearray(2 ** 20))", "memory"
    ),
    "fills_memory_in_one_go": ("def solve(given):\n    return len(bytearray(10 ** 12))", "memory"),
    "fills_memory_by_children": (
        """
        import os, time
        def solve(given):
            for _ in range(4):
                if os.fork() == 0:
                    kept = bytearray(b"x") * (80 * 2 ** 20)
                    time.sleep(60)
            time.sleep(60)
        """,
        "memory",
    ),
    "fills_memory_then_dies": (
        "import os\ndef solve(given):\n    kept = bytearray(b'x') * (100 * 2 ** 20)\n"
        "    return len(kept) * 0.0 + 21.0",
        None,
    ),
    "one_huge_file": (
        "def solve(given):\n    with open('left', 'wb') as file:\n        while True:\n"
        "            file.write(bytes(2 ** 20))",
        "raised",
    ),
    "many_files": (
        "def solve(given):\n    for number in range(10 ** 6):\n"
        "        with open(f'left-{number}', 'wb') as file:\n            file.write(bytes(2 ** 20))",
        "disk",
    ),
    "deep_folders": (
        """
        import os
        def solve(given):
            for _ in range(300):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            return 21.0
        """,
        None,
    ),
    "locked_folders": (
        """
        import os
        def solve(given):
            os.makedirs(f"left-{given}/inner/deep")
            os.chmod(f"left-{given}/inner", 0)
            os.chmod(f"left-{given}", 0)
            os.symlink("/", f"link-{given}")
            os.mkfifo(f"pipe-{given}")
            os.mkdir(f"trap-{given}".encode() + b"\\xff\\n")
            return 21.0
        """,
        None,
    ),
    "removes_its_folder": (
        "import os, shutil\ndef solve(given):\n    shutil.rmtree(os.environ['HOME'], ignore_errors=True)\n"
        "    return 21.0",
        None,
    ),
    "prints_much": ("def solve(given):\n    print('x' * 50_000_000)\n    return 21.0", None),
    "prints_for_ever": ("def solve(given):\n    while True:\n        print('x' * 1000)", "timeout"),
    "prints_bytes": (
        "import os\ndef solve(given):\n    os.write(1, b'GE\\x00\\xff\\xfe' * 1000)\n"
        "    os.write(2, b'GE' * 10)\n    return 21.0",
        None,
    ),
    # What it can reach
    "changes_folder": ("import os\ndef solve(given):\n    os.chdir('/')\n    os.umask(0)\n    return 21.0", None),
    "patches_builtins": (
        """
        import builtins, json, struct, sys
        def solve(given):
            builtins.left = True
            builtins.len = lambda what: 999
            builtins.isinstance = lambda what, kind: True
            json.dumps = json.loads = struct.pack = lambda *a, **k: b"999"
            sys.modules["left"] = sys
            return 21.0
        """,
        "any",
    ),
    "patches_json": (
        "import json, struct\ndef solve(given):\n    json.dumps = json.loads = struct.pack = None\n"
        "    return 21.0", None
    ),
    "breaks_streams": (
        "import sys\ndef solve(given):\n    sys.stdout = sys.stderr = sys.__stdout__ = None\n    return 21.0", None
    ),
    "leaves_files": (
        "import os\ndef solve(given):\n    open('left', 'w').close()\n"
        "    open(os.path.join(os.environ['TMPDIR'], 'trap.py'), 'w').close()\n    return 21.0",
        None,
    ),
    "acts_at_exit": (
        """
        import atexit, os, signal
        def act(*given):
            for descriptor in range(64):
                try:
                    os.write(descriptor, b"999")
                except OSError:
                    pass
        def solve(given):
            atexit.register(act)
            signal.signal(signal.SIGTERM, act)
            return 21.0
        """,
        None,
    ),
    "writes_everywhere": (
        """
        import os
        def solve(given):
            for descriptor in range(3, 256):
                try:
                    os.write(descriptor, b'{"say": "score", "score": {"metrics": {"x": 999}}}')
                except OSError:
                    pass
            return 21.0
        """,
        "protocol",
    ),
    "announces_much": (
        "import os, struct\ndef solve(given):\n"
        "    os.write(3, struct.pack('!2sBIQ', b'GE', 0, 0, 2 ** 50))\n    return 21.0",
        "protocol",
    ),
    "announces_and_waits": (
        "import os, struct\ndef solve(given):\n    os.write(3, struct.pack('!2sBIQ', b'GE', 0, 0, 100_000_000))\n"
        "    import time; time.sleep(60)",
        "timeout",
    ),
    "announces_descriptors": (
        "import os, struct\ndef solve(given):\n    os.write(3, struct.pack('!2sBIQ', b'GE', 9, 0, 0))\n"
        "    return 21.0",
        "protocol",
    ),
    "forges_a_failure": (
        """
        import os, struct
        def solve(given):
            body = b"l\\x00\\x00\\x00\\x03"
            body += b"s\\x00\\x00\\x00\\x06failed" + b"s\\x00\\x00\\x00\\x05fault" + b"s\\x00\\x00\\x00\\x00"
            os.write(3, struct.pack('!2sBIQ', b'GE', 0, 0, len(body)) + body)
            return 21.0
        """,
        "protocol",
    ),
    "sends_an_open_memory_file": (
        """
        import array, os, socket, struct
        def solve(given):
            size = 2 ** 21
            descriptor = os.memfd_create("open")
            os.ftruncate(descriptor, size)
            body = (b"l\\x00\\x00\\x00\\x02s\\x00\\x00\\x00\\x02ok"
                + b"a\\x00\\x00\\x00\\x03<f8\\x01" + struct.pack("!Q", size // 8)
                + b"m\\x00\\x00\\x00\\x00" + struct.pack("!Q", size))
            start = struct.pack('!2sBIQ', b'GE', 1, 0, len(body)) + body
            socket.send_fds(socket.socket(fileno=os.dup(3)), [start], [descriptor])
            import time; time.sleep(60)
        """,
        "protocol",
    ),
    "closes_everything": ("import os\ndef solve(given):\n    os.closerange(0, 256)\n    return 21.0", "any"),
    "closes_and_waits": (
        "import os, time\ndef solve(given):\n    os.closerange(0, 256)\n    time.sleep(60)", "protocol"
    ),
    "answers_ahead": (
        """
        import os, struct
        def solve(given):
            body = b"l\\x00\\x00\\x00\\x02s\\x00\\x00\\x00\\x02okf" + struct.pack("!d", 21.0)
            os.write(3, struct.pack('!2sBIQ', b'GE', 0, 0, len(body)) + body)
            return 21.0
        """,
        None,
    ),
    "raises_limits": (
        """
        import resource
        def solve(given):
            for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_DATA):
                try:
                    resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                except (ValueError, OSError):
                    pass
            kept = []
            while True:
                kept.append(bytearray(b"x") * 2 ** 20)
        """,
        "memory",
    ),
    # What it returns
    "returns_nan": ("def solve(given):\n    return float('nan')", "score"),
    "returns_text": ("def solve(given):\n    return 'text'", "evaluation"),
    "returns_nothing": ("def solve(given):\n    pass", "evaluation"),
    "returns_huge_integer": ("def solve(given):\n    return 10 ** 400", "evaluation"),
    "returns_itself": ("def solve(given):\n    return solve", "result"),
    "returns_for_ever": ("def solve(given):\n    while True:\n        yield 1", "result"),
    "has_a_trap_for_names": (
        "def __getattr__(name):\n    raise KeyboardInterrupt", "raised"
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("sandboxes"))
    yield KINDS[request.param]
    assert not list(Path(tempfile.tempdir).iterdir())
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def sandboxes(kind: Kind) -> Iterator[dict[bool, Sandbox]]:
    """A patient one, False, and an impatient one for programs that hang, True."""
    opened = {
        hangs: kind.open(seed_of(EVALUATE, limits=replace(LIMITS, seconds=0.7 if hangs else 4.0)))
        for hangs in (False, True)
    }
    yield opened
    for sandbox in opened.values():
        sandbox.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_it_costs_only_itself(kind: Kind, sandboxes: dict[bool, Sandbox], name: str) -> None:
    program, expected = HOSTILE[name]
    expected = kind.differs.get(name, expected)
    sandbox = sandboxes[expected == "timeout"]
    outcome = sandbox.run(job_of(program))
    if outcome.state == "scored":
        assert expected in (None, "any"), outcome
        assert x(outcome) == 42.0
    else:
        assert outcome.state == "failed", outcome
        assert expected in (outcome.kind, "any"), outcome
        assert outcome.error
    assert len(outcome.output) < 20_000
    assert len(outcome.error or "") < 10_000
    assert kind.left(sandbox) == []
    assert x(sandbox.run(job_of(WITNESS))) == 42.0


def test_honest_programs_among_them_are_judged_as_if_alone(
    kind: Kind, sandboxes: dict[bool, Sandbox]
) -> None:
    sandbox = sandboxes[False]
    wild = [
        name
        for name in ("exits", "segfaults", "leaves_daemons", "writes_everywhere", "returns_nan")
        if name in HOSTILE
    ]
    for name in wild * 2:
        sandbox.run(job_of(HOSTILE[name][0]))
        assert x(sandbox.run(job_of(HONEST))) == 84.0
    assert kind.left(sandbox) == []
