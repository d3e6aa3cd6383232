"""Runs this folder under a name of its own, wherever it lies and whatever the folder is called.

Under plain names its modules would stand in the way of a program's own `values.py` or `limits.py`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

NAME = "guided_sandbox"


def main(arguments: list[str]) -> None:
    """Be a supervisor, or with `zygote ROLE DESCRIPTOR` one of its zygotes."""
    folder = os.path.dirname(os.path.abspath(__file__))
    init = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(NAME, init, submodule_search_locations=[folder])
    assert spec is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    if arguments and arguments[0] == "zygote":
        importlib.import_module(f"{NAME}.zygote").main(arguments[1], int(arguments[2]))
    else:
        importlib.import_module(f"{NAME}.runner").main()


if __name__ == "__main__":
    main(sys.argv[1:])
