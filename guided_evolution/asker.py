"""Asks a run's model for a child: briefing, question, reply, edit; and once more where the reply is of no use."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from guided_evolution.archive.proposals import Claimed
from guided_evolution.briefer import Briefer
from guided_evolution.context import RunContext
from guided_evolution.edit import apply_edit
from guided_evolution.errors import EditRejected
from guided_evolution.genome import Genome
from guided_evolution.model_settings import ModelSpec, eligible
from guided_evolution.models import Call, Model, Reply
from guided_evolution.operators.asking import ModelOperator, Question, again
from guided_evolution.prompts import Prompts
from guided_evolution.replies import idea_of, read_reply

_MENDABLE = ("empty", "tool_calls")
"""How an answer can end without text and yet be worth asking again for."""


class Asker:
    """What a run asks, and how. Safe for many threads.

    Args:
        specs: the run's models, to tell how the one that will be asked writes edits best.
    """

    def __init__(
        self,
        model: Model,
        operators: Mapping[str, ModelOperator],
        prompts: Prompts,
        briefer: Briefer,
        specs: Sequence[ModelSpec] = (),
    ) -> None:
        self.operators = operators
        self._model = model
        self._prompts = prompts
        self._briefer = briefer
        self._specs = specs

    def make(self, run: RunContext, claimed: Claimed) -> tuple[Genome, str]:
        """The child and what is said of it. Every random choice follows from the run's seed and the proposal's number.

        Raises:
            EditRejected: neither the first reply nor the second could be used.
            BudgetExhausted, ModelUnavailable, ModelRefused, ReplayDiffers: see `Model.complete`.
        """
        operator = self.operators[claimed.operator]
        briefing = self._briefer.brief(run, claimed)
        notation = self._notation(_rng(run, claimed, "model"), operator.name)
        question = operator.ask(briefing, self._prompts, _rng(run, claimed, "ask"), notation)
        call = Call(run.run_id, claimed.id, operator.name)
        reply = self._model.complete(
            question.messages, call, _rng(run, claimed, "model"), temperature=question.temperature
        )
        base = briefing.base.genome
        try:
            return _child(run, base, reply, question)
        except EditRejected as rejected:
            if reply.error is not None and reply.finish_reason not in _MENDABLE:
                raise
            messages = again(question, reply.text, rejected, self._prompts)
        second = self._model.complete(
            messages,
            Call(run.run_id, claimed.id, operator.name, turn=1),
            _rng(run, claimed, "model"),
            temperature=question.temperature,
        )
        try:
            return _child(run, base, second, question)
        except EditRejected as rejected:
            said = idea_of(second.text) or idea_of(reply.text) or ""
            raise EditRejected(rejected.kind, str(rejected), said) from rejected

    def _notation(self, rng: random.Random, purpose: str) -> str | None:
        """What the model writes best that `complete` will choose, given an equal `rng`."""
        able = eligible(self._specs, purpose)
        if not able:
            return None
        return rng.choices(able, weights=[one.weight for one in able])[0].notation


def _rng(run: RunContext, claimed: Claimed, purpose: str) -> random.Random:
    return random.Random(f"{run.rng_seed}/{claimed.number}/{purpose}")


def _child(run: RunContext, base: Genome, reply: Reply, question: Question) -> tuple[Genome, str]:
    if reply.error is not None and not reply.text.strip():
        kind = reply.finish_reason if reply.finish_reason not in (None, "error", "stop") else "no-reply"
        raise EditRejected(kind.replace("_", "-"), reply.error)
    edit = read_reply(
        reply.text,
        base,
        run.rules,
        truncated=reply.finish_reason == "length",
        whole_file=question.whole_file,
    )
    return apply_edit(base, edit, run.rules), edit.summary
