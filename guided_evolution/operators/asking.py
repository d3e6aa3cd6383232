"""What operators that ask a model have in common: a briefing becomes the messages of one question."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from guided_evolution.briefing import Briefing
from guided_evolution.errors import EditRejected
from guided_evolution.models import Message
from guided_evolution.prompts import Prompts, count_tokens, fill
from guided_evolution.prompts import sections as part


@dataclass(frozen=True)
class Question:
    """What a model is asked.

    Attributes:
        notation: how to answer; said again where the first answer is of no use.
        temperature: sent where the model takes one.
        whole_file: the answer is to be a file.
    """

    messages: tuple[Message, ...]
    notation: str
    temperature: float | None = None
    whole_file: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of all messages, estimated."""
        return sum(count_tokens(message.content) for message in self.messages)


_GIVE_WAY = (
    "program",
    "skeleton",
    "error",
    "feedback",
    "attempts",
    "inspirations",
    "lessons",
    "partner",
)
"""Parts of a prompt that are cut when it gets too long."""


class ModelOperator(Protocol):
    """One way of making a child by asking a model. `parents` is how many it needs; the first is the base of the edit.

    `base` says which program the controller gives it: a ``scored`` one, the ``seed`` program or a ``failed`` one.
    """

    name: str
    parents: int
    base: str

    def ask(self, briefing: Briefing, prompts: Prompts, rng: random.Random, notation: str | None) -> Question:
        """The question; `notation` is what the models of the run write best, None for any."""
        ...


def question(
    template: str,
    briefing: Briefing,
    prompts: Prompts,
    *,
    notation: str | None,
    temperature: float,
    intent: str = "",
    scope: Sequence[str] = (),
    said_scope: str = "",
    whole_file: bool = False,
) -> Question:
    """Fill a template from a briefing, within the budget of the prompts."""
    how = prompts.notation("file" if whole_file else notation)
    values = dict.fromkeys(_GIVE_WAY, "")
    values |= {
        "task": briefing.seed.task.strip(),
        "objectives": part.objectives_text(briefing),
        "limits": part.limits_text(briefing),
        "packages": part.packages_text(briefing),
        "frozen": part.frozen_text(briefing.rules, briefing.base.genome),
        "intent": intent,
        "scope": said_scope,
        "notation": how,
    }
    text = prompts.template(template)
    system = prompts.template("system").strip()
    # With a word for each part that may be cut, so that its heading counts.
    fixed = count_tokens(fill(text, values | dict.fromkeys(_GIVE_WAY, "x"))) + count_tokens(system)
    values |= _variable(text, briefing, prompts.budget - fixed, scope)
    return Question(
        (Message("system", system), Message("user", fill(text, values))), how, temperature, whole_file
    )


def _variable(template: str, briefing: Briefing, budget: int, scope: Sequence[str]) -> dict[str, str]:
    """The parts that give way, in the order of their importance; each gets what those before it left."""
    base, objectives = briefing.base, part.ordered(briefing)
    left = max(0, budget)
    values: dict[str, str] = {}

    def take(name: str, text: str) -> None:
        nonlocal left
        if "{{" + name + "}}" in template.replace(" ", ""):
            values[name] = text
            left -= count_tokens(text)

    take("error", part.error_text(base, left))
    take("feedback", part.feedback_text(base, left))
    take("program", part.program_text(base.genome, left, briefing.rules, scope))
    take("skeleton", part.skeleton_text(briefing, left))
    if briefing.partner is not None:
        other = part.other_text(briefing.partner, base.genome, objectives)
        take("partner", other if count_tokens(other) <= left else part.cut(other, max(left, 0)))
    take("lessons", part.within((f"- {lesson}" for lesson in briefing.lessons), left))
    take("attempts", part.within((part.attempt_text(one, objectives) for one in briefing.attempts), left))
    others = (part.other_text(one, base.genome, objectives) for one in briefing.inspirations)
    take("inspirations", part.within(others, left))
    return values


def again(asked: Question, answer: str, rejected: EditRejected, prompts: Prompts) -> tuple[Message, ...]:
    """The messages that follow an answer of no use: it, and what is wrong with it."""
    values: Mapping[str, str] = {"kind": rejected.kind, "error": str(rejected), "notation": asked.notation}
    retry = fill(prompts.template("retry"), values)
    # Some providers refuse an empty message.
    return (
        *asked.messages,
        Message("assistant", answer if answer.strip() else "(empty)"),
        Message("user", retry),
    )
