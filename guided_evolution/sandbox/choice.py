"""Which kind of sandbox a run takes, and how its sandboxes are opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guided_evolution.errors import SettingsError
from guided_evolution.sandbox.job import Sandbox
from guided_evolution.seed import Seed, require_installed

Kind = Literal["process", "docker"]


def short_name(kind: str) -> str:
    """A kind as people read it: ``docker@sha256:31d05c…`` without most of its digest."""
    name, _, digest = kind.partition("@sha256:")
    return f"{name} {digest[:12]}".strip()


def nobody(_said: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Opener:
    """Opens sandboxes of one kind.

    Attributes:
        base_image, wheels: what images of the Docker kind are built from; see images.recipe.
        say: told, in a line, of what takes its time: the steps of an image's build.
    """

    kind: Kind = "process"
    base_image: str | None = None
    wheels: str | None = None
    say: Callable[[str], None] = nobody

    def prepare(self, seed: Seed) -> str:
        """Make sure that sandboxes for `seed` can be opened, which may build an image; returns the full name of the
        kind, as it is kept with evaluations: ``process``, or ``docker@sha256:…`` with the image's digest.

        Raises SeedError: packages are missing here; SandboxBroken: no engine, or the image can't be built.
        """
        if self.kind == "process":
            require_installed(seed)
            return "process"
        from guided_evolution.sandbox.docker import prepare

        return f"docker@{prepare(seed, self.base_image, self._wheels(), self.say).digest}"

    def __call__(self, seed: Seed) -> Sandbox:
        """A sandbox for programs of this seed. Raises SandboxBroken where it can't be had."""
        if self.kind == "process":
            from guided_evolution.sandbox.process import open_process_sandbox

            return open_process_sandbox(seed)
        from guided_evolution.sandbox.docker import open_docker_sandbox

        return open_docker_sandbox(seed, self.base_image, self._wheels(), self.say)

    def _wheels(self) -> Path | None:
        return Path(self.wheels) if self.wheels else None


def choose(
    asked: Literal["auto", "process", "docker"],
    *,
    model_writes: bool,
    base_image: str | None = None,
    wheels: str | None = None,
    say: Callable[[str], None] = nobody,
) -> Opener:
    """The kind that was asked for; ``auto`` takes Docker for programs that a model writes or has written, else the
    process kind.

    Raises SettingsError, which names both ways out, where ``auto`` wants Docker and no engine answers.
    """
    kind: Kind = "docker" if asked == "auto" and model_writes else "process" if asked == "auto" else asked
    if asked == "auto" and kind == "docker":
        _require_engine()
    return Opener(kind, base_image, wheels, say)


def _require_engine() -> None:
    from guided_evolution.sandbox.engine import Engine, NoEngine

    try:
        Engine.connect().close()
    except NoEngine as problem:
        raise SettingsError(
            f"programs that a model writes run in Docker, but {problem}; install and start Docker (or rootless Podman "
            "with its socket), or take `--sandbox process` at your own risk: there they have your rights"
        ) from problem
