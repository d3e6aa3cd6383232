"""An edit, and the one place where it becomes a program: frozen lines, protected names, syntax, size are checked here.

All checks look at the result, not at the splices, so that no kind of edit can slip past one of them.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import (
    END,
    START,
    FrozenRules,
    frozen_genes,
    full_name,
    main_blocks,
    segments,
)
from guided_evolution.genome import Gene, Genome, lines_of, tree_of
from guided_evolution.imports import with_imports
from guided_evolution.promises import signature, times_bound
from guided_evolution.skeleton import first_difference, skeleton

__all__ = ["Edit", "FrozenRules", "Splice", "apply_edit"]

_FILE = "<candidate>"  # under this name the compiler's warnings about candidates are told apart, and silenced
warnings.filterwarnings("ignore", module=re.escape(_FILE))


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
        child = child.replace(path, with_imports(child, path, wanted, rules))
    changed = [path for path in child.paths if child.text(path) != genome.text(path)]
    if not changed:
        raise EditRejected("no-op", "the edit leaves the program as it is; change something")
    _check_size(child, rules)
    for path in changed:
        old, new = genome.text(path), child.text(path)
        _check_syntax(path, new)
        _check_lines(path, old, new)
        _check_structure(path, old, new)
        _check_main_blocks(path, old, new)
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
        text = genome.text(path)
        parts, at = [], 0
        for splice in sorted(
            (one for one in edit.splices if one.path == path), key=lambda one: (one.start, one.end)
        ):
            if not at <= splice.start <= splice.end <= len(text):
                raise EditRejected("syntax", f"{path}: two changes overlap, or one lies outside the file")
            parts += [text[at : splice.start], splice.text]
            at = splice.end
        child = child.replace(path, "".join([*parts, text[at:]]))
    return child


def _check_size(child: Genome, rules: FrozenRules) -> None:
    if child.size > rules.program_kb * 1024:
        raise EditRejected(
            "size",
            f"the program would have {child.size} bytes, more than the {rules.program_kb} KB that it may have; "
            "make it shorter",
        )


def _check_syntax(path: str, text: str) -> None:
    if not path.endswith(".py"):
        return
    try:
        _compiled(text)
    except SyntaxError as problem:
        number = problem.lineno or 1
        lines = lines_of(text)
        shown = lines[number - 1].strip()[:100] if 0 < number <= len(lines) else ""
        raise EditRejected("syntax", f"{path}:{number}: {problem.msg}: {shown}") from None
    except UnicodeEncodeError:
        raise EditRejected(
            "syntax", f"{path}: holds bytes that aren't UTF-8, so Python can't read it"
        ) from None
    except (ValueError, RecursionError, MemoryError) as problem:
        raise EditRejected(
            "syntax", f"{path}: can't be compiled ({problem or 'nested too deeply'})"
        ) from None


@lru_cache(maxsize=64)
def _compiled(text: str) -> None:
    """Raises what the compiler does, which also refuses what only parses, as a return outside a function."""
    compile(text.removeprefix("\ufeff"), _FILE, "exec", dont_inherit=True)


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


def _check_structure(path: str, old: str, new: str) -> None:
    if START not in old and END not in old:
        return
    before, after = tree_of(path, old), tree_of(path, new)
    if before is None or after is None:
        return
    line = first_difference(skeleton(old, before), skeleton(new, after))
    if line is not None:
        shown = (lines_of(new)[line - 1 : line] or [""])[0].strip()[:100]
        raise EditRejected(
            "frozen",
            f"{path}:{line}: the edit changes what frozen lines belong to (near {shown!r}); statements, strings "
            "and brackets opened in a block must end in it, and the lines after it must keep their place",
        )


def _check_main_blocks(path: str, old: str, new: str) -> None:
    before = [old[first:behind].rstrip() for first, behind in main_blocks(old, tree_of(path, old))]
    after = [new[first:behind].rstrip() for first, behind in main_blocks(new, tree_of(path, new))]
    if before != after:
        what = "keep it as it is" if before else "leave it out, the program is only ever imported"
        raise EditRejected("frozen", f'{path}: the `if __name__ == "__main__":` block is frozen; {what}')


def _check_frozen_genes(genome: Genome, child: Genome, rules: FrozenRules) -> None:
    after: dict[str, Gene] | None = None
    for gene in frozen_genes(genome, rules.frozen):
        after = after if after is not None else {one.name: one for one in child.genes}
        if gene.name not in after:
            raise EditRejected(
                "frozen", f"{gene.name} is frozen and must stay; it is gone or has another name"
            )
        if _kept(after[gene.name].source) != _kept(gene.source):
            raise EditRejected(
                "frozen", f"{gene.name} is frozen; leave it, and the comments above it, as they are"
            )


def _kept(source: str) -> str:
    """A gene without the blank lines behind it, which may change with what follows."""
    return source.rstrip(" \t\f\r\n")


def _check_bound_names(genome: Genome, child: Genome, rules: FrozenRules) -> None:
    """Protected names are bound once and keep their parameters; frozen definitions are bound as often as before."""
    promised = [full_name(name, genome.paths) for name in rules.protected]
    for name, is_promise in _unique([(name, True) for name in promised], _frozen_definitions(genome, rules)):
        path, _, dotted = name.partition("::")
        if path not in child.paths or child.text(path) == genome.text(path):
            continue
        old, new = tree_of(path, genome.text(path)), tree_of(path, child.text(path))
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
        if _star_imports(new) - (_star_imports(old) if old is not None else set()):
            raise EditRejected(
                kind, f"{path}: `import *` could bind {dotted}, which is {kind}; import single names"
            )


def _check_signature(path: str, dotted: str, old: ast.Module, new: ast.Module) -> None:
    before, after = signature(old, dotted), signature(new, dotted)
    if before is not None and before != after:
        raise EditRejected(
            "signature",
            f"{path}: {dotted} is called as {before} and must stay callable that way; the edit makes it {after}",
        )


def _frozen_definitions(genome: Genome, rules: FrozenRules) -> list[tuple[str, bool]]:
    """The functions, classes and methods that nothing may bind anew because their lines are frozen."""
    genes = frozen_genes(genome, rules.frozen)
    for path, text in genome.files:
        closed = [span for free, span in segments(text) if not free]
        if closed and path.endswith(".py"):
            genes += [
                gene
                for gene in genome.genes
                if gene.path == path and any(first <= gene.start < behind for first, behind in closed)
            ]
    names = [gene.name.partition("#")[0] for gene in genes if "::" in gene.name]
    return [(name, False) for name in names if "<" not in name]


def _unique(*lists: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    found: dict[str, bool] = {}
    for one in lists:
        for name, is_promise in one:
            found.setdefault(name, is_promise)
    return list(found.items())


def _star_imports(tree: ast.Module) -> set[str]:
    return {
        f"{'.' * node.level}{node.module or ''}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    }
