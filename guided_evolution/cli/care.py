"""`doctor`: whether an archive is whole."""

from __future__ import annotations

from guided_evolution.archive import runs
from guided_evolution.cli import WORLD_FAILED
from guided_evolution.cli.opening import opened
from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json
from guided_evolution.doctor import examine


def doctor(place: Place, run_name: str | None, *, as_json: bool) -> int:
    """Print every problem found; returns the exit code."""
    with opened(place) as archive:
        run = None
        with archive.read() as connection:
            if run_name is not None:
                run = runs.find(connection, run_name)
            count = 1 if run else len(runs.all_runs(connection))
        problems = list(examine(archive, run))
    if as_json:
        print_json(
            {
                "runs": count,
                "problems": [
                    {"where": where, "what": problem.what, "rows": list(problem.rows)}
                    for where, problem in problems
                ],
            }
        )
    elif problems:
        for where, problem in problems:
            console().print(f"{where}: {problem}")
    else:
        console().print(f"all is well: {count} run{'' if count == 1 else 's'} examined")
    return WORLD_FAILED if problems else 0
