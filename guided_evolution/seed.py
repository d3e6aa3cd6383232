"""A seed by name or by folder: the one door for everything that can be evolved."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path

from guided_evolution.errors import SeedError
from guided_evolution.requirements import missing
from guided_evolution.seed_values import Constraint, Direction, Environment, Limits, Objective, Seed

__all__ = [
    "Constraint",
    "Direction",
    "Environment",
    "Limits",
    "Objective",
    "Seed",
    "builtin_seed_folder",
    "builtin_seeds",
    "load_seed",
    "missing_requirements",
    "require_installed",
]


def load_seed(name_or_folder: str) -> Seed:
    """The seed in a folder, or the built-in one of that name where no such seed folder stands here.

    Raises SeedError, one sentence that names file and key.
    """
    if not name_or_folder.strip():
        raise SeedError(f"a seed is a folder or one of the built-in seeds: {', '.join(builtin_seeds())}")
    try:
        return _load(name_or_folder)
    except OSError as problem:
        raise SeedError(f"{name_or_folder}: can't be read: {problem.strerror or problem}") from problem


def _load(name_or_folder: str) -> Seed:
    folder = Path(name_or_folder)
    if folder.name == "seed.toml" and folder.is_file():
        folder = folder.parent
    # A bare name means the built-in seed unless a folder of that name really is a seed: `mnist1d` still works
    # beside an output folder that somebody called mnist1d.
    is_path = os.sep in name_or_folder or "/" in name_or_folder or name_or_folder in (".", "..")
    if not is_path and not _is_seed(folder) and name_or_folder in builtin_seeds():
        folder = builtin_seed_folder() / name_or_folder
    if folder.is_dir():
        return _load_folder(folder)
    if is_path or folder.exists():
        raise SeedError(f"{name_or_folder}: {'is not a folder' if folder.exists() else 'no such folder'}")
    raise SeedError(_unknown(name_or_folder))


def builtin_seeds() -> tuple[str, ...]:
    """The names of the seeds that come with the package, sorted."""
    folder = builtin_seed_folder()
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if (entry / "seed.toml").is_file()))


def builtin_seed_folder() -> Path:
    """Where the built-in seeds lie: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_seeds"
    return installed if installed.is_dir() else package.parent / "seeds"


def missing_requirements(seed: Seed) -> tuple[str, ...]:
    """What the process sandbox would miss: requirements not installed and preloads not found here."""
    both = (seed.candidate, seed.evaluator)
    return missing(
        [requirement for one in both for requirement in one.requirements],
        [module for one in both for module in one.preload],
    )


def require_installed(seed: Seed) -> None:
    """Raise SeedError where the process sandbox would miss a package that the seed needs."""
    if absent := missing_requirements(seed):
        raise SeedError(
            f"seed {seed.name} needs what isn't installed here: {', '.join(absent)}; "
            f"install it, for instance by `{sys.executable} -m pip install {' '.join(absent)}`"
        )


def _is_seed(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("seed.toml", "evaluator.py"))


def _load_folder(folder: Path) -> Seed:
    if (folder / "seed.toml").is_file():
        from guided_evolution.seed_folder import read_seed_folder

        return read_seed_folder(folder)
    if (folder / "evaluator.py").is_file():
        from guided_evolution.openevolve import read_openevolve_folder

        return read_openevolve_folder(folder)
    if (folder / "evaluate.py").is_file() and any(folder.glob("initial.*")):
        raise SeedError(
            f"{folder}: looks like a ShinkaEvolve task (initial.* and evaluate.py), which isn't read yet; "
            "write a seed.toml beside it, or use an OpenEvolve folder (initial_program.py and evaluator.py)"
        )
    raise SeedError(
        f"{folder}: holds neither seed.toml nor OpenEvolve's evaluator.py and initial_program.py; "
        "`guided-evolution init NAME` writes a seed to start from"
    )


def _unknown(name: str) -> str:
    known = builtin_seeds()
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'no seed "{name}": neither a folder here nor a built-in seed ({", ".join(known) or "none"}){hint}'
