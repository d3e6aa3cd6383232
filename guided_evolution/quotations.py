"""Blocks laid over a program: every quotation has one place in it, or the reply is refused with the closest text."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence

from guided_evolution.edit import Edit, Splice
from guided_evolution.errors import EditRejected
from guided_evolution.genome import Genome
from guided_evolution.passages import Passage, Text, closest, locate
from guided_evolution.reply_blocks import Block

SUMMARY = 200
"""Most characters of an edit's summary."""


def from_blocks(blocks: list[Block], genome: Genome) -> Edit:
    """All blocks found in the program as it stands; else one after the other, each in what those before it made."""
    try:
        splices = [splice for block in blocks if (splice := _splice(block, genome)) is not None]
        if not _overlap(splices):
            return Edit(tuple(_ordered(splices)), summary(splices, genome))
        first_problem = EditRejected(
            "ambiguous", "two blocks of the reply change the same lines; make them one"
        )
    except EditRejected as rejected:
        if len(blocks) == 1:
            raise
        first_problem = rejected
    working = genome
    for block in blocks:
        try:
            splice = _splice(block, working)
        except EditRejected:
            raise first_problem from None
        if splice is not None:
            text = working.text(splice.path)
            working = working.replace(splice.path, text[: splice.start] + splice.text + text[splice.end :])
    splices = difference(genome, working)
    return Edit(tuple(splices), summary(splices, genome))


def _splice(block: Block, genome: Genome) -> Splice | None:
    """Where a block goes, None for one that changes nothing. Raises EditRejected."""
    if len(block.halves) > 2:
        return _splice(_right_halves(block, genome), genome)
    if block.search == block.replace:
        return None
    if not block.search.strip():
        if len(genome.paths) == 1 and not genome.text(genome.paths[0]).strip():
            return Splice(genome.paths[0], 0, len(genome.text(genome.paths[0])), block.replace + "\n")
        raise EditRejected(
            "malformed", "a block has nothing to find; quote the lines next to the place that is meant"
        )
    path, text, passage = _place(block, genome)
    replacement = passage.fit(block.replace.strip("\n") if block.replace.strip() else "")
    start, end = passage.start, passage.end
    if not replacement.strip():
        replacement = ""
        end = _with_line_end(text, start, end)
    if text.newline != "\n":
        replacement = replacement.replace("\n", text.newline)
    return None if text.text[start:end] == replacement else Splice(path, start, end, replacement)


def _with_line_end(text: Text, start: int, end: int) -> int:
    """The end of a passage that is removed: with the last line's end where whole lines are."""
    if start not in text.starts:
        return end
    return next((one for one in text.starts if one > end), len(text.text)) if end in _line_ends(text) else end


def _line_ends(text: Text) -> set[int]:
    return {start + len(line) for start, line in zip(text.starts, text.lines, strict=False)}


def _right_halves(block: Block, genome: Genome) -> Block:
    """Where several lines look like the divider, the one with the longest quotation that has one place."""
    fitting = []
    for number in range(0, len(block.halves), 2):
        tried = Block(block.halves[number], block.halves[number + 1], block.path, block.line)
        try:
            _place(tried, genome)
        except EditRejected:
            continue
        fitting.append(tried)
    if not fitting:
        raise EditRejected("malformed", "a block holds more than one =======; send it as several blocks")
    return max(fitting, key=lambda one: len(one.search))


def _place(block: Block, genome: Genome) -> tuple[str, Text, Passage]:
    """The one place of a quotation. Raises EditRejected with the closest text, or with all the places."""
    paths = [block.path] if block.path else list(genome.paths)
    texts = {path: Text(genome.text(path)) for path in paths}
    found = [(path, passage) for path, text in texts.items() for passage in locate(text, block.search)]
    if not found and block.path and len(genome.paths) > 1:
        return _place(Block(block.search, block.replace, None, block.line), genome)
    if len(found) > 1 and block.line is not None:
        found = [one for one in found if one[1].line == block.line] or found
    if len(found) == 1:
        path, passage = found[0]
        return path, texts[path], passage
    quoted = _shown(block.search)
    if found:
        places = ", ".join(f"{path} line {passage.line}" for path, passage in found[:6])
        raise EditRejected(
            "ambiguous",
            f"the text to find stands at {len(found)} places ({places}); quote more lines around it:\n"
            f"{quoted}",
        )
    near = [(path, hit) for path, text in texts.items() if (hit := closest(text, block.search))]
    if not near:
        raise EditRejected(
            "no-match", f"the text to find is not in the program; quote it to the letter:\n{quoted}"
        )
    path, (line, text_there) = near[0]
    raise EditRejected(
        "no-match",
        f"the text to find is not in the program; quote it to the letter:\n{quoted}\n"
        f"the closest is at {path} line {line}:\n{text_there}",
    )


def _shown(text: str) -> str:
    lines = text.strip("\n").split("\n")
    return "\n".join(line[:200] for line in lines[:12]) + ("\n…" if len(lines) > 12 else "")


def _ordered(splices: Sequence[Splice]) -> list[Splice]:
    return sorted(splices, key=lambda one: (one.path, one.start, one.end))


def _overlap(splices: Sequence[Splice]) -> bool:
    ordered = _ordered(splices)
    return any(
        (one.path == two.path and two.start < one.end)
        or (one.path, one.start, one.end) == (two.path, two.start, two.end)
        for one, two in itertools.pairwise(ordered)
    )


def difference(old: Genome, new: Genome) -> list[Splice]:
    """The splices, in whole lines, that turn one program into the other."""
    splices: list[Splice] = []
    for path in old.paths:
        before, after = old.text(path), new.text(path)
        if before == after:
            continue
        mine, theirs = before.splitlines(keepends=True), after.splitlines(keepends=True)
        starts = [0]
        for line in mine:
            starts.append(starts[-1] + len(line))
        matcher = difflib.SequenceMatcher(None, mine, theirs, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                splices.append(Splice(path, starts[a], starts[b], "".join(theirs[c:d])))
    return splices


def summary(splices: Sequence[Splice], genome: Genome) -> str:
    """The genes that the splices touch."""
    names = [
        gene.name.rpartition("::")[2]
        for gene in genome.genes
        for one in splices
        if one.path == gene.path and one.start < max(gene.end, gene.start + 1) and one.end >= gene.start
    ]
    return ("changed " + ", ".join(dict.fromkeys(names)))[:SUMMARY]
