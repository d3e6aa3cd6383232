"""Which statements of a gene can go, come twice or change places without leaving a name unbound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst

from guided_evolution.operators.sites import Change, Site

Statement = cst.BaseStatement | cst.BaseSmallStatement

_FARTHEST = 4
_FIXED = (
    cst.Import,
    cst.ImportFrom,
    cst.Return,
    cst.Raise,
    cst.Pass,
    cst.Break,
    cst.Continue,
    cst.Global,
    cst.Nonlocal,
    cst.Del,
    cst.Assert,
)
_ENDS = (cst.Return, cst.Raise, cst.Break, cst.Continue)


@dataclass
class Facts:
    """What a statement does with names: binds them, changes what they stand for, reads them."""

    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    calls: bool = False

    @property
    def writes(self) -> set[str]:
        """Names whose value may be another afterwards."""
        return self.binds | self.changes


@dataclass(frozen=True)
class Reader:
    """A gene's text with what was put before it, and where a node stands in it."""

    text: str
    back: int
    length: int
    span: Callable[[cst.CSTNode], tuple[int, int]]

    def lines(self, node: cst.CSTNode) -> tuple[int, int] | None:
        """The whole lines of a statement, in the gene; None if it shares them or runs to an end without newline."""
        start, end = self.span(node)
        first = max(self.text.rfind("\n", 0, start), self.text.rfind("\r", 0, start)) + 1
        if self.text[first:start].strip():
            return None
        ends = [at for at in (self.text.find("\n", end), self.text.find("\r\n", end)) if at >= 0]
        if not ends:
            return None
        behind = self.text.index("\n", min(ends)) + 1
        rest = self.text[end:behind].strip()
        inside = self.back <= first and behind - self.back <= self.length
        return (first - self.back, behind - self.back) if inside and (not rest or rest[0] == "#") else None

    def code(self, lines: tuple[int, int]) -> str:
        """The text of these lines."""
        return self.text[lines[0] + self.back : lines[1] + self.back]


@dataclass(frozen=True)
class _Line:
    node: Statement
    facts: Facts
    lines: tuple[int, int] | None
    movable: bool
    ends: bool
    words: str
    sum: str


@dataclass(frozen=True)
class _Scope:
    """Where a body stands: names certain to be bound before it, the function's own names, what loops around it test."""

    bound: frozenset[str]
    local: frozenset[str] | None
    tested: frozenset[str] = frozenset()
    in_function: bool = False
    read_in_function: frozenset[str] = frozenset()


def statement_sites(body: Sequence[Statement], reader: Reader, *, wrapped: bool) -> Iterator[Site]:
    """The statements of a gene that can be deleted, duplicated or moved; `wrapped` if a class was put around it."""
    if wrapped and isinstance(body[0], cst.ClassDef):
        inner = body[0].body
        body = inner.body if isinstance(inner, cst.IndentedBlock) else ()
    yield from _body_sites(body, reader, _Scope(frozenset(), None))


def _body_sites(body: Sequence[Statement], reader: Reader, scope: _Scope) -> Iterator[Site]:
    lines = [_read(node, reader, index == 0) for index, node in enumerate(body)]
    bound = set(scope.bound)
    before: list[frozenset[str]] = []
    for line in lines:
        before.append(frozenset(bound))
        bound |= line.facts.binds
    for index, line in enumerate(lines):
        if line.movable and line.lines is not None:
            changes = [
                *_deletions(lines, index, before, scope),
                *_duplications(lines, index, reader, scope),
                *_moves(lines, index, before, reader, scope),
            ]
            if changes:
                yield Site(tuple(changes))
        yield from _inside(line.node, reader, scope, before[index])


def _inside(node: Statement, reader: Reader, scope: _Scope, bound: frozenset[str]) -> Iterator[Site]:
    if isinstance(node, cst.FunctionDef):
        facts = _facts(node.body)
        parameters = frozenset(_parameters(node.params))
        inner = _Scope(
            bound | parameters,
            parameters | facts.binds,
            in_function=True,
            read_in_function=frozenset(facts.reads),
        )
        yield from _block(node.body, reader, inner)
        return
    if isinstance(node, cst.ClassDef):
        yield from _block(node.body, reader, _Scope(frozenset(), None))
        return
    tested = scope.tested
    if isinstance(node, cst.While):
        tested = tested | _facts(node.test).reads
    if isinstance(node, cst.For):
        bound = bound | _facts(node.target).reads
    if isinstance(node, cst.If) and "__main__" in reader.code(_relative(reader, node.test)):
        return
    inner = _Scope(bound, scope.local, tested, scope.in_function, scope.read_in_function)
    for block in _blocks(node):
        yield from _block(block, reader, inner)


def _relative(reader: Reader, node: cst.CSTNode) -> tuple[int, int]:
    start, end = reader.span(node)
    return start - reader.back, end - reader.back


