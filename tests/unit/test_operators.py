"""Syntactic operators: what they change, what they leave alone, and that their children still make sense."""

from __future__ import annotations

import ast
import contextlib
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from guided_evolution.edit import Edit, FrozenRules, apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.genome import Genome, gene_diff
from guided_evolution.operators import Operator, builtin_operators
from guided_evolution.operators.blend import blended
from guided_evolution.operators.constant import changed_number
from guided_evolution.operators.families import FAMILIES, others
from guided_evolution.operators.sites import gene_sites
from guided_evolution.seed import load_seed

FREE = FrozenRules()
OPERATORS = builtin_operators()


def genome(text: str, path: str = "program.py") -> Genome:
    return Genome(((path, text),))


class NoOp(Exception):
    pass


def applied(parent: Genome, edit: Edit, rules: FrozenRules) -> Genome:
    """The child; every refusal but a no-op is a fault of the operator."""
    try:
        return apply_edit(parent, edit, rules)
    except EditRejected as rejection:
        if rejection.kind == "no-op":
            raise NoOp from rejection
        raise


def proposals(
    operator: str, *parents: Genome, rules: FrozenRules = FREE, count: int = 80
) -> Iterator[tuple[Edit, Genome]]:
    for number in range(count):
        edit = OPERATORS[operator].propose(parents, rules, random.Random(number))
        with contextlib.suppress(NoOp):
            yield edit, applied(parents[0], edit, rules)


def children(operator: str, *texts: str, rules: FrozenRules = FREE, count: int = 80) -> set[str]:
    parents = [genome(text) for text in texts]
    return {child.text("program.py") for _, child in proposals(operator, *parents, rules=rules, count=count)}


def without(text: str) -> None:
    """Assert that no operator with one parent finds anything in it."""
    for operator in ("constant", "operator", "function", "statement"):
        with pytest.raises(EditRejected) as caught:
            OPERATORS[operator].propose([genome(text)], FREE, random.Random(1))
        assert caught.value.kind == "no-site"


def test_names_and_order_are_fixed() -> None:
    assert list(OPERATORS) == [
        "constant",
        "operator",
        "function",
        "statement",
        "crossover",
        "again",
    ]
    assert [operator.parents for operator in OPERATORS.values()] == [1, 1, 1, 1, 2, 3]
    for name, operator in OPERATORS.items():
        known: Operator = operator
        assert known.name == name


def test_libcst_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys, guided_evolution.operators as o; o.builtin_operators(); print('libcst' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_same_random_numbers_give_the_same_edit() -> None:
    seed = genome(load_seed("mnist1d").program["program.py"].decode())
    donor = next(child for _, child in proposals("constant", seed))
    for name, operator in OPERATORS.items():
        parents = [[seed], [seed, donor], [donor, donor, seed]][operator.parents - 1]
        if name == "crossover":
            parents[1] = apply_edit(
                donor, OPERATORS["operator"].propose([donor], FREE, random.Random(2)), FREE
            )
        first, second = (operator.propose(parents, FREE, random.Random("7/3/edit")) for _ in range(2))
        assert first == second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import numpy as np\n",
        "def f(x):\n    return x\n",
        "def f():\n    'doc'\n    return None\n",
        "class A:\n    '''doc'''\n",
        "x: int = f'{y:3}'\n",
        "def f(x=\n",
        "if __name__ == '__main__':\n    x = 1 + 2\n    x = min(x, 3)\n",
    ],
)
def test_where_nothing_can_change_there_is_no_site(text: str) -> None:
    without(text)


def test_files_that_are_not_python_are_left_alone() -> None:
    one = Genome((("data.json", '{"a": 1}'), ("program.py", "x = 1\n")))
    for _, child in proposals("constant", one):
        assert child.text("data.json") == '{"a": 1}'


# Constants


def test_numbers_keep_their_type_and_their_sign_mostly() -> None:
    rng = random.Random(3)
    for text, kind in [
        ("3", int),
        ("0", int),
        ("-7", int),
        ("0.5", float),
        ("1e-4", float),
        ("-2.0", float),
        ("0.0", float),
    ]:
        values = [ast.literal_eval(changed_number(text, 0.1, rng)) for _ in range(300)]
        old = ast.literal_eval(text)
        assert {type(value) for value in values} == {kind}
        assert all(value != old for value in values)
        if old:
            assert sum(value * old >= 0 for value in values) > 250


