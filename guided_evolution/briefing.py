"""What a prompt may know, as values. Private metrics, evaluation seeds and held-out cases have no place in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.seed import Seed


@dataclass(frozen=True)
class Known:
    """A program and what its evaluation said: `metrics` are None where it failed, then `kind` and `error` say how."""

    program_id: int
    genome: Genome
    metrics: Mapping[str, float] | None = None
    feedback: str = ""
    kind: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Attempt:
    """A change that was tried on this line, and what came of it.

    Attributes:
        outcome: ``scored``, ``failed``, ``rejected`` (it never became a program) or ``known`` (it was no new program).
        kept: it is part of the program that the prompt is about.
        before, after: metrics of the program that it changed and of what it made; empty where there are none.
    """

    operator: str
    summary: str
    outcome: Literal["scored", "failed", "rejected", "known"]
    kept: bool = False
    diff: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    kind: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Briefing:
    """All that one question to a model is made of.

    Attributes:
        base: the program that the edit will apply to.
        partner: the second parent of an operator that needs two.
        seed_metrics, best_metrics: of the seed program and of the best so far, where they are known.
        attempts: on this line, the most telling first.
        inspirations: other good programs.
        lessons: what was learned in this run, in words.
        packages: what a program may import beside the standard library, as "name==version".
    """

    seed: Seed
    rules: FrozenRules
    base: Known
    partner: Known | None = None
    seed_metrics: Mapping[str, float] = field(default_factory=dict)
    best_metrics: Mapping[str, float] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    inspirations: tuple[Known, ...] = ()
    lessons: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
