"""Genomes: to the byte, for any file; names and places of genes; the layout of a child read in part."""

from __future__ import annotations

import os
import random
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided_evolution.genome import Genome, gene_diff, gene_hash, parse, unified_diff
from guided_evolution.layout import Layout, layout_of

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of the programs that are read here

LIBRARY = Path(sysconfig.get_path("stdlib"))


def genome(text: str, path: str = "program.py") -> Genome:
    return Genome(((path, text),))


def names(text: str) -> list[str]:
    return [gene.name for gene in genome(text).genes]


def assert_is_whole(one: Genome) -> None:
    """Genes cover each file in order, have their places right, and names of their own."""
    assert len({gene.name for gene in one.genes}) == len(one.genes)
    for path, text in one.files:
        genes = one.genes_of(path)
        assert "".join(gene.source for gene in genes) == text
        assert "".join(one.sources(path)) == text
        for gene in genes:
            assert text[gene.start : gene.end] == gene.source
        assert one.gene(genes[-1].name) == genes[-1]


def same_layout(one: Layout | None, other: Layout | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.pieces == other.pieces


PROGRAM = '''"""A net."""
import numpy as np

RATE = 0.1

# how it learns
@cached
def train(x):
    return x


class Net(Base):
    """It."""

    width = 3

    # forwards
    def forward(self, x):
        return x

    SCALE = 2

    def forward(self, x):
        return 2 * x
    # the end

AFTER = 1
def one(): return 1
def two(): return 2

if __name__ == "__main__":
    train(1)
'''


def test_genes_are_named_after_what_they_define() -> None:
    assert names(PROGRAM) == [
        "program.py::<head>",
        "program.py::train",
        "program.py::Net",
        "program.py::Net.forward",
        "program.py::<after Net.forward>",
        "program.py::Net.forward#2",
        "program.py::<after Net>",
        "program.py::one",
        "program.py::two",
        "program.py::<after two>",
    ]
    one = genome(PROGRAM)
    assert_is_whole(one)
    assert (
        one.gene("program.py::train").source == "# how it learns\n@cached\ndef train(x):\n    return x\n\n\n"
    )
    assert one.gene("program.py::Net.forward").source == (
        "    # forwards\n    def forward(self, x):\n        return x\n\n"
    )
    assert one.gene("program.py::<after two>").source == 'if __name__ == "__main__":\n    train(1)\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["program.py::<head>"]),
        ("\n\n", ["program.py::<head>"]),
        ("x = 1", ["program.py::<head>"]),
        ("def f(): pass", ["program.py::f"]),
        ("\ufeffdef f():\r\n    pass\r\n", ["program.py::f"]),
        ("class A: x = 1; y = 2\n", ["program.py::A"]),
        ("class A:\n    def f(self): pass\n", ["program.py::A", "program.py::A.f"]),
        ("class A:\n    class B:\n        def f(self): pass\n", ["program.py::A", "program.py::A.B"]),
        ("if x:\n    def f(): pass\n", ["program.py::<head>"]),
        ("def f(:\n", ["program.py"]),
        ("async def f():\n\tawait g\n\x0c\nx = 1\n", ["program.py::f", "program.py::<after f>"]),
        ("x = '\udcff'\n", ["program.py"]),
        ("def f():\n    return 1 \\\n    # c\n\ny = 1\n", ["program.py::f", "program.py::<after f>"]),
        ("x = 1 \\\n# c\ndef f(): pass\n", ["program.py::<head>", "program.py::f"]),
    ],
)
def test_odd_files_are_split(text: str, expected: list[str]) -> None:
    assert names(text) == expected
    assert_is_whole(genome(text))


def test_what_is_not_python_is_one_gene() -> None:
    files = {"program.py": b"x = 1\n", "notes.txt": b"\xff\xfe def f():\r", "empty.json": b""}
    one = Genome.split(files)
    assert one.join() == files
    assert [gene.name for gene in one.genes] == ["program.py::<head>", "notes.txt", "empty.json"]
    assert one.size == 18
    assert one.paths == ("program.py", "notes.txt", "empty.json")
    with pytest.raises(KeyError):
        one.text("other.py")


