"""Fingerprints: blind to layout, sharp on meaning, the same on every Python that we support."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided_evolution.genome import Genome, parse

PACKAGE = Path(__file__).parents[2]

# What versions of Python read, cut or dump differently; pinned, for an archive outlives the Python that wrote it.
CORPUS = {
    "plain": "x = 1\n",
    "f-strings": "f'a{{b}}{x!r:>{width}}c' f'{y=}' 'd'\n",
    "nested f-strings": "f\"{f'{x}'}{x:{y}.{z}}{{}}\"\n",
    "empty format": "f'{x:}' f'' f'{x}'\n",
    "triple f-string": 'f"""a\n{x}\n  {y:\n}"""\n',
    "match": "match x:\n"
    " case {'a': 1, **r}: pass\n case [1, *_] | -1.5: pass\n "
    "case P(a, b=2) as c if c: pass\n case None: pass\n",
    "walrus": "[y := f(x) for x in z if (w := x)]\n",
    "decorators": "@a.b(c)\n@d\n"
    "async def f(x, /, y=1, *z, k, l=2, **m) -> int:\n    async with a as b, c: return await b\n",
    "class": "class A(B, metaclass=C):\n    '''doc'''\n    x: int = 1\n    y: 'int'\n    def f(self): '''doc'''\n",
    "except*": "try:\n    pass\nexcept* (A, B) as e:\n    raise C from e\nelse: pass\nfinally: pass\n",
    "unicode": "é = 'ü€𝄞\\x00\\ud800'\nª = b'\\xff'\n",
    "numbers": "a = 10**400, 0xFF, 1_000, -0.0, 1e400, 1e-7, 2j, 0.1 + 0.2, 123456789012345678901234567890\n",
    "strings": "'a' \"b\" r'\\c' u'f'; b'd' b'e'\n",
    "lambda": "lambda *a, b=1, **k: (yield)\n",
    "slices": "x[1:2, ..., ::3, None][a:]\n",
    "star": "print(*a, **b); x, *y = z; [*x, *y]; {**a, 'b': 1}; x[*y]\n",
    "chain": "a < b <= c is not d not in e\n",
    "global": "def f():\n    global a\n    def g():\n        nonlocal_ = 1\n        del nonlocal_\n    return g\n",
    "future": "from __future__ import annotations\nfrom . import a as b\nfrom ..c import *\nimport d.e as f, g\n",
    "parameters of types": "def f[T: int, *Ts, **P](x: T) -> T: return x\nclass A[T](B): pass\ntype X[T] = list[T]\n",
    "quotes inside": "f'{x['a']}'\n",
    "default of a type": "def f[T = int](x: T): pass\n",
}
SINCE = {"parameters of types": (3, 12), "quotes inside": (3, 12), "default of a type": (3, 13)}
PINNED = {
    "plain": "1:0295262dd375642ec46f4aa8470d45fa",
    "f-strings": "1:32a2e251b3b9e46a52547305b2b43819",
    "nested f-strings": "1:981283fa46ac023cadfe4aa23aec97aa",
    "empty format": "1:b5099cfb81b3a45f977eb16710297eb7",
    "triple f-string": "1:c4de32220510fd45d56e75bc53e6dded",
    "match": "1:508451c524abbe4e0e8b67d121ff420b",
    "walrus": "1:a2a3f6094bd9c60e6c8e3785fa0112b7",
    "decorators": "1:c4560a3df4440436b2114f53878875cc",
    "class": "1:21b2236c3dcdd60d4e8038ae64253d2f",
    "except*": "1:0774e82d959bc23eb3938314bb5a50b0",
    "unicode": "1:4560787a6efa6c3ee0fd0e66b60d7d9c",
    "numbers": "1:81c92c8e3822976c05f8fdb34b4b8bf3",
    "strings": "1:d0122d7e8f930a2239540143b734a840",
    "lambda": "1:7d720067d01d73b3f98c33406324cc60",
    "slices": "1:546089eea215f408c90513a45f54d48f",
    "star": "1:ece886975f3a817d26913fde4e3b985a",
    "chain": "1:7f57b4dee78457aef0a34671f6e7613b",
    "global": "1:fd83dde93bd88f2bc7aebd524e5498ac",
    "future": "1:57487ce823e733a677989c7bdb4a62d7",
    "parameters of types": "1:4e9424fc6304a06a6ce423abe691d28a",
    "quotes inside": "1:e0e517c83e1777dcfd242befd83587db",
    "default of a type": "1:e8f4db9d338fb77e9af1616a69daa1bc",
}

SCRIPT = """
import json, sys
from guided_evolution.genome import Genome, parse
corpus = json.load(sys.stdin)
print(json.dumps({
    name: Genome((("program.py", text),)).fingerprint for name, text in corpus.items() if parse(text) is not None
}))
"""


def fingerprint(text: str, path: str = "program.py") -> str:
    return Genome(((path, text),)).fingerprint


def pythons() -> list[str]:
    """Every supported Python that can be found: this one, those on the path and pyenv's."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in ("3.11", "3.12", "3.13"):
        known = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        place = shutil.which(f"python{version}") or (str(known[-1]) if known else None)
        # A shim of pyenv stands on the path for versions that aren't chosen, and fails.
        if place and subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0:
            found.setdefault(version, place)
        elif known:
            found.setdefault(version, str(known[-1]))
    return sorted(found.values())


