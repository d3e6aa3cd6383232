"""Code in a reply: told apart into whole files and definitions, and turned into an edit."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from guided_evolution.definitions import Merge
from guided_evolution.edit import Edit, Splice
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import FrozenRules
from guided_evolution.genome import Genome, parse
from guided_evolution.passages import Text
from guided_evolution.pieces import parse_or_raise
from guided_evolution.quotations import SUMMARY, difference, summary
from guided_evolution.reply_blocks import FENCE, path_in, path_near
from guided_evolution.statements import bound_names, elided, first_line, is_docstring, is_main_guard, undotted

_OTHER_INFO = re.compile(
    r"^(?:bash|sh|shell|console|json|ya?ml|toml|text|txt|output|markdown|md|latex|tex|plaintext|math)\b", re.I
)


_STARTS, _ENDS = 10, 10
_BEGINS_CODE = re.compile(r"@|def |async def |class |import |from \w+ import ")


@dataclass(frozen=True)
class _Fence:
    """A fenced piece of a reply: what stood behind the ticks, the path named near it, and the text."""

    info: str
    path: str | None
    code: str
    closed: bool


def from_code(answer: str, genome: Genome, rules: FrozenRules, *, truncated: bool, whole_file: bool) -> Edit:
    fences = _fences(answer, genome)
    complete = [one for one in fences if one.closed or not truncated]
    if not fences and not truncated:
        complete = [_Fence("", None, code, True) for code in _bare_code(answer)]
    pieces = [one for one in complete if one.code.strip() and not _OTHER_INFO.match(one.info)]
    if not pieces:
        if truncated:
            raise EditRejected(
                "truncated", "the reply ended before its code was complete; send a shorter change"
            )
        raise EditRejected(
            "prose",
            "the reply holds no code; send SEARCH/REPLACE blocks, or whole definitions in a ```python block",
        )
    whole = [one for one in pieces if _is_whole(one, genome, rules, asked=whole_file)]
    if whole:
        return _from_files(whole, genome)
    return _from_definitions(pieces, genome, rules)


def _fences(answer: str, genome: Genome) -> list[_Fence]:
    """The fenced pieces; a fence of more ticks may hold fences of fewer, and one that isn't closed ends the reply."""
    lines = answer.split("\n")
    fences: list[_Fence] = []
    at = 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        at += 1
        if not opening:
            continue
        body: list[str] = []
        closed = False
        start = at
        while at < len(lines) and not closed:
            ending = FENCE.match(lines[at])
            closed = ending is not None and _closes(ending, opening)
            if not closed:
                body.append(lines[at])
            at += 1
        info = opening[2]
        first = next((line for line in body if line.strip()), "")
        named = first if first.lstrip().startswith("#") else ""
        path = path_in(info, genome) or path_in(named, genome) or path_near(lines, start - 1, "", genome)
        if info.lower() in ("markdown", "md") and any(FENCE.match(line) for line in body):
            fences += _fences("\n".join(body), genome)
        else:
            fences.append(_Fence(info, path, _dedented(body), closed))
    return fences


def _closes(ending: re.Match[str], opening: re.Match[str]) -> bool:
    return ending[1][0] == opening[1][0] and len(ending[1]) >= len(opening[1]) and not ending[2]


def _dedented(lines: list[str]) -> str:
    """Code of a fence that stood indented in a list, moved to the left edge."""
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] if line.strip() else "" for line in lines) if margin else "\n".join(lines)


def _bare_code(answer: str) -> list[str]:
    """The parts of a reply without fences that are code, each from a line that begins a definition; none of many."""
    lines = answer.strip("\n").split("\n")
    found: list[str] = []
    behind = tried = 0
    for first, line in enumerate(lines):
        if first < behind or not _BEGINS_CODE.match(line):
            continue
        tried += 1
        if tried > _STARTS:
            return []
        if (code := _longest_that_parses(lines[first:])) is not None:
            found.append(code)
            behind = first + code.count("\n") + 1
    return found


def _longest_that_parses(lines: list[str]) -> str | None:
    """The lines up to where they stop being code; what Python complains of tells where to look.

    A word of prose can be an expression, so what binds no name ends the code.
    """
    end = len(lines)
    for _ in range(_ENDS):
        try:
            tree = parse_or_raise("\n".join(lines[:end]))
        except SyntaxError as error:
            end = min(end - 1, (error.lineno or end) - 1)
        except (ValueError, RecursionError, MemoryError):
            return None
        else:
            codes = itertools.takewhile(lambda node: bound_names(node) or is_docstring(node), tree.body)
            last = max((node.end_lineno or 0 for node in codes), default=0)
            return "\n".join(lines[:last]) or None
        if end <= 0:
            return None
    return None


