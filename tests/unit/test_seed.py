from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided_evolution.errors import SeedError
from guided_evolution.requirements import distribution_name
from guided_evolution.seed import (
    Constraint,
    Environment,
    Limits,
    Objective,
    Seed,
    builtin_seed_folder,
    builtin_seeds,
    load_seed,
    missing_requirements,
)
from guided_evolution.seed_template import write_seed

TOML = """\
name = "slope"
files = ["program.py", "net/layers.py", "net/table.json"]
protected = ["train", "Net.forward", "net/layers.py::pool"]

[[objectives]]
metric = "accuracy"
direction = "maximize"
primary = true

[[objectives]]
metric = "parameters"
direction = "minimize"

[[constraints]]
metric = "seconds"
at_most = 5

[limits]
seconds = 2.5
memory_mb = 256

[candidate]
requirements = ["numpy>=1.26"]
preload = ["numpy"]
files = ["fixed.py"]

[evaluator]
files = ["data.bin", "more"]
"""
PROGRAM = "class Net:\n    def forward(self):\n        return 1\n\n\ndef train(x):\n    return x\n"
EVALUATE = "def evaluate(candidate, seed):\n    pass\n\n\ndef confirm(candidate, seed):\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "slope"
    files = {
        "seed.toml": TOML,
        "task.md": "Find the slope.\n",
        "program.py": PROGRAM,
        "net/layers.py": "def pool(x):\n    return x\n",
        "net/table.json": "{}\n",
        "fixed.py": "FIXED = 1\n",
        "evaluate.py": EVALUATE,
        "data.bin": "\0\1\2",
        "more/a.txt": "a",
        "more/deep/b.txt": "b",
        "more/__pycache__/c.pyc": "c",
    }
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    (place / "hollow").mkdir()
    return place


def rewrite(place: Path, old: str, new: str) -> None:
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new, 1))


def complaint(folder: Path) -> str:
    with pytest.raises(SeedError) as caught:
        load_seed(str(folder))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_seed_holds_what_its_folder_says(folder: Path) -> None:
    seed = load_seed(str(folder))
    assert seed == Seed(
        name="slope",
        task="Find the slope.\n",
        files=("program.py", "net/layers.py", "net/table.json"),
        program={
            "program.py": PROGRAM.encode(),
            "net/layers.py": b"def pool(x):\n    return x\n",
            "net/table.json": b"{}\n",
        },
        objectives=(Objective("accuracy", "maximize", True), Objective("parameters", "minimize", False)),
        constraints=(Constraint("seconds", 5.0, None),),
        limits=Limits(seconds=2.5, memory_mb=256),
        candidate=Environment(("numpy>=1.26",), ("numpy",)),
        evaluator=Environment(),
        evaluator_source=EVALUATE,
        evaluator_files={"data.bin": b"\0\1\2", "more/a.txt": b"a", "more/deep/b.txt": b"b"},
        protected=("train", "Net.forward", "net/layers.py::pool"),
        support={"fixed.py": b"FIXED = 1\n"},
        has_confirm=True,
    )
    assert seed.primary.metric == "accuracy"
    assert seed.entry_module == "program"
    assert missing_requirements(seed) == ()


def test_the_toml_file_itself_names_its_folder(folder: Path) -> None:
    assert load_seed(str(folder / "seed.toml")) == load_seed(str(folder))


def test_json_gives_the_seed_back(folder: Path) -> None:
    seed = load_seed(str(folder))
    assert Seed.from_json(seed.to_json()) == seed
    with pytest.raises(SeedError, match="can't be read"):
        Seed.from_json("[]")
    with pytest.raises(SeedError, match="another version"):
        Seed.from_json('{"format": 0}')


def test_line_ends_of_a_program_are_kept(folder: Path) -> None:
    (folder / "program.py").write_bytes(PROGRAM.replace("\n", "\r\n").encode())
    assert load_seed(str(folder)).program["program.py"] == PROGRAM.replace("\n", "\r\n").encode()


