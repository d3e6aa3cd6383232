"""What models write, and the edit that it means: literal replies, literal changes."""

from __future__ import annotations

import ast
import random
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guided_evolution.edit import apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome, unified_diff
from guided_evolution.replies import read_reply

PROGRAM = '''"""A toy."""

import math

START = 3.0
STEP = 0.5


# improves a bit
def improve(x):
    """One step."""
    x = x - STEP * x
    return x


class Net:
    """A net."""

    size = 4

    def __init__(self, a):
        self.a = a

    def forward(self, x):
        for _ in range(3):
            x = x * self.a
        return x


class Other:
    def backward(self, x):
        return x


def solve():
    x = START
    for _ in range(3):
        x = improve(x)
    return Net(2).forward(x)


if __name__ == "__main__":
    print(solve())
'''
RULES = FrozenRules(protected=("solve",))
FENCE = "```"


def genome(program: str = PROGRAM) -> Genome:
    return Genome.split({"program.py": program.encode()})


def changes(reply: str, program: str = PROGRAM, rules: FrozenRules = RULES, **how: bool) -> list[str]:
    """The lines that the reply takes away and adds, blank ones left out."""
    old = genome(program)
    new = apply_edit(old, read_reply(reply, old, rules, **how), rules)
    lines = unified_diff(old, new).splitlines()[2:]
    return [line for line in lines if line.startswith(("-", "+")) and line[1:].strip()]


def refusal(reply: str, program: str = PROGRAM, rules: FrozenRules = RULES, **how: bool) -> tuple[str, str]:
    with pytest.raises(EditRejected) as caught:
        changes(reply, program, rules, **how)
    return caught.value.kind, str(caught.value)


def python(code: str) -> str:
    return f"{FENCE}python\n{code}\n{FENCE}"


