"""A folder with seed.toml, task.md, evaluate.py and the program -> Seed, checked to the last key."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from guided_evolution.bindings import bindings, count_bindings, takes, top_level_functions
from guided_evolution.checked_table import Table, did_you_mean, read_toml
from guided_evolution.errors import SeedError
from guided_evolution.requirements import distribution_name
from guided_evolution.seed_values import (
    DIRECTIONS,
    MOST_SECONDS,
    Constraint,
    Environment,
    Limits,
    Objective,
    Seed,
    module_name,
)
from guided_evolution.source_files import check_markers, checked_path, parse, read_data, read_text

Ranked = TypeVar("Ranked", Objective, Constraint)

SEED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_KEYS = ("name", "files", "protected", "frozen", "objectives", "constraints", "limits")
_ENVIRONMENTS = ("candidate", "evaluator")
OWN_FILES = ("seed.toml", "task.md", "evaluate.py")


@dataclass(frozen=True)
class _Program:
    contents: dict[str, bytes]
    trees: dict[str, ast.Module]  # of the Python files only


def read_seed_folder(folder: Path) -> Seed:
    """The seed in `folder`; SeedError with one sentence for the first thing that is wrong with it."""
    table = read_toml(folder / "seed.toml", SeedError)
    table.only(*_KEYS, *_ENVIRONMENTS)
    limits = _limits(table.table("limits"))
    candidate, evaluator = table.table("candidate"), table.table("evaluator")
    program = _program(folder, table, limits.program_kb)
    support = _data(folder, candidate)
    for path in support:
        if path in program.contents:
            candidate.fail("files", f'names "{path}", which is in files already; keep it in one of the two')
    source, has_confirm = _evaluator(folder)
    return Seed(
        name=_name(table),
        task=_task(folder),
        files=tuple(program.contents),
        program=program.contents,
        objectives=_objectives(table),
        constraints=_constraints(table),
        limits=limits,
        candidate=_environment(candidate),
        evaluator=_environment(evaluator),
        evaluator_source=source,
        evaluator_files=_data(folder, evaluator),
        protected=_protected(table, program),
        frozen=table.texts("frozen", example='frozen = ["config.json"]'),
        support=support,
        has_confirm=has_confirm,
    )


def _name(table: Table) -> str:
    name = table.text("name", example='name = "mnist1d"')
    if not SEED_NAME.fullmatch(name):
        table.fail("name", f'is "{name}"; use letters, digits, "-", "_" and "." only, at most 64')
    return name


def _task(folder: Path) -> str:
    place = folder / "task.md"
    if not place.exists():
        raise SeedError(f"{place}: is missing; say in it what the program does and what counts")
    task = read_text(place)
    if not task.strip():
        raise SeedError(f"{place}: is empty; say in it what the program does and what counts")
    return task


def _objectives(table: Table) -> tuple[Objective, ...]:
    entries = table.tables("objectives")
    if not entries:
        table.fail("objectives", "is missing; write [[objectives]] with a metric and a direction")
    chosen = [entry.flag("primary") for entry in entries if entry.flag("primary") is not None]
    if chosen.count(True) > 1:
        table.fail("objectives", f"has {chosen.count(True)} entries with primary = true; leave it on one")
    if True not in chosen and (len(entries) > 1 or chosen):
        table.fail("objectives", "has no entry with primary = true; set it on the one that counts most")
    objectives: list[Objective] = []
    for entry in entries:
        entry.only("metric", "direction", "primary")
        metric = _metric(entry, objectives)
        direction = next((known for known in DIRECTIONS if known == entry.data.get("direction")), None)
        if direction is None:
            said = entry.data.get("direction")
            problem = "is missing" if said is None else f'is "{said}"'
            entry.fail("direction", f'{problem}; say "maximize" or "minimize"')
        objectives.append(Objective(metric, direction, len(entries) == 1 or entry.flag("primary") is True))
    return tuple(objectives)


def _constraints(table: Table) -> tuple[Constraint, ...]:
    constraints: list[Constraint] = []
    for entry in table.tables("constraints"):
        entry.only("metric", "at_most", "at_least")
        metric = _metric(entry, constraints)
        at_most, at_least = entry.number("at_most"), entry.number("at_least")
        if at_most is None and at_least is None:
            entry.fail("at_most", "and at_least are both missing; give one, for instance at_most = 5")
        if at_most is not None and at_least is not None and at_least > at_most:
            entry.fail("at_least", f"is {at_least:g}, above at_most {at_most:g}; no value keeps both")
        constraints.append(Constraint(metric, at_most, at_least))
    return tuple(constraints)


def _metric(entry: Table, before: list[Ranked]) -> str:
    metric = entry.text("metric", example='metric = "accuracy"')
    if not METRIC_NAME.fullmatch(metric):
        entry.fail("metric", f'is "{metric}"; use letters, digits, "_", "-" and ".", a letter first')
    if any(other.metric == metric for other in before):
        entry.fail("metric", f'repeats "{metric}"; name each metric once')
    return metric


def _limits(table: Table) -> Limits:
    table.only("seconds", "memory_mb", "cpus", "processes", "output_kb", "program_kb", "gpus")
    usual = Limits()
    return Limits(
        seconds=table.ranged("seconds", usual.seconds, 0.1, MOST_SECONDS),
        memory_mb=table.count("memory_mb", usual.memory_mb, 32, 4 * 1024 * 1024),
        cpus=table.count("cpus", usual.cpus, 1, 1024),
        processes=table.count("processes", usual.processes, 1, 4096),
        output_kb=table.count("output_kb", usual.output_kb, 1, 16 * 1024),
        program_kb=table.count("program_kb", usual.program_kb, 1, 16 * 1024),
        gpus=table.count("gpus", usual.gpus, 0, 64),
    )


def _environment(table: Table) -> Environment:
    table.only("requirements", "preload", "files")
    requirements = table.texts("requirements", example='requirements = ["numpy>=1.26"]')
    for index, requirement in enumerate(requirements):
        if distribution_name(requirement) is None:
            table.fail(f"requirements[{index}]", f'is "{requirement}"; write it as for pip: "numpy>=1.26"')
    preload = table.texts("preload", example='preload = ["numpy"]')
    for index, module in enumerate(preload):
        if not _is_module(module):
            table.fail(f"preload[{index}]", f'is "{module}"; it must be a module\'s name, like "numpy"')
    return Environment(requirements, preload)


def _data(folder: Path, table: Table) -> dict[str, bytes]:
    paths = table.texts("files", example='files = ["data.npz"]')
    for index, path in enumerate(paths):
        if path in OWN_FILES:
            table.fail(f"files[{index}]", f'names "{path}", which the seed itself uses; remove it')
    said = f"{table.where}: {table.prefix}files"
    return read_data(folder, [(path, f"{said}[{index}]") for index, path in enumerate(paths)])


def _program(folder: Path, table: Table, program_kb: int) -> _Program:
    files = table.texts("files", example='files = ["program.py"]')
    if not files:
        table.fail("files", 'is missing or empty; say for instance files = ["program.py"]')
    contents: dict[str, bytes] = {}
    trees: dict[str, ast.Module] = {}
    for index, path in enumerate(files):
        if path in OWN_FILES:
            table.fail(f"files[{index}]", f'names "{path}", which judges the program; it can\'t evolve')
        place = checked_path(folder, path, f"{table.where}: files[{index}]")
        if place.is_dir():
            table.fail(f"files[{index}]", f'names "{path}", a folder; name its files one by one')
        if place.stat().st_size > program_kb * 1024:
            _too_large(table, place.stat().st_size, program_kb, path)
        text = read_text(place)
        contents[path] = text.encode()
        if path.endswith(".py"):
            trees[path] = parse(place, text)
            check_markers(place, text)
    if sum(map(len, contents.values())) > program_kb * 1024:
        _too_large(table, sum(map(len, contents.values())), program_kb, "the program")
    _check_entry(files[0], f"{table.where}: files[0]")
    return _Program(contents, trees)


def _too_large(table: Table, size: int, program_kb: int, what: str) -> None:
    table.fail("files", f"hold too much: {what} has {size} bytes; raise limits.program_kb, now {program_kb}")


def _check_entry(path: str, said: str) -> None:
    """Refuse a first file that can't be imported by its own name."""
    module = module_name(path)
    if not path.endswith(".py") or not _is_module(module):
        raise SeedError(f'{said} is "{path}"; the first file is the module to call, like "program.py"')
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise SeedError(f'{said} is "{path}", the name of a module of Python itself; rename the file')