@pytest.mark.parametrize("python", pythons())
def test_the_prints_of_tricky_programs_are_the_same_on_every_python(python: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-c", SCRIPT],
        input=json.dumps(CORPUS),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    version = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    here = tuple(map(int, version.stdout.split()))
    assert json.loads(done.stdout) == {
        name: PINNED[name] for name in CORPUS if here >= SINCE.get(name, (3, 11))
    }


def test_every_program_of_the_corpus_has_a_print_of_its_own() -> None:
    assert len(set(PINNED.values())) == len(CORPUS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x=1 # one\n\n\n"),
        ("x = 1\n", "\ufeffx = (\n    1\n)\r\n"),
        ("x = 1; y = 2\n", "x = 1\n\n# c\ny = 2"),
        ("def f():\n    '''a'''\n    return 1\n", "def f():\n\treturn 1\n"),
        ("'''doc'''\nx = 1\n", "x = 1\n"),
        ("class A:\n    'a'\n    x = 1\n", "class A:\n    x = 1\n"),
        ("x = 'a'\n", 'x = "a"\n'),
        ("x = 'ab'\n", "x = 'a' 'b'\n"),
        ("x = 0xFF\n", "x = 255\n"),
        ("x = 1_000.0\n", "x = 1e3\n"),
        ("x = f'a{y}'\n", "x = f'a' f'{y:}'\n"),
        ("if x: pass\n", "if x:\n    pass\n"),
        ("x = (a, b)\n", "x = a, b\n"),
        ("if a:\n    b\nelif c:\n    d\n", "if a:\n    b\nelse:\n    if c:\n        d\n"),
    ],
)
def test_layout_comments_docstrings_and_spelling_do_not_count(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)