def block(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


BIGGER = ["-STEP = 0.5", "+STEP = 0.7"]


@pytest.mark.parametrize(
    "reply",
    [
        "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> REPLACE",
        "Sure!\n\n```python\n<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> REPLACE\n```\nThat helps.",
        "<<<<<<< SEARCH\r\nSTEP = 0.5\r\n=======\r\nSTEP = 0.7\r\n>>>>>>> REPLACE\r\n",
        "program.py\n<<<<<<< SEARCH\n```python\nSTEP = 0.5\n```\n=======\n```python\nSTEP = 0.7\n```\n>>>>>>> REPLACE",
        "<<<< SEARCH program.py\nSTEP = 0.5   \n====\nSTEP = 0.7\n>>>> REPLACE",
        "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n",
        "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n```",
        "<<<<<<< ORIGINAL\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> UPDATED",
        "<<<<<<< SEARCH\nSTEP = 0.5\n>>>>>>> SEARCH\n<<<<<<< REPLACE\nSTEP = 0.7\n>>>>>>> REPLACE",
        "------- SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n+++++++ REPLACE",
        "<<<<<<< SEARCH\n\nSTEP  =  0.5\n\n=======\n\nSTEP = 0.7\n\n>>>>>>> REPLACE",
        "    <<<<<<< SEARCH\n    STEP = 0.5\n    =======\n    STEP = 0.7\n    >>>>>>> REPLACE",
        "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> REPLACE\n" * 2,
        "<<<<<<< SEARCH\n0.5\n=======\n0.7\n>>>>>>> REPLACE",
        python("STEP = 0.7"),
        "~~~py\nSTEP = 0.7\n~~~",
        "````\nSTEP = 0.7\n````",
        "1. First:\n\n   ```python\n   STEP = 0.7\n   ```",
        "```python\nSTEP = 0.7",
        "````markdown\nHere it is:\n```python\nSTEP = 0.7\n```\n````",
        "<think>\n```python\nSTEP = 99\n```\n</think>\n" + python("STEP = 0.7"),
        "Let me see. STEP = 99?\n</think>\n" + python("STEP = 0.7"),
        "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>" + python("STEP = 0.7"),
        "```diff\n--- a/program.py\n+++ b/program.py\n@@ -5,3 +5,3 @@\n START = 3.0\n-STEP = 0.5\n+STEP = 0.7\n```",
        "--- program.py\n+++ program.py\n@@\n-STEP = 0.5\n+STEP = 0.7\n",
        python("# the old one:\nSTEP = 0.5") + "\nbecomes\n" + python("STEP = 0.7"),
        "Run it:\n```bash\npython program.py\n```\n" + python("STEP = 0.7") + "\n```text\n1.0\n```",
    ],
)
def test_one_change_in_many_spellings(reply: str) -> None:
    assert changes(reply) == BIGGER


def test_one_reply_changes_five_genes_adds_an_import_and_renames_a_class() -> None:
    reply = """I rename the net and let it learn.
<<<<<<< SEARCH
import math
=======
import math
import random
>>>>>>> REPLACE
<<<<<<< SEARCH
class Net:
    \"\"\"A net.\"\"\"
=======
class Web:
    \"\"\"A web.\"\"\"
>>>>>>> REPLACE
<<<<<<< SEARCH
        self.a = a
=======
        self.a = a + random.random()
>>>>>>> REPLACE
<<<<<<< SEARCH
    def backward(self, x):
        return x
=======
    def backward(self, x):
        return -x
>>>>>>> REPLACE
<<<<<<< SEARCH
    return Net(2).forward(x)
=======
    return Web(2).forward(math.cos(x))
>>>>>>> REPLACE
<<<<<<< SEARCH
    x = x - STEP * x
=======
    x = x - STEP * x * x
>>>>>>> REPLACE"""
    assert changes(reply) == [
        "+import random",
        "-    x = x - STEP * x",
        "+    x = x - STEP * x * x",
        "-class Net:",
        '-    """A net."""',
        "+class Web:",
        '+    """A web."""',
        "-        self.a = a",
        "+        self.a = a + random.random()",
        "-        return x",
        "+        return -x",
        "-    return Net(2).forward(x)",
        "+    return Web(2).forward(math.cos(x))",
    ]


def test_the_same_in_whole_genes() -> None:
    code = """import random

START = 2.0

class Web:
    def forward(self, x):
        return x

del Net

def improve(x):
    return x - random.random()

def Other.backward(self, x):
    return -x

def solve():
    return Web().forward(improve(START))"""
    child = apply_edit(genome(), read_reply(python(code), genome(), RULES), RULES)
    expected = '''"""A toy."""

import math
import random

START = 2.0
STEP = 0.5


class Web:
    def forward(self, x):
        return x


# improves a bit
def improve(x):
    return x - random.random()


class Other:
    def backward(self, x):
        return -x


def solve():
    return Web().forward(improve(START))


if __name__ == "__main__":
    print(solve())
'''
    assert child.text("program.py") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # a class that lacks a method of the old one is laid over it
        (
            "class Net:\n    size = 8\n\n    def forward(self, x):\n        return x",
            [
                "-    size = 4",
                "+    size = 8",
                "-        for _ in range(3):",
                "-            x = x * self.a",
            ],
        ),
        # one that has them all takes its place
        (
            "class Net:\n    def __init__(self, a):\n        self.a = a\n    def forward(self, x):\n        return x",
            [
                '-    """A net."""',
                "-    size = 4",
                "-        for _ in range(3):",
                "-            x = x * self.a",
            ],
        ),
        # a method by its full name, alone, and indented as in its class
        ("def Other.backward(self, x):\n    return 2 * x", ["-        return x", "+        return 2 * x"]),
        ("def backward(self, x):\n    return 2 * x", ["-        return x", "+        return 2 * x"]),
        ("    def backward(self, x):\n        return 2 * x", ["-        return x", "+        return 2 * x"]),
        # new ones: a method, a function next to what uses it, a constant
        ("def Other.more(self):\n    return 1", ["+    def more(self):", "+        return 1"]),
        (
            "def helper(x):\n    return x\n\n\ndef solve():\n    return helper(START)",
            [
                "+def helper(x):",
                "+    return x",
                "-    x = START",
                "-    for _ in range(3):",
                "-        x = improve(x)",
                "-    return Net(2).forward(x)",
                "+    return helper(START)",
            ],
        ),
        ("RATE = 2\nSTEP = 0.7", ["-STEP = 0.5", "+RATE = 2", "+STEP = 0.7"]),
        # decorators and comments belong to their definition
        (
            "import functools\n\n# remembers\n@functools.cache\ndef improve(x):\n    return x",
            [
                "+import functools",
                "-# improves a bit",
                "+# remembers",
                "+@functools.cache",
                '-    """One step."""',
                "-    x = x - STEP * x",
            ],
        ),
        ("def helper(x):\n    return x\n\ndel improve", None),
        # what shows how to run it isn't part of it
        ('STEP = 0.7\n\nif __name__ == "__main__":\n    print(improve(2))', BIGGER),
    ],
)
def test_whole_genes_find_their_places(code: str, expected: list[str] | None) -> None:
    if expected is None:
        child = apply_edit(genome(), read_reply(python(code), genome(), RULES), RULES)
        assert "def helper(x)" in child.text("program.py")
        assert "def improve(x)" not in child.text("program.py")
    else:
        assert changes(python(code)) == expected