def test_small_steps_are_small_and_large_ones_happen() -> None:
    rng = random.Random(3)
    small = [abs(float(changed_number("10.0", 0.02, rng)) / 10 - 1) for _ in range(500)]
    assert sorted(small)[int(500 * 0.9)] < 0.05
    assert len(set(small)) > 400
    texts = children("constant", "RATE = 10.0\n", count=400)
    ratios = [abs(float(text.split("=")[1]) / 10) for text in texts]
    assert sum(abs(ratio - 1) < 0.05 for ratio in ratios) > 80
    assert sum(abs(ratio - 1) > 0.5 for ratio in ratios) > 15


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("True", {"False"}),
        ("0", {"1", "2", "-1"}),
        ("1", {"0", "2", "-1"}),
        ("0x10", None),
        ("1_000", None),
        ("1e400", {"1.0"}),
        (str(10**40), None),
        ("5e-324", None),
        ("1.7e308", None),
    ],
)
def test_odd_numbers_stay_numbers(text: str, allowed: set[str] | None) -> None:
    for number in range(100):
        new = changed_number(text, 0.02, random.Random(number))
        assert ast.literal_eval(new) is not None
        assert "inf" not in new
        assert new != text
        if allowed is not None:
            assert new in allowed
        if text == "0x10":
            assert new.startswith(("0x", "-0x"))


def test_several_numbers_of_one_list_change_together() -> None:
    edits = [
        edit for edit, _ in proposals("constant", genome("A = [1.0, 2.0, 3.0, 4.0]\nB = 5\n"), count=200)
    ]
    sizes = Counter(len(edit.splices) for edit in edits)
    assert sizes[1] > 80
    assert sizes[2] > 10
    assert sizes[3] > 5


def test_an_axis_is_changed_less_often_than_a_rate() -> None:
    text = "def f(x):\n    return 0.5 * x.mean(axis=1)[:, 2]\n"
    edits = [edit for edit, _ in proposals("constant", genome(text), count=200)]
    rates = sum(any("0.5 ->" in part for part in edit.summary.split("; ")) for edit in edits)
    assert rates > 120


def test_numbers_in_annotations_imports_and_f_strings_stay() -> None:
    assert [number.text for number in gene_sites("x: A[1] = 2\ny = f'{3}'\nz = -4\n").numbers] == ["2", "-4"]


# Operators


def test_operators_change_within_their_family() -> None:
    assert children("operator", "x = a + b\n") == {"x = a - b\n", "x = a * b\n"}
    assert children("operator", "x = a - b\n") == {"x = a + b\n", "x = a * b\n", "x = b - a\n"}
    assert children("operator", "x = a and b\n") == {"x = a or b\n"}
    assert children("operator", "x = a not in b\n") == {"x = a in b\n"}
    assert children("operator", "x += a\n") == {"x -= a\n", "x *= a\n"}
    assert children("operator", "x = a < b\n") == {f"x = a {other} b\n" for other in ("<=", ">", ">=", "!=")}
    assert children("operator", "x = (a + 1) / (b - 2)\n") >= {
        "x = (b - 2) / (a + 1)\n",
        "x = (a + 1) * (b - 2)\n",
    }


@pytest.mark.parametrize(
    "text", ["x = 'a' + b\n", "x = 'a%s' % b\n", "x = [a] + b\n", "x = a @ b\n", "x = -a\n"]
)
def test_operators_on_texts_and_lists_stay(text: str) -> None:
    with pytest.raises(EditRejected, match="holds no place to change: not an operator"):
        OPERATORS["operator"].propose([genome(text)], FREE, random.Random(1))


# Functions