TOML_MISTAKES = [
    ('name = "slope"', 'name = "a/b"', "seed.toml: name is"),
    ('name = "slope"\n', "", "seed.toml: name is missing"),
    ('name = "slope"', "name = 3", "seed.toml: name must be text, not a number"),
    ("seconds = 2.5", "secnds = 2.5", 'seed.toml: unknown key "limits.secnds"; did you mean "seconds"?'),
    ('name = "slope"', 'name = "slope"\nprotectd = []', 'unknown key "protectd"; did you mean "protected"?'),
    ('direction = "minimize"\n', "", 'objectives[1].direction is missing; say "maximize" or "minimize"'),
    ('direction = "minimize"', 'direction = "down"', 'objectives[1].direction is "down"; say "maximize"'),
    ('direction = "minimize"', "direction = 3", 'objectives[1].direction is "3"'),
    ("primary = true", "primary = 1", "objectives[0].primary must be true or false, not a number"),
    ("primary = true\n", "", "objectives has no entry with primary = true"),
    ('metric = "parameters"', 'metric = "parameters"\nprimary = true', "has 2 entries with primary = true"),
    ('metric = "parameters"', 'metric = "accuracy"', 'objectives[1].metric repeats "accuracy"'),
    ('metric = "parameters"', 'metric = "a b"', 'objectives[1].metric is "a b"'),
    ("at_most = 5\n", "", "constraints[0].at_most and at_least are both missing"),
    ("at_most = 5", "at_most = nan", "constraints[0].at_most is nan; it must be finite"),
    ("at_most = 5", "at_most = 5\nat_least = 6", "constraints[0].at_least is 6, above at_most 5"),
    ("at_most = 5", 'at_most = "5"', "constraints[0].at_most must be a number, not text"),
    ("seconds = 2.5", "seconds = 0", "limits.seconds is 0; it must be from 0.1 to 2592000"),
    ("seconds = 2.5", "seconds = inf", "limits.seconds is inf; it must be finite"),
    ("seconds = 2.5", "seconds = true", "limits.seconds must be a number, not a true/false value"),
    ("memory_mb = 256", "memory_mb = 2.5", "limits.memory_mb must be a whole number, not 2.5"),
    ("memory_mb = 256", "memory_mb = 1", "limits.memory_mb is 1; it must be from 32 to"),
    ("[limits]", "[[limits]]", "limits must be a table, not a list"),
    ("[limits]", "[limits", "isn't valid TOML"),
    ('files = ["program.py", "net/layers.py", "net/table.json"]\n', "", "files is missing or empty"),
    ('"net/table.json"]', "3]", "files[2] must be text, but is a number"),
    ('"net/table.json"]', '"net/layers.py"]', 'files[2] repeats "net/layers.py"'),
    ('"net/table.json"]', '"net/tabel.json"]', 'files[2] names "net/tabel.json", but'),
    ('"net/table.json"]', '"../slope/program.py"]', "must be a plain path inside"),
    ('"net/table.json"]', '"/etc/passwd"]', "must be a plain path inside"),
    ('"net/table.json"]', '"./program.py"]', "must be a plain path inside"),
    ('"net/table.json"]', '"."]', "must be a plain path inside"),
    ('"net/table.json"]', '"net"]', "a folder; name its files one by one"),
    ('"net/table.json"]', '"evaluate.py"]', "it can't evolve"),
    ('files = ["program.py", ', 'files = ["more/a.txt", ', "the first file is the module"),
    (
        '"Net.forward"',
        '"Net.backward"',
        'protected[1] names "Net.backward", which isn\'t bound in program.py',
    ),
    ('"train"', '"trian"', 'isn\'t bound in program.py; did you mean "train"?'),
    ('"net/layers.py::pool"', '"net/layer.py::pool"', "which is no Python file among files"),
    ('"numpy>=1.26"', '"numpy 1.26"', 'candidate.requirements[0] is "numpy 1.26"'),
    ('preload = ["numpy"]', 'preload = ["numpy>=1"]', 'candidate.preload[0] is "numpy>=1"'),
    ('files = ["fixed.py"]', 'files = ["program.py"]', "which is in files already"),
    ('files = ["data.bin", "more"]', 'files = ["data.bim"]', 'evaluator.files[0] names "data.bim"'),
    ('files = ["data.bin", "more"]', 'files = ["evaluate.py"]', "which the seed itself uses"),
    ('files = ["data.bin", "more"]', 'files = ["hollow"]', "a folder without files"),
]


