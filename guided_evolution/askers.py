"""Who asks the models of each run, opened where its proposals are worked off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from guided_evolution.archive import Archive, proposals, runs
from guided_evolution.asker import Asker
from guided_evolution.briefer import Briefer
from guided_evolution.context import Contexts
from guided_evolution.manual import Manual
from guided_evolution.model_run import SETTINGS_KEY, ModelRun
from guided_evolution.model_settings import MANUAL
from guided_evolution.models import Model
from guided_evolution.operators import model_operators
from guided_evolution.prompts import Prompts
from guided_evolution.replay import Replay

_CLOSING_SECONDS = 20.0
"""What calls in flight may still take when a run closes. Most answer within it, and their replies are kept."""


class StoppableModel(Model, Protocol):
    """A model that can be told to ask nobody any more."""

    def stop(self) -> None:
        """Cut off what is in flight."""
        ...


class Askers:
    """Who asks the models of each run, opened at first need. Safe for many threads."""

    def __init__(self, archive: Archive, contexts: Contexts, notice: Callable[[str], None]) -> None:
        self._archive = archive
        self._contexts = contexts
        self._notice = notice
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Asker, StoppableModel] | None] = {}

    def __call__(self, run_id: int) -> Asker | None:
        """The asker of a run; None for a run without models."""
        with self._lock:
            if run_id not in self._open:
                self._open[run_id] = self._opened(run_id)
            found = self._open[run_id]
        return found[0] if found else None

    def stop(self) -> None:
        """Ask nobody any more: calls in flight are cut off."""
        with self._lock:
            opened = [one for one in self._open.values() if one is not None]
        for _, model in opened:
            model.stop()

    def hush(self) -> None:
        """The run is closing: wait for no person's reply, and not for long for calls that are paid for."""
        from guided_evolution.ensemble import Ensemble

        with self._lock:
            opened = [one for one in self._open.values() if one is not None]
        for _, model in opened:
            if isinstance(model, Manual):
                model.stop()
            elif isinstance(model, Ensemble):
                model.stop_within(_CLOSING_SECONDS)

    def _opened(self, run_id: int) -> tuple[Asker, StoppableModel] | None:
        with self._archive.read() as connection:
            run = runs.get(connection, run_id)
        asked = ModelRun.from_json(run.settings.get(SETTINGS_KEY))
        if asked is None:
            return None
        model = self._model(run, asked)
        prompts = Prompts(asked.templates, asked.prompt_budget)
        return Asker(model, model_operators(), prompts, Briefer(self._contexts), asked.models.specs), model

    def _model(self, run: runs.StoredRun, asked: ModelRun) -> StoppableModel:
        if asked.replay is not None:
            source_id, name = asked.replay
            return Replay(
                self._archive, (self._archive, source_id), source_name=name, number_of=self._number_of
            )
        if any(spec.name == MANUAL for spec in asked.models.specs):
            folder = Path(asked.folder or "prompts") / run.name
            return Manual(self._archive, run.id, folder, limits=asked.models.limits, notice=self._notice)
        from guided_evolution.ensemble import Ensemble

        return Ensemble(self._archive, run.id, asked.models, notice=self._notice)

    def _number_of(self, proposal_id: int) -> int:
        with self._archive.read() as connection:
            return proposals.number_of(connection, proposal_id)
