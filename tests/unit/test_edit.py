"""Edits: what they may touch, what they may not, and that nothing slips through."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided_evolution.edit import Edit, FrozenRules, Splice, apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import evolvable_genes, evolvable_spans, segments
from guided_evolution.genome import Genome

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of the programs that are read here

FREE = FrozenRules()


def genome(text: str, path: str = "program.py") -> Genome:
    return Genome(((path, text),))


def swap(one: Genome, old: str, new: str, path: str = "program.py", imports: tuple[str, ...] = ()) -> Edit:
    """The edit that puts `new` in the place of `old`, which stands once."""
    text = one.text(path)
    assert text.count(old) == 1, text.count(old)
    start = text.index(old)
    wanted = tuple((path, statement) for statement in imports)
    return Edit((Splice(path, start, start + len(old), new),), "test", wanted)


def changed(text: str, old: str, new: str, rules: FrozenRules = FREE, imports: tuple[str, ...] = ()) -> str:
    one = genome(text)
    return apply_edit(one, swap(one, old, new, imports=imports), rules).text("program.py")


def refused(
    text: str, old: str, new: str, rules: FrozenRules = FREE, imports: tuple[str, ...] = ()
) -> EditRejected:
    with pytest.raises(EditRejected) as caught:
        changed(text, old, new, rules, imports)
    assert "\n" not in str(caught.value)
    return caught.value


# Splices


def test_splices_are_put_in_whatever_their_order() -> None:
    one = genome("a = 1\nb = 2\n")
    edit = Edit(
        (
            Splice("program.py", 10, 11, "4"),
            Splice("program.py", 4, 5, "3"),
            Splice("program.py", 0, 0, "z = 0\n"),
        ),
        "x",
    )
    assert apply_edit(one, edit, FREE).text("program.py") == "z = 0\na = 3\nb = 4\n"


@pytest.mark.parametrize(
    "splices",
    [
        (Splice("program.py", 0, 3, "x"), Splice("program.py", 2, 4, "y")),
        (Splice("program.py", 3, 2, "x"),),
        (Splice("program.py", 4, 99, "x"),),
        (Splice("program.py", -1, 2, "x"),),
        (Splice("other.py", 0, 0, "x"),),
    ],
)
def test_splices_that_make_no_sense_are_refused(splices: tuple[Splice, ...]) -> None:
    with pytest.raises(EditRejected) as caught:
        apply_edit(genome("a = 1\n"), Edit(splices, "x"), FREE)
    assert caught.value.kind == "syntax"


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("\ufeffx = 1\r\ny = 2", "2", "3", "\ufeffx = 1\r\ny = 3"),
        (
            "x = 1\r\n\x0c\r\ndef f():\r\n\treturn 1\r\n",
            "return 1",
            "return 2",
            "x = 1\r\n\x0c\r\ndef f():\r\n\treturn 2\r\n",
        ),
        ("x = 1\ry = 2\r", "2", "3", "x = 1\ry = 3\r"),
        ("x = 'ü€𝄞'; y = 1\n", "1", "2", "x = 'ü€𝄞'; y = 2\n"),
        ("x = 1\n\n\n\n", "1", "2", "x = 2\n\n\n\n"),
    ],
)
def test_the_rest_stays_to_the_byte(text: str, old: str, new: str, expected: str) -> None:
    assert changed(text, old, new) == expected


def test_several_files_and_files_that_are_not_python() -> None:
    one = Genome.split({"a.py": b"x = 1\n", "b.json": b'{"x": \xff 1}', "c.py": b"y = 1\n"})
    edit = Edit((Splice("b.json", 8, 9, "2"), Splice("c.py", 4, 5, "2")), "x")
    assert apply_edit(one, edit, FREE).join() == {
        "a.py": b"x = 1\n",
        "b.json": b'{"x": \xff 2}',
        "c.py": b"y = 2\n",
    }
    rules = FrozenRules(frozen=("b.json",))
    with pytest.raises(EditRejected, match=r"^b\.json is frozen"):
        apply_edit(one, edit, rules)


# No-ops, size, syntax


def test_an_edit_that_changes_nothing_is_a_no_op() -> None:
    assert refused("x = 1\n", "1", "1").kind == "no-op"
    assert refused("def f():\n    return 1\n", "return 1", "return (1)  # one").kind == "no-op"
    assert refused("def f():\n    '''a'''\n    return 1\n", "'''a'''", "'''b'''").kind == "no-op"
    with pytest.raises(EditRejected, match="leaves the program as it is"):
        apply_edit(genome("x = 1\n"), Edit((), "nothing"), FREE)
    with pytest.raises(EditRejected, match="leaves the program as it is"):
        apply_edit(genome("import a\n"), Edit((), "nothing", (("program.py", "import a"),)), FREE)


def test_a_program_that_grows_too_large_is_refused() -> None:
    rules = FrozenRules(program_kb=1)
    assert refused("x = 1\n", "1", "'" + "a" * 1100 + "'", rules).kind == "size"
    two = Genome((("a.py", "x = 1\n"), ("b.txt", "é" * 500)))
    with pytest.raises(EditRejected, match=r"would have 1032 bytes, more than the 1 KB") as caught:
        apply_edit(two, Edit((Splice("a.py", 4, 5, "'" + "a" * 25 + "'"),), "x"), rules)
    assert caught.value.kind == "size"


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("return 1 +", r"program\.py:4: invalid syntax: return 1 \+"),
        ("return (1", r"program\.py:4: '\(' was never closed: return \(1"),
        ("pass\nreturn 1", r"program\.py:5: 'return' outside function: return 1"),
        ("pass\nfor i in []: pass\nbreak", r"'break' outside loop"),
        ("pass\nawait x", r"'await' outside function"),
        ("pass\ndef g(a, a): pass", r"duplicate argument 'a'"),
        ("nonlocal z", r"no binding for nonlocal 'z' found"),
        ("x = 1; global x", r"assigned to before global declaration"),
        ("yield 1\n    from m import *", r"import \* only allowed at module level"),
        ("pass\nfrom __future__ import annotations", r"from __future__ imports must occur at the beginning"),
        ("pass\nx = 2\nglobal x", r"assigned to before global declaration"),
        ("return '''", r"unterminated triple-quoted string"),
        ("return 1 \\", r"program\.py"),
        ("return '\udcff'", r"aren't UTF-8"),
        ("return \0", r"null bytes"),
        ("return " + "(" * 300 + ")" * 300, r"too many nested parentheses"),
        ("return " + "-" * 5000 + "1", r"program\.py"),
    ],
)
def test_what_python_refuses_is_refused_with_its_line(new: str, words: str) -> None:
    text = "y = 2\n\n\ndef f():\n    return 1\n"
    text = text.replace("\n\n\ndef", "\n\ndef")
    problem = refused(text, "return 1", new)
    assert problem.kind == "syntax"
    assert re.search(words, str(problem)), str(problem)


# Markers

MARKED = """import numpy as np

