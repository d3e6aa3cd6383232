"""A run with models, small enough for a test: an archive, a run, proposals to call for, and short patience."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from sqlalchemy import text

from guided_evolution.archive import Archive, completions, open_archive, proposals, runs
from guided_evolution.archive.completions import Spent, Stored
from guided_evolution.ensemble import Ensemble
from guided_evolution.model_client import Client
from guided_evolution.model_plan import ModelPlan, plan_models
from guided_evolution.model_settings import choose_models
from guided_evolution.models import Call, Message, Reply
from guided_evolution.patience import Patience
from guided_evolution.prices import Limits
from guided_evolution.seed import Objective, Seed

QUICK = Patience(call=5.0, outage=0.4, first_wait=0.02, longest_wait=0.1, recovery=0.3)
ASK = [Message("system", "You improve programs."), Message("user", "Make it better.\n" + "x = 1\n" * 50)]
SEED = Seed(
    name="tiny",
    task="t",
    files=("program.py",),
    program={"program.py": b"x = 1\n"},
    objectives=(Objective("loss", "minimize", True),),
    evaluator_source="def evaluate(candidate, seed): ...\n",
)


class ModelRun:
    """One run in an archive of its own; closes what it opened."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.path = folder / "run.db"
        self.archive: Archive = open_archive(url or str(self.path), create=True)
        with self.archive.write() as connection:
            self.run = runs.create(
                connection, SEED, settings={}, rng_seed=1, evaluation_seed=2, sandbox="process"
            )
        self.notices: list[str] = []
        self._opened: list[Ensemble] = []
        self._number = -1

    def models(
        self,
        *names: str,
        url: str | None = None,
        limits: Limits | None = None,
        patience: Patience = QUICK,
        plan: ModelPlan | None = None,
        environ: dict[str, str] | None = None,
    ) -> Ensemble:
        """The models of this run, as a session of it opens them."""
        plan = plan or plan_models(choose_models(names, base_url=url), limits or Limits(), no_cap=True)
        opened = Ensemble(
            self.archive,
            self.run.id,
            plan,
            client=Client(environ),
            patience=patience,
            notice=self.notices.append,
        )
        self._opened.append(opened)
        return opened

    def call(self, purpose: str = "mutate", turn: int = 0) -> Call:
        """A call for a new proposal."""
        self._number += 1
        with self.archive.write() as connection:
            proposal_id = proposals.add(connection, self.run.id, self._number, "mutate", [])
        return Call(self.run.id, proposal_id, purpose, turn)

    def number_of(self, proposal_id: int) -> int:
        """The number of a proposal of this run."""
        with self.archive.read() as connection:
            return connection.execute(
                text("SELECT number FROM proposal WHERE id = :id"), {"id": proposal_id}
            ).scalar_one()

    def ask(self, model: Any, call: Call | None = None, **parameters: Any) -> Reply:
        """One call, for a new proposal unless given."""
        reply: Reply = model.complete(ASK, call or self.call(), random.Random(7), **parameters)
        return reply

    def rows(self, call: Call) -> list[Stored]:
        """What the archive keeps of a call's proposal."""
        assert call.proposal_id is not None
        with self.archive.read() as connection:
            return completions.of_proposal(connection, call.proposal_id)

    def spent(self) -> Spent:
        """What the ledger says."""
        with self.archive.read() as connection:
            return completions.spent(connection, self.run.id)

    def close(self) -> None:
        """Close models and archive."""
        for one in self._opened:
            one.stop()
        self.archive.close()