def _protected(table: Table, program: _Program) -> tuple[str, ...]:
    """Names that must stay bound exactly once: "train" or "Net.forward" of the first file,
    "net/layers.py::pool" of another."""
    names = table.texts("protected", example='protected = ["train", "predict"]')
    for index, name in enumerate(names):
        path, _, dotted = name.rpartition("::")
        path = path or next(iter(program.contents))
        tree = program.trees.get(path)
        if tree is None:
            table.fail(f"protected[{index}]", f'names the file "{path}", which is no Python file among files')
        count = count_bindings(tree, dotted)
        if count != 1:
            problem = f"is bound {count} times in" if count else "isn't bound in"
            hint = "; bind it exactly once" if count else f"; {did_you_mean(dotted, bindings(tree.body))}"
            table.fail(f"protected[{index}]", f'names "{dotted}", which {problem} {path}{hint}')
    return names


def _evaluator(folder: Path) -> tuple[str, bool]:
    """evaluate.py's source, and whether it defines confirm."""
    place = folder / "evaluate.py"
    if not place.exists():
        raise SeedError(f"{place}: is missing; define evaluate(candidate, seed) in it")
    source = read_text(place)
    tree = parse(place, source)
    bound = bindings(tree.body)
    if not bound["evaluate"]:
        raise SeedError(f"{place}: doesn't define evaluate(candidate, seed)")
    for function in top_level_functions(tree):
        if function.name not in ("evaluate", "confirm"):
            continue
        if isinstance(function, ast.AsyncFunctionDef):
            raise SeedError(f"{place}:{function.lineno}: {function.name} is async; make it a plain function")
        if not takes(function, 2):
            raise SeedError(f"{place}:{function.lineno}: {function.name} must take (candidate, seed)")
    return source, bound["confirm"] > 0


def _is_module(name: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split("."))
