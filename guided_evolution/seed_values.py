"""What a seed is, as values: loaded once, stored with the run, sent to the sandbox."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from guided_evolution.errors import SeedError
from guided_evolution.requirements import installed_versions

Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

MOST_SECONDS = 30 * 86400

# Of the stored form, not of the package: a change here must keep reading the forms before it.
JSON_FORMAT = 1


@dataclass(frozen=True)
class Objective:
    """A metric that the search makes larger or smaller; the primary one names "the best" program."""

    metric: str
    direction: Direction
    primary: bool


@dataclass(frozen=True)
class Constraint:
    """Bounds, both included, that a metric or a measure has to keep before objectives count."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Limits:
    """What one evaluation may use: wall-clock seconds, megabytes of memory, processors, processes of the
    candidate, kilobytes of its output, kilobytes of its source (all files together), graphics cards."""

    seconds: float = 10.0
    memory_mb: int = 1024
    cpus: int = 1
    processes: int = 16
    output_kb: int = 64
    program_kb: int = 64
    gpus: int = 0


@dataclass(frozen=True)
class Environment:
    """What a process may import (`requirements`, as for pip) and what it imports once, before it forks
    (`preload`, module names)."""

    requirements: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seed:
    """A program to evolve and the trusted evaluator that scores it.

    `program` holds the bytes of `files`, the evolvable ones; files[0] is the module that the evaluator calls,
    unless `entry` names another. `support` are fixed files laid beside the program, `evaluator_files` the
    evaluator's data, out of the program's sight. All paths are relative, with forward slashes.
    """

    name: str
    task: str
    files: tuple[str, ...]
    program: Mapping[str, bytes]
    objectives: tuple[Objective, ...]
    evaluator_source: str
    constraints: tuple[Constraint, ...] = ()
    limits: Limits = Limits()
    candidate: Environment = Environment()
    evaluator: Environment = Environment()
    evaluator_files: Mapping[str, bytes] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    support: Mapping[str, bytes] = field(default_factory=dict)
    entry: str = ""
    self_scored: bool = False
    has_confirm: bool = False

    @property
    def primary(self) -> Objective:
        """The objective by which "the best" program is meant."""
        return next(objective for objective in self.objectives if objective.primary)

    @property
    def entry_module(self) -> str:
        """The dotted name of the module that the evaluator's calls go to."""
        return self.entry or module_name(self.files[0])

    @cached_property
    def scoring_version(self) -> str:
        """16 hex digits over all that decides a score: evaluator, its data, fixed files, limits and the
        versions installed here. Objectives and constraints aren't in it: they rank scores, they don't
        change them.
        """
        parts: list[bytes] = [b"scoring 1", self.evaluator_source.encode()]
        for files in (self.evaluator_files, self.support):
            parts.append(str(len(files)).encode())
            for path in sorted(files):
                parts += [path.encode(), files[path]]
        settled = [asdict(self.limits), asdict(self.candidate), asdict(self.evaluator), self.entry_module]
        parts.append(json.dumps(settled, sort_keys=True).encode())
        parts.append(f"python {sys.version_info.major}.{sys.version_info.minor}".encode())
        parts += [version.encode() for version in self._versions()]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:16]

    def _versions(self) -> Iterable[str]:
        both = (self.candidate, self.evaluator)
        return installed_versions(
            [requirement for one in both for requirement in one.requirements],
            [module for one in both for module in one.preload],
        )

    @cached_property
    def hash(self) -> str:
        """32 hex digits over the seed's whole content: the key under which an archive keeps it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """The whole seed, files included, as text that `from_json` turns back into an equal one."""
        values: dict[str, Any] = {"format": JSON_FORMAT, **asdict(self)}
        for key in ("program", "support", "evaluator_files"):
            values[key] = {path: _pack(content) for path, content in values[key].items()}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Seed:
        """The seed that `to_json` wrote; SeedError for any other text."""
        try:
            values = json.loads(text)
            if values.pop("format") != JSON_FORMAT:
                raise SeedError("a stored seed was written by another version of Guided Evolution; use that")
            return _from_values(values)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as problem:
            raise SeedError(f"a stored seed can't be read: {problem}") from problem


def module_name(path: str) -> str:
    """The dotted module name of a program's file: "net/layers.py" is net.layers."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    return stem.replace("/", ".")


def _pack(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode("ascii")


def _unpack(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: zlib.decompress(base64.b64decode(text, validate=True)) for path, text in files.items()}


def _from_values(values: dict[str, Any]) -> Seed:
    def environment(of: Mapping[str, Any]) -> Environment:
        return Environment(tuple(of["requirements"]), tuple(of["preload"]))

    built: dict[str, Any] = {
        "objectives": tuple(Objective(**objective) for objective in values["objectives"]),
        "constraints": tuple(Constraint(**constraint) for constraint in values["constraints"]),
        "limits": Limits(**values["limits"]),
        "candidate": environment(values["candidate"]),
        "evaluator": environment(values["evaluator"]),
    }
    for key in ("files", "protected", "frozen"):
        built[key] = tuple(values[key])
    for key in ("program", "support", "evaluator_files"):
        built[key] = _unpack(values[key])
    return Seed(**{**values, **built})
