"""An edit, and the one place where it becomes a program: frozen lines, protected names, syntax, size are checked here.

All checks look at the result, not at the splices, so that no kind of edit can slip past one of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import END, START, FrozenRules, frozen_genes, full_name, main_blocks, segments
from guided_evolution.genome import Genome
from guided_evolution.imports import with_imports
from guided_evolution.layout import Layout
from guided_evolution.pieces import Problem, lines_of, parse, problem_of
from guided_evolution.promises import signature, star_imports, times_bound
from guided_evolution.signatures import signatures
from guided_evolution.skeleton import assigned_names, first_difference, skeleton

__all__ = ["Edit", "FrozenRules", "Splice", "apply_edit"]


@dataclass(frozen=True)
class Splice:
    """Replace the characters `start` to `end` of a file's text."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Edit:
    """A set of splices in the base parent's files that don't overlap, and imports that have to be there afterwards.

    `summary` says in a few words what it does. `imports` are (path, statement) pairs; what stands already is left out.
    """

    splices: tuple[Splice, ...]
    summary: str
    imports: tuple[tuple[str, str], ...] = ()


def apply_edit(genome: Genome, edit: Edit, rules: FrozenRules) -> Genome:
    """The child. Raises EditRejected with a kind and a sentence that a model can act on."""
    child = _spliced(genome, edit)
    for path in dict.fromkeys(path for path, _ in edit.imports):
        wanted = [statement for one, statement in edit.imports if one == path]
        child = child.splice(path, with_imports(child, path, wanted, rules))
    changed = [path for path in child.paths if child.text(path) != genome.text(path)]
    if not changed:
        raise EditRejected("no-op", "the edit leaves the program as it is; change something")
    _check_size(child, rules)
    for path in changed:
        old, new = genome.text(path), child.text(path)
        _check_syntax(path, new, genome.layouts[path], child.layouts[path])
        _check_lines(path, old, new)
        _check_structure(path, genome, child)
        _check_main_blocks(path, genome, child)
    _check_frozen_genes(genome, child, rules)
    _check_bound_names(genome, child, rules)
    if child.fingerprint == genome.fingerprint:
        raise EditRejected(
            "no-op",
            "the edit changes nothing but comments, docstrings or layout; change what the program does",
        )
    return child


def _spliced(genome: Genome, edit: Edit) -> Genome:
    child = genome
    for path in dict.fromkeys(splice.path for splice in edit.splices):
        if path not in genome.paths:
            raise EditRejected("syntax", f"the program has no file {path}; it has {', '.join(genome.paths)}")
        cuts = [(one.start, one.end, one.text) for one in edit.splices if one.path == path]
        cuts.sort(key=lambda cut: cut[:2])
        at = 0
        for start, end, _ in cuts:
            if not at <= start <= end <= len(genome.text(path)):
                raise EditRejected("syntax", f"{path}: two changes overlap, or one lies outside the file")
            at = end
        child = child.splice(path, cuts)
    return child


def _check_size(child: Genome, rules: FrozenRules) -> None:
    if child.size > rules.program_kb * 1024:
        raise EditRejected(
            "size",
            f"the program would have {child.size} bytes, more than the {rules.program_kb} KB that it may have; "
            "make it shorter",
        )


def _check_syntax(path: str, text: str, old: Layout | None, new: Layout | None) -> None:
    if not path.endswith(".py"):
        return
    problem = problem_of(text) if new is None else _piece_problem(text, old, new)
    if problem is not None:
        shown = (lines_of(text)[max(problem.line, 1) - 1 :] or [""])[0].strip()[:100]
        where = f"{path}:{problem.line}" if problem.line else path
        raise EditRejected(
            "syntax", f"{where}: {problem.message}" + (f": {shown}" if shown and problem.line else "")
        )


def _piece_problem(text: str, old: Layout | None, new: Layout) -> Problem | None:
    """What the compiler refuses although it parses; pieces of the old layout were judged before."""
    known = {id(piece) for piece in old.pieces} if old is not None else set()
    at = 0
    for piece in new.pieces:
        if piece.problem is not None and id(piece) not in known:
            line = piece.problem.line and at + piece.problem.line
            return Problem(piece.problem.message, line)
        at += piece.lines
    return problem_of(text) if any(piece.needs_all for piece in new.pieces) else None


def _check_lines(path: str, old: str, new: str) -> None:
    """Frozen lines are there to the byte and in order, and no marker was added."""
    before = [old[first:behind] for free, (first, behind) in segments(old) if not free]
    after = [new[first:behind] for free, (first, behind) in segments(new) if not free]
    if before == after:
        return
    missing = Counter(line for one in before for line in lines_of(one))
    missing.subtract(line for one in after for line in lines_of(one))
    for line, count in missing.items():
        if count > 0:
            raise EditRejected(
                "frozen",
                f"{path}: the line {line.strip()[:100]!r} is frozen; keep it, and change only lines between "
                f"{START} and {END}",
            )
    added = next((line.strip()[:100] for line, count in missing.items() if count < 0), "")
    raise EditRejected(
        "frozen",
        f"{path}: the frozen lines have to stay in their order, and none may be added ({added!r}); change only "
        f"lines between {START} and {END}, without a marker of your own",
    )


