"""All figures in one table: `make bench`. Each is measured again by the command in its row."""

from __future__ import annotations

import sys
import time

from bench import operators, rate, sandbox, selection, slots, startup
from bench.figures import Figure, machine, table

SUITES = (startup, rate, slots, operators, sandbox, selection)


def main() -> int:
    """Print the table; 1 if a figure misses what was promised."""
    print(f"on {machine()}, {time.strftime('%Y-%m-%d')}", flush=True)
    figures: list[Figure] = []
    for suite in SUITES:
        print(f"measuring {suite.COMMAND} …", file=sys.stderr, flush=True)
        figures += suite.measure()
    print(table(figures))
    return int(not all(figure.kept for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