LIMIT, HIGH = 5, 6


def evaluate(x):
    return helper(x)


# EVOLVE-BLOCK-START
RATE = 0.1


def helper(x):
    return RATE * x
# EVOLVE-BLOCK-END


def score(x):
    a = 1
    # EVOLVE-BLOCK-START
    a = a + 1
    # EVOLVE-BLOCK-END
    b = 2
    return a + b


if __name__ == "__main__":
    print(evaluate(1))
"""


def test_inside_a_block_everything_may_change() -> None:
    assert "RATE = 0.2\n" in changed(MARKED, "RATE = 0.1", "RATE = 0.2")
    assert "def other" in changed(
        MARKED, "def helper(x):\n    return RATE * x\n", "def other(y):\n    return 2\n\n\nhelper = other\n"
    )
    assert "    a = 5\n    if a:\n        a = 6\n" in changed(
        MARKED, "    a = a + 1\n", "    a = 5\n    if a:\n        a = 6\n"
    )
    assert "    # EVOLVE-BLOCK-START\n    # EVOLVE-BLOCK-END\n" in changed(MARKED, "    a = a + 1\n", "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # frozen lines changed, removed, moved, added
        ("return helper(x)", "return 1.0"),
        ("import numpy as np\n", ""),
        ("    b = 2\n    return a + b", "    return a + b\n    b = 2"),
        ("    b = 2\n", "    b = 2\n    b = 3\n"),
        ("# EVOLVE-BLOCK-END\n\n\ndef score", "# EVOLVE-BLOCK-END\ny = 1\n\n\ndef score"),
        # markers moved, removed, added
        ("RATE = 0.1\n", "RATE = 0.1\n# EVOLVE-BLOCK-END\n# EVOLVE-BLOCK-START\n"),
        ("RATE = 0.1\n", "RATE = 0.1\n# EVOLVE-BLOCK-START\n"),
        ("    return RATE * x\n# EVOLVE-BLOCK-END\n", "    return RATE * x\n"),
        ("    return RATE * x\n# EVOLVE-BLOCK-END\n", "# EVOLVE-BLOCK-END\n    return RATE * x\n"),
        # a block that reaches out for the frozen lines behind it
        ("    return RATE * x\n", "    return RATE * x\n@print\n"),
        ("    return RATE * x\n", "    return RATE * x\nif False:\n"),
        ("    a = a + 1\n", "    a = a + 1\n    if False:\n"),
        ("    a = a + 1\n", "    a = a + 1\n    def g():\n        pass\n    '''\n"),
        ("    a = a + 1\n", "    a = a + 1\n    return 3\ndef other():\n    a = 1\n"),
        ("    a = a + 1\n", "    if a:\n      a = 3\n      '''\n"),
        ("    a = a + 1\n", "    a = (\n"),
        ("    a = a + 1\n", "    a = 1 + \\\n"),
    ],
)
def test_frozen_lines_keep_their_bytes_and_their_place(old: str, new: str) -> None:
    assert refused(MARKED, old, new).kind in ("frozen", "syntax")


def marked(before: str, inside: str, after: str, indent: str = "") -> str:
    """A file with one block."""
    return f"{before}{indent}# EVOLVE-BLOCK-START\n{inside}{indent}# EVOLVE-BLOCK-END\n{after}"


FUNCTION = marked("def f(x):\n", "    x = 1\n", "    return x\n", "    ")
HEADER = marked("", "def f(x):\n    y = 1\n", "    return y\n")
CLASS = marked("class A:\n", "    x = 1\n", "    def f(self): return 1\n", "    ")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        # the frozen line becomes the last one of a compound statement
        (FUNCTION, "    x = 1\n", "    x = 1\ndef g(x):\n    x = 2\n"),
        (FUNCTION, "    x = 1\n", "    x = 1\nclass G:\n    def g():\n     '''a'''\ndef h():\n    pass\n"),
        (CLASS, "    x = 1\n", "    x = 1\nclass B:\n    y = 1\n"),
        # into another branch of a frozen statement
        *(
            (
                marked(f"{head}:\n", "    a = 1\n", f"    b = 2\n{tail}", "    "),
                "    a = 1\n",
                f"    a = 1\n{branch}:\n    a = 3\n",
            )
            for head, branch, tail in [
                ("if x", "else", ""),
                ("if x", "elif y", ""),
                ("if x", "while 0", ""),
                ("for i in x", "else", ""),
                ("try", "except", "finally:\n    pass\n"),
            ]
        ),
        # out of a list, a call or a string
        (marked("C = [\n", "    1,\n", "]\n"), "    1,\n", "    1]\nimport os\nD = [2,\n"),
        (marked("C = f(\n", "    1,\n", "k=2)\n"), "    1,\n", "    1) or g(\n"),
        (marked("P = '''\n", "text\n", "'''\n"), "text\n", "''' + '''\n"),
        (marked("P = f'''{a}\n", "text\n", "'''\n"), "text\n", "''' + f'''\n"),
        # a decorator for a frozen definition
        (CLASS, "    x = 1\n", "    x = 1\n    @property\n"),
        # a frozen body keeps its owner
        (HEADER, "def f(x):", "def g(x):"),
        (HEADER, "    y = 1\n", "    y = 1\n    if y:\n      pass\ndef k():\n    y = 2\n"),
    ],
)
def test_no_block_breaks_out(text: str, old: str, new: str) -> None:
    assert refused(text, old, new).kind == "frozen"


def test_no_string_over_two_blocks_swallows_the_frozen_lines_between() -> None:
    text = marked("", "a = 1\n", "b = 2\n") + marked("", "c = 3\n", "")
    one = genome(text)
    first, second = text.index("a = 1"), text.index("c = 3")
    for opening, closing in [("a = '''", "'''"), ("if 0:\n  a = '''", "'''"), ("a = f('''", "''')")]:
        edit = Edit(
            (
                Splice("program.py", first, first + 5, opening),
                Splice("program.py", second, second + 5, closing),
            ),
            "x",
        )
        with pytest.raises(EditRejected) as caught:
            apply_edit(one, edit, FREE)
        assert caught.value.kind == "frozen"


@pytest.mark.parametrize(
    "new",
    [
        "RATE = 0.1\nevaluate = helper = None",
        "RATE = 0.1\ndef evaluate(x): return 1",
        "RATE = 0.1\nfrom math import *",
        "RATE = 0.1\nimport m as evaluate",
        "RATE = 0.1\nfor evaluate in []: pass",
        "RATE = 0.1\nwith f() as (evaluate, b): pass",
        "RATE = 0.1\nif RATE:\n    evaluate = 1",
        "RATE = 0.1\ntry:\n    pass\nexcept E as evaluate:\n    pass",
        "RATE = [evaluate := 1]",
        "RATE = [(evaluate := i) for i in (1, 2)]",
        "RATE = 0.1\nmatch 1:\n    case evaluate: pass",
        "RATE = 0.1\ndel evaluate",
        "RATE = 0.1\ndef h():\n    global evaluate\n    evaluate = 1",
        "RATE = 0.1\nclass H:\n    def g(self):\n        global evaluate\n        def evaluate(): pass",
        "RATE = 0.1\nevaluate.__code__ = helper.__code__",
        "RATE = 0.1\ndef h(x=(evaluate := 2)): pass",
        "RATE = 0.1\nscore += 1",
        "RATE = 0.1\nLIMIT = 9",
        "RATE = 0.1\nLIMIT += 9",
        "RATE = 0.1\ndef h():\n    global HIGH\n    HIGH = 1",
    ],
)
def test_a_block_binds_no_frozen_name_anew(new: str) -> None:
    assert refused(MARKED, "RATE = 0.1", new).kind == "frozen"


def test_the_main_block_is_never_changed() -> None:
    text = 'x = 1\nif __name__ == "__main__":\n    print(x)\n'
    for old, new in [("print(x)", "print(2)"), ("    print(x)\n", "    print(x)\n    y = 1\n")]:
        problem = refused(text, old, new)
        assert problem.kind == "frozen"
        assert "keep it as it is" in str(problem)
    assert refused("x = 1\n", "x = 1\n", "x = 1\nif '__main__' == __name__: x = 2\n").kind == "frozen"
    assert changed(text, "x = 1", "x = 3") == text.replace("1", "3")


# Frozen genes

GENES = """RATE = 1


