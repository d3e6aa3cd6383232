"""Whole definitions from a reply, put in the place of those of the same name; new ones at their side."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from guided_evolution.edit import Splice
from guided_evolution.errors import EditRejected
from guided_evolution.evolvable import FrozenRules, evolvable_spans, is_evolvable
from guided_evolution.genome import Genome, parse
from guided_evolution.passages import Text, indent_of, reindent
from guided_evolution.pieces import parse_or_raise
from guided_evolution.statements import (
    Definition,
    Function,
    bound_names,
    comments_above,
    elided,
    first_line,
    is_docstring,
    is_main_guard,
    leading_comments,
    takes_self,
    with_comments,
)


@dataclass(frozen=True)
class Changes:
    """What a set of definitions comes to: splices, imports wanted, and the names of what is new or other."""

    splices: tuple[Splice, ...]
    imports: tuple[tuple[str, str], ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """One top-level statement of a reply's code."""

    node: ast.stmt
    source: str
    owner: str | None


@dataclass(frozen=True)
class _Slot:
    """A statement of the program: its lines (from 0, both included); `path` and text of its file."""

    path: str
    text: Text
    node: ast.stmt
    scope: ast.Module | ast.ClassDef

    @property
    def first(self) -> int:
        return first_line(self.node)

    @property
    def last(self) -> int:
        return (self.node.end_lineno or self.node.lineno) - 1

    @property
    def source(self) -> str:
        start, end = self.text.span(self.first, self.last)
        return self.text.text[start:end]


