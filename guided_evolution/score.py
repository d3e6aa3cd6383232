"""What an evaluator says of a program, and how it reaches one. Standard library only: it travels into the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class CandidateFailed(Exception):
    """A call into the candidate came to nothing: it raised, exited, broke a limit or returned what can't be carried.

    An evaluator may catch it where a failed call should cost only points. `kind` says how it failed.
    """

    def __init__(self, message: str, kind: str = "raised") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Score:
    """An evaluator's verdict.

    Attributes:
        metrics: finite numbers by name, one for each objective.
        feedback: what went wrong where, in words, for people and models.
        measures: further finite numbers, which describe a program without being goals.
        artifacts: longer texts to keep.
        private: finite numbers that are stored and never shown to a model.
    """

    metrics: Mapping[str, float]
    feedback: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, float] = field(default_factory=dict)


class Candidate(Protocol):
    """The evaluator's handle on a process that holds the evolved program."""

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the program. Raises CandidateFailed."""
        ...

    def fresh(self) -> Candidate:
        """A new process with the same program, which knows nothing of earlier calls."""
        ...
