"""The blocks of a reply: SEARCH/REPLACE in all the spellings that models use, and unified diffs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from guided_evolution.errors import EditRejected
from guided_evolution.genome import Genome

FENCE = re.compile(r"^[ \t]*(?:>[ \t]?)?(`{3,}|~{3,})[ \t]*([^`\n]*?)[ \t]*$")
OPEN = re.compile(
    r"^\s*(?:<{5,}|<{3,}(?=\s*(?:SEARCH|ORIGINAL|OLD|FIND|BEFORE)\b)|-{5,}(?=\s*SEARCH\b))\s*(.*)$", re.I
)
_MIDDLE = re.compile(r"^={7}\s*$")
_MIDDLE_SLOPPY = re.compile(r"^\s*(?:={3,}\s*(?:REPLACE|NEW)?:?|<{3,}\s*(?:REPLACE|NEW|AFTER)\b.*)\s*$", re.I)
_CLOSE = re.compile(
    r"^\s*(?:>{5,}|>{3,}(?=\s*(?:REPLACE|UPDATED|NEW|END|AFTER)\b)|\+{5,}(?=\s*REPLACE\b)).*$", re.I
)
_SEARCH_END = re.compile(r"^\s*>{3,}\s*(?:SEARCH|ORIGINAL|OLD|FIND|BEFORE)\b.*$", re.I)
_MOST_MIDDLES = 12
_HUNK = re.compile(r"^@@+(?:\s*-(\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@+)?.*$")
_PATH = re.compile(r"[\w./\\-]+\.\w{1,8}")


@dataclass(frozen=True)
class Block:
    """A quotation and what shall stand in its place; `line` is where a diff says that it stands."""

    search: str
    replace: str
    path: str | None
    line: int | None = None
    halves: tuple[str, ...] = ()


def search_replace_blocks(answer: str, genome: Genome, *, truncated: bool) -> list[Block]:
    lines = answer.split("\n")
    blocks: list[Block] = []
    cut = False
    at = 0
    while at < len(lines):
        opened = OPEN.match(lines[at])
        if not opened or _MIDDLE_SLOPPY.match(lines[at]):
            at += 1
            continue
        end, closed = _block_end(lines, at + 1)
        body = lines[at + 1 : end]
        if not closed and end >= len(lines) and truncated:
            cut = True
        else:
            blocks.append(_block(body, path_near(lines, at, opened[1], genome), at + 1))
        at = end + 1 if closed else end
    if cut and not blocks:
        raise EditRejected(
            "truncated", "the reply ended before its first block was complete; send a shorter one"
        )
    return list(dict.fromkeys(blocks))


def _block_end(lines: list[str], at: int) -> tuple[int, bool]:
    """The line that ends a block, and whether it is its end marker rather than the next block or the end of it all."""
    seen_middle = False
    for number in range(at, len(lines)):
        line = lines[number]
        seen_middle = seen_middle or bool(_MIDDLE_SLOPPY.match(line))
        if _CLOSE.match(line) and not _SEARCH_END.match(line):
            return number, True
        if seen_middle and OPEN.match(line) and not _MIDDLE_SLOPPY.match(line):
            return number, False
    return len(lines), False


def _block(body: list[str], path: str | None, line: int) -> Block:
    body = [one for one in body if not _SEARCH_END.match(one)]
    middles = [number for number, one in enumerate(body) if _MIDDLE.match(one)]
    middles = middles or [number for number, one in enumerate(body) if _MIDDLE_SLOPPY.match(one)]
    if len(middles) > _MOST_MIDDLES:
        raise EditRejected(
            "malformed", f"the block at line {line} of the reply holds {len(middles)} lines ======="
        )
    if not middles:
        raise EditRejected(
            "malformed",
            f"the block at line {line} of the reply has no ======= between what to find and what to put there",
        )
    halves = tuple(
        part for middle in middles for part in (_unfenced(body[:middle]), _unfenced(body[middle + 1 :]))
    )
    return Block(halves[0], halves[1], path, halves=halves)


def _unfenced(lines: list[str]) -> str:
    """Lines without a fence around them; a closing one may stand alone, where the end marker was missing."""
    lines = list(lines)
    while lines and not lines[-1].strip() and any(FENCE.match(one) for one in lines):
        lines.pop()
    if lines and (match := FENCE.match(lines[0])):
        lines = lines[1:]
    if lines and (match := FENCE.match(lines[-1])) and not match[2]:
        lines = lines[:-1]
    return "\n".join(lines)


def path_near(lines: list[str], at: int, behind: str, genome: Genome) -> str | None:
    """The program's file that is named behind a marker or in the three lines above it."""
    candidates = [behind]
    for line in reversed(lines[max(0, at - 3) : at]):
        if _CLOSE.match(line):
            break
        candidates.append(line)
    for text in candidates:
        if path := path_in(text, genome):
            return path
    return None


def path_in(text: str, genome: Genome) -> str | None:
    if len(text) > 300:
        return None
    for found in _PATH.findall(text):
        name = found.replace("\\", "/").removeprefix("./")
        matches = [path for path in genome.paths if path == name or name.endswith("/" + path)]
        if matches:
            return matches[0]
    return None


# Unified diffs


def diff_blocks(answer: str, genome: Genome, *, truncated: bool) -> list[Block]:
    lines = answer.split("\n")
    if not any(_HUNK.match(line) for line in lines):
        return []
    blocks: list[Block] = []
    path: str | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(("--- ", "+++ ")):
            path = path_in(line[4:].removeprefix("a/").removeprefix("b/"), genome) or path
        match = _HUNK.match(line)
        at += 1
        if not match:
            continue
        hunk: list[str] = []
        while at < len(lines) and not _ends_hunk(lines, at):
            hunk.append(lines[at])
            at += 1
        if at >= len(lines) and truncated:
            break
        if block := _hunk_block(hunk, path, int(match[1]) if match[1] else None):
            blocks.append(block)
    if truncated and not blocks:
        raise EditRejected(
            "truncated", "the reply ended before its first hunk was complete; send a shorter one"
        )
    return list(dict.fromkeys(blocks))


def _ends_hunk(lines: list[str], at: int) -> bool:
    line = lines[at]
    if _HUNK.match(line) or FENCE.match(line) or line.startswith(("diff --git", "Index: ")):
        return True
    following = lines[at + 1] if at + 1 < len(lines) else ""
    return line.startswith("--- ") and following.startswith("+++ ")


def _hunk_block(hunk: list[str], path: str | None, line: int | None) -> Block | None:
    hunk = [one for one in hunk if not one.startswith("\\ No newline")]
    while hunk and not hunk[-1].strip() and hunk[-1] != " ":
        hunk.pop()
    if not any(one.startswith(("+", "-")) for one in hunk):
        return None
    old = [one[1:] if one[:1] in "- " else one for one in hunk if not one.startswith("+")]
    new = [one[1:] if one[:1] in "+ " else one for one in hunk if not one.startswith("-")]
    return Block("\n".join(old), "\n".join(new), path, line)