def _blocks(node: cst.CSTNode) -> Iterator[cst.BaseSuite]:
    for child in node.children:
        if isinstance(child, cst.BaseSuite):
            yield child
        elif isinstance(child, cst.Else | cst.Finally | cst.ExceptHandler | cst.If | cst.MatchCase):
            yield from _blocks(child)


def _block(block: cst.BaseSuite, reader: Reader, scope: _Scope) -> Iterator[Site]:
    if isinstance(block, cst.IndentedBlock):
        yield from _body_sites(block.body, reader, scope)


def _read(node: Statement, reader: Reader, is_first: bool) -> _Line:
    parts = node.body if isinstance(node, cst.SimpleStatementLine) else ()
    fixed = any(isinstance(part, _FIXED) for part in parts) or isinstance(
        node, cst.FunctionDef | cst.ClassDef
    )
    text = is_first and any(_is_text(part) for part in parts)
    lines = reader.lines(node)
    words = reader.code(lines).strip().splitlines()[0][:40] if lines else ""
    return _Line(
        node,
        _facts(node),
        lines,
        not fixed and not text,
        any(isinstance(part, _ENDS) for part in parts),
        words,
        _sum(node),
    )


def _is_text(part: cst.CSTNode) -> bool:
    return isinstance(part, cst.Expr) and isinstance(part.value, cst.SimpleString | cst.ConcatenatedString)


def _deletions(
    lines: Sequence[_Line], index: int, before: Sequence[frozenset[str]], scope: _Scope
) -> Iterator[Change]:
    line = lines[index]
    if len(lines) < 2 or line.facts.writes & scope.tested or _has_end(line.node):
        return
    for name in line.facts.binds - before[index]:
        reads_itself = name in line.facts.reads and not scope.in_function
        if not reads_itself and (not scope.in_function or name in _read_elsewhere(lines, index, scope)):
            return
    assert line.lines is not None
    yield Change(((*line.lines, ""),), f"delete {line.words!r}")


def _read_elsewhere(lines: Sequence[_Line], index: int, scope: _Scope) -> set[str]:
    """Names read in the function, but for those that only this statement reads, as far as its own body tells."""
    own = lines[index].facts.reads
    others: set[str] = set()
    for at, line in enumerate(lines):
        if at != index:
            others |= line.facts.reads
    return others | (set(scope.read_in_function) - own)


def _duplications(lines: Sequence[_Line], index: int, reader: Reader, scope: _Scope) -> Iterator[Change]:
    line = lines[index]
    does_more = bool(line.facts.writes & line.facts.reads) or line.facts.changes or _is_call(line.node)
    if not does_more or line.facts.writes & scope.tested:
        return
    assert line.lines is not None
    text = reader.code(line.lines)
    yield Change(((line.lines[1], line.lines[1], text),), f"repeat {line.words!r}", 0.5)
    for at in range(index + 1, min(index + _FARTHEST, len(lines))):
        other = lines[at]
        if other.ends or other.lines is None:
            return
        if other.facts.writes & (line.facts.reads | line.facts.writes):
            end = other.lines[1]
            yield Change(((end, end, text),), f"repeat {line.words!r} after {other.words!r}", 0.5)


def _moves(
    lines: Sequence[_Line], index: int, before: Sequence[frozenset[str]], reader: Reader, scope: _Scope
) -> Iterator[Change]:
    line = lines[index]
    assert line.lines is not None
    text = reader.code(line.lines)
    needs = line.facts.reads & (scope.local if scope.local is not None else _bound_in(lines))
    for at in range(index - 1, max(-1, index - 1 - _FARTHEST), -1):
        other = lines[at]
        if not other.movable or other.lines is None:
            break
        if needs <= before[at] and _meets(line, lines[at:index]):
            start = other.lines[0]
            yield Change(
                ((start, start, text), (*line.lines, "")), f"move {line.words!r} before {other.words!r}"
            )
    for at in range(index + 1, min(len(lines), index + 1 + _FARTHEST)):
        other = lines[at]
        if not other.movable or other.lines is None:
            return
        passed = lines[index + 1 : at + 1]
        if _meets(line, passed) and all(
            one.facts.reads & line.facts.binds <= before[index] for one in passed
        ):
            end = other.lines[1]
            yield Change(((*line.lines, ""), (end, end, text)), f"move {line.words!r} after {other.words!r}")


def _bound_in(lines: Sequence[_Line]) -> set[str]:
    return {name for line in lines for name in line.facts.binds}


def _meets(line: _Line, passed: Sequence[_Line]) -> bool:
    """Whether the order counts: one writes what another reads or writes, and they aren't terms of one sum."""
    for one in passed:
        shared = (
            line.facts.writes & (one.facts.reads | one.facts.writes) | line.facts.reads & one.facts.writes
        )
        if shared - ({line.sum} if line.sum and line.sum == one.sum else set()):
            return True
    return False


