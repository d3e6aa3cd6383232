"""A model's reply, read as the best edit that it contains: SEARCH/REPLACE blocks, a diff, whole genes or a whole file.

What it is is told by its form, not by what was asked for. Tolerant of fences, prose, indentation, missing markers and
line ends; strict in what is accepted: a quotation has one place in the program, and nothing is left out in silence.
"""

from __future__ import annotations

import re

from guided_evolution.edit import Edit
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome
from guided_evolution.quotations import SUMMARY, from_blocks
from guided_evolution.reply_blocks import FENCE, OPEN, diff_blocks, search_replace_blocks
from guided_evolution.reply_code import from_code

_REASONING = re.compile(
    r"\A\s*<(think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)>.*?</\1>",
    re.DOTALL | re.I,
)
_REASONING_OPEN = re.compile(
    r"\A\s*<(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)>", re.I
)
_REASONING_END = re.compile(r"\A.*^[ \t]*</(?:think|thinking|reasoning)>", re.DOTALL | re.I | re.MULTILINE)
_CHANNEL = re.compile(r"\A.*<\|channel\|>final<\|message\|>", re.DOTALL)
_IDEA = re.compile(r"^[\s#>*_-]*(?:idea|change|summary)\b[\s*_]*[:\uff1a]\s*[*_]*\s*(\S.*)$", re.I)
_MOST_CHARACTERS = 200_000
"""Of an answer without its reasoning; more where a program may be larger than a quarter of that."""


def read_reply(
    text: str,
    genome: Genome,
    rules: FrozenRules,
    *,
    truncated: bool = False,
    whole_file: bool = False,
) -> Edit:
    """The edit that a reply means.

    Args:
        text: the reply as it came.
        genome: the program that it is about.
        rules: new definitions go where these let them, and a whole file holds the protected names.
        truncated: the model ran into its length limit; only what is complete counts.
        whole_file: a whole file was asked for, so code that could be either is one.

    Raises:
        EditRejected: ``empty``, ``prose``, ``truncated``, ``malformed``, ``no-match``, ``ambiguous``, ``unknown-gene``,
            ``elided``, ``syntax`` or ``no-op``; the message says what to do.
    """
    answer = _answer(text)
    if not answer.strip():
        kind = "truncated" if truncated or text.strip() else "empty"
        raise EditRejected(kind, "the reply holds no answer; send the change as described")
    most = max(_MOST_CHARACTERS, 4096 * rules.program_kb)
    if len(answer) > most:
        raise EditRejected("size", f"the reply has {len(answer):,} characters; send at most {most:,}")
    blocks = search_replace_blocks(answer, genome, truncated=truncated)
    if not blocks:
        blocks = diff_blocks(answer, genome, truncated=truncated)
    if blocks:
        edit = from_blocks(blocks, genome)
    else:
        edit = from_code(answer, genome, rules, truncated=truncated, whole_file=whole_file)
    if not edit.splices and not edit.imports:
        raise EditRejected(
            "no-op", "the reply changes nothing: what it holds is what the program already says"
        )
    idea = _said(answer)
    return Edit(edit.splices, idea or edit.summary, edit.imports)


def _answer(text: str) -> str:
    """The reply without its reasoning, with plain line ends and no characters that can't be written."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _CHANNEL.sub("", text)
    while match := _REASONING.match(text):
        text = text[match.end() :]
    if _REASONING_OPEN.match(text):
        return ""  # it never came to the answer
    return _REASONING_END.sub("", text)


def idea_of(text: str) -> str | None:
    """What a reply says that it does, whether or not it can be used."""
    return _said(_answer(text))


def _said(answer: str) -> str | None:
    """What the model says that it does, if it says so on a line of its own."""
    for line in answer.split("\n")[:40]:
        if match := _IDEA.match(line):
            said = match[1].strip().strip("*_").strip()
            return said if len(said) <= SUMMARY else said[: SUMMARY - 1] + "…"
        if FENCE.match(line) or OPEN.match(line):
            return None
    return None
