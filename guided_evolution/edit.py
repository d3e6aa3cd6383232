"""An edit, and the one place where it becomes a program: frozen lines, protected names, syntax and size are checked here."""

from __future__ import annotations

from dataclasses import dataclass

from guided_evolution.genome import Genome


@dataclass(frozen=True)
class Splice:
    """Replace the characters `start` to `end` of a file's text."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Edit:
    """A set of splices in the base parent's files that don't overlap, and imports that have to be there afterwards.

    `summary` says in a few words what it does. `imports` are (path, statement) pairs; one that stands already is left out.
    """

    splices: tuple[Splice, ...]
    summary: str
    imports: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class FrozenRules:
    """What no edit may touch: see `Seed.protected` and `Seed.frozen`; EVOLVE-BLOCK markers are read from the text."""

    protected: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    program_kb: int = 64


def apply_edit(genome: Genome, edit: Edit, rules: FrozenRules) -> Genome:
    """The child. Raises EditRejected with a kind and a sentence that a model can act on."""
    raise NotImplementedError
