"""A program of a run -> a seed folder of its own, which `check` scores the same and `evolve` goes on from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from guided_evolution.checked_table import read_toml
from guided_evolution.errors import ArchiveError, SeedError
from guided_evolution.openevolve import OWN_SUPPORT
from guided_evolution.seed import Environment, Seed

ORIGIN = ".guided-evolution.toml"
"""Says where a written folder came from. Hidden, so that it isn't taken for one of a task's files."""


@dataclass(frozen=True)
class Origin:
    """Run, program and score of a folder that `best --write` wrote, and the seed that the evaluator got there.

    `hostile`: the program isn't to be run without walls, since a model had a hand in it, or its run took none.
    """

    run: str
    program: int
    evaluation_seed: int
    metrics: Mapping[str, float]
    hostile: bool = False


def write_program(seed: Seed, program: Mapping[str, bytes], origin: Origin, folder: Path) -> list[Path]:
    """Write `program` into `folder` with all that the seed has beside it; returns the files written.

    The folder is missing, empty, or one that was written so before.

    Raises:
        ArchiveError: it holds something else, or can't be written.
    """
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / ORIGIN).is_file())
    ):
        raise ArchiveError(f"{folder}: is there already and isn't an empty folder; choose another name")
    files = {**_beside(seed), **program, ORIGIN: _origin_text(origin).encode()}
    for path in files:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ArchiveError(f"program {origin.program} has a file {path!r}, which lies outside its folder")
    written = []
    try:
        for path, content in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            written.append(place)
    except OSError as problem:
        raise ArchiveError(f"{folder}: can't be written: {problem.strerror or problem}") from problem
    return written


def read_origin(folder: Path) -> Origin | None:
    """Where this folder came from, None if `best --write` didn't write it."""
    place = folder / ORIGIN
    if not place.is_file():
        return None
    table = read_toml(place, SeedError)
    table.only("run", "program", "evaluation_seed", "hostile", "metrics")
    found = table.table("metrics")
    return Origin(
        run=table.text("run", example='run = "calm-fjord"'),
        program=table.count("program", 0, 1, 2**63),
        evaluation_seed=table.count("evaluation_seed", 0, 0, 2**63),
        metrics={name: value for name in found.data if (value := found.number(name)) is not None},
        hostile=table.flag("hostile") is True,
    )


def is_hostile(name_or_folder: str) -> bool:
    """Whether this names a folder with a program that isn't to be run without walls."""
    folder = Path(name_or_folder)
    origin = read_origin(folder) if folder.is_dir() else None
    return origin is not None and origin.hostile


def _beside(seed: Seed) -> dict[str, bytes]:
    """All files of the seed's folder but the program's."""
    if seed.self_scored:
        return {path: content for path, content in seed.support.items() if path not in OWN_SUPPORT}
    return {
        "seed.toml": _seed_toml(seed).encode(),
        "task.md": seed.task.encode(),
        "evaluate.py": seed.evaluator_source.encode(),
        **seed.support,
        **seed.evaluator_files,
    }


def _seed_toml(seed: Seed) -> str:
    lines = [
        f"name = {_text(seed.name)}",
        f"files = {_texts(seed.files)}",
        f"protected = {_texts(seed.protected)}",
        f"frozen = {_texts(seed.frozen)}",
    ]
    for objective in seed.objectives:
        lines += ["", "[[objectives]]", f"metric = {_text(objective.metric)}"]
        lines += [
            f"direction = {_text(objective.direction)}",
            *(["primary = true"] if objective.primary else []),
        ]
    for constraint in seed.constraints:
        lines += ["", "[[constraints]]", f"metric = {_text(constraint.metric)}"]
        bounds = {"at_most": constraint.at_most, "at_least": constraint.at_least}
        lines += [f"{name} = {float(bound)!r}" for name, bound in bounds.items() if bound is not None]
    lines += ["", "[limits]", *(f"{name} = {value!r}" for name, value in asdict(seed.limits).items())]
    lines += _environment("candidate", seed.candidate, seed.support)
    lines += _environment("evaluator", seed.evaluator, seed.evaluator_files)
    return "\n".join(lines) + "\n"


def _environment(name: str, environment: Environment, files: Iterable[str]) -> list[str]:
    return [
        "",
        f"[{name}]",
        f"requirements = {_texts(environment.requirements)}",
        f"preload = {_texts(environment.preload)}",
        f"files = {_texts(files)}",
    ]


def _origin_text(origin: Origin) -> str:
    lines = [
        f"# Program {origin.program} of run {origin.run}. `guided-evolution check` evaluates it with this seed.",
        f"run = {_text(origin.run)}",
        f"program = {origin.program}",
        f"evaluation_seed = {origin.evaluation_seed}",
        *(["hostile = true  # a model may have written it: it runs in Docker"] if origin.hostile else []),
        "",
        "[metrics]",
        *(f"{_text(name)} = {float(value)!r}" for name, value in origin.metrics.items()),
    ]
    return "\n".join(lines) + "\n"


def _texts(values: Iterable[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


def _text(value: str) -> str:
    # JSON's strings are TOML's but for two things: TOML wants DEL escaped and knows no pairs of surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
