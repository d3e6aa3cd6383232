"""A file as units that two programs can swap: functions, classes, methods and module-level assignments, by name."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache

from guided_evolution.bindings import Definition, bindings, first_line
from guided_evolution.evolvable import line_starts
from guided_evolution.genome import lines_of, tree_of


@dataclass(frozen=True)
class Unit:
    """A named piece of a file, whole lines: "train", "Net.forward" or "RATE".

    Attributes:
        start, end: its characters in the file; comments directly above belong to it, blank lines behind don't.
        top: where the top-level statement begins that it is, or is part of.
        reads: the names that it reads, and the attributes of `self`.
        parameters: how it is called, None for what isn't a function.
    """

    name: str
    start: int
    end: int
    top: int
    source: str
    reads: frozenset[str]
    attributes: frozenset[str]
    parameters: str | None = None

    @property
    def owner(self) -> str:
        """The class of a method, else nothing."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Module:
    """The units of a file, the imports that it makes, and every name that it binds at the top."""

    units: dict[str, Unit]
    imports: dict[str, str]
    bound: frozenset[str]


@lru_cache(maxsize=64)
def module_of(path: str, text: str) -> Module | None:
    """The units of a file, None if it isn't Python. A name that is bound more than once is no unit."""
    tree = tree_of(path, text)
    if tree is None:
        return None
    counts = bindings(tree.body)
    starts, lines = line_starts(text), lines_of(text)
    imports: dict[str, str] = {}
    units: dict[str, Unit] = {}
    floor = 0
    for node in tree.body:
        name = _name(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(_imports(node))
        elif name is not None and counts[name] == 1 and first_line(node) > floor:
            unit = _unit(name, node, text, starts, lines, floor)
            units[name] = unit
            if isinstance(node, ast.ClassDef):
                units.update(_methods(node, unit, text, starts, lines))
        floor = node.end_lineno or floor
    return Module(units, imports, frozenset(counts))


def _methods(
    node: ast.ClassDef, owner: Unit, text: str, starts: list[int], lines: list[str]
) -> dict[str, Unit]:
    counts = bindings(node.body)
    found = {}
    floor = node.lineno
    for inner in node.body:
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            floor = inner.end_lineno or floor
            continue
        if counts[inner.name] == 1 and first_line(inner) > floor:
            name = f"{node.name}.{inner.name}"
            found[name] = _unit(name, inner, text, starts, lines, floor, top=owner.start)
        floor = inner.end_lineno or floor
    return found


def _unit(
    name: str,
    node: ast.stmt,
    text: str,
    starts: list[int],
    lines: list[str],
    floor: int,
    top: int | None = None,
) -> Unit:
    first = first_line(node) - 1
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    while first > floor and _is_comment(lines[first - 1], indent):
        first -= 1
    start, end = starts[first], starts[node.end_lineno or 0]
    reads = frozenset(
        one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    )
    attributes = frozenset(
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "self"
    )
    parameters = ast.unparse(node.args) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
    return Unit(
        name, start, end, start if top is None else top, text[start:end], reads, attributes, parameters
    )


def _is_comment(line: str, indent: str) -> bool:
    return line.startswith(indent + "#") and "EVOLVE-BLOCK" not in line


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, Definition):
        return node.name
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """The statement that binds each name."""
    before = f"from {'.' * node.level}{node.module or ''} " if isinstance(node, ast.ImportFrom) else ""
    return {
        (alias.asname or alias.name).partition(".")[0]: f"{before}import {alias.name}"
        + (f" as {alias.asname}" if alias.asname else "")
        for alias in node.names
    }