@pytest.mark.parametrize(("old", "new", "said"), TOML_MISTAKES)
def test_a_mistake_in_the_toml_file_is_named(folder: Path, old: str, new: str, said: str) -> None:
    rewrite(folder / "seed.toml", old, new)
    text = complaint(folder)
    assert said in text
    assert text.startswith(str(folder))


def put(path: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / path).write_bytes(data)


FILE_MISTAKES = [
    (lambda folder: (folder / "task.md").unlink(), "task.md: is missing"),
    (put("task.md", " \n"), "task.md: is empty"),
    (put("task.md", b"\xff"), "task.md:1: isn't UTF-8 text"),
    (lambda folder: (folder / "evaluate.py").unlink(), "evaluate.py: is missing"),
    (put("evaluate.py", "def evaluat(candidate, seed): ..."), "evaluate.py: doesn't define evaluate"),
    (put("evaluate.py", "def evaluate(path): ..."), "evaluate.py:1: evaluate must take (candidate, seed)"),
    (put("evaluate.py", "async def evaluate(candidate, seed): ..."), "evaluate is async"),
    (put("evaluate.py", EVALUATE + "def confirm(c): ..."), "confirm must take (candidate, seed)"),
    (put("evaluate.py", "x = 1\nx = = 2\n"), "evaluate.py:2: isn't valid Python (invalid syntax): x = = 2"),
    (put("program.py", "def train(x:\n"), "program.py:1: isn't valid Python"),
    (put("program.py", "x = 1\0"), "program.py"),
    (put("program.py", b"# \xe9\n"), "program.py:1: isn't UTF-8 text"),
    (put("program.py", "x = " + "(" * 2000), "program.py"),
    (put("program.py", PROGRAM + "train = 1\n"), "is bound 2 times in program.py"),
    (put("program.py", PROGRAM + "import train\n"), "is bound 2 times in program.py"),
    (put("program.py", PROGRAM + "if train:\n    for train in []: ...\n"), "is bound 2 times"),
    (put("program.py", PROGRAM + "# EVOLVE-BLOCK-START\n"), "EVOLVE-BLOCK-START without an END"),
    (put("program.py", PROGRAM + "# EVOLVE-BLOCK-END\n"), "EVOLVE-BLOCK-END without a START"),
    (put("program.py", PROGRAM + "#" * 65536), "raise limits.program_kb, now 64"),
    (put("seed.toml", b"name = '\xff'"), "seed.toml: isn't UTF-8"),
    (put("seed.toml", "a = " + "[" * 5000), "seed.toml"),
]


@pytest.mark.parametrize(("spoil", "said"), FILE_MISTAKES)
def test_a_mistake_in_another_file_is_named(folder: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(folder)
    assert said in complaint(folder)


def test_a_name_bound_inside_a_function_or_comprehension_is_not_the_modules(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM + "def f():\n    train = 1\n[train for train in (1,)]\n")
    assert load_seed(str(folder)).protected[0] == "train"


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "data.bin").unlink()
    (folder / "data.bin").symlink_to(tmp_path / "secret")
    assert "leads out of" in complaint(folder)


def test_data_over_64_megabytes_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "data.bin").open("wb") as sparse:
        sparse.truncate(65 * 1024 * 1024)
    assert "65.0 MB together, more than 64 MB (the largest is data.bin)" in complaint(folder)


def test_an_only_objective_is_primary(folder: Path) -> None:
    rewrite(
        folder / "seed.toml",
        'primary = true\n\n[[objectives]]\nmetric = "parameters"\ndirection = "minimize"',
        "",
    )
    assert load_seed(str(folder)).objectives == (Objective("accuracy", "maximize", True),)
    rewrite(folder / "seed.toml", 'direction = "maximize"', 'direction = "maximize"\nprimary = false')
    assert "no entry with primary = true" in complaint(folder)


def test_a_first_file_named_like_a_module_of_pythons_is_refused(folder: Path) -> None:
    (folder / "random.py").write_text(PROGRAM)
    rewrite(folder / "seed.toml", '"program.py"', '"random.py"')
    assert "module of Python itself" in complaint(folder)


def test_a_byte_order_mark_in_the_toml_file_does_no_harm(folder: Path) -> None:
    (folder / "seed.toml").write_bytes(b"\xef\xbb\xbf" + TOML.encode())
    assert load_seed(str(folder)).name == "slope"


