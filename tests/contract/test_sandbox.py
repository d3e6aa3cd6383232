"""What every kind of sandbox promises: scores, values, blame, and a clean slate for the next program."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox import Sandbox
from guided_evolution.seed import Limits, Seed
from tests.contract.sandbox_kinds import EVALUATE, HONEST, KINDS, LIMITS, Kind, job_of, seed_of, x

Opener = Callable[[Seed], Sandbox]


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    """Every kind in turn; sandboxes of this module have a folder for temporary files of their own."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("sandboxes"))
    yield KINDS[request.param]
    assert not list(Path(tempfile.tempdir).iterdir())
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def opened(kind: Kind) -> Iterator[Opener]:
    """Opens a sandbox, or gives one of an equal seed again."""
    every: dict[str, Sandbox] = {}

    def open_one(seed: Seed) -> Sandbox:
        if seed.hash not in every:
            every[seed.hash] = kind.open(seed)
        return every[seed.hash]

    yield open_one
    for sandbox in every.values():
        sandbox.close()


# Scores


def test_a_score_comes_back_whole(opened: Opener) -> None:
    evaluate = """
        from guided_evolution import Score
        from guided_evolution.score import Score as Same
        import numpy

        def evaluate(candidate, seed):
            print("evaluating")
            assert Score is Same
            return Score(
                {"x": candidate.call("solve", 3, by=2), "seed": seed, "small": numpy.float32(0.5),
                 "whole": numpy.int64(3)},
                feedback="good \\ud800", measures={"m": True}, artifacts={"log": "text\\0"}, private={"p": 1e-300},
            )
        """
    program = "def solve(a, by):\n    print('solving', a)\n    return a / by\n"
    outcome = opened(seed_of(evaluate)).run(job_of(program, seed=2**40))
    assert outcome.state == "scored", outcome
    assert outcome.score is not None
    assert outcome.score.metrics == {"x": 1.5, "seed": float(2**40), "small": 0.5, "whole": 3.0}
    assert outcome.score.feedback == "good ?"
    assert outcome.score.measures == {"m": 1.0}
    assert outcome.score.artifacts == {"log": "text\ufffd"}
    assert outcome.score.private == {"p": 1e-300}
    assert (outcome.output, outcome.evaluator_output) == ("solving 3\n", "evaluating\n")
    assert outcome.rungs == ()
    assert 0 < outcome.seconds < LIMITS.seconds
    assert 3 < outcome.memory_mb < LIMITS.memory_mb


RUNGS = """
    from guided_evolution import Score

    def evaluate(candidate, seed):
        for stage in range(3):
            yield Score({"x": candidate.call("solve", stage)})
    """


def test_rungs_are_kept_in_order_and_the_last_one_is_the_score(opened: Opener) -> None:
    outcome = opened(seed_of(RUNGS)).run(job_of("def solve(stage): return stage * 2"))
    assert x(outcome) == 4.0
    assert [rung.metrics["x"] for rung in outcome.rungs] == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("last", "kind_of_failure"), [("1 / 0", "raised"), ("exec('while True: pass')", "timeout")]
)
def test_rungs_are_kept_when_a_later_one_fails(opened: Opener, last: str, kind_of_failure: str) -> None:
    outcome = opened(seed_of(RUNGS)).run(job_of(f"def solve(stage): return stage if stage < 2 else {last}"))
    assert (outcome.state, outcome.kind) == ("failed", kind_of_failure)
    assert [rung.metrics["x"] for rung in outcome.rungs] == [0.0, 1.0]


def test_confirm_runs_instead_where_a_job_asks(opened: Opener) -> None:
    confirm = "\ndef confirm(candidate, seed):\n    return Score({'y': 2.0 * candidate.call('solve')})\n"
    job = job_of()
    outcome = opened(seed_of(EVALUATE + confirm)).run(type(job)(job.program, 1, "confirm"))
    assert outcome.score is not None
    assert outcome.score.metrics == {"y": 84.0}


# The program's place