@pytest.mark.parametrize(
    ("call", "expected", "never"),
    [
        ("np.tanh(x)", {"sin", "arctan"}, {"maximum", "relu"}),
        ("x.mean(axis=0, keepdims=True)", {"sum", "max", "min", "std"}, {"median"}),
        ("np.mean(x, axis=0)", {"median", "max"}, {"argmax"}),
        ("torch.relu(x)", {"tanh", "sigmoid"}, {"gelu"}),
        ("F.relu(x)", {"gelu", "silu"}, set()),
        ("F.relu(x, inplace=True)", {"silu"}, {"gelu"}),
        ("nn.ReLU()", {"GELU", "Tanh"}, set()),
        ("nn.ReLU(inplace=True)", {"SiLU"}, {"GELU", "Tanh"}),
        ("torch.optim.SGD(p, lr=0.1)", {"Adam", "RMSprop"}, set()),
        ("torch.optim.SGD(p, lr=0.1, momentum=0.9)", {"RMSprop"}, {"Adam"}),
        ("nn.init.kaiming_normal_(w)", {"xavier_uniform_", "orthogonal_"}, set()),
        ("np.zeros((3, 4))", {"ones"}, set()),
        ("rng.standard_normal((3, 4))", {"random"}, {"normal"}),
        ("self.rng.normal(0.0, 1.0, 3)", {"laplace", "uniform"}, set()),
        ("min(a, b)", {"max"}, {"sum"}),
        ("sum(a)", {"max", "min"}, set()),
        ("math.sqrt(a)", {"log1p", "tanh"}, set()),
        ("h.argmax(axis=1)", {"argmin"}, set()),
    ],
)
def test_functions_change_within_their_family(call: str, expected: set[str], never: set[str]) -> None:
    texts = children("function", f"x = {call}\n", count=300)
    function = call.partition("(")[0].rpartition(".")[2]
    head, tail = f"x = {call}\n".split(f"{function}(", 1)
    found = {text.removeprefix(head).removesuffix(f"({tail}") for text in texts}
    assert expected <= found
    assert not never & found


def test_calls_of_unknown_functions_stay() -> None:
    for call in ("print(x)", "train(x)", "np.dot(a, b)", "f(x)(y)", "min(*a)", "np.tanh(x, out=y)(1)"):
        if call.startswith("np.tanh"):
            continue
        with pytest.raises(EditRejected, match="not a call of a known family"):
            OPERATORS["function"].propose([genome(f"x = {call}\n")], FREE, random.Random(1))


def test_families_are_sound() -> None:
    for family in FAMILIES:
        assert len(set(family.names)) == len(family.names) > 1
        assert set(family.keywords) <= set(family.names)
    assert others("np", "tanh", 1, (), True) == ()


# Statements

BODY = """def f(x, y):
    '''doc'''
    z = x + 1
    x = x * 2
    z = z + x
    y.append(z)
    for i in y:
        x += i
    return x + z
"""


def test_statements_are_deleted_repeated_and_moved() -> None:
    edits = [
        (edit, child.text("program.py")) for edit, child in proposals("statement", genome(BODY), count=300)
    ]
    kinds = Counter(edit.summary.split(": ", 1)[1].split()[0] for edit, _ in edits)
    assert set(kinds) == {"delete", "repeat", "move"}
    for edit, text in edits:
        function = ast.parse(text).body[0]
        assert isinstance(function, ast.FunctionDef)
        assert ast.get_docstring(function) == "doc", edit
        assert isinstance(function.body[-1], ast.Return), edit
        assert sum(isinstance(node, ast.Return) for node in ast.walk(function)) == 1
        assert all(node.body for node in ast.walk(function) if isinstance(node, ast.For))
        assert "z = x + 1" in text, edit  # the only one that gives z a value


def test_every_statement_child_of_a_function_still_runs() -> None:
    for edit, child in proposals("statement", genome(BODY), count=300):
        scope: dict[str, object] = {}
        exec(child.text("program.py"), scope)
        scope["f"](3, [1, 2])  # type: ignore[operator]
        assert edit.summary.startswith("program.py::f: ")


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x\n",
        "def f(x):\n    y = x\n    return y\n",
        "def f(x):\n    if x: return 1\n    return 2\n",
        "import a\nX = 1\nY = X\n",
        "class A:\n    x = 1\n    def f(self): return 1\n",
        "try:\n    import a\nexcept ImportError:\n    a = None\n",
    ],
)
def test_statements_that_others_need_stay(text: str) -> None:
    with pytest.raises(EditRejected, match="not a statement that can go or move"):
        OPERATORS["statement"].propose([genome(text)], FREE, random.Random(1))


def test_what_a_loop_waits_for_stays_in_it() -> None:
    text = "def f(x):\n    while x:\n        x = x - 1\n        print(x)\n    return x\n"
    for child in children("statement", text):
        assert child.count("while x") == child.count("x = x - 1")


def test_statements_keep_line_ends_and_comments() -> None:
    text = "def f(x):\r\n    x += 1  # one\r\n    x *= 2\r\n    return x\r\n"
    for child in children("statement", text):
        assert "\n" not in child.replace("\r\n", "")
    assert "def f(x):\r\n    x *= 2\r\n    x += 1  # one\r\n    return x\r\n" in children("statement", text)