CHANGES: list[Callable[[Seed], Seed]] = [
    lambda seed: replace(seed, evaluator_source=seed.evaluator_source + "\n"),
    lambda seed: replace(seed, evaluator_files={**seed.evaluator_files, "data.bin": b""}),
    lambda seed: replace(seed, evaluator_files={}, support={**seed.support, **seed.evaluator_files}),
    lambda seed: replace(seed, support={}),
    lambda seed: replace(seed, limits=Limits(seconds=3)),
    lambda seed: replace(seed, candidate=Environment()),
    lambda seed: replace(seed, evaluator=Environment(preload=("numpy",))),
    lambda seed: replace(seed, entry="fixed"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_a_score_decides_the_scoring_version(
    folder: Path, change: Callable[[Seed], Seed]
) -> None:
    seed = load_seed(str(folder))
    assert change(seed).scoring_version != seed.scoring_version


def test_what_does_not_decide_a_score_leaves_the_scoring_version(folder: Path) -> None:
    seed = load_seed(str(folder))
    other = replace(seed, program={"program.py": b""}, task="", objectives=seed.objectives[:1], name="other")
    assert other.scoring_version == seed.scoring_version
    assert len(seed.scoring_version) == 16
    int(seed.scoring_version, 16)


def test_built_in_seeds_load_by_name() -> None:
    assert "mnist1d" in builtin_seeds()
    for name in builtin_seeds():
        assert load_seed(name) == load_seed(str(builtin_seed_folder() / name))


def test_a_built_in_name_wins_over_a_folder_that_is_no_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist1d").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_seed("mnist1d").name == "mnist1d"
    with pytest.raises(SeedError, match=r"holds neither seed\.toml nor"):
        load_seed("./mnist1d")


def test_a_folder_here_that_is_a_seed_wins_over_a_built_in_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rename(folder.parent / "mnist1d")
    monkeypatch.chdir(folder.parent)
    assert load_seed("mnist1d").name == "slope"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist1", 'did you mean "mnist1d"?'),
        (
            "zzz",
            "neither a folder here nor a built-in seed (bin_packing, circle_packing, exquisitenet, mnist1d",
        ),
        ("", "a seed is a folder or one of the built-in seeds"),
        ("no/such", "no/such: no such folder"),
        ("file", "file: is not a folder"),
        (".", "`guided-evolution init NAME` writes a seed"),
    ],
)
def test_what_is_no_seed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SeedError) as caught:
        load_seed(name)
    assert said in str(caught.value)


def test_a_shinka_evolve_folder_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "initial.py").touch()
    (tmp_path / "evaluate.py").touch()
    assert "ShinkaEvolve" in complaint(tmp_path)


def test_missing_packages_and_modules_are_found(folder: Path) -> None:
    seed = replace(
        load_seed(str(folder)),
        candidate=Environment(("no-such-package>=1", "numpy"), ("no_such_module.part", "numpy.linalg")),
    )
    assert missing_requirements(seed) == ("no-such-package>=1", "no_such_module.part")


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("numpy", "numpy"),
        ("scikit-learn ==1.2.*, !=1.2.3", "scikit-learn"),
        ("torch[extra,more]>=2; python_version < '4'", "torch"),
        ("tool @ https://example.org/tool.whl", "tool"),
        ("numpy 1", None),
        (">=1", None),
        ("", None),
        ("!" * 40, None),
    ],
)
def test_the_package_of_a_requirement(requirement: str, name: str | None) -> None:
    assert distribution_name(requirement) == name


toml_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.sampled_from(["", "program.py", "é", ".."]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["metric", "direction", "files", "seconds"]), inner),
    ),
    max_leaves=5,
)
KEYS = [
    "name",
    "files",
    "protected",
    "frozen",
    "objectives",
    "constraints",
    "limits",
    "candidate",
    "evaluator",
    "x",
]


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else str(value)
    )


@given(table=st.dictionaries(st.sampled_from(KEYS), toml_values))
@settings(max_examples=150, deadline=None)
def test_no_toml_file_brings_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("seed")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "task.md").write_text("task")
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "seed.toml").write_text("\n".join(f"{key} = {written(value)}" for key, value in table.items()))
    assert str(folder) in complaint(folder)


