"""The Docker kind: the same runner, in a container of its own for each slot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox import confinement, container, images
from guided_evolution.sandbox.client import RunnerSandbox
from guided_evolution.sandbox.container import Container
from guided_evolution.sandbox.engine import Engine
from guided_evolution.sandbox.images import Image
from guided_evolution.sandbox.patience import Patience
from guided_evolution.seed import Limits, Seed


def prepare(seed: Seed, base_image: str | None, wheels: Path | None, say: Callable[[str], None]) -> Image:
    """The image for programs of this seed, built now if need be; also removes what dead workers left.

    Args:
        base_image: an image with Python and pip; None takes the official one of the Python that runs here.
        wheels: a folder of wheels to install from; None lets pip use the network.
        say: told of the steps of a build.

    Raises NoEngine and SandboxBroken.
    """
    engine = Engine.connect()
    try:
        return _prepared(engine, seed, base_image, wheels, say)
    finally:
        engine.close()


def open_docker_sandbox(
    seed: Seed, base_image: str | None, wheels: Path | None, say: Callable[[str], None]
) -> RunnerSandbox:
    """A sandbox of the Docker kind; its container starts with the first job. Arguments and errors as in `prepare`."""
    engine = Engine.connect()
    image = _prepared(engine, seed, base_image, wheels, say)
    unremoved: list[Container] = []
    return RunnerSandbox(f"docker@{image.digest}", seed, lambda: _connect(seed, engine, image, unremoved))


def _prepared(
    engine: Engine, seed: Seed, base_image: str | None, wheels: Path | None, say: Callable[[str], None]
) -> Image:
    image = images.ensure(engine, images.recipe(seed, base_image, wheels), seed.name, say)
    container.sweep(engine)
    return image


def _connect(
    seed: Seed, engine: Engine, image: Image, unremoved: list[Container]
) -> tuple[ContainerLink, Mapping[str, Any]]:
    while unremoved:
        unremoved[-1].remove()
        unremoved.pop()
    one = container.start(engine, image, seed.limits)
    # The last user of the range is the evaluator's, the others are the programs'.
    evaluator = one.users.first + one.users.count - 1
    place = {
        "root": confinement.WORK,
        "users": [one.users.first, one.users.count - 1],
        "wipe": [confinement.WORK, "/dev/shm"],
        "kills": one.kills,
        "candidate": {"path": ["/opt/candidate"]},
        "evaluator": {"path": ["/opt/evaluator"], "user": evaluator, "group": confinement.EVALUATOR_GROUP},
    }
    return ContainerLink(one, seed.limits, unremoved), place


class ContainerLink:
    """The way to the runner in a container; see Link. What can't be removed at its end goes into `unremoved`."""

    def __init__(self, one: Container, limits: Limits, unremoved: list[Container]) -> None:
        self._container = one
        self._unremoved = unremoved
        self._limits = limits
        self._ending = threading.Lock()
        self._ended = False

    def write(self, data: bytes, patience: Patience) -> None:
        """Write all of it."""
        self._container.stream.write(data, patience)

    def read(self, count: int, patience: Patience) -> bytes:
        """Between 1 and `count` bytes; none at the end."""
        return self._container.stream.read(count, patience)

    def end(self) -> None:
        """Remove the container, with everything in it."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
            try:
                self._container.remove()
            except SandboxBroken:
                # The runner in it ends with its input; the rest is removed before the next container starts, at the
                # latest by the next run.
                self._unremoved.append(self._container)

    def settle(self) -> None:
        """Leave the container the memory that it uses now, and what a job may use."""
        self._container.bound_memory(self._limits)

    def killed_for_memory(self) -> bool:
        """Whether the engine saw a memory kill in the container; asked when the runner itself is gone."""
        with contextlib.suppress(SandboxBroken):
            return self._container.killed_for_memory()
        return False

    def last_words(self) -> str:
        """The end of the runner's standard error, or else that it is gone."""
        said = self._container.stream.complaint.decode(errors="replace").strip()
        return said or "its container ended, or the engine did"
