"""Who does a run's work: threads of the controller's own process, or workers elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from guided_evolution.archive import Archive
from guided_evolution.controller import Dispatch
from guided_evolution.sandbox.choice import Opener
from guided_evolution.version import __version__


class Hands(Protocol):
    """What a session starts, drives through `dispatch`, and ends."""

    @property
    def dispatch(self) -> Dispatch:
        """The controller's way to the workers."""
        ...

    def start(self) -> None:
        """Begin to work."""
        ...

    def hush(self) -> None:
        """The run is closing: wait for no person any more."""
        ...

    def stop(self) -> None:
        """End at once what is still at work."""
        ...


class OwnHands:
    """Threads of this process, with its sandboxes and its models."""

    def __init__(
        self,
        archive: Archive,
        *,
        slots: int,
        proposers: int,
        opener: Opener,
        notice: Callable[[str], None],
        wake: threading.Event,
    ) -> None:
        from guided_evolution.askers import Askers
        from guided_evolution.context import Contexts
        from guided_evolution.evaluation import Evaluator, SandboxPool
        from guided_evolution.operators import builtin_operators
        from guided_evolution.proposal import Proposer
        from guided_evolution.worker import EmbeddedWorkers

        contexts = Contexts(archive)
        self._pool = SandboxPool(lambda wanted, _kind: opener(wanted), slots)
        self._askers = Askers(archive, contexts, notice)
        self.dispatch = EmbeddedWorkers(
            archive,
            Proposer(contexts, builtin_operators(), self._askers).propose,
            Evaluator(contexts, self._pool).evaluate,
            slots=slots,
            proposers=proposers,
            version=__version__,
            wake=wake,
        )

    def start(self) -> None:
        self.dispatch.start()

    def hush(self) -> None:
        self._askers.hush()

    def stop(self) -> None:
        self._askers.stop()
        self.dispatch.drain(0)
        self._pool.close()
        self.dispatch.stop()


class HandsElsewhere:
    """Workers that share this run's archive and its broker; they come and go as they please."""

    def __init__(self, archive: Archive, run_id: int, broker: str, wake: threading.Event) -> None:
        from guided_evolution.dispatch import RemoteDispatch

        self.dispatch = RemoteDispatch(archive, run_id, broker, wake=wake)

    def start(self) -> None:
        self.dispatch.start()

    def hush(self) -> None:
        """Their calls are let finish."""

    def stop(self) -> None:
        self.dispatch.stop()
