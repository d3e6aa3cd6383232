"""The parts of a prompt, each rendered from a briefing, and cut by importance to what the budget allows.

The task, the objectives, the limits and how to answer are never cut. Then come, in this order: the error and the
feedback (an eighth of the budget each), the program (whole, else the genes in scope and the signatures of the
others), lessons, attempts, inspirations.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

from guided_evolution.briefing import Attempt, Briefing, Known
from guided_evolution.evolvable import END, START, FrozenRules, evolvable_genes
from guided_evolution.genome import Gene, Genome, parse, unified_diff
from guided_evolution.prompts import count_tokens
from guided_evolution.seed import Constraint, Objective

_EIGHTH = 8
_MOST_DIFF_LINES = 60
_MOST_ERROR = 400
_LAST_LINES = 3


def ordered(briefing: Briefing) -> list[Objective]:
    """The objectives, the primary one first."""
    return sorted(briefing.seed.objectives, key=lambda objective: not objective.primary)


def objectives_text(briefing: Briefing) -> str:
    """Objectives with their directions and full-precision scores, then the constraints."""
    lines = []
    for objective in ordered(briefing):
        better = "higher" if objective.direction == "maximize" else "lower"
        primary = ", the primary objective" if objective.primary and len(briefing.seed.objectives) > 1 else ""
        scores = [
            f"{name} {metrics[objective.metric]!r}"
            for name, metrics in (
                ("this program", briefing.base.metrics),
                ("the other parent", briefing.partner.metrics if briefing.partner else None),
                ("the seed program", briefing.seed_metrics),
                ("the best so far", briefing.best_metrics),
            )
            if metrics and objective.metric in metrics
        ]
        said = f": {', '.join(scores)}" if scores else ""
        lines.append(f"- `{objective.metric}`, {better} is better{primary}{said}")
    lines += [_constraint_text(one, briefing.base.metrics or {}) for one in briefing.seed.constraints]
    return "\n".join(lines)


def _constraint_text(one: Constraint, metrics: Mapping[str, float]) -> str:
    bounds = [f"at most {one.at_most!r}"] if one.at_most is not None else []
    bounds += [f"at least {one.at_least!r}"] if one.at_least is not None else []
    value = metrics.get(one.metric)
    state = ""
    if value is not None:
        low = one.at_least is None or value >= one.at_least
        high = one.at_most is None or value <= one.at_most
        # Kept, the number says nothing that counts, and measured seconds would make every prompt another.
        state = ": this program keeps it" if low and high else f": this program breaks it with {value!r}"
    return f"- constraint: `{one.metric}` {' and '.join(bounds)}{state}"


def limits_text(briefing: Briefing) -> str:
    """What an evaluation may use."""
    limits = briefing.seed.limits
    cpus = "1 processor" if limits.cpus == 1 else f"{limits.cpus} processors"
    return (
        f"One evaluation may take {limits.seconds:g} s in all, {limits.memory_mb} MB of memory and {cpus}; "
        f"the program may have {limits.program_kb} KB."
    )


def packages_text(briefing: Briefing) -> str:
    """What the program may import."""
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if not briefing.packages:
        return f"It runs on {python} and may import the standard library, nothing else."
    return f"It runs on {python} and may import the standard library and {', '.join(briefing.packages)}."


def frozen_text(rules: FrozenRules, genome: Genome) -> str:
    """What no edit may touch, by name."""
    said = []
    if rules.protected:
        names = ", ".join(f"`{name}`" for name in rules.protected)
        said.append(f"Keep {names}, with their parameters: the evaluator uses them.")
    if rules.frozen:
        said.append(f"Frozen, not to be changed at all: {', '.join(f'`{name}`' for name in rules.frozen)}.")
    if any(START in text or END in text for _, text in genome.files):
        said.append(f"Only lines between `# {START}` and `# {END}` may change.")
    return " ".join(said)


def fenced(text: str, info: str = "") -> str:
    """Text in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{info}\n{text.rstrip()}\n{ticks}"


def program_text(genome: Genome, budget: int, rules: FrozenRules, scope: Sequence[str] = ()) -> str:
    """The program whole if the budget allows, else the genes in scope and the signatures of the others."""
    whole = "\n\n".join(_file(path, text) for path, text in genome.files)
    if count_tokens(whole) <= budget:
        return whole
    wanted = _in_scope(genome, rules, scope, budget // 2)
    parts = []
    for path in genome.paths:
        genes = [gene for gene in genome.genes if gene.path == path]
        shown = "".join(gene.source if gene.name in wanted else signature(gene) for gene in genes)
        parts.append(_file(path, shown))
    said = (
        "The program is long: bodies that are not shown stand as `...` here. Change only what you see whole."
    )
    text = said + "\n\n" + "\n\n".join(parts)
    if count_tokens(text) <= budget:
        return text
    shown = "".join(gene.source for gene in genome.genes if gene.name in wanted)
    return said + "\n\n" + fenced(shown if count_tokens(shown) <= budget else cut(shown, budget), "python")


def _in_scope(genome: Genome, rules: FrozenRules, scope: Sequence[str], budget: int) -> set[str]:
    """The genes to show whole: those named, then evolvable ones in order while the budget lasts."""
    sizes = {gene.name: count_tokens(gene.source) for gene in genome.genes}
    wanted = {name for name in scope if name in sizes}
    budget -= sum(sizes[name] for name in wanted)
    for name in evolvable_genes(genome, rules):
        if name not in wanted and sizes[name] <= budget:
            wanted.add(name)
            budget -= sizes[name]
    return wanted or set(list(sizes)[:1])


def _file(path: str, text: str) -> str:
    info = "python" if path.endswith(".py") else ""
    return f"`{path}`:\n\n{fenced(text, info)}"


def signature(gene: Gene) -> str:
    """A function's head, its docstring's first line and `...` for its body; anything else as it is if it is short."""
    match = re.search(r"^([ \t]*)(?:async[ \t]+)?(?:def|class)[ \t]", gene.source, re.MULTILINE)
    if match is None:
        return gene.source if len(gene.source) < 400 else cut(gene.source, 100) + "\n"
    indent = match[1]
    node = parse("\n".join(line.removeprefix(indent) for line in gene.source.split("\n")))
    first = next((one for one in node.body if not isinstance(one, ast.Expr)), None) if node else None
    if not isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef) or not first.body:
        return gene.source if len(gene.source) < 400 else cut(gene.source, 100) + "\n"
    lines = gene.source.split("\n")
    body = first.body[0].lineno - 1
    head = lines[: max(body, first.lineno)]
    doc = (ast.get_docstring(first) or "").strip().split("\n")[0]
    note = f'{indent}    """{doc}"""\n' if doc else ""
    return "\n".join(head) + f"\n{note}{indent}    ...\n\n"