def test_methods_have_places_too() -> None:
    text = "class N:\n    def go(self, x):\n        x = x + 1\n        x = x * 2\n        return x\n\n    R = 0.5\n"
    assert any("x * 2\n        x = x + 1" in child for child in children("statement", text))
    assert any("x - 1" in child for child in children("operator", text))
    assert any("R = 0.5" not in child for child in children("constant", text))
    tabs = "class Net:\n\tdef go(self, x):\n\t\treturn 2 * x\n"
    assert "class Net:\n\tdef go(self, x):\n\t\treturn 2 + x\n" in children("operator", tabs)


def test_places_are_right_behind_wide_characters_and_a_byte_order_mark() -> None:
    assert children("operator", "\ufeffx = 'ü€𝄞', a and b\n") == {"\ufeffx = 'ü€𝄞', a or b\n"}
    wide = "class A:\n    # 𝄞\n    def f(self):\n        # ü\n        return 'é', a and b\n"
    assert children("operator", wide) == {wide.replace("and", "or")}


# Only what may change


MARKED = """X = 1.5


# EVOLVE-BLOCK-START
Y = 2.5


def f(x):
    x = x + 3.5
    x = np.tanh(x)
    return x
# EVOLVE-BLOCK-END


def g(x):
    a = 4.5
    a = a * 2.0
    # EVOLVE-BLOCK-START
    a = a + 5.5
    a = np.tanh(a)
    # EVOLVE-BLOCK-END
    a = a - 6.5
    return np.tanh(a)
"""


@pytest.mark.parametrize("operator", ["constant", "operator", "function", "statement"])
def test_only_evolvable_lines_change(operator: str) -> None:
    rules = FrozenRules(protected=("g",), frozen=("program.py::f",))
    made = 0
    for one, allowed in [(FREE, {"2.5", "3.5", "5.5"}), (rules, {"2.5", "5.5"})]:
        for edit, child in proposals(operator, genome(MARKED), rules=one, count=60):
            made += 1
            if operator == "constant":
                changed = {
                    part.split(" -> ")[0].split()[-1] for part in edit.summary.replace("; ", ", ").split(", ")
                }
                assert changed <= allowed
            assert child.text("program.py").count("EVOLVE-BLOCK") == 4
    assert made > 100


def test_a_protected_function_keeps_its_parameters_and_its_body_may_change() -> None:
    text = "def train(x, n=3):\n    x = x + 1\n    x = x * 2\n    return x\n"
    for operator in ("constant", "operator", "statement"):
        assert len(children(operator, text, rules=FrozenRules(protected=("train",)))) > 1


# Crossover

FIRST = """import numpy as np

RATE = 0.1
SIZE = 3


def f(x):
    return x * RATE


def g(x):
    return x + 1


class Net:
    def go(self, x):
        return f(x)

    def stop(self):
        return 1
"""
SECOND = """import numpy as np
import math

RATE = 0.2
SIZE = 4
SCALE = 2.0
SHIFT = SCALE + 1


def helper(x):
    return math.sqrt(x) * SHIFT


def f(x):
    return helper(x) * RATE


def g(x):
    return x + 1


class Net:
    def go(self, x):
        return self.extra(x)

    def extra(self, x):
        return 2

    def stop(self):
        return 2
"""


def test_crossover_takes_some_of_what_differs_and_what_it_depends_on() -> None:
    one, other = genome(FIRST), genome(SECOND)
    seen: Counter[str] = Counter()
    for edit, child in proposals("crossover", one, other, count=150):
        text = child.text("program.py")
        seen.update(edit.summary.removeprefix("program.py: ").split(", "))
        if "helper(x) * RATE" in text:
            for needed in ("import math\n", "def helper(x):\n", "SCALE = 2.0\n", "SHIFT = SCALE + 1\n"):
                assert text.count(needed) == 1
            assert text.index("SCALE = 2.0") < text.index("SHIFT =")
            scope: dict[str, object] = {}
            exec(text.replace("import numpy as np\n", ""), scope)
            assert scope["f"](4.0) > 0  # type: ignore[operator]
        if "self.extra" in text:
            assert "def extra" in text
        assert text not in (FIRST, SECOND)
        assert "def g(x):\n    return x + 1\n" in text
    assert {"RATE taken", "SIZE taken", "f taken"} <= set(seen)
    assert any("Net" in one for one in seen)


