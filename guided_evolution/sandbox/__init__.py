"""The sandbox seam: a job goes in, an outcome comes out."""

from __future__ import annotations

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox.job import Job, Outcome, Purpose, Sandbox
from guided_evolution.seed import Seed

__all__ = ["Job", "Outcome", "Purpose", "Sandbox", "open_sandbox"]


def open_sandbox(kind: str, seed: Seed) -> Sandbox:
    """A sandbox of this kind for programs of this seed. Raises SandboxBroken where it can't be had."""
    if kind == "process":
        from guided_evolution.sandbox.process import open_process_sandbox

        return open_process_sandbox(seed)
    raise SandboxBroken(f'there is no sandbox of the kind "{kind}"; there is process')