def test_a_whole_file_is_told_from_genes_and_keeps_the_main_block() -> None:
    whole = "START = 9\n\n\ndef improve(x):\n    return x\n\n\ndef solve():\n    return improve(START)\n"
    small = PROGRAM[: PROGRAM.index("class Net")] + PROGRAM[PROGRAM.index("def solve") :]
    old = genome(small)
    child = apply_edit(old, read_reply(python(whole), old, RULES), RULES)
    assert child.text("program.py") == whole + '\n\nif __name__ == "__main__":\n    print(solve())\n'
    # `STEP` is used and not bound: these are genes, and STEP stays
    genes = "def improve(x):\n    return STEP\n\n\ndef solve():\n    return improve(START)\n"
    child = apply_edit(old, read_reply(python(genes), old, RULES), RULES)
    assert "STEP = 0.5" in child.text("program.py")


def test_a_draft_is_a_whole_file_even_where_nothing_of_the_old_is_left() -> None:
    draft = (
        "import random\n\n\ndef guess():\n    return random.random()\n\n\ndef solve():\n    return guess()\n"
    )
    child = apply_edit(genome(), read_reply(python(draft), genome(), RULES, whole_file=True), RULES)
    assert child.text("program.py").startswith(draft)
    assert "class Net" not in child.text("program.py")


def test_code_without_fences_is_found_in_the_prose() -> None:
    reply = "I would write:\n\ndef Other():\n    return 1\n\nand that is all."
    assert "+def Other():" in changes(reply)


def test_code_in_pieces_between_prose_is_taken_whole_or_not_at_all() -> None:
    pieces = "First:\n\ndef one():\n    return 1\n\nthen\n\ndef two():\n    return 2\n\nDone."
    assert [line for line in changes(pieces) if "def " in line] == ["+def one():", "+def two():"]
    assert refusal("def f():\n    return 1\nand\n" * 30)[0] == "prose"


def test_layout_is_forgiven() -> None:
    shifted = block("for _ in range(3):\n    x = x * self.a", "for _ in range(9):\n    x = x + self.a")
    assert changes(shifted) == [
        "-        for _ in range(3):",
        "-            x = x * self.a",
        "+        for _ in range(9):",
        "+            x = x + self.a",
    ]
    first_line_lost = block(
        "for _ in range(3):\n        x = improve(x)", "while x > 1:\n        x = improve(x)"
    )
    assert changes(first_line_lost) == ["-    for _ in range(3):", "+    while x > 1:"]
    spaced = (
        "<<<<<<< SEARCH\n    x = x   -   STEP*x\n    return x\n=======\n    return x - 1\n>>>>>>> REPLACE"
    )
    assert refusal(spaced)[0] == "no-match"
    spaced = spaced.replace("STEP*x", "STEP  *  x")
    assert changes(spaced) == ["-    x = x - STEP * x", "-    return x", "+    return x - 1"]