def f(x):
    return x


class Net:
    size = 1

    def go(self):
        return 1


# about g
def g(x):
    return 2 * x
"""


@pytest.mark.parametrize("frozen", ["program.py::f", "f"])
def test_frozen_genes_stay_to_the_byte(frozen: str) -> None:
    rules = FrozenRules(frozen=(frozen,))
    for old, new in [
        ("    return x\n", "    return x + 1\n"),
        ("def f(x):", "def f(x):  # what"),
        ("RATE = 1\n\n\n", "RATE = 2\n\n\n# new\n"),
        ("def f(x):\n    return x\n", ""),
        ("RATE = 1", "RATE = 1\nf = 2"),
        ("class Net:", "@f\nclass Net:\n    def f(self): pass\nfrom m import *\nclass O:"),
    ]:
        problem = refused(GENES, old, new, rules)
        assert problem.kind == "frozen", new
    assert "return 3 * x" in changed(GENES, "return 2 * x", "return 3 * x", rules)
    assert "\n\n\n\ndef h" in changed(GENES, "class Net:", "\n\ndef h(): pass\n\n\nclass Net:", rules)


def test_a_frozen_class_is_frozen_with_its_methods_and_a_method_alone_too() -> None:
    whole, one = FrozenRules(frozen=("program.py::Net",)), FrozenRules(frozen=("program.py::Net.go",))
    assert refused(GENES, "size = 1", "size = 2", whole).kind == "frozen"
    assert refused(GENES, "        return 1", "        return 2", whole).kind == "frozen"
    assert refused(GENES, "        return 1", "        return 2", one).kind == "frozen"
    assert refused(GENES, "RATE = 1", "RATE = 1\nclass Net: pass", one).kind == "frozen"
    assert refused(GENES, "# about g\n", "Net.go = f\n# about g\n", one).kind == "frozen"
    assert "size = 2" in changed(GENES, "size = 1", "size = 2", one)


def test_a_frozen_file_is_frozen_as_a_whole() -> None:
    assert refused(GENES, "RATE = 1", "RATE = 2", FrozenRules(frozen=("program.py",))).kind == "frozen"


# Protected names


def protect(*names: str) -> FrozenRules:
    return FrozenRules(protected=names)


def test_a_protected_body_may_change() -> None:
    assert "return x + 1" in changed(GENES, "    return x\n", "    return x + 1\n", protect("f", "Net.go"))
    assert "@cache" in changed(GENES, "def f(x)", "@cache\ndef f(x)", protect("f"))


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("def f(x):", "def f(y):", "signature"),
        ("def f(x):", "def f(x, y):", "signature"),
        ("def f(x):", "def f(x, y=1):", "signature"),
        ("def f(x):", "def f(x=1):", "signature"),
        ("def f(x):", "def f(x, /):", "signature"),
        ("def f(x):", "def f(*, x):", "signature"),
        ("def f(x):", "def f(*x):", "signature"),
        ("def f(x):", "def f(x, **k):", "signature"),
        ("def f(x):", "async def f(x):", "signature"),
        ("def f(x):", "@staticmethod\ndef f(x):", "signature"),
        ("def f(x):", "@contextlib.contextmanager\ndef f(x):", "signature"),
        ("    return x\n", "    yield x\n", "signature"),
        ("def f(x):\n    return x\n", "f = lambda y: y\n", "signature"),
        ("def f(x):\n    return x\n", "class f:\n    pass\n", "signature"),
        ("def f(x):\n    return x\n", "f = g\n", "signature"),
        ("def f(x):\n    return x\n", "", "protected"),
        ("def f(x):", "def F(x):", "protected"),
        ("RATE = 1", "f = 1", "protected"),
        ("# about g\n", "f = None\n", "protected"),
        ("# about g\n", "def f(x): pass\n", "protected"),
        ("# about g\n", "if RATE:\n    def f(x): pass\n", "protected"),
        ("# about g\n", "f.__defaults__ = (1,)\n", "protected"),
        ("# about g\n", "def h():\n    global f\n    f = 1\n", "protected"),
        ("        return 1", "        return 1\n    go = 2", "protected"),
        ("    def go(self):", "    def go(self, x):", "signature"),
        ("    def go(self):", "    @property\n    def go(self):", "signature"),
        ("class Net:", "class Other:", "protected"),
        ("# about g\n", "Net.go = f\n", "protected"),
        ("# about g\n", "class Net: pass\n", "protected"),
        ("# about g\n", "from m import *\n", "protected"),
    ],
)
def test_protected_names_are_bound_once_and_keep_their_parameters(old: str, new: str, kind: str) -> None:
    problem = refused(GENES, old, new, protect("f", "Net.go"))
    assert problem.kind == kind
    assert re.search(r"\b(f|Net\.go)\b", str(problem))


def test_defaults_may_change_and_their_number_may_not() -> None:
    text = "def f(x, n=1, *, k=2, m):\n    return x\n"
    assert "n=5, *, k=6" in changed(text, "n=1, *, k=2", "n=5, *, k=6", protect("f"))
    assert refused(text, "k=2", "k", protect("f")).kind == "signature"
    problem = refused(text, "n=1", "n", protect("f"))
    assert "is called as def(x, n=, *, k=, m) and must stay callable that way" in str(problem)


def test_protected_names_of_other_files() -> None:
    one = Genome((("a.py", "def f(x): pass\n"), ("net/b.py", "class Net:\n    def go(self): pass\n")))
    rules = protect("f", "net/b.py::Net.go")
    with pytest.raises(EditRejected, match=r"net/b\.py: Net\.go is called as"):
        apply_edit(one, swap(one, "go(self)", "go(self, x)", "net/b.py"), rules)
    assert apply_edit(one, swap(one, "go(self): pass", "go(self): return 1", "net/b.py"), rules)


# Imports


FUTURE = "from __future__ import annotations"


def with_import(text: str, *statements: str) -> str:
    one = genome(text)
    wanted = tuple(("program.py", statement) for statement in statements)
    return apply_edit(one, Edit((), "x", wanted), FREE).text("program.py")


@pytest.mark.parametrize(
    ("text", "statement", "expected"),
    [
        ("x = 1\n", "import a", "import a\nx = 1\n"),
        ('"""Doc."""\nx = 1\n', "import a", '"""Doc."""\nimport a\nx = 1\n'),
        ("import b\nx = 1\n", "import a", "import b\nimport a\nx = 1\n"),
        (f"{FUTURE}\n", "import a", f"{FUTURE}\nimport a\n"),
        ("import b\n", FUTURE, "from __future__ import annotations\nimport b\n"),
        ("'''d'''\nimport b\n", FUTURE, "'''d'''\nfrom __future__ import annotations\nimport b\n"),
        ("import b\r\nx = 1\r\n", "import a", "import b\r\nimport a\r\nx = 1\r\n"),
        ("\ufeffx = 1\n", "import a", "\ufeffimport a\nx = 1\n"),
        ("#!/bin/python\n# on f\ndef f(): pass\n", "import a", "#!/bin/python\nimport a\n# on f\ndef f(): pass\n"),
        ("import b", "import a", "import b\nimport a\n"),
        ("", "import a", "import a\n"),
        ("import b, c\nx = 1\n", "import c, a", "import b, c\nimport a\nx = 1\n"),
        ("from b import c\nx = 1\n", "from b import c, d as e", "from b import c\nfrom b import d as e\nx = 1\n"),
        ("import numpy\nx = 1\n", "import numpy as np", "import numpy\nimport numpy as np\nx = 1\n"),
        ("from . import b\nx = 1\n", "from .. import b", "from . import b\nfrom .. import b\nx = 1\n"),
        (MARKED, "import a", MARKED.replace("# EVOLVE-BLOCK-START\nRATE", "# EVOLVE-BLOCK-START\nimport a\nRATE")),
        (
            "def f(x):\n    # EVOLVE-BLOCK-START\n    y = 1\n    # EVOLVE-BLOCK-END\n    return x\n",
            "import a",
            "def f(x):\n    # EVOLVE-BLOCK-START\n    import a\n    y = 1\n    # EVOLVE-BLOCK-END\n    return x\n",
        ),
    ],
)  # fmt: skip
def test_imports_go_to_the_first_evolvable_place(text: str, statement: str, expected: str) -> None:
    assert with_import(text, statement) == expected


def test_imports_that_find_no_place_or_are_none_are_refused() -> None:
    for statement, kind in [("x = 1", "syntax"), ("import", "syntax"), ("", "syntax")]:
        with pytest.raises(EditRejected) as caught:
            with_import("x = 1\n", statement)
        assert caught.value.kind == kind
    with pytest.raises(EditRejected, match="first lines, which are frozen"):
        with_import(MARKED, "from __future__ import annotations")
    one = genome("x = 1\n")
    with pytest.raises(EditRejected, match="no evolvable place"):
        apply_edit(one, Edit((), "x", (("program.py", "import a"),)), FrozenRules(frozen=("program.py",)))


def test_an_import_and_a_splice_meet_at_one_place() -> None:
    one = genome("x = 1\n")
    edit = Edit(
        (Splice("program.py", 0, 0, "import b\n"),),
        "x",
        (("program.py", "import a"), ("program.py", "import b")),
    )
    assert apply_edit(one, edit, FREE).text("program.py") == "import b\nimport a\nx = 1\n"


# What can change


def test_spans_and_genes_that_can_change() -> None:
    one = genome(MARKED)
    spans = evolvable_spans(one, "program.py", FREE)
    assert [MARKED[first:end] for first, end in spans] == [
        "RATE = 0.1\n\n\ndef helper(x):\n    return RATE * x\n",
        "    a = a + 1\n",
    ]
    assert evolvable_genes(one, FREE) == {
        "program.py::<after evaluate>": False,
        "program.py::helper": True,
        "program.py::score": False,
    }
    two = Genome((("program.py", GENES), ("b.json", "{}")))
    rules = FrozenRules(frozen=("Net", "b.json"))
    assert evolvable_genes(two, rules) == {
        "program.py::<head>": True,
        "program.py::f": True,
        "program.py::g": True,
    }
    assert evolvable_spans(two, "b.json", rules) == ()
    main = genome('x = 1\nif __name__ == "__main__":\n    x = 2\ny = 3\n')
    assert evolvable_spans(main, "program.py", FREE) == ((0, 6), (43, 49))


def test_markers_without_a_partner_freeze_what_they_must() -> None:
    def free(text: str) -> list[str]:
        return [text[first:end] for is_free, (first, end) in segments(text) if is_free]

    assert free("a\n# EVOLVE-BLOCK-START\nb\n") == ["b\n"]
    assert free("a\n# EVOLVE-BLOCK-END\nb\n") == []
    assert free("# EVOLVE-BLOCK-START\nb\n# EVOLVE-BLOCK-START\nc\n# EVOLVE-BLOCK-END\n") == ["b\n", "c\n"]


INSERTED = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "    x = 1",
            "        x = 1",
            "if False:",
            "    if False:",
            "'''",
            "(",
            ")",
            "]",
            "@d",
            "def f():",
            "\\",
            "    def f():",
            "else:",
            "    else:",
            "return",
            "    return 1",
            "class A:",
            "",
            "# EVOLVE-BLOCK-END",
            "global b",
            "    del b",
            "    evaluate = 2",
            "try:",
            "except E:",
            "    pass",
            "lambda: (",
            "f'''{",
            "a = [",
            "\t",
            "\x0c",
        ]
    ),
    max_size=5,
)


@given(INSERTED, INSERTED)
@settings(max_examples=400, deadline=None)
def test_whatever_is_put_into_blocks_the_frozen_functions_stay_as_they_are(
    first: list[str], second: list[str]
) -> None:
    start, end = MARKED.index("RATE = 0.1"), MARKED.index("# EVOLVE-BLOCK-END")
    start2, end2 = MARKED.index("    a = a + 1"), MARKED.rindex("    # EVOLVE-BLOCK-END")
    edit = Edit(
        (
            Splice("program.py", start, end, "".join(line + "\n" for line in first)),
            Splice("program.py", start2, end2, "".join(line + "\n" for line in second)),
        ),
        "x",
    )
    try:
        child = apply_edit(genome(MARKED), edit, FREE).text("program.py")
    except EditRejected:
        return
    functions = {node.name: node for node in ast.parse(child).body if isinstance(node, ast.FunctionDef)}
    assert ast.unparse(functions["evaluate"]) == "def evaluate(x):\n    return helper(x)"
    statements = [ast.unparse(node) for node in functions["score"].body]
    assert statements[0] == "a = 1"
    assert statements[-2:] == ["b = 2", "return a + b"]
    assert child.count("EVOLVE-BLOCK") == 4
