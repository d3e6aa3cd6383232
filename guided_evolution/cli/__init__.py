"""The command line: `guided-evolution`, short `gev`.

Exit codes: 0 done (also when the user stopped it by Ctrl-C or `stop`), 2 bad input, 3 the world failed or ended the run
(resumable). Errors are one sentence on standard error. Nothing heavy is imported before a command is chosen.
"""

from __future__ import annotations

import os
import sys

from guided_evolution.errors import GuidedEvolutionError

PROGRAM = "guided-evolution"
BAD_INPUT = 2
WORLD_FAILED = 3


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()
    sys.exit(code)


def _run() -> int:
    from guided_evolution.cli.app import UsageProblem, app

    try:
        code = app(standalone_mode=False, prog_name=_name())
    except UsageProblem as problem:
        path = problem.ctx.command_path if problem.ctx else PROGRAM
        return _complain(f"{problem.format_message().rstrip('.')} (`{path} --help` shows what there is)")
    except GuidedEvolutionError as error:
        return _complain(str(error), error.exit_code)
    except BrokenPipeError:
        _nobody_reads()
        return 0
    except KeyboardInterrupt:
        return _complain("interrupted", WORLD_FAILED)
    return code if isinstance(code, int) else 0


def _complain(sentence: str, code: int = BAD_INPUT) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return code


def _name() -> str:
    called = os.path.basename(sys.argv[0])
    return called if called in (PROGRAM, "gev") else PROGRAM


def _nobody_reads() -> None:
    """Let the interpreter's last flush of a closed pipe go nowhere, instead of a complaint about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