def test_line_ends_and_tabs_of_the_file_are_kept() -> None:
    program = "def solve():\r\n\tx = 1\r\n\treturn x\r\n"
    old = genome(program)
    for reply in (
        "<<<<<<< SEARCH\n    x = 1\n=======\n    x = 2\n    x += 1\n>>>>>>> REPLACE",
        python("def solve():\n\tx = 2\n\tx += 1\n\treturn x"),
    ):
        child = apply_edit(old, read_reply(reply, old, RULES), RULES)
        assert child.text("program.py") == "def solve():\r\n\tx = 2\r\n\tx += 1\r\n\treturn x\r\n"


def test_a_block_may_build_on_the_one_before_it() -> None:
    reply = (
        "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.6\nRATE = 1\n>>>>>>> REPLACE\n"
        "<<<<<<< SEARCH\nSTEP = 0.6\nRATE = 1\n=======\nSTEP = 0.7\n>>>>>>> REPLACE"
    )
    assert changes(reply) == BIGGER


def test_a_divider_in_the_code_itself_is_seen_through() -> None:
    program = "TEXT = '''\nTitle\n=======\n'''\n\n\ndef solve():\n    return TEXT\n"
    reply = "<<<<<<< SEARCH\nTitle\n=======\n=======\nOther\n=======\n>>>>>>> REPLACE"
    assert changes(reply, program) == ["-Title", "+Other"]


def test_the_right_file_is_found_with_and_without_its_name() -> None:
    old = Genome.split(
        {"program.py": b"A = 1\n\n\ndef solve():\n    return A\n", "net/x.py": b"A = 1\nB = 2\n"}
    )
    block = "<<<<<<< SEARCH\n{}\n=======\n{}\n>>>>>>> REPLACE"

    def child(reply: str) -> dict[str, bytes]:
        return apply_edit(old, read_reply(reply, old, RULES), RULES).join()

    assert child(block.format("B = 2", "B = 3"))["net/x.py"] == b"A = 1\nB = 3\n"
    assert child("net/x.py\n" + block.format("A = 1", "A = 7"))["net/x.py"] == b"A = 7\nB = 2\n"
    assert child("```python net/x.py\nA = 7\n```")["net/x.py"] == b"A = 7\nB = 2\n"
    assert child("```python\n# net/x.py\nA = 7\n```")["net/x.py"] == b"# net/x.py\nA = 7\nB = 2\n"
    with pytest.raises(EditRejected, match=r"2 places \(program.py line 1, net/x.py line 1\)"):
        child(block.format("A = 1", "A = 7"))