def _check_structure(path: str, genome: Genome, child: Genome) -> None:
    before, after = genome.layouts[path], child.layouts[path]
    marked = START in genome.text(path) or END in genome.text(path)
    if not marked or before is None or after is None:
        return
    line = first_difference(skeleton(before), skeleton(after))
    if line is not None:
        shown = (lines_of(child.text(path))[line - 1 : line] or [""])[0].strip()[:100]
        raise EditRejected(
            "frozen",
            f"{path}:{line}: the edit changes what frozen lines belong to (near {shown!r}); statements, strings "
            "and brackets opened in a block must end in it, and the lines after it must keep their place",
        )


def _check_main_blocks(path: str, genome: Genome, child: Genome) -> None:
    before, after = (
        [one.text(path)[first:behind].rstrip() for first, behind in main_blocks(one.layouts[path])]
        for one in (genome, child)
    )
    if before != after:
        what = "keep it as it is" if before else "leave it out, the program is only ever imported"
        raise EditRejected("frozen", f'{path}: the `if __name__ == "__main__":` block is frozen; {what}')


def _check_frozen_genes(genome: Genome, child: Genome, rules: FrozenRules) -> None:
    if not rules.frozen:
        return
    after = {gene.name: gene for gene in child.genes}
    for gene in frozen_genes(genome, rules.frozen):
        if gene.name not in after:
            raise EditRejected(
                "frozen", f"{gene.name} is frozen and must stay; it is gone or has another name"
            )
        new, old = _kept(after[gene.name].source), _kept(gene.source)
        # What follows the statements between two definitions counts with them, though it isn't theirs.
        is_run = "<" in gene.name
        if new != old and not (is_run and new.startswith(old) and new[len(old)] in "\r\n"):
            raise EditRejected(
                "frozen", f"{gene.name} is frozen; leave it, and the comments above it, as they are"
            )


def _kept(source: str) -> str:
    """A gene without the blank lines behind it, which may change with what follows."""
    return source.rstrip(" \t\f\r\n")


def _check_bound_names(genome: Genome, child: Genome, rules: FrozenRules) -> None:
    """Protected names are bound once and keep their parameters; frozen definitions are bound as often as before."""
    promised = dict.fromkeys((full_name(name, genome.paths) for name in rules.protected), True)
    for name, is_promise in {**dict.fromkeys(_frozen_definitions(genome, rules), False), **promised}.items():
        path, _, dotted = name.partition("::")
        if path not in child.paths or child.text(path) == genome.text(path):
            continue
        old, new = genome.layouts[path], child.layouts[path]
        if new is None:
            continue
        count, allowed = (
            times_bound(new, dotted),
            1 if is_promise or old is None else times_bound(old, dotted),
        )
        kind = "protected" if is_promise else "frozen"
        if count != allowed:
            how = f"is bound {count} times now" if count else "is gone"
            raise EditRejected(kind, f"{path}: {dotted} is {kind} and must be bound exactly once; it {how}")
        if is_promise and old is not None:
            _check_signature(path, dotted, old, new)
        if star_imports(new) - (star_imports(old) if old is not None else frozenset()):
            raise EditRejected(
                kind, f"{path}: `import *` could bind {dotted}, which is {kind}; import single names"
            )


def _check_signature(path: str, dotted: str, old: Layout, new: Layout) -> None:
    before, after = signature(old, dotted), signature(new, dotted)
    if before is not None and before != after:
        raise EditRejected(
            "signature",
            f"{path}: {dotted} is called as {before} and must stay callable that way; the edit makes it {after}",
        )


def _frozen_definitions(genome: Genome, rules: FrozenRules) -> list[str]:
    """The names that nothing may bind anew because frozen lines define them or give them their value."""
    found: list[str] = []
    genes = frozen_genes(genome, rules.frozen)
    for path, text in genome.files:
        closed = [span for free, span in segments(text) if not free]
        if closed and path.endswith(".py"):
            inside = (gene for gene in genome.genes if gene.path == path)
            genes += [
                gene for gene in inside if any(first <= gene.start < behind for first, behind in closed)
            ]
            layout = genome.layouts[path]
            if layout is not None:
                found += [f"{path}::{name}" for name in sorted(assigned_names(skeleton(layout)))]
    for gene in genes:
        label = gene.name.partition("::")[2].partition("#")[0]
        if label and "<" not in label:
            found.append(f"{gene.path}::{label}")
        elif label:
            tree = parse(gene.source)
            found += [f"{gene.path}::{name}" for name in signatures(tree.body if tree is not None else [])]
    return found