def test_init_writes_a_seed_that_loads(tmp_path: Path) -> None:
    written = write_seed("curve", tmp_path / "curve")
    assert [place.name for place in written] == ["seed.toml", "task.md", "program.py", "evaluate.py"]
    seed = load_seed(str(tmp_path / "curve"))
    assert seed.name == "curve"
    assert seed.has_confirm
    assert missing_requirements(seed) == ()


def test_the_program_that_init_writes_works(tmp_path: Path) -> None:
    write_seed("curve", tmp_path / "curve")
    code = "import program; print(len(program.predict(program.fit([0.0, 0.5], [0.1, 0.2]), [0.3])))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "curve", capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_init_from_a_program_proposes_its_outer_functions(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import math\nimport numpy as np\nfrom layers import pool\n\n\ndef _hidden(): ...\n"
        "\n\ndef helper(x):\n    return x\n"
        "\n\ndef train(x):\n    return helper(pool(x))\n\n\ndef predict(x, *, deep=True):\n    return helper(x)\n"
        "\n\nif __name__ == '__main__':\n    train(1)\n"
    )
    (tmp_path / "layers.py").write_text("import model\n\n\ndef pool(x):\n    return x\n")
    write_seed("own", tmp_path / "own", tmp_path / "model.py")
    seed = load_seed(str(tmp_path / "own"))
    assert seed.files == ("model.py", "layers.py")
    assert seed.program["model.py"] == (tmp_path / "model.py").read_bytes()
    assert seed.protected == ("train", "predict")
    assert seed.candidate == Environment(("numpy",), ("numpy",))
    assert "TODO" in seed.evaluator_source
    assert 'candidate.call("train", no_such_parameter=None)' in seed.evaluator_source


def test_init_from_a_large_program_raises_its_limit(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def train(): ...\n" + "#" * 80_000)
    write_seed("own", tmp_path / "own", tmp_path / "model.py")
    assert load_seed(str(tmp_path / "own")).limits.program_kb == 157


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../x", None, "can't name a seed"),
        ("", None, "can't name a seed"),
        ("taken", None, "isn't an empty folder"),
        ("file", None, "isn't an empty folder"),
        ("new", "x = 1\n", "defines no top-level function"),
        ("new", "def f(:\n", "model.py:1: isn't valid Python"),
        ("new", "def f(): ...\n# EVOLVE-BLOCK-END\n", "EVOLVE-BLOCK-END without a START"),
    ],
)
def test_init_refuses_before_it_writes(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").touch()
    (tmp_path / "file").touch()
    if content is not None:
        (tmp_path / "model.py").write_text(content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SeedError) as caught:
        write_seed(name, tmp_path / name, None if content is None else tmp_path / "model.py")
    assert said in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_init_from_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="no such file"):
        write_seed("new", tmp_path / "new", tmp_path / "model.py")


def test_the_example_in_the_documentation_loads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "seeds.md").read_text()
    blocks = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert {name for name, _ in blocks} == {"seed.toml", "task.md", "program.py", "evaluate.py"}
    for name, content in blocks:
        (tmp_path / name).write_text(content)
    assert load_seed(str(tmp_path)).name == "sorting"


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "seeds.md").read_text()
    names = [field.name for kind in (Limits, Environment, Objective, Constraint) for field in fields(kind)]
    assert [name for name in (*KEYS, *names) if name != "x" and name not in text] == []


def test_loading_a_seed_imports_nothing_heavy() -> None:
    code = (
        "import sys; from guided_evolution.seed import load_seed; load_seed('mnist1d'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "yaml", "libcst", "celery", "sqlmodel", "rich", "moocore", "pydantic"} & set(
        done.stdout.split()
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "slope"', 'name = "a\\nb"'),
        ('name = "slope"', '"a\\nb" = 1'),
        ('"net/table.json"]', '"a\\nb"]'),
        ('"net/table.json"]', '"' + "a" * 5000 + '"]'),
        ('"net/table.json"]', '"a\\u0000b"]'),
    ],
)
def test_an_odd_value_still_makes_one_line(folder: Path, old: str, new: str) -> None:
    rewrite(folder / "seed.toml", old, new)
    assert str(folder) in complaint(folder)


def test_an_odd_name_is_refused_too() -> None:
    for name in ("a" * 5000, "a/" + "b" * 5000, "a\0b", "~nobody"):
        with pytest.raises(SeedError):
            load_seed(name)