def test_a_file_that_is_not_python_is_changed_by_blocks_or_replaced() -> None:
    old = Genome.split({"rule.txt": b"one\ntwo\n"})
    rules = FrozenRules()
    block = "<<<<<<< SEARCH\ntwo\n=======\nthree\n>>>>>>> REPLACE"
    assert apply_edit(old, read_reply(block, old, rules), rules).join() == {"rule.txt": b"one\nthree\n"}
    whole = "```\nthree\n```"
    assert apply_edit(old, read_reply(whole, old, rules), rules).join() == {"rule.txt": b"three\n"}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ("", "empty", "no answer"),
        ("  \n", "empty", "no answer"),
        ("<think>I wonder", "truncated", "no answer"),
        ("I can't help with that.", "prose", "SEARCH/REPLACE"),
        ("```json\n{}\n```", "prose", "no code"),
        (python("print(improve(3))"), "unknown-gene", "`print(improve(3))` is neither"),
        (
            "<<<<<<< SEARCH\n    x = x - STEP * y\n=======\n    x = 1\n>>>>>>> REPLACE",
            "no-match",
            "the closest is at program.py line 12:\n    x = x - STEP * x",
        ),
        (
            "<<<<<<< SEARCH\nfor _ in range(3):\n=======\nfor _ in range(4):\n>>>>>>> REPLACE",
            "ambiguous",
            "2 places (program.py line 25, program.py line 37)",
        ),
        ("<<<<<<< SEARCH\nSTEP = 0.5\nSTEP = 0.7\n>>>>>>> REPLACE", "malformed", "no ======="),
        ("<<<<<<< SEARCH\n=======\nSTEP = 0.7\n>>>>>>> REPLACE", "malformed", "nothing to find"),
        (python("STEP = 0.6") + "\n" + python("STEP = 0.7"), "ambiguous", "two versions of STEP"),
        (
            python("def solve():\n    x = START\n    # ... the rest stays\n    return x"),
            "elided",
            "write it out",
        ),
        (python("def solve():\n    # rest of the code unchanged"), "syntax", "doesn't parse"),
        (python("def solve(:\n    return 1"), "syntax", "at line 1 of it: def solve(:"),
        (python("del nothing"), "unknown-gene", "no nothing to remove"),
        (python("STEP = 0.5"), "no-op", "changes nothing"),
        ("<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.5\n>>>>>>> REPLACE", "no-op", "changes nothing"),
        (python("def Web.forward(self):\n    return 1"), "unknown-gene", "no class Web"),
    ],
)
def test_what_is_refused_and_in_which_words(reply: str, kind: str, words: str) -> None:
    got, message = refusal(reply)
    assert (got, words in message) == (kind, True), message


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("x" * 300_000, "size"),
        ("<<<<<<< SEARCH\n" + "=======\n" * 20_000 + ">>>>>>> REPLACE", "malformed"),
        ("def f(x):\n    return x\nprose here\n" * 5_000, "prose"),
        ("```\n" * 40_000, "prose"),
        (block("q\n" * 50_000, "x"), "no-match"),
        ("```python\nx = " + "(" * 5000 + ")" * 5000 + "\n```", "syntax"),
    ],
)
def test_a_reply_that_means_harm_is_refused_in_few_words(reply: str, kind: str) -> None:
    got, message = refusal(reply)
    assert got == kind
    assert len(message) < 5000


def test_one_block_that_fits_nowhere_refuses_the_whole_reply() -> None:
    good = "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> REPLACE\n"
    bad = "<<<<<<< SEARCH\nabsent()\n=======\npresent()\n>>>>>>> REPLACE\n"
    assert refusal(good + bad)[0] == "no-match"
    assert refusal(bad + good)[0] == "no-match"


def test_of_a_truncated_reply_only_what_is_complete_counts() -> None:
    good = "<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.7\n>>>>>>> REPLACE\n"
    assert changes(good + "<<<<<<< SEARCH\nSTART = 3.0\n=======\nSTA", truncated=True) == BIGGER
    assert refusal("<<<<<<< SEARCH\nSTEP = 0.5\n=======\nSTEP = 0.", truncated=True)[0] == "truncated"
    assert changes(python("STEP = 0.7") + "\n```python\ndef solve():\n    return 1", truncated=True) == BIGGER
    assert refusal("```python\nSTEP = 0.7", truncated=True)[0] == "truncated"
    assert refusal("@@\n-STEP = 0.5\n+STEP = 0.", truncated=True)[0] == "truncated"
    assert refusal("def solve():\n    return 1", truncated=True)[0] == "truncated"


def test_the_idea_is_taken_as_the_summary() -> None:
    said = read_reply("**Idea:** A longer stride.\n" + python("STEP = 0.7"), genome(), RULES)
    assert said.summary == "A longer stride."
    assert read_reply(python("STEP = 0.7"), genome(), RULES).summary == "changed STEP"


MARKED = '''"""Fixed."""
import math

LIMIT = 3
# EVOLVE-BLOCK-START
RATE = 0.5


def step(x):
    return x * RATE


# EVOLVE-BLOCK-END


def solve(x):
    return min(step(x), LIMIT)
'''