def test_gene_diff_names_what_changed() -> None:
    old = genome("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
    new = genome("def f():\n    return 3\n\n\ndef h():\n    return 2\n")
    diff = gene_diff(old, new)
    assert (diff.changed, diff.added, diff.removed) == (
        ("program.py::f",),
        ("program.py::h",),
        ("program.py::g",),
    )


def test_unified_diff_shows_a_missing_newline_and_new_files() -> None:
    old = Genome((("a.py", "x = 1\ny = 2"),))
    new = Genome((("a.py", "x = 1\ny = 3"), ("b.txt", "new\n")))
    assert unified_diff(old, new) == (
        "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n\\ No newline at end of file\n"
        "+y = 3\n\\ No newline at end of file\n"
        "--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+new\n"
    )
    assert unified_diff(old, old) == ""


def test_gene_hash_is_pinned() -> None:
    assert gene_hash("x = 1\n") == "1de70bc15d424d4453e6c531451e490b"


@given(st.dictionaries(st.sampled_from(["a.py", "b.py", "c.txt"]), st.binary(max_size=200), min_size=1))
@settings(deadline=None)
def test_any_bytes_come_back(files: dict[str, bytes]) -> None:
    one = Genome.split(files)
    assert one.join() == files
    assert_is_whole(one)


LINES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "x = 2 + \\",
            "def f():",
            "class A:",
            "    def g(self):",
            "    return 1",
            "        return 2",
            "# c",
            "    # c",
            "",
            "   ",
            "@d",
            "\x0c",
            "'''",
            "if x:",
            "else:",
            "    y = 2",
            "x = (",
            ")",
            "import a",
            "async def h(): pass",
            "    @d",
            "'''doc'''",
            "\ufeffx = 1",
            "x = \\",
            "é = 'ü'",
            "\tx = 1",
        ]
    ),
    max_size=14,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(LINES, ENDS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_lines_of_python_come_back(lines: list[str], newline: str, last: bool) -> None:
    text = newline.join(lines) + (newline if last else "")
    one = Genome.split({"program.py": text.encode()})
    assert one.join() == {"program.py": text.encode()}
    assert_is_whole(one)


@given(LINES, LINES, ENDS, st.data())
@settings(max_examples=500, deadline=None)
def test_a_child_read_in_part_is_as_one_read_whole(
    lines: list[str], new: list[str], newline: str, data: st.DataObject
) -> None:
    text = newline.join(lines) + newline
    places = data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6).map(sorted))
    cuts = [
        (start, end, newline.join(new[index : index + 4]) + data.draw(st.sampled_from(["", newline])))
        for index, (start, end) in enumerate(zip(places[::2], places[1::2], strict=False))
    ]
    child = genome(text).splice("program.py", cuts)
    assert same_layout(child.layouts["program.py"], layout_of(child.text("program.py")))


def library(share: slice) -> list[Path]:
    own = (place for place in LIBRARY.rglob("*.py") if "site-packages" not in place.parts)
    return sorted(own)[share]


def check_library(files: list[Path]) -> None:
    for place in files:
        content = place.read_bytes()
        one = Genome.split({"module.py": content})
        assert one.join() == {"module.py": content}, place
        if parse(one.text("module.py")) is not None:
            assert one.layouts["module.py"] is not None, place
        assert_is_whole(one)


def test_a_sample_of_the_standard_library_comes_back() -> None:
    check_library(library(slice(0, None, 30)))


@pytest.mark.slow
def test_the_standard_library_comes_back() -> None:
    """A quarter of it, for all of it takes 40 seconds: that is WHOLE_LIBRARY=1."""
    check_library(library(slice(1, None, 1 if os.environ.get("WHOLE_LIBRARY") else 4)))


def test_children_of_library_files_read_in_part_are_as_ones_read_whole() -> None:
    rng = random.Random(4)
    for place in library(slice(3, None, 80)):
        text = place.read_bytes().decode("utf-8", "surrogateescape")
        lines = text.splitlines(keepends=True)
        if not 3 < len(lines) < 800:
            continue
        child = genome(text)
        for _ in range(6):
            text = child.text("program.py")
            lines = text.splitlines(keepends=True)
            first = rng.randrange(len(lines))
            last = min(len(lines), first + rng.randrange(4))
            start = sum(map(len, lines[:first]))
            new = rng.choice(["", "\n", "# c\n", "x = 1\n", "def f():\n    pass\n", rng.choice(lines)])
            child = child.splice("program.py", [(start, start + sum(map(len, lines[first:last])), new)])
            assert same_layout(child.layouts["program.py"], layout_of(child.text("program.py")))