def skeleton_text(briefing: Briefing, budget: int) -> str:
    """Of the seed program what a new one has to keep: what is frozen, and the signatures of what is protected."""
    genome, rules = briefing.base.genome, briefing.rules
    if rules.frozen or any(START in text for _, text in genome.files):
        return program_text(genome, budget, rules)
    needed = {f"{genome.paths[0]}::{name}" if "::" not in name else name for name in rules.protected}
    shown = "".join(signature(gene) for gene in genome.genes if gene.name in needed)
    if not shown.strip():
        return program_text(genome, budget, rules)
    return f"`{genome.paths[0]}` has to define:\n\n{fenced(shown, 'python')}"


def cut(text: str, tokens: int) -> str:
    """The text, without its middle if it has more tokens than this."""
    if count_tokens(text) <= tokens:
        return text
    room = max(0, tokens * 3 - 40)
    raw = text.encode("utf-8", "replace")
    head = raw[: room * 2 // 3].decode("utf-8", "ignore")
    tail = raw[len(raw) - room // 3 :].decode("utf-8", "ignore") if room // 3 else ""
    return f"{head}\n… {len(raw) - len(head.encode()) - len(tail.encode())} bytes left out …\n{tail}"


def error_text(known: Known, budget: int) -> str:
    """How the program failed; empty for one that is scored."""
    if not known.kind:
        return ""
    words = cut(known.error.strip(), budget // _EIGHTH)
    return f"It fails ({known.kind}):\n\n{fenced(words)}" if words else f"It fails ({known.kind})."


def feedback_text(known: Known, budget: int) -> str:
    """What the evaluator said in words."""
    words = cut(known.feedback.strip(), budget // _EIGHTH)
    return fenced(words) if words else ""


def attempt_text(attempt: Attempt, objectives: Sequence[Objective]) -> str:
    """One attempt: what it was, how it came out, and its diff."""
    kept = ", part of this program" if attempt.kept else ""
    said = f"- {attempt.operator}: {attempt.summary.strip() or 'no summary'} → {_outcome(attempt, objectives)}{kept}"
    diff = "\n".join(attempt.diff.splitlines()[2:][:_MOST_DIFF_LINES])
    return f"{said}\n\n{fenced(diff, 'diff')}" if diff.strip() else said


def _outcome(attempt: Attempt, objectives: Sequence[Objective]) -> str:
    if attempt.outcome == "known":
        return "no new program"
    if attempt.outcome != "scored":
        # Of a traceback the end says most; lines of ^^^ say nothing.
        lines = [line.strip() for line in attempt.error.splitlines() if line.strip(" ^~")]
        words = " | ".join(lines[-_LAST_LINES:])
        words = words if len(words) <= _MOST_ERROR else "… " + words[-_MOST_ERROR:]
        return f"{attempt.outcome} ({attempt.kind or 'unknown'})" + (f": {words}" if words else "")
    return ", ".join(
        _change(objective, attempt.before.get(objective.metric), attempt.after[objective.metric])
        for objective in objectives
        if objective.metric in attempt.after
    )


def _change(objective: Objective, before: float | None, after: float) -> str:
    if before is None:
        return f"{objective.metric} {after!r}"
    better = after > before if objective.direction == "maximize" else after < before
    word = "the same" if after == before else "better" if better else "worse"
    return f"{objective.metric} {before!r} → {after!r} ({word})"


def other_text(known: Known, base: Genome, objectives: Sequence[Objective]) -> str:
    """Another program as its differences from this one."""
    scores = ", ".join(
        f"{objective.metric} {known.metrics[objective.metric]!r}"
        for objective in objectives
        if known.metrics and objective.metric in known.metrics
    )
    diff = unified_diff(base, known.genome, old_name="this", new_name="other")
    shown = "\n".join(diff.splitlines()[: 2 * _MOST_DIFF_LINES])
    return f"- a program with {scores or 'no score'}; from this one to it:\n\n{fenced(shown, 'diff')}"


def within(items: Iterable[str], budget: int) -> str:
    """As many of the items, in their order, as the budget allows; one that is too large is passed over."""
    taken = []
    for item in items:
        tokens = count_tokens(item) + 1
        if tokens <= budget:
            taken.append(item)
            budget -= tokens
    return "\n\n".join(taken)