class Merge:
    """Definitions laid over a program one by one; `changes()` says what they come to.

    Args:
        path: the file that the reply named, None to find it by the names.
    """

    def __init__(self, genome: Genome, rules: FrozenRules) -> None:
        self._genome = genome
        self._rules = rules
        self._texts = {path: Text(text) for path, text in genome.files}
        self._trees = {
            path: tree for path, text in genome.files if path.endswith(".py") and (tree := parse(text))
        }
        self._by_name = self._index()
        self._splices: list[Splice] = []
        self._imports: list[tuple[str, str]] = []
        self._names: dict[str, None] = {}
        self._said: dict[tuple[str, str], str] = {}

    def add(self, code: str, path: str | None, owners: dict[str, str]) -> None:
        """Lay the definitions of a piece of code over the program. Raises EditRejected; `code` must parse."""
        tree = parse_or_raise(code)
        text = Text(code)
        items = [
            _Item(node, with_comments(text, node), owners.get(getattr(node, "name", "")))
            for node in tree.body
            if not is_docstring(node) and not is_main_guard(node)
        ]
        anchors = [self._slot(item, path) for item in items]
        for item, slot, before, after in zip(
            items, anchors, _following(anchors), _preceding(anchors), strict=True
        ):
            self._lay(item, path, slot, before, after)

    def changes(self) -> Changes:
        """All splices, none of which overlap, in order."""
        ordered = sorted(self._splices, key=lambda one: (one.path, one.start, one.end))
        joined: list[Splice] = []
        for one in ordered:
            last = joined[-1] if joined else None
            if last and last.path == one.path and last.start == last.end == one.start == one.end:
                joined[-1] = Splice(one.path, one.start, one.end, last.text + one.text)
            elif last and last.path == one.path and one.start < last.end:
                raise EditRejected(
                    "ambiguous",
                    "the reply changes the same lines twice, as a class and as one of its methods; "
                    "send one of the two",
                )
            else:
                joined.append(one)
        return Changes(tuple(joined), tuple(dict.fromkeys(self._imports)), tuple(self._names))

    # One statement

    def _lay(
        self, item: _Item, path: str | None, slot: _Slot | None, before: _Slot | None, after: _Slot | None
    ) -> None:
        node = item.node
        if isinstance(node, ast.Import | ast.ImportFrom):
            where = path if path in self._trees else self._home(before, after)
            self._imports.append((where, ast.unparse(node)))
        elif isinstance(node, ast.Delete):
            self._remove(node, path)
        elif isinstance(node, Definition) or bound_names(node):
            self._lay_definition(item, path, slot, before, after)
        else:
            shown = item.source.strip().split("\n")[0][:80]
            raise EditRejected(
                "unknown-gene",
                f"`{shown}` is neither a definition nor a constant nor an import, so it isn't "
                "clear where it belongs; change such lines by a SEARCH/REPLACE block",
            )

    def _lay_definition(
        self, item: _Item, path: str | None, slot: _Slot | None, before: _Slot | None, after: _Slot | None
    ) -> None:
        node = item.node
        label = ", ".join(bound_names(node))
        _refuse_elided(item, slot)
        if slot is None:
            if item.owner is not None:
                self._add_method(item, path)
                return
            if self._is_new_twice(label, item.source):
                return
            self._insert(item, path, before, after)
        elif (
            isinstance(node, ast.ClassDef)
            and isinstance(slot.node, ast.ClassDef)
            and _lacks_methods(node, slot.node)
        ):
            self._merge_class(item, slot)
        else:
            owner = f"{slot.scope.name}." if isinstance(slot.scope, ast.ClassDef) else ""
            self._replace(slot, item.source, owner + label)

    def _is_new_twice(self, label: str, source: str) -> bool:
        """Whether this very text was added before; raises where another text of that name was."""
        known = ("", label) in self._said
        if self._said.setdefault(("", label), source) != source:
            raise EditRejected(
                "ambiguous", f"the reply holds two versions of {label}; send only the one that is meant"
            )
        return known

    def _replace(self, slot: _Slot, source: str, label: str) -> None:
        indent = indent_of(slot.text.lines[slot.first])
        own = indent_of(source.split("\n")[0])
        source = "\n".join(reindent(line, own, indent) for line in source.split("\n"))
        old = slot.source
        comments = comments_above(slot.text, slot.first)
        first = slot.first
        if comments and source.lstrip().startswith("#"):
            first -= comments
        start, end = slot.text.span(first, slot.last)
        bare = "\n".join(source.split("\n")[leading_comments(source) :])
        if slot.text.text[start:end] == source or old == bare:
            return  # a quotation of what is there
        key = (slot.path, f"{slot.first}")
        known = key in self._said
        if self._said.setdefault(key, source) != source:
            raise EditRejected(
                "ambiguous", f"the reply holds two versions of {label}; send only the one that is meant"
            )
        if not known:
            self._splices.append(Splice(slot.path, start, end, source))
            self._names[label] = None

    def _insert(self, item: _Item, path: str | None, before: _Slot | None, after: _Slot | None) -> None:
        """A new definition, at the side of one that the same piece of code changes, else at an evolvable place."""
        near = before or after
        where = path if path in self._trees else near.path if near else self._home(None, None)
        if where not in self._trees:
            raise EditRejected(
                "unknown-gene", f"{where} is no Python file, so no definition can be added to it"
            )
        text = self._texts[where]
        gap = "\n\n\n" if isinstance(item.node, Definition) else "\n"
        anchor = _top_of(before, self._trees[where]) if before and before.path == where else None
        start, new = -1, ""
        if anchor is not None:
            line = first_line(anchor)
            start = text.starts[line - comments_above(text, line)]
            new = item.source.rstrip() + gap
        elif after and after.path == where and (anchor := _top_of(after, self._trees[where])) is not None:
            start = text.span(0, (anchor.end_lineno or 1) - 1)[1]
            new = gap + item.source.rstrip()
        if start < 0 or not is_evolvable(evolvable_spans(self._genome, where, self._rules), start, start):
            start, lead = self._evolvable_end(where)
            new = lead + item.source.rstrip() + "\n"
        self._splices.append(Splice(where, start, start, new))
        self._names["+" + ", ".join(bound_names(item.node))] = None

    def _evolvable_end(self, path: str) -> tuple[int, str]:
        """Where a definition without neighbours goes, and the line ends before it: behind the last evolvable part."""
        text = self._texts[path].text
        spans = evolvable_spans(self._genome, path, self._rules)
        filled = [span for span in spans if text[span[0] : span[1]].strip()] or list(spans)
        if not filled:
            raise EditRejected("frozen", f"{path} is frozen, so nothing can be added to it")
        end = filled[-1][1]
        return end, "\n\n" if text[:end].endswith(("\n", "\r")) else "\n\n\n"

    # Classes and methods

    def _merge_class(self, item: _Item, slot: _Slot) -> None:
        """A class that lacks some of the old one's methods: those it has are laid over, the others stay."""
        node, old = item.node, slot.node
        assert isinstance(node, ast.ClassDef)
        assert isinstance(old, ast.ClassDef)
        own = Text(item.source)
        offset = first_line(node) - leading_comments(item.source)
        for part in node.body:
            names = bound_names(part)
            if not names:
                continue
            source = "\n".join(own.lines[first_line(part) - offset : (part.end_lineno or 1) - offset])
            there = [one for one in old.body if names == bound_names(one)]
            if len(there) == 1:
                inner = _Slot(slot.path, slot.text, there[0], old)
                _refuse_elided(_Item(part, source, None), inner)
                self._replace(inner, source, f"{node.name}.{names[0]}")
            elif not there:
                _refuse_elided(_Item(part, source, None), None)
                self._append_to_class(slot, part, source)
            else:
                raise EditRejected(
                    "ambiguous",
                    f"{node.name} binds {names[0]} {len(there)} times; change it by a SEARCH/REPLACE block",
                )
        if ast.unparse(ast.Tuple(node.bases, ast.Load())) != ast.unparse(ast.Tuple(old.bases, ast.Load())):
            raise EditRejected(
                "ambiguous",
                f"class {node.name} has other bases but lacks methods of the old one; "
                "send the whole class, or say `del {name}.method` for those that shall go".replace(
                    "{name}", node.name
                ),
            )

    def _append_to_class(self, slot: _Slot, part: ast.stmt, source: str) -> None:
        old = slot.node
        assert isinstance(old, ast.ClassDef)
        inner = indent_of(slot.text.lines[first_line(old.body[0])]) or "    "
        if first_line(old.body[0]) == first_line(old):
            raise EditRejected("unknown-gene", f"class {old.name} stands on one line; send it whole")
        own = indent_of(source.split("\n")[0])
        moved = "\n".join(reindent(line, own, inner) for line in source.split("\n"))
        label = f"+{old.name}.{bound_names(part)[0]}"
        if self._is_new_twice(label, moved):
            return
        if isinstance(part, Definition):
            end = slot.text.span(0, slot.last)[1]
            self._splices.append(Splice(slot.path, end, end, "\n\n" + moved))
        else:
            first = old.body[1] if is_docstring(old.body[0]) and len(old.body) > 1 else old.body[0]
            start = slot.text.starts[first_line(first)]
            self._splices.append(Splice(slot.path, start, start, moved + "\n"))
        self._names[label] = None

    def _add_method(self, item: _Item, path: str | None) -> None:
        slots = self._find(item.owner or "", path)
        if len(slots) != 1 or not isinstance(slots[0].node, ast.ClassDef):
            raise EditRejected(
                "unknown-gene", f"there is no class {item.owner} to hold {item.owner}.{_name(item)}"
            )
        self._append_to_class(slots[0], item.node, item.source)

    # Finding

    def _index(self) -> dict[str, list[_Slot]]:
        """By name, the top-level statements that bind it, imports left out."""
        found: dict[str, list[_Slot]] = {}
        for path, tree in self._trees.items():
            for node in tree.body:
                if not isinstance(node, ast.Import | ast.ImportFrom):
                    for name in bound_names(node):
                        found.setdefault(name, []).append(_Slot(path, self._texts[path], node, tree))
        return found

    def _slot(self, item: _Item, path: str | None) -> _Slot | None:
        """The statement of the program that this one stands for; None for a new one."""
        names = bound_names(item.node)
        if not names or isinstance(item.node, ast.Import | ast.ImportFrom):
            return None
        if item.owner is not None:
            return self._one([*self._methods(names[0], path, item.owner)], f"{item.owner}.{names[0]}")
        slots = self._find(names[0], path)
        same = [slot for slot in slots if bound_names(slot.node) == names]
        if slots and not same:
            raise EditRejected(
                "ambiguous",
                f"{names[0]} is bound together with other names; change it by a SEARCH/REPLACE block",
            )
        if not slots and isinstance(item.node, Function) and takes_self(item.node):
            return self._one([*self._methods(names[0], path, None)], names[0])
        return self._one(same, names[0])

    def _one(self, slots: list[_Slot], label: str) -> _Slot | None:
        if len(slots) > 1:
            places = ", ".join(f"{slot.path} line {slot.first + 1}" for slot in slots[:5])
            raise EditRejected(
                "ambiguous",
                f"{label} stands at {len(slots)} places ({places}); name the class as in "
                "`def Net.forward(self):`, or use a SEARCH/REPLACE block",
            )
        return slots[0] if slots else None

    def _find(self, name: str, path: str | None) -> list[_Slot]:
        found = self._by_name.get(name, [])
        return [slot for slot in found if slot.path == path] if path in self._trees else found

    def _methods(self, name: str, path: str | None, owner: str | None) -> Iterator[_Slot]:
        paths = [path] if path in self._trees else list(self._trees)
        for one in paths:
            for node in self._trees[one or ""].body:
                if isinstance(node, ast.ClassDef) and owner in (None, node.name):
                    for part in node.body:
                        if isinstance(part, Function) and part.name == name:
                            yield _Slot(one or "", self._texts[one or ""], part, node)

    def _home(self, before: _Slot | None, after: _Slot | None) -> str:
        near = before or after
        return near.path if near else next(iter(self._trees), self._genome.paths[0])

    # Removal

    def _remove(self, node: ast.Delete, path: str | None) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                slots, label = self._find(target.id, path), target.id
            elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                label = f"{target.value.id}.{target.attr}"
                slots = list(self._methods(target.attr, path, target.value.id))
            else:
                slots, label = [], ast.unparse(target)
            slot = self._one(slots, label)
            if slot is None:
                raise EditRejected("unknown-gene", f"`del {label}`: there is no {label} to remove")
            if len(slot.scope.body) == 1 and isinstance(slot.scope, ast.ClassDef):
                raise EditRejected(
                    "unknown-gene", f"`del {label}`: it is all that its class holds; remove the class"
                )
            text = slot.text
            first = slot.first - comments_above(text, slot.first)
            end = slot.last + 1
            while end < len(text.lines) and not text.lines[end].strip():
                end += 1
            stop = text.starts[end] if end < len(text.starts) else len(text.text)
            self._splices.append(Splice(slot.path, text.starts[first], stop, ""))
            self._names["-" + label] = None


