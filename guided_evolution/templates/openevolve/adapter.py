"""Runs an OpenEvolve evaluator, unmodified, in the candidate's own process: evaluator and program share it.

Standard library only; laid beside evaluator.py and the program in the candidate's folder.
"""

from __future__ import annotations

import importlib.util
import math
import numbers
import os
import random
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
NOTE_CHARACTERS = 8000


def run_stage(program: str, function: str, seed: int) -> dict[str, dict[str, Any]]:
    """What the evaluator's `function` says of a program: finite numbers as "metrics", the rest as "notes"."""
    evaluator = _evaluator()
    _seed_generators(seed)
    result = getattr(evaluator, function)(os.path.join(HERE, program))
    metrics = getattr(result, "metrics", result)
    if not isinstance(metrics, dict):
        raise TypeError(
            f"{function} returned {type(result).__name__}, not a dict of metrics or an EvaluationResult"
        )
    numbers_found, notes = _sort(metrics)
    artifacts = getattr(result, "artifacts", None)
    if isinstance(artifacts, dict):
        notes.update((str(name), _text(value)) for name, value in artifacts.items())
    return {"metrics": numbers_found, "notes": notes}


def _evaluator() -> Any:
    if "evaluation_module" in sys.modules:
        return sys.modules["evaluation_module"]
    if HERE not in sys.path:
        sys.path.insert(0, HERE)
    spec = importlib.util.spec_from_file_location("evaluation_module", os.path.join(HERE, "evaluator.py"))
    if spec is None or spec.loader is None:
        raise ImportError("evaluator.py can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluation_module"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["evaluation_module"]
        raise
    return module


def _seed_generators(seed: int) -> None:
    """Give every program of a run the same luck, and the same run the same scores."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)


def _sort(metrics: dict[Any, Any]) -> tuple[dict[str, float], dict[str, str]]:
    found: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name, value in metrics.items():
        if name == "combined_score":
            value = _as_number(value)
        # a flag such as timeout=True is no score: as 1.0 it would lift the mean
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                found[str(name)] = number
                continue
            if name == "combined_score":
                raise ValueError(f"the evaluator's combined_score is {number}; it must be finite")
        notes[str(name)] = _text(value)
    return found, notes


def _as_number(value: Any) -> Any:
    """OpenEvolve takes anything that float() takes for a combined_score."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return text if len(text) <= NOTE_CHARACTERS else text[:NOTE_CHARACTERS] + " [cut]"