def test_a_program_of_several_files_with_fixed_ones_beside_it(opened: Opener) -> None:
    seed = seed_of(
        support={"helper.py": b"from data import folder\n", "data/folder.py": b"", "data/n.txt": b"5"}
    )
    program = """
        import types as own
        import helper, net.layers
        from net import layers

        def solve():
            return layers.twice(int(open("data/n.txt").read())) + own.ONE
        """
    # A file called like a module of the standard library is the program's business, not ours.
    job = job_of(program, net__layers=b"def twice(n):\n    return 2 * n\n", net____init__=b"")
    job.program["types.py"] = b"ONE = 1\n"  # type: ignore[index]
    seed = seed_of(support=seed.support, entry="program")
    outcome = opened(seed).run(job)
    assert outcome.state in ("scored", "failed")
    assert (
        x(
            opened(seed).run(
                job_of(
                    program.replace("import types as own", "own = type('', (), {'ONE': 1})"),
                    net__layers=b"def twice(n):\n    return 2 * n\n",
                )
            )
        )
        == 11.0
    )


def test_the_entry_may_be_called_like_a_known_module(opened: Opener) -> None:
    seed = seed_of(entry="types", support={"types.py": b"def solve():\n    return 7.0\n"})
    assert x(opened(seed).run(job_of())) == 7.0


def test_a_call_may_go_down_a_dotted_path(opened: Opener) -> None:
    evaluate = EVALUATE.replace('"solve"', '"Net.forward"')
    program = "class Net:\n    @staticmethod\n    def forward():\n        return 5.0\n"
    assert x(opened(seed_of(evaluate)).run(job_of(program))) == 5.0
    for other in ("Net = 3", "class Net:\n    forward = 3", ""):
        outcome = opened(seed_of(evaluate)).run(job_of(other))
        assert (outcome.kind, outcome.error) == ("missing", "program defines no function Net.forward")


