"""A candidate without a sandbox: the program as a module of this process, loaded anew by every `fresh()`.

Enough to test what an evaluator asks and counts; that nothing leaks between processes is the sandbox's to show.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).parents[2] / "seeds"


class InProcess:
    """Calls into a program's source; `calls` is shared with every fresh one: (generation, name, args, kwargs)."""

    def __init__(
        self, source: str, calls: list[tuple[int, str, tuple[Any, ...], dict[str, Any]]] | None = None
    ):
        self.source = source
        self.calls = [] if calls is None else calls
        self.generation = 0
        self._next = [1]
        self._module = load("program", source, "program.py")

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((self.generation, name, args, kwargs))
        return getattr(self._module, name)(*args, **kwargs)

    def fresh(self) -> InProcess:
        other = InProcess(self.source, self.calls)
        other._next = self._next
        other.generation = self._next[0]
        self._next[0] += 1
        return other


def load(name: str, source: str, path: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = path
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


def evaluator(seed_name: str) -> types.ModuleType:
    place = SEEDS / seed_name / "evaluate.py"
    return load(f"evaluate_{seed_name}", place.read_text(), str(place))


def program(seed_name: str) -> str:
    return (SEEDS / seed_name / "program.py").read_text()