def _sum(node: cst.CSTNode) -> str:
    """The name to which a statement adds, or from which it takes away, what doesn't depend on it; else nothing."""
    part = node.body[0] if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1 else None
    if isinstance(part, cst.AugAssign) and isinstance(part.operator, cst.AddAssign | cst.SubtractAssign):
        target, term = part.target, part.value
    elif (
        isinstance(part, cst.Assign)
        and len(part.targets) == 1
        and isinstance(part.value, cst.BinaryOperation)
    ):
        target, term = part.targets[0].target, part.value.right
        same = isinstance(target, cst.Name) and target.deep_equals(part.value.left)
        if not same or not isinstance(part.value.operator, cst.Add | cst.Subtract):
            return ""
    else:
        return ""
    return target.value if isinstance(target, cst.Name) and target.value not in _facts(term).reads else ""


def _has_end(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Return | cst.Raise):
        return True
    if isinstance(node, cst.FunctionDef | cst.Lambda | cst.BaseExpression):
        return False
    return any(_has_end(child) for child in node.children)


def _is_call(node: cst.CSTNode) -> bool:
    parts = node.body if isinstance(node, cst.SimpleStatementLine) else ()
    return any(isinstance(part, cst.Expr) and isinstance(part.value, cst.Call) for part in parts)


def _parameters(node: cst.Parameters) -> Iterator[str]:
    for one in (*node.posonly_params, *node.params, *node.kwonly_params):
        yield one.name.value
    for star in (node.star_arg, node.star_kwarg):
        if isinstance(star, cst.Param):
            yield star.name.value


def _facts(node: cst.CSTNode) -> Facts:
    facts = Facts()
    _note(node, facts)
    return facts


def _note(node: cst.CSTNode, facts: Facts) -> None:
    kind = type(node)  # isinstance is slow here: LibCST's nodes are abstract classes
    if kind is cst.Name:
        facts.reads.add(node.value)  # type: ignore[attr-defined]
    elif kind is cst.Attribute:
        _note(node.value, facts)  # type: ignore[attr-defined]
    elif kind in _BINDING:
        _note_binding(node, facts)
    elif kind is cst.Arg:
        _note(node.value, facts)  # type: ignore[attr-defined]
    elif kind is cst.Param or kind is cst.Annotation:
        for child in node.children:
            if type(child) is not cst.Name:
                _note(child, facts)
    elif kind not in _SILENT:
        if kind is cst.Expr and type(node.value) is cst.Call:  # type: ignore[attr-defined]
            facts.changes |= _facts(node.value).reads  # type: ignore[attr-defined]  # it may change what it is given
        for child in node.children:
            _note(child, facts)


_BINDING = {
    *(cst.AssignTarget, cst.AnnAssign, cst.AugAssign, cst.NamedExpr, cst.For, cst.CompFor),
    *(cst.AsName, cst.ImportAlias, cst.FunctionDef, cst.ClassDef),
}
_SILENT = {
    *(cst.SimpleWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.ParenthesizedWhitespace, cst.Newline),
    *(cst.Comma, cst.Integer, cst.Float, cst.SimpleString, cst.LeftParen, cst.RightParen, cst.Semicolon),
}


def _note_binding(node: cst.CSTNode, facts: Facts) -> None:
    if isinstance(node, cst.AsName):
        _note_target(node.name, facts)
    elif isinstance(node, cst.ImportAlias):
        facts.binds.add(_imported(node))
    elif isinstance(node, cst.FunctionDef | cst.ClassDef):
        facts.binds.add(node.name.value)
        inner = _facts(node.body)
        facts.reads |= inner.reads
        facts.changes |= inner.changes
    elif isinstance(
        node, cst.AssignTarget | cst.AnnAssign | cst.AugAssign | cst.NamedExpr | cst.For | cst.CompFor
    ):
        if isinstance(node, cst.AugAssign):
            _note(node.target, facts)
        if not isinstance(node, cst.CompFor):
            _note_target(node.target, facts)
        for child in node.children:
            if child is not node.target:
                _note(child, facts)


def _imported(node: cst.ImportAlias) -> str:
    if node.asname is not None and isinstance(node.asname.name, cst.Name):
        return node.asname.name.value
    name: cst.BaseExpression = node.name
    while isinstance(name, cst.Attribute):
        name = name.value
    return name.value if isinstance(name, cst.Name) else ""


def _note_target(node: cst.CSTNode, facts: Facts) -> None:
    if isinstance(node, cst.Name):
        facts.binds.add(node.value)
    elif isinstance(node, cst.Attribute | cst.Subscript):
        _note(node, facts)
        facts.changes |= _root(node)
    else:
        for child in node.children:
            _note_target(child, facts)


def _root(node: cst.CSTNode) -> set[str]:
    while isinstance(node, cst.Attribute | cst.Subscript):
        node = node.value
    return {node.value} if isinstance(node, cst.Name) else set()