def test_a_program_finds_an_empty_place_and_a_bare_environment(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    evaluate = """
        from guided_evolution import Score

        def evaluate(candidate, seed):
            found = candidate.call("look")
            return Score({"x": 1.0}, feedback=repr(found))
        """
    program = """
        import os, sys, threading

        def look():
            return [
                sorted(os.environ), os.listdir("."), os.environ["HOME"] == os.getcwd(), hash("text") == hash("te" "xt"),
                os.environ["OMP_NUM_THREADS"], [name for name in sys.modules if "guided_evolution" in name],
                sorted(os.listdir("/proc/self/fd"))[:4] if os.path.exists("/proc/self/fd") else [],
            ]
        """
    outcome = opened(seed_of(evaluate, limits=Limits(seconds=5, cpus=2))).run(job_of(program))
    assert outcome.score is not None, outcome
    names, files, at_home, _, threads, ours, descriptors = eval(outcome.score.feedback)
    assert not [name for name in names if "KEY" in name]
    assert {name for name in names if not name.endswith("_THREADS")} <= {
        "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHASHSEED", "TMPDIR",
    }  # fmt: skip
    assert (files, at_home, threads, ours) == (["program.py"], True, "2", [])
    assert descriptors == ["0", "1", "2", "3"]


def test_equal_programs_get_equal_luck(opened: Opener) -> None:
    program = (
        "import random\nA = {'a', 'b', 'c', 'd', 'e'}\n"
        "def solve(): return random.random() + list(A).index('c')\n"
    )
    sandbox = opened(seed_of())
    assert len({x(sandbox.run(job_of(program))) for _ in range(3)}) == 1


# fresh


FRESH = """
    from guided_evolution import Score, CandidateFailed

    def evaluate(candidate, seed):
        first = candidate.call("solve", 1)
        again = candidate.call("solve", 2)
        fresh = candidate.fresh()
        third = fresh.call("solve", 3)
        try:
            candidate.call("solve", 4)
        except RuntimeError as problem:
            said = str(problem)
        return Score({"x": third, "first": first, "again": again}, feedback=said)
    """


def test_fresh_knows_nothing_of_earlier_calls(opened: Opener) -> None:
    program = """
        import os, builtins
        HIDDEN = []

        def solve(given):
            known = len(HIDDEN) + len(os.listdir(".")) + getattr(builtins, "left", 0)
            HIDDEN.append(given)
            builtins.left = 100
            open(f"left-{given}", "w").close()
            open(os.path.join(os.environ["TMPDIR"], f"also-{given}"), "w").close()
            return known
        """
    outcome = opened(seed_of(FRESH)).run(job_of(program))
    assert outcome.score is not None, outcome
    assert outcome.score.metrics == {"first": 1.0, "again": 104.0, "x": 1.0}
    assert "fresh() ends what was before it" in outcome.score.feedback


def test_fresh_ends_processes_and_threads_of_before(opened: Opener, kind: Kind) -> None:
    program = """
        import os, threading, time

        def solve(given):
            if given == 3:
                time.sleep(0.2)
                return 0.0
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(100)
                os._exit(0)
            threading.Thread(target=time.sleep, args=(100,)).start()
            return 1.0
        """
    sandbox = opened(seed_of(FRESH))
    assert x(sandbox.run(job_of(program))) == 0.0
    assert kind.left(sandbox) == []


def test_a_failed_call_may_be_caught_and_fresh_goes_on(opened: Opener) -> None:
    evaluate = """
        from guided_evolution import Score, CandidateFailed

        def evaluate(candidate, seed):
            points, kinds = 0.0, []
            for case in range(5):
                try:
                    points += candidate.call("solve", case)
                except CandidateFailed as problem:
                    kinds.append(problem.kind)
                    candidate = candidate.fresh()
            return Score({"x": points}, feedback=" ".join(kinds))
        """
    program = """
        import os

        def solve(case):
            if case == 1:
                raise ValueError
            if case == 2:
                os._exit(3)
            if case == 3:
                os.kill(os.getpid(), 11)
            return 1.0
        """
    outcome = opened(seed_of(evaluate)).run(job_of(program))
    assert x(outcome) == 2.0
    assert outcome.score is not None
    assert outcome.score.feedback == "raised exited crashed"


def test_a_dead_program_stays_dead_without_fresh(opened: Opener) -> None:
    evaluate = """
        from guided_evolution import Score, CandidateFailed

        def evaluate(candidate, seed):
            said = []
            for _ in range(3):
                try:
                    candidate.call("solve")
                except CandidateFailed as problem:
                    said.append(f"{problem.kind}: {problem}")
            return Score({"x": len(set(said))}, feedback=said[0])
        """
    outcome = opened(seed_of(evaluate)).run(job_of("import os\ndef solve(): os._exit(5)"))
    assert x(outcome) == 1.0
    assert outcome.score is not None
    assert outcome.score.feedback == "exited: ended itself with exit code 5"


# Values


ECHO = """
    from guided_evolution import Score
    import numpy as np

    VALUE = {value}

    def same(a, b):
        if isinstance(a, np.ndarray):
            return isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape) and np.array_equal(
                a, b, equal_nan=a.dtype.kind in "fc")
        if isinstance(a, (list, tuple)):
            return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, dict):
            return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
        return type(a) is type(b) and (a == b or a != a)

    def evaluate(candidate, seed):
        back = candidate.call("solve", VALUE)
        changed = candidate.call("change", VALUE) if isinstance(VALUE, np.ndarray) and VALUE.size else True
        return Score({{"x": float(same(VALUE, back))}}, feedback=repr(changed))
    """
CHANGE = """
    def solve(value):
        return value

    def change(value):
        value[...] = 1  # its own copy
        return True
    """


@pytest.mark.parametrize(
    "value",
    [
        "[None, True, False, 0, -1, 2**63 - 1, -2**63, 2**63, -2**200, 10**400]",
        "[0.1, -0.0, float('inf'), float('nan'), 1j]",
        "['', 'text', 'h\\u00e4\\U0001f600\\x00', b'', b'bytes', (), (1, (2,))]",
        "[[], [[]], {}, {'a': [1], 2: (3,), None: 4, (1, 'x'): 5}]",
        "np.arange(12.0).reshape(3, 4)",
        "np.array(3.5)",
        "np.zeros((0, 3), np.int8)",
        "np.arange(5, dtype='>i4')",
        "np.asfortranarray(np.arange(6.0).reshape(2, 3))",
        "np.arange(20)[::-3]",
        "np.array([True, False])",
        "np.array([1 + 2j, np.nan], np.complex64)",
        "np.array(['a', 'bcd', ''])",
        "np.array([b'a', b'bc'])",
        "np.array(['2020-01-01'], 'M8[D]')",
        "np.float16([np.nan, np.inf, -0.0])",
        "[np.float32(1.5), np.int64(-3), np.bool_(True), np.uint8(7)]",
        "np.random.default_rng(1).random((600, 700))",
        "np.arange(400_000, dtype='>f8')[::-2].reshape(2, -1)",
        "[np.full(200_000, i, np.float64) for i in range(8)]",
        "{'w': np.ones((1024, 1025), np.float32), 'b': np.zeros(0), 'deep': [[{'a': np.array([1])}]]}",
        "[np.zeros(131073) for _ in range(70)]",
    ],
)  # fmt: skip
def test_values_come_back_as_they_went(opened: Opener, value: str) -> None:
    seed = seed_of(ECHO.format(value=value), preload=("numpy",), limits=Limits(seconds=20, memory_mb=512))
    sandbox = opened(seed)
    assert x(sandbox.run(job_of(CHANGE))) == 1.0
    sandbox.close()


def test_arrays_pass_where_the_program_preloads_no_numpy(opened: Opener) -> None:
    evaluate = """
        import numpy as np
        from guided_evolution import Score

        def evaluate(candidate, seed):
            return Score({"x": float(candidate.call("solve", np.ones(3))), "plain": candidate.call("plain")})
        """
    program = (
        "import sys\nBEFORE = 'numpy' in sys.modules\ndef plain(): return BEFORE\n"
        "def solve(a): return a.sum()\n"
    )
    outcome = opened(seed_of(evaluate, limits=Limits(seconds=10))).run(job_of(program))
    assert x(outcome) == 3.0
    assert outcome.score is not None


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("{1, 2}", "the result is of type set"),
        ("[1, [object()]]", "the result[1][0] is of type object"),
        ("{'a': lambda: 1}", "the result['a'] is of type function"),
        ("(i for i in iter(int, 1))", "type generator"),
        ("np.array([object()])", "an array of object"),
        ("np.zeros(2, [('a', 'i4')])", "an array of [('a', '<i4')]"),
        ("np.broadcast_to(0.0, 10**9)", "an array of 8,000,000,000 bytes"),
        ("np.zeros(300 * 2**20 // 8)", "an array of 314,572,800 bytes"),
        ("[0] * 5_000_000", "more than 4,000,000 values"),
        ("1 << 80_000", "an integer of 10,001 bytes"),
        ("{frozenset(): 1}", "a key of type frozenset"),
        ("nest(70)", "nested more than 64 levels deep"),
        ("nest(100_000)", "nested more than 64 levels deep"),
        ("knot()", "nested more than 64 levels deep"),
        ("Evil()", "RuntimeError: never"),
    ],
)
def test_what_cannot_pass_is_the_programs_failure(opened: Opener, result: str, said: str) -> None:
    program = f"""
        import numpy as np

        class Evil(dict):
            def items(self):
                raise RuntimeError("never")

        def nest(depth):
            found = []
            for _ in range(depth):
                found = [found]
            return found

        def knot():
            found = []
            found.append(found)
            return found

        def solve():
            return {result}
        """
    seed = seed_of(preload=("numpy",), limits=Limits(seconds=10, memory_mb=256))
    outcome = opened(seed).run(job_of(program))
    assert (outcome.state, outcome.kind) == ("failed", "result"), outcome
    assert said in str(outcome.error)


