"""A measured figure beside what it should be, and the table of them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`low` and `high` bound what was promised; None is no bound. `command` measures this figure alone."""

    what: str
    value: float
    unit: str
    command: str
    low: float | None = None
    high: float | None = None

    @property
    def kept(self) -> bool:
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    def row(self) -> str:
        bound = f"at least {self.low:g}" if self.low is not None else ""
        bound = f"at most {self.high:g}" if self.high is not None else bound
        verdict = "" if not bound else "kept" if self.kept else "**missed**"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {bound} | {verdict} | `{self.command}` |"


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    head = "| figure | measured | promised | | command |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *(figure.row() for figure in figures)])


def machine() -> str:
    """What the figures were measured on."""
    load = os.getloadavg()[0]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpus} cores, Python {sys.version.split()[0]}, load {load:.1f} before"


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder for archives, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="guided-evolution-bench-") as name:
        yield Path(name)


def in_child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a bench module in a process of its own, so that it is charged only for itself; its last line is JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def own_cpu_seconds() -> float:
    """CPU time of this process alone, without its children."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def own_peak_mb() -> float:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