def _following(anchors: list[_Slot | None]) -> list[_Slot | None]:
    """For each statement, the first one after it that stands in the program."""
    return _preceding(anchors[::-1])[::-1]


def _preceding(anchors: list[_Slot | None]) -> list[_Slot | None]:
    """For each statement, the last one before it that stands in the program."""
    found: list[_Slot | None] = []
    last: _Slot | None = None
    for anchor in anchors:
        found.append(last)
        last = anchor or last
    return found


def _refuse_elided(item: _Item, slot: _Slot | None) -> None:
    old = slot.node if slot else None
    if (
        isinstance(item.node, ast.ClassDef)
        and isinstance(old, ast.ClassDef)
        and _lacks_methods(item.node, old)
    ):
        return  # what it leaves out stays
    line = elided(item.source)
    if line is not None and (slot is None or line not in slot.source):
        if line == "..." and slot is None:
            return  # a protocol's method, an overload: legal Python that says nothing is left out
        raise EditRejected(
            "elided",
            f"{', '.join(bound_names(item.node))} holds `{line}` in the place of code; write it out, "
            "or change single lines by SEARCH/REPLACE blocks",
        )


def _lacks_methods(new: ast.ClassDef, old: ast.ClassDef) -> bool:
    have = {name for part in new.body for name in bound_names(part)}
    return any(isinstance(part, Function) and part.name not in have for part in old.body)


def _name(item: _Item) -> str:
    return bound_names(item.node)[0]


def _top_of(slot: _Slot, tree: ast.Module) -> ast.stmt | None:
    """The top-level statement that a slot is, or lies in."""
    return next((node for node in tree.body if node is slot.node or node is slot.scope), None)
