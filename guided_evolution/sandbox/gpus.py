"""Graphics cards: which there are, and which of them no other sandbox has."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence

from guided_evolution.errors import SandboxBroken


def free_cards(wanted: int, taken: Collection[str]) -> tuple[str, ...]:
    """The ids of `wanted` cards that aren't among `taken`. Raises SandboxBroken, which says how many there are."""
    return choose_cards(_cards(), wanted, taken)


def choose_cards(every: Sequence[str], wanted: int, taken: Collection[str]) -> tuple[str, ...]:
    """The first `wanted` of `every` that aren't taken."""
    free = [card for card in every if card not in taken]
    if len(free) < wanted:
        raise SandboxBroken(
            f"each slot needs {wanted} of the {len(every)} graphics cards here, and other sandboxes have "
            f"{len(every) - len(free)}; run with at most --slots {max(1, len(every) // wanted)}"
        )
    return tuple(free[:wanted])


def _cards() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except FileNotFoundError as problem:
        raise SandboxBroken(
            "the seed asks for graphics cards, and nvidia-smi isn't installed here"
        ) from problem
    except (OSError, subprocess.SubprocessError) as problem:
        raise SandboxBroken(f"the seed asks for graphics cards, and nvidia-smi fails: {problem}") from problem
    return [line.strip() for line in found.splitlines() if line.strip()]