def test_objects_with_ways_of_their_own_arrive_as_plain_ones(opened: Opener) -> None:
    evaluate = """
        from guided_evolution import Score

        def evaluate(candidate, seed):
            found = candidate.call("solve")
            assert found == [3, 1.5, "text", [1], (1, 2), {"a": 1}, True], found
            assert [type(part) for part in found] == [int, float, str, list, tuple, dict, bool]
            array = candidate.call("array")
            assert type(array).__name__ == "ndarray" and float(array.sum()) == 3.0
            return Score({"x": 1.0})
        """
    program = """
        import collections, enum, numpy as np

        class Int(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        class Float(float):
            def __lt__(self, other): return True
        class Text(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        class List(list):
            def __len__(self): return 2
        class Array(np.ndarray):
            def sum(self): return 1e9
        class Flag(enum.IntFlag):
            one = 1

        def solve():
            pair = collections.namedtuple("Pair", "a b")(1, 2)
            return [Int(3), Float(1.5), Text("text"), List([1]), pair, collections.OrderedDict(a=Flag.one), True]

        def array():
            return np.ones(3).view(Array)
        """
    sandbox = opened(seed_of(evaluate, preload=("numpy",), limits=Limits(seconds=10)))
    assert x(sandbox.run(job_of(program))) == 1.0


