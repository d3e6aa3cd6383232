"""Reads a gene with LibCST and notes its places. Import this late: LibCST is slow to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from guided_evolution.operators import families
from guided_evolution.operators.bodies import Reader, statement_sites
from guided_evolution.operators.sites import Change, GeneSites, Number, Site

_WRAP = "class _:\n"
_INDEX_LIKE = {
    "axis",
    "axes",
    "dim",
    "dims",
    "ndim",
    "ndmin",
    "keepdims",
    "dtype",
    "copy",
    "order",
    "strict",
    "shape",
}
_RARE = 0.1
_LITERAL = (
    cst.SimpleString,
    cst.ConcatenatedString,
    cst.FormattedString,
    cst.List,
    cst.Tuple,
    cst.Dict,
    cst.ListComp,
)


def scan(source: str) -> GeneSites:
    """The places of a gene's source; none where LibCST can't read it."""
    for prefix, suffix in _wrappings(source):
        try:
            module = cst.parse_module(prefix + source.removeprefix("\ufeff") + suffix)
        except (cst.ParserSyntaxError, UnicodeError, RecursionError):
            continue
        try:
            return _Scan(source, prefix).read(module)
        except RecursionError:
            break
    return GeneSites()


def _wrappings(source: str) -> list[tuple[str, str]]:
    """What makes the gene a module of its own: a method needs a class around it, a class's header a body."""
    code = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not code:
        return []
    if code[0][0] in " \t":
        return [(_WRAP, "")]
    return [("", ""), ("", "\n    pass\n"), ("", "\n\tpass\n")]


class _Scan(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (ByteSpanPositionProvider,)

    def __init__(self, source: str, prefix: str) -> None:
        super().__init__()
        self.text = prefix + source.removeprefix("\ufeff")
        self.back = len(prefix) - source.startswith("\ufeff")
        self.length = len(source)
        self.at = None if self.text.isascii() else _characters(self.text)
        self.numbers: list[Number] = []
        self.operators: list[Site] = []
        self.functions: list[Site] = []
        self.index_depth = 0
        self.groups: list[int] = []
        self.last_group = 0

    def read(self, module: cst.Module) -> GeneSites:
        wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
        wrapper.visit(self)
        body: Sequence[cst.BaseStatement | cst.BaseSmallStatement] = module.body
        reader = Reader(self.text, self.back, self.length, lambda node: self._span_in_text(node))
        with self.resolve(wrapper):
            statements = tuple(statement_sites(body, reader, wrapped=self.text.startswith(_WRAP)))
        return GeneSites(tuple(self.numbers), tuple(self.operators), tuple(self.functions), statements)

    # Positions

    def _span_in_text(self, node: cst.CSTNode) -> tuple[int, int]:
        span = self.get_metadata(ByteSpanPositionProvider, node)
        start, end = span.start, span.start + span.length
        return (start, end) if self.at is None else (self.at[start], self.at[end])

    def _span(self, node: cst.CSTNode) -> tuple[int, int]:
        start, end = self._span_in_text(node)
        return start - self.back, end - self.back

    def _code(self, span: tuple[int, int]) -> str:
        return self.text[span[0] + self.back : span[1] + self.back]

    # What stands where

    def visit_Annotation(self, node: cst.Annotation) -> bool:
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False

    def visit_Decorator(self, node: cst.Decorator) -> bool:
        return False

    def visit_If(self, node: cst.If) -> bool:
        return "__main__" not in self._code(self._span(node.test))

    def visit_SubscriptElement(self, node: cst.SubscriptElement) -> None:
        self.index_depth += 1

    def leave_SubscriptElement(self, original_node: cst.SubscriptElement) -> None:
        self.index_depth -= 1

    def visit_Arg(self, node: cst.Arg) -> None:
        self.index_depth += node.keyword is not None and node.keyword.value in _INDEX_LIKE

    def leave_Arg(self, original_node: cst.Arg) -> None:
        keyword = original_node.keyword
        self.index_depth -= keyword is not None and keyword.value in _INDEX_LIKE

    def _enter_group(self) -> None:
        if not self.groups:
            self.last_group += 1
        self.groups.append(self.last_group)

    def visit_List(self, node: cst.List) -> None:
        self._enter_group()

    def leave_List(self, original_node: cst.List) -> None:
        self.groups.pop()

    def visit_Tuple(self, node: cst.Tuple) -> None:
        self._enter_group()

    def leave_Tuple(self, original_node: cst.Tuple) -> None:
        self.groups.pop()

    def visit_Dict(self, node: cst.Dict) -> None:
        self._enter_group()

    def leave_Dict(self, original_node: cst.Dict) -> None:
        self.groups.pop()

    # Constants

    def _number(self, node: cst.CSTNode, weight: float = 1.0) -> None:
        start, end = self._span(node)
        weight *= _RARE if self.index_depth else 1.0
        group = self.groups[-1] if self.groups and not self.index_depth else 0
        self.numbers.append(Number(start, end, self._code((start, end)), weight, group))

    def visit_Integer(self, node: cst.Integer) -> None:
        self._number(node)

    def visit_Float(self, node: cst.Float) -> None:
        self._number(node)

    def visit_UnaryOperation(self, node: cst.UnaryOperation) -> bool:
        negative = isinstance(node.operator, cst.Minus) and isinstance(
            node.expression, cst.Integer | cst.Float
        )
        if negative and not node.expression.lpar:
            self._number(node)
        return not (negative and not node.expression.lpar)

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in ("True", "False"):
            self._number(node, _RARE)

    # Operators

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if not isinstance(node.left, _LITERAL) and not isinstance(node.right, _LITERAL):
            self._operator(node.operator, families.BINARY, node)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        if not isinstance(node.value, _LITERAL):
            self._operator(node.operator, families.AUGMENTED)

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        self._operator(node.operator, families.BOOLEAN)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        for target in node.comparisons:
            self._operator(target.operator, families.COMPARISON)

    def _operator(
        self,
        token: cst.CSTNode,
        family: Mapping[str, tuple[str, ...]],
        around: cst.BinaryOperation | None = None,
    ) -> None:
        start, end = self._span(token)
        old = self._code((start, end))
        changes = [Change(((start, end, new),), f"{old} -> {new}") for new in family.get(old, ())]
        if around is not None and old in families.ORDERED:
            first, last = self._span(around)
            left, right = self._code((first, start)), self._code((end, last))
            swapped = (
                right.strip()
                + left[len(left.rstrip()) :]
                + old
                + right[: -len(right.lstrip())]
                + left.rstrip()
            )
            changes.append(Change(((first, last, swapped),), f"sides of {old} swapped", 0.5))
        if changes:
            self.operators.append(Site(tuple(changes)))

    # Functions

    def visit_Call(self, node: cst.Call) -> None:
        name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
        if not isinstance(name, cst.Name):
            return
        base = self._code(self._span(node.func.value)) if isinstance(node.func, cst.Attribute) else None
        keywords = tuple(arg.keyword.value for arg in node.args if arg.keyword is not None)
        plain = sum(arg.keyword is None for arg in node.args)
        stars = any(arg.star for arg in node.args)
        start, end = self._span(name)
        others = families.others(base, name.value, plain, keywords, stars)
        if others:
            changes = (Change(((start, end, other),), f"{name.value} -> {other}") for other in others)
            self.functions.append(Site(tuple(changes)))


def _characters(text: str) -> list[int]:
    """The character at which each byte of the text's UTF-8 stands."""
    at: list[int] = []
    for index, character in enumerate(text):
        at += [index] * len(character.encode("utf-8"))
    return [*at, len(text)]