def test_new_definitions_go_between_the_markers_and_frozen_lines_are_refused() -> None:
    rules = FrozenRules(protected=("solve",))
    old = genome(MARKED)
    child = apply_edit(old, read_reply(python("def helper(x):\n    return x"), old, rules), rules)
    assert child.text("program.py") == MARKED.replace(
        "# EVOLVE-BLOCK-END", "def helper(x):\n    return x\n# EVOLVE-BLOCK-END"
    ).replace("RATE\n\n\ndef helper", "RATE\n\n\n\n\ndef helper")
    assert refusal(python("LIMIT = 9"), MARKED, rules)[0] == "frozen"
    assert refusal(python(MARKED.replace("LIMIT = 3", "LIMIT = 4")), MARKED, rules)[0] == "frozen"
    assert changes(python(MARKED.replace("0.5", "0.7")), MARKED, rules) == ["-RATE = 0.5", "+RATE = 0.7"]


GOOD = [
    "<<<<<<< SEARCH\nRATE = 0.5\n=======\nRATE = 0.7\n>>>>>>> REPLACE\n",
    f"Idea: x\n```python\n{block('    return x * RATE', '    y = math.sin(x)')}```\n",
    block("LIMIT = 3\n# EVOLVE-BLOCK-START\nRATE = 0.5", "LIMIT = 4\n# EVOLVE-BLOCK-START\nRATE = 0.6"),
    python(
        "import random\n\n\ndef helper(x):\n    return x + random.random()\n\n\ndef step(x):\n    return helper(x)"
    ),
    python(MARKED.replace("0.5", "0.25")),
    python("class Net:\n    def __init__(self):\n        self.a = 1\n\n\ndef step(x):\n    return Net().a"),
    "--- a/program.py\n+++ b/program.py\n@@ -6,4 +6,4 @@\n-RATE = 0.5\n+RATE = 0.7\n \n \n def step(x):\n",
    "<think>\nhm\n</think>\n" + python("RATE = 2\ndel step\ndef step(x):\n    return x"),
    python("def solve(x):\n    return 999"),
]
NOISE = "`~<>=+-@#\"'\\ \n\t\r:()[]{}\x00\x0c\u2028\ud800é" + string.ascii_letters + string.digits


def frozen_part(text: str) -> str:
    head, _, rest = text.partition("# EVOLVE-BLOCK-START")
    return head + "|" + rest.partition("# EVOLVE-BLOCK-END")[2]


def damaged(reply: str, rng: random.Random) -> str:
    """The reply with some lines or characters lost, doubled, swapped, mixed with another's, or made up."""
    for _ in range(rng.randint(1, 4)):
        lines = reply.split("\n")
        at, to = sorted((rng.randrange(len(lines)), rng.randrange(len(lines))))
        how = rng.randrange(7)
        if how == 0:
            reply = reply[: rng.randrange(len(reply) + 1)]
        elif how == 1:
            del lines[at:to]
            reply = "\n".join(lines)
        elif how == 2:
            reply = "\n".join([*lines[:to], *lines[at:]])
        elif how == 3:
            lines[at], lines[to] = lines[to], lines[at]
            reply = "\n".join(lines)
        elif how == 4:
            other = rng.choice(GOOD).split("\n")
            cut = rng.randrange(len(other))
            reply = "\n".join([*lines[:at], *other[cut:], *lines[at:]])
        elif how == 5:
            place = rng.randrange(len(reply) + 1)
            reply = (
                reply[:place]
                + "".join(rng.choices(NOISE, k=rng.randint(1, 4)))
                + reply[place + rng.randint(0, 3) :]
            )
        else:
            lines[at] = " " * rng.randint(0, 8) + lines[at].lstrip()
            reply = "\n".join(lines)
    return reply


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), base=st.sampled_from(GOOD))
def test_ten_thousand_damaged_replies_crash_nothing_and_touch_no_frozen_line(seed: int, base: str) -> None:
    rng = random.Random(seed)
    old = genome(MARKED)
    rules = FrozenRules(protected=("solve",))
    for _ in range(10):
        reply = damaged(base, rng)
        try:
            edit = read_reply(reply, old, rules, truncated=rng.random() < 0.2, whole_file=rng.random() < 0.2)
            child = apply_edit(old, edit, rules)
        except EditRejected:
            continue
        text = child.text("program.py")
        ast.parse(text, "<candidate>")
        before, after = frozen_part(MARKED), frozen_part(text)
        assert after == before