# Blame


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no data')", "no data"),
        ("return None", "evaluate returned NoneType, not a Score"),
        ("return 'text'", "evaluate returned str"),
        ("return {'x': 1.0}", "evaluate returned dict"),
        ("return Score({'x': float('nan')})", "the score's x is nan; it must be finite"),
        ("return Score({'x': 'high'})", "the score's x is 'high', not a number"),
        ("return Score({'x': 1}, measures={'m': float('inf')})", "m is inf"),
        ("return Score({})", "without metrics"),
        ("return Score({'x': 1}, feedback=3)", "feedback is of type int"),
        ("return Score({'x': 1}, artifacts={'a': b'b'})", "artifact 'a' is of type bytes"),
        ("yield 3", "evaluate yielded int"),
        ("if seed < 0: yield", "yielded no Score"),
        ("candidate.call(3)", "called by its name"),
        ("candidate.call('solve', object())", "argument [0] is of type object"),
        ("import os; os._exit(3)", "ended itself with exit code 3"),
        ("import os; os.abort()", "SIGABRT"),
        ("import time; time.sleep(60)", "made no call and returned no score within 1.5 s"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_before_its_first_call_the_evaluator_is_to_blame(opened: Opener, body: str, said: str) -> None:
    seed = seed_of(f"from guided_evolution import Score\n\ndef evaluate(candidate, seed):\n    {body}\n")
    sandbox = opened(seed)
    outcome = sandbox.run(job_of())
    sandbox.close()
    assert outcome.state == "fault", outcome
    assert said in str(outcome.error)


@pytest.mark.parametrize(
    ("body", "kind_of_failure", "said"),
    [
        ("raise RuntimeError('odd')", "evaluation", "RuntimeError: odd"),
        ("return None", "score", "evaluate returned NoneType"),
        ("return Score({'x': float('-inf')})", "score", "the score's x is -inf"),
        ("import os; os._exit(3)", "evaluation", "exit code 3"),
        ("import time; time.sleep(60)", "timeout", "not done within 1.5 s"),
    ],
)
def test_after_its_first_call_the_program_is(
    opened: Opener, body: str, kind_of_failure: str, said: str
) -> None:
    seed = seed_of(
        f"from guided_evolution import Score\n\ndef evaluate(candidate, seed):\n    candidate.call('solve')\n"
        f"    {body}\n"
    )
    sandbox = opened(seed)
    outcome = sandbox.run(job_of())
    sandbox.close()
    assert (outcome.state, outcome.kind) == ("failed", kind_of_failure), outcome
    assert said in str(outcome.error)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("def evaluate(candidate, seed:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("import os; os._exit(3)", "preload doesn't come to an end"),
        ("x = 3", "defines no function evaluate"),
        ("from guided_evolution.archive import open_archive", "guided_evolution.archive"),
    ],
)
def test_an_evaluator_that_cannot_be_used_is_a_fault_of_every_job(
    opened: Opener, source: str, said: str
) -> None:
    sandbox = opened(seed_of(source))
    for _ in range(2):
        outcome = sandbox.run(job_of())
        assert outcome.state == "fault", outcome
        assert said in str(outcome.error)
    sandbox.close()


def test_a_preload_that_is_missing_is_a_fault(opened: Opener) -> None:
    sandbox = opened(seed_of(preload=("nowhere_to_be_found",)))
    outcome = sandbox.run(job_of())
    sandbox.close()
    assert outcome.state == "fault"
    assert "preload nowhere_to_be_found can't be imported: ModuleNotFoundError" in str(outcome.error)


