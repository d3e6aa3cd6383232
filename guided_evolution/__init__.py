"""Guided Evolution: evolve the source of a Python program against a trusted evaluator.

    import guided_evolution

    result = guided_evolution.evolve("mnist1d", evaluations=200)
    print(result.best.metrics, result.best.files["program.py"])

The names below are the whole public face; each is loaded when it is first asked for. Evaluators need `Score` and
`CandidateFailed` only, and get them in the sandbox too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from guided_evolution.version import __version__

if TYPE_CHECKING:
    from guided_evolution.api import Found, Result, evolve
    from guided_evolution.archive import open_archive
    from guided_evolution.errors import BadInput, GuidedEvolutionError, WorldFailed
    from guided_evolution.score import CandidateFailed, Score
    from guided_evolution.seed import Seed, load_seed

__all__ = [
    "BadInput",
    "CandidateFailed",
    "Found",
    "GuidedEvolutionError",
    "Result",
    "Score",
    "Seed",
    "WorldFailed",
    "__version__",
    "evolve",
    "load_seed",
    "open_archive",
]

_HOMES = {
    "BadInput": "errors",
    "CandidateFailed": "score",
    "Found": "api",
    "GuidedEvolutionError": "errors",
    "Result": "api",
    "Score": "score",
    "Seed": "seed",
    "WorldFailed": "errors",
    "evolve": "api",
    "load_seed": "seed",
    "open_archive": "archive",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
