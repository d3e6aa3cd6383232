"""Sandboxes of every kind, for tests."""

from __future__ import annotations

from guided_evolution.sandbox import Sandbox
from guided_evolution.sandbox.docker import open_docker_sandbox
from guided_evolution.sandbox.process import open_process_sandbox
from guided_evolution.seed import Seed
from tests.docker_engine import base_image, real_engine, wheels


def open_kind(kind: str, seed: Seed) -> Sandbox:
    """A sandbox of this kind; skips the test, in CI fails it, where it can't be had."""
    if kind == "process":
        return open_process_sandbox(seed)
    engine = real_engine()
    base = base_image(engine)
    engine.close()
    return open_docker_sandbox(seed, base, wheels(), print)
