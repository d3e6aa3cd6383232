"""Scores an OpenEvolve task: the task's own evaluator runs beside the program, so the score is self-made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from guided_evolution import Score

if TYPE_CHECKING:
    from guided_evolution.score import Candidate

PROGRAM: str = "initial_program.py"
STAGES: tuple[str, ...] = ("evaluate",)
# what stages 0 to i found has to reach THRESHOLDS[i] before stage i + 1 runs
THRESHOLDS: tuple[float, ...] = ()
# descriptions of a program that say nothing about its quality, so the mean leaves them out
FEATURES: tuple[str, ...] = ()
FEEDBACK_CHARACTERS = 2000


def evaluate(candidate: Candidate, seed: int) -> Iterator[Score]:
    metrics: dict[str, float] = {}
    notes: dict[str, str] = {}
    for index, stage in enumerate(STAGES):
        found = candidate.call("run_stage", PROGRAM, stage, seed)
        metrics.update(found["metrics"])
        notes.update(found["notes"])
        if index:
            metrics.pop("error", None)  # OpenEvolve counts it in a single evaluation, not in a merged one
        stopped = index + 1 < len(STAGES) and not reaches(metrics, THRESHOLDS[index])
        if stopped:
            notes["stopped"] = f"after {stage}, under the {THRESHOLDS[index]:g} that the next stage asks for"
        yield Score(
            metrics={**metrics, "combined_score": combined(metrics)},
            feedback="\n".join(f"{name}: {text[:FEEDBACK_CHARACTERS]}" for name, text in notes.items()),
            artifacts=notes,
        )
        if stopped:
            return


def combined(metrics: Mapping[str, float]) -> float:
    """The score that ranks programs: combined_score, else the mean of the numbers that aren't features."""
    if "combined_score" in metrics:
        return metrics["combined_score"]
    telling = [value for name, value in metrics.items() if name not in FEATURES] or list(metrics.values())
    if not telling:
        raise ValueError("the evaluator returned no finite number")
    return sum(telling) / len(telling)


def reaches(metrics: Mapping[str, float], threshold: float) -> bool:
    """Whether the stages so far are good enough for the next; here "error" doesn't count in the mean."""
    telling = {name: value for name, value in metrics.items() if name != "error"}
    if not telling:
        return False
    return telling.get("combined_score", sum(telling.values()) / len(telling)) >= threshold