def test_crossover_swaps_methods_alone() -> None:
    base = FIRST.replace("return x * RATE", "return x * RATE - 1")
    donor = FIRST.replace("        return 1\n", "        return 2\n")
    texts = children("crossover", base, donor)
    assert base.replace("        return 1\n", "        return 2\n") in texts
    assert FIRST in texts  # `f` taken, so that only the method of the donor is missing


def test_crossover_of_functions_called_in_another_way_takes_the_callers_too() -> None:
    base = "A = 1\n\n\ndef f(x):\n    return x\n\n\ndef g(x):\n    return f(x)\n"
    donor = "A = 2\n\n\ndef f(x, y):\n    return x + y\n\n\ndef g(x):\n    return f(x, 1)\n"
    for child in children("crossover", base, donor):
        assert ("def f(x, y)" in child) == ("f(x, 1)" in child)


def test_where_only_one_gene_differs_its_versions_are_blended() -> None:
    assert children("crossover", "A = 1.0\nB = 2\n", "A = 2.0\nB = 2\n") == {
        f"A = {value}\nB = 2\n" for value in ("1.5", "1.25", "1.75", "2.5", "0.5")
    }
    with pytest.raises(
        EditRejected, match="differ in A alone, and its two versions can't be blended"
    ) as caught:
        OPERATORS["crossover"].propose([genome("A = 'x'\n"), genome("A = 'y'\n")], FREE, random.Random(1))
    assert caught.value.kind == "no-site"


def test_crossover_of_equal_parents_finds_nothing() -> None:
    for donor in (FIRST, FIRST.replace("RATE = 0.1", "RATE = 0.1  # the rate"), FIRST + "\n\nZ = 1\n"):
        with pytest.raises(EditRejected) as caught:
            OPERATORS["crossover"].propose([genome(FIRST), genome(donor)], FREE, random.Random(1))
        assert caught.value.kind == "no-site", donor


def test_crossover_leaves_frozen_genes() -> None:
    rules = FrozenRules(frozen=("RATE", "Net", "<head>"), protected=("f",))
    edits = list(proposals("crossover", genome(FIRST), genome(SECOND.replace("x + 1", "x + 2")), rules=rules))
    assert edits
    for _, child in edits:
        assert "RATE = 0.1\nSIZE = 3\n" in child.text("program.py")
        assert {"program.py::Net.go", "program.py::Net.stop"}.isdisjoint(
            gene_diff(genome(FIRST), child).changed
        )


def test_crossover_keeps_line_ends_and_other_files() -> None:
    base = Genome((("program.py", FIRST.replace("\n", "\r\n")), ("b.txt", "1")))
    donor = Genome((("program.py", SECOND), ("b.txt", "2")))
    for _, child in proposals("crossover", base, donor):
        assert "\n" not in child.text("program.py").replace("\r\n", "")
        assert child.text("b.txt") == "1"


def test_blending_takes_some_of_the_lines() -> None:
    rng = random.Random(1)
    mixed = {blended("a\nb\nc\nd\ne\n", "A\nb\nC\nd\nE\n", rng) for _ in range(100)}
    assert mixed == {
        "A\nb\nc\nd\ne\n",
        "a\nb\nC\nd\ne\n",
        "a\nb\nc\nd\nE\n",
        "A\nb\nC\nd\ne\n",
        "A\nb\nc\nd\nE\n",
        "a\nb\nC\nd\nE\n",
    }
    assert blended("a\n", "b\n", rng) is None


# Whole lineages


@pytest.mark.parametrize("name", ["mnist1d", "bin_packing"])
def test_lineages_stay_valid_and_within_the_rules(name: str) -> None:
    seed = load_seed(name)
    rules = FrozenRules(seed.protected, seed.frozen, seed.limits.program_kb)
    first = Genome.split(seed.program)
    population = [first]
    rng = random.Random(name)
    refused: Counter[str] = Counter()
    for _ in range(150):
        operator = OPERATORS[rng.choice(list(OPERATORS))]
        parents = [rng.choice(population) for _ in range(operator.parents)]
        try:
            child = apply_edit(parents[0], operator.propose(parents, rules, rng), rules)
        except EditRejected as rejection:
            refused[rejection.kind] += 1
            continue
        compile(child.text("program.py"), "program.py", "exec")
        population.append(child)
    assert len(population) > 120, refused
    assert set(refused) <= {"no-op", "no-site"}
    assert len({one.fingerprint for one in population}) > 100