DIFFERENT = [
    "x = 1",
    "x = 1.0",
    "x = True",
    "x = '1'",
    "x = b'1'",
    "x = 1j",
    "x = -1",
    "x = 0.0",
    "x = -0.0",
    "x = 0",
    "x = None",
    "x = ...",
    "x = '...'",
    "x = [1]",
    "x = (1,)",
    "x = {1}",
    "x = f'{1}'",
    "x = f'{1!r}'",
    "x = f'{1:2}'",
    "x = f'{1:{2}}'",
    "x = f'{{1}}'",
    "x = '{1}'",
    "x: int = 1",
    "x += 1",
    "(x := 1)",
    "y = 1",
    "x = y = 1",
    "x, y = 1",
    "x = 1\nx = 1",
    "'doc'\n'doc'\nx = 1",
    "def x(): return 1",
    "def x(): 'a'; 'b'; return 1",
    "async def x(): return 1",
    "class x: pass",
    "def x(a): return 1",
    "def x(a, /): return 1",
    "def x(*, a): return 1",
    "def x(*a): return 1",
    "def x(**a): return 1",
    "def x(a=1): return 1",
    "def x(*, a=1, b): return 1",
    "def x(*, a, b=1): return 1",
    "def x(a=1, b=2): return 1",
    "def x(a) -> int: return 1",
    "@d\ndef x(): return 1",
    "f(a)",
    "f(*a)",
    "f(**a)",
    "f(a=a)",
    "f(b=a)",
    "{**a}",
    "{a: a}",
    "{a: None}",
    "a < b < c",
    "(a < b) < c",
    "a < b and b < c",
    "a and b and c",
    "a and (b and c)",
    "a - b - c",
    "a - (b - c)",
    "x[1:2]",
    "x[1:2:None]",
    "x[:2]",
    "x[1:]",
    "x[1, 2]",
    "x[(1, 2), 3]",
    "import a",
    "import a as b",
    "import a, b",
    "import a\nimport b",
    "from a import b",
    "from .a import b",
    "from . import a",
    "from a import b as c",
    "try: a\nexcept b: c",
    "try: a\nexcept b as d: c",
    "try: a\nexcept* b: c",
    "try: a\nfinally: c",
    "for a in b: c\nelse: d",
    "for a in b: c\nd",
    "while a: c",
    "with a: c",
    "with a as b: c",
    "with a, b: c",
    "with a:\n    with b: c",
    "def f():\n    yield",
    "def f():\n    return (yield)",
    "def f():\n    yield from a",
    "lambda: a",
    "[a for a in b]",
    "[a for a in b if c]",
    "(a for a in b)",
    "{a for a in b}",
    "match a:\n    case 1: b",
    "match a:\n    case x: b",
    "match a:\n    case [x, *_]: b",
    "match a:\n    case [x, *y]: b",
    "match a:\n    case None: b",
    "del a",
    "global a",
    "raise a",
    "raise a from b",
    "assert a",
    "assert a, b",
]


def test_what_means_something_else_has_another_print() -> None:
    prints: dict[str, str] = {}
    for text in DIFFERENT:
        assert parse(text) is not None, text
        other = prints.setdefault(fingerprint(text), text)
        assert other == text, (other, text)


def test_files_and_their_paths_count_and_their_order_does_not() -> None:
    one = Genome((("a.py", "x = 1\n"), ("b.txt", "y")))
    assert one.fingerprint == Genome((("b.txt", "y"), ("a.py", "x=1"))).fingerprint
    assert one.fingerprint != Genome((("a.py", "x = 1\n"), ("c.txt", "y"))).fingerprint
    assert one.fingerprint != Genome((("a.py", "x = 1\n"), ("b.txt", "y "))).fingerprint
    assert one.fingerprint != Genome((("a.py", "x = 1\n"),)).fingerprint
    assert fingerprint("x = = 1\n") != fingerprint("x = =  1\n")
    assert one.fingerprint.startswith("1:")


def test_a_program_nested_too_deeply_still_has_a_print() -> None:
    deep = "x = " + "-" * 3000 + "1\n"
    assert fingerprint(deep) == fingerprint(deep)
    assert fingerprint(deep) != fingerprint("x = " + "-" * 3001 + "1\n")


@given(st.floats(), st.floats())
@settings(deadline=None)
def test_numbers_are_told_apart_to_the_last_bit(one: float, other: float) -> None:
    same = repr(one) == repr(other)
    assert (fingerprint(f"x = [{one!r}]\n") == fingerprint(f"x = [{other!r}]\n")) == same


@given(st.text(), st.text())
@settings(deadline=None)
def test_strings_are_told_apart(one: str, other: str) -> None:
    assert (fingerprint(f"x = {one!a}\n") == fingerprint(f"x = {other!a}\n")) == (one == other)