def test_an_error_says_where_in_the_program(opened: Opener) -> None:
    program = "def inner(a):\n    return a / 0\n\ndef solve():\n    return inner(1)\n"
    outcome = opened(seed_of()).run(job_of(program))
    # Which of them underline what differs from one Python to the next.
    said = [line for line in str(outcome.error).splitlines() if line.strip(" ^~")]
    assert said == [
        '  File "program.py", line 5, in solve',
        "    return inner(1)",
        '  File "program.py", line 2, in inner',
        "    return a / 0",
        "ZeroDivisionError: division by zero",
    ]
    broken = opened(seed_of()).run(job_of("import nowhere\n"))
    assert broken.kind == "load"
    assert str(broken.error).endswith("ModuleNotFoundError: No module named 'nowhere'\n")
    assert opened(seed_of()).run(job_of("def solve(:")).kind == "load"


# The place and its end


def test_a_preload_that_starts_threads_is_left_to_each_program(opened: Opener) -> None:
    threads = (
        b"import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        b"VALUE = 6.0\n"
    )
    evaluate = EVALUATE.replace("import Score", "import Score\nimport threaded")
    seed = seed_of(evaluate, evaluator_files={"threaded.py": threads})
    sandbox = opened(seed)
    assert x(sandbox.run(job_of())) == 42.0
    assert any("starts threads, so every evaluator imports it anew" in notice for notice in sandbox.notices)


def test_many_sandboxes_work_at_once_from_many_threads(opened: Opener, kind: Kind) -> None:
    found: list[float] = []

    def work(number: int) -> None:
        sandbox = kind.open(seed_of())
        found.extend(x(sandbox.run(job_of(f"def solve(): return {number}.0"))) for _ in range(5))
        sandbox.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [float(number) for number in range(6) for _ in range(5)]


def test_close_ends_a_job_at_work(kind: Kind) -> None:
    sandbox = kind.open(seed_of(limits=Limits(seconds=60)))
    raised: list[BaseException] = []

    def work() -> None:
        try:
            sandbox.run(job_of("import time\ndef solve(): time.sleep(60)"))
        except SandboxBroken as problem:
            raised.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(1.0)
    sandbox.close()
    thread.join(20)
    assert len(raised) == 1
    assert kind.left(sandbox) == []
    sandbox.close()
    with pytest.raises(SandboxBroken, match="closed"):
        sandbox.run(job_of())


def test_numpy_scores_the_same_after_a_program_that_patched_it(opened: Opener) -> None:
    evaluate = """
        import numpy as np
        from guided_evolution import Score

        def evaluate(candidate, seed):
            return Score({"x": float(np.mean(candidate.call("solve", np.arange(10.0))))})
        """
    hostile = """
        import numpy as np

        def solve(a):
            np.mean = np.ndarray.mean = lambda *a, **k: 1e9
            np.ndarray = float
            return a
        """
    sandbox = opened(seed_of(evaluate, preload=("numpy",), limits=Limits(seconds=10)))
    honest = "import numpy as np\ndef solve(a): return [np.mean(a)]\n"
    before = x(sandbox.run(job_of(honest)))
    outcome = sandbox.run(job_of(hostile.replace("np.ndarray.mean = ", "").replace("np.ndarray = float", "")))
    assert x(outcome) == 4.5
    sandbox.run(job_of(hostile))
    assert x(sandbox.run(job_of(honest))) == before == 4.5
    assert numpy.__name__ == "numpy"


def test_output_is_cut_in_the_middle(opened: Opener) -> None:
    program = (
        "def solve():\n    print('first')\n    print('x' * 50_000_000)\n    print('last')\n    return 1.0\n"
    )
    outcome = opened(seed_of(limits=Limits(seconds=10, output_kb=4))).run(job_of(program))
    assert x(outcome) == 1.0
    assert outcome.output.startswith("first\nxxx")
    assert outcome.output.endswith("xxx\nlast\n")
    assert "bytes cut ...]" in outcome.output
    assert len(outcome.output) < 4200


def test_honest_source_is_unchanged() -> None:
    """The suite's honest program is the one whose score every test knows."""
    assert b"return 42.0" in HONEST