def _is_whole(piece: _Fence, genome: Genome, rules: FrozenRules, *, asked: bool) -> bool:
    """Whether a piece of code is a file rather than some of its definitions.

    It is one if it holds every protected name, every evolve marker, and all names of the file that its own code needs;
    where nobody asked for a file it also has to hold half of the file's names, or all where other files may use them.
    """
    path = piece.path or genome.paths[0]
    old = genome.text(path)
    tree = parse(piece.code)
    old_tree = parse(old)
    if not path.endswith(".py") or old_tree is None:
        return piece.path is not None or len(genome.paths) == 1
    if tree is None or (piece.path is None and len(genome.paths) > 1 and not asked):
        return False
    if old.count("EVOLVE-BLOCK-") != piece.code.count("EVOLVE-BLOCK-"):
        return False
    have = {name for node in tree.body for name in bound_names(node)}
    had = {name for node in old_tree.body for name in bound_names(node)}
    wanted = {name.partition(".")[0] for name in rules.protected} & had
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not wanted <= have or (used & had) - have:
        return False
    needed = len(had) / 2 if len(genome.paths) == 1 else len(had)
    return asked or len(have & had) >= needed


def _from_files(pieces: Sequence[_Fence], genome: Genome) -> Edit:
    texts: dict[str, str] = {}
    for piece in pieces:
        path = piece.path or genome.paths[0]
        if texts.setdefault(path, piece.code) != piece.code:
            raise EditRejected(
                "ambiguous", f"the reply holds two versions of {path}; send only the one that is meant"
            )
    new = genome
    for path, code in texts.items():
        old = genome.text(path)
        line = elided(code)
        if line is not None and line not in old and line != "...":
            raise EditRejected("elided", f"the file holds `{line}` in the place of code; write it out")
        newline = Text(old).newline
        code = code.strip("\n") + "\n"
        code = _with_main_block(code, Text(old))
        if old.startswith("\ufeff"):
            code = "\ufeff" + code
        new = new.replace(path, code if newline == "\n" else code.replace("\n", newline))
    splices = difference(genome, new)
    return Edit(tuple(splices), summary(splices, genome))


def _with_main_block(code: str, old: Text) -> str:
    """The file with the main block as it stood: it isn't the model's to change, to drop or to add."""
    new = Text(code)
    for node in reversed((parse(code) or ast.Module([], [])).body):
        if is_main_guard(node):
            start, end = new.starts[first_line(node)], new.span(0, (node.end_lineno or 1) - 1)[1]
            code = code[:start].rstrip("\n") + "\n" + code[end:].lstrip("\n")
    body = (parse(old.text) or ast.Module([], [])).body
    if not body or not is_main_guard(body[-1]):
        return code
    kept = old.text[old.starts[first_line(body[-1])] :].replace("\r\n", "\n").replace("\r", "\n")
    return code.rstrip("\n") + "\n\n\n" + kept


def _from_definitions(pieces: Sequence[_Fence], genome: Genome, rules: FrozenRules) -> Edit:
    merge = Merge(genome, rules)
    laid = False
    problem: EditRejected | None = None
    for piece in pieces:
        code, owners = undotted(piece.code)
        tree = parse(code)
        if tree is None:
            if problem is None:
                problem = EditRejected("syntax", f"the code of the reply doesn't parse: {_why(code)}")
            if re.search(r"^\s*(?:def|class|async def) ", code, re.MULTILINE):
                raise problem
            continue  # a snippet that explains
        if len(pieces) > 1 and not _means_a_change(tree, genome):
            continue
        merge.add(code, piece.path, owners)
        laid = True
    if not laid:
        raise problem or EditRejected(
            "prose",
            "the code of the reply names nothing of the program; send definitions under their names, or "
            "SEARCH/REPLACE blocks",
        )
    changes = merge.changes()
    splices = [_with_newlines(splice, genome) for splice in changes.splices]
    return Edit(tuple(splices), ("changed " + ", ".join(changes.names))[:SUMMARY], changes.imports)


def _with_newlines(splice: Splice, genome: Genome) -> Splice:
    newline = Text(genome.text(splice.path)).newline
    text = splice.text.replace("\r\n", "\n").replace("\n", newline)
    return Splice(splice.path, splice.start, splice.end, text)


def _means_a_change(tree: ast.Module, genome: Genome) -> bool:
    """Whether code is meant for the program: it defines something, imports, or gives a constant of it a new value."""
    known = {
        name
        for path, text in genome.files
        if (old := parse(text))
        for node in old.body
        for name in bound_names(node)
    }
    nodes = [node for node in tree.body if not is_docstring(node) and not is_main_guard(node)]
    if any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Delete) for node in nodes
    ):
        return True
    return bool(nodes) and all(
        isinstance(node, ast.Import | ast.ImportFrom) or set(bound_names(node)) & known for node in nodes
    )


def _why(code: str) -> str:
    try:
        parse_or_raise(code)
    except SyntaxError as error:
        lines = code.split("\n")
        line = lines[error.lineno - 1].strip()[:120] if error.lineno and error.lineno <= len(lines) else ""
        return f"{error.msg} at line {error.lineno} of it: {line}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)[:200] or type(error).__name__
    return "unknown"
