"""What tests of the Docker kind need, an engine and a base image: without, they fail in CI and skip elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox.engine import Engine
from guided_evolution.sandbox.images import default_base

CI_BASE = "guided-evolution/base:bookworm"
CI_WHEELS = Path("/var/cache/guided-evolution/wheels")


def real_engine() -> Engine:
    """The engine of this machine."""
    try:
        return Engine.connect(30)
    except SandboxBroken as problem:
        missing(f"no container engine: {problem}")


def base_image(engine: Engine) -> str:
    """An image with Python that is here already: tests download nothing."""
    for name in (os.environ.get("GUIDED_EVOLUTION_BASE_IMAGE"), CI_BASE, default_base()):
        if name and engine.api.images(name):
            return name
    missing(f"no base image: `.ci/base-image.sh` makes one, or `docker pull {default_base()}`")


def wheels() -> Path | None:
    """A folder of wheels for builds without network, None where pip may use it."""
    named = os.environ.get("GUIDED_EVOLUTION_WHEELS")
    if named:
        return Path(named)
    return CI_WHEELS if CI_WHEELS.is_dir() else None


def missing(what: str) -> NoReturn:
    """Skip, or fail where CI promised to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
