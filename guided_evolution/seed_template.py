"""`init`: a new seed folder that runs at once, from an example or around a program that exists."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from guided_evolution.bindings import bindings, imported_modules
from guided_evolution.errors import SeedError
from guided_evolution.requirements import distributions_of
from guided_evolution.seed import load_seed
from guided_evolution.seed_folder import OWN_FILES, SEED_NAME
from guided_evolution.seed_values import Limits
from guided_evolution.source_files import check_markers, parse, read_text

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Model:
    """An existing program: its files by name, the first one the entry; what that defines, and imports."""

    files: Mapping[str, str]
    found: tuple[str, ...]
    outer: tuple[str, ...]  # those of `found` that the file itself doesn't use
    imported: tuple[str, ...]

    @property
    def entry(self) -> str:
        return next(iter(self.files))


def write_seed(name: str, folder: Path, from_model: Path | None = None) -> list[Path]:
    """Write the seed `name` into `folder`, which is empty or missing; returns the files written.

    With `from_model` the program is that file and those beside it that it imports, else an example.
    Raises SeedError before anything is written.
    """
    if not SEED_NAME.fullmatch(name):
        raise SeedError(
            f'"{name}" can\'t name a seed; use letters, digits, "-", "_" and "." only, at most 64'
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SeedError(f"{folder}: is there already and isn't an empty folder; choose another name")
    texts = _example(name) if from_model is None else _around(name, from_model)
    written = []
    try:
        for path, text in texts.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())
            written.append(place)
    except OSError as problem:
        raise SeedError(f"{folder}: can't be written: {problem.strerror or problem}") from problem
    load_seed(f"{folder}/seed.toml")
    return written


def _example(name: str) -> dict[str, str]:
    return {
        "seed.toml": _template("seed/seed.toml", NAME=name),
        "task.md": _template("seed/task.md"),
        "program.py": _template("seed/program.py.txt"),
        "evaluate.py": _template("seed/evaluate.py.txt"),
    }


def _around(name: str, place: Path) -> dict[str, str]:
    model = _read_model(place)
    size = sum(len(text.encode()) for text in model.files.values())
    installed = [module for module in model.imported if importlib.util.find_spec(module) is not None]
    requirements = sorted({known for module in model.imported for known in distributions_of(module)[:1]})
    settings = _template(
        "seed_from/seed.toml",
        NAME=name,
        MODEL=place.name,
        ENTRY=model.entry,
        FILES=_listed(model.files),
        FOUND=", ".join(model.found),
        PROTECTED=_listed(model.outer),
        PROGRAM_KB=str(max(Limits().program_kb, 2 * size // 1024 + 1)),
        REQUIREMENTS=_listed(requirements),
        PRELOAD=_listed(installed),
    )
    return {
        "seed.toml": settings,
        "task.md": _template("seed_from/task.md", ENTRY=model.entry),
        **model.files,
        "evaluate.py": _template("seed_from/evaluate.py.txt", CALLED=model.outer[0]),
    }


def _read_model(place: Path) -> _Model:
    if not place.is_file():
        raise SeedError(f"{place}: no such file; --from needs the Python file to evolve")
    text = read_text(place)
    tree = parse(place, text)
    check_markers(place, text)
    found = _definitions(tree)
    if not found:
        raise SeedError(f"{place}: defines no top-level function that an evaluator could call; add one")
    files = {_entry_name(place): text}
    foreign = _collect(place.parent, tree, files, {place.name})
    outer = [name for name in found if name not in _used(tree)] or [found[-1]]
    return _Model(files, tuple(found), tuple(outer), tuple(sorted(foreign)))


def _collect(folder: Path, tree: ast.Module, files: dict[str, str], seen: set[str]) -> set[str]:
    """Add the files beside the model that it and they import; returns the foreign modules."""
    foreign: set[str] = set()
    for module in imported_modules(tree):
        place = folder / f"{module}.py"
        if place.name in seen:
            continue
        if place.is_file():
            seen.add(place.name)
            files[place.name] = read_text(place)
            foreign |= _collect(folder, parse(place, files[place.name]), files, seen)
        elif module not in sys.stdlib_module_names:
            foreign.add(module)
    return foreign


def _definitions(tree: ast.Module) -> list[str]:
    """Public functions, then public classes, that are bound exactly once."""
    bound = bindings(tree.body)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    public = [name for name in functions + classes if not name.startswith("_") and name != "main"]
    return [name for name in public if bound[name] == 1]


def _used(tree: ast.Module) -> set[str]:
    """Names that other functions and classes of the module read: parts of it rather than its face."""
    return {
        node.id
        for body in tree.body
        if isinstance(body, ast.FunctionDef | ast.ClassDef) and body.name != "main"
        for node in ast.walk(body)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id != body.name
    }


def _entry_name(place: Path) -> str:
    usable = place.suffix == ".py" and place.stem.isidentifier() and place.stem not in sys.stdlib_module_names
    return place.name if usable and place.name not in OWN_FILES else "program.py"


def _template(path: str, **values: str) -> str:
    text = (_TEMPLATES / path).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _listed(names: Mapping[str, str] | list[str] | tuple[str, ...]) -> str:
    return ", ".join(json.dumps(name) for name in names)
