"""What a seed wants installed, and what is installed here. Nothing is imported to find out."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

_REQUIREMENT = re.compile(
    r"""\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*   # numpy
        (?:\[[A-Za-z0-9,._\s-]*\])?\s*                               # [extra]
        (?:(?:[<>=!~]=?=?\s*[A-Za-z0-9][A-Za-z0-9.*+_-]*\s*,?\s*)*|@\s*\S+\s*)   # >=1.26,<3  or  @ url
        (?:;.*)?""",
    re.VERBOSE,
)


def distribution_name(requirement: str) -> str | None:
    """The package's name in a requirement as for pip (numpy of "numpy>=1.26"); None for any other text."""
    match = _REQUIREMENT.fullmatch(requirement)
    return match["name"] if match else None


def installed_version(distribution: str) -> str | None:
    """The installed version of a package, None where it isn't installed."""
    from importlib import metadata  # 15 ms that no start of the command should pay

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def installed_versions(requirements: Iterable[str], modules: Iterable[str]) -> tuple[str, ...]:
    """Sorted "name==version" (or "name==absent") of the packages of requirements and of preloaded modules."""
    names = {distribution_name(requirement) or requirement for requirement in requirements}
    for module in modules:
        names.update(distributions_of(module.partition(".")[0]))
    return tuple(f"{name}=={installed_version(name) or 'absent'}" for name in sorted(names))


def missing(requirements: Sequence[str], modules: Sequence[str]) -> tuple[str, ...]:
    """Those requirements that aren't installed and those modules that can't be found here.

    Names only: whether an installed version satisfies its bounds is for whoever installs.
    """
    absent = [
        requirement
        for requirement in requirements
        if installed_version(distribution_name(requirement) or requirement) is None
    ]
    absent += [module for module in modules if importlib.util.find_spec(module.partition(".")[0]) is None]
    return tuple(dict.fromkeys(absent))


def distributions_of(module: str) -> Sequence[str]:
    """The packages that bring a module; none for Python's own, the module's name where nothing is known."""
    if module in sys.stdlib_module_names:
        return ()
    if installed_version(module) is not None:
        return (module,)
    from importlib import metadata

    # 50 ms and more, so only for modules that aren't named like their package (sklearn, yaml)
    known: Mapping[str, Sequence[str]] = metadata.packages_distributions()
    return known.get(module, (module,))
