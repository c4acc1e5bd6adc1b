"""Small faults that can be planted in Python source: one token or one statement changed, everything else as it was."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator

COMPARISONS = {
    ast.Lt: ("<", ("<=", ">=")), ast.LtE: ("<=", ("<", ">")), ast.Gt: (">", (">=", "<=")), ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)), ast.NotEq: ("!=", ("==",)), ast.Is: ("is", ("is not",)), ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)), ast.NotIn: ("not in", ("in",)),
}  # fmt: skip
OPERATORS = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.Pow: ("**", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
}  # fmt: skip
TWINS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("floor", "ceil"),
]
SWAPPED = dict(TWINS) | {second: first for first, second in TWINS}
# Calls that keep a value in bounds or change its shape; leaving one out leaves its first argument.
LEFT_OUT = {"clamp", "clip", "abs", "sqrt", "min", "max", "minimum", "maximum", "hypot", "square", "log", "exp"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """One change of source bytes.

    Attributes:
        start, end: which bytes are replaced.
        new: what stands there instead.
        lines: which (1-based) run when the faulty statement does; none where it runs at import.
        line: the first line that is changed.
    """

    start: int
    end: int
    new: bytes
    lines: range
    line: int

    def planted(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def shown(self, source: bytes) -> str:
        """The changed line without its indentation."""
        lines = self.planted(source).decode().splitlines()
        return lines[self.line - 1].strip()


def faults_of(source: bytes) -> list[Fault]:
    """All faults of a module, in the order of the source."""
    planter = _Planter(source)
    planter.visit(ast.parse(source))
    unique = {(f.start, f.end, f.new): f for f in planter.found}
    return sorted(unique.values(), key=lambda f: (f.start, f.end, f.new))


class _Planter(ast.NodeVisitor):
    """Walks a module and notes a few faults at each node; annotations, texts and messages are left alone."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Fault] = []
        self.lines = range(0)
        self.inside: list[ast.AST] = []

    # What is noted ---------------------------------------------------------------------------------------------------

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr) -> bytes:
        start, end = self.span(node)
        return self.source[start:end]

    def note(self, start: int, end: int, new: bytes | str) -> None:
        new = new.encode() if isinstance(new, str) else new
        line = self.source[:start].count(b"\n") + 1
        if new != self.source[start:end]:
            self.found.append(Fault(start, end, new, self.lines, line))

    def replace(self, node: ast.expr | ast.stmt, new: bytes | str) -> None:
        self.note(*self.span(node), new)

    def between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """Replaces an operator that stands between two expressions."""
        start, end = self.span(left)[1], self.span(right)[0]
        pattern = re.escape(old)
        if old[0].isalpha():
            pattern = r"\b" + old.replace(" ", r"\s+") + r"\b"
        match = re.search(pattern.encode(), self.source[start:end])
        if match:
            self.note(start + match.start(), start + match.end(), new)

    # Where it is noted -----------------------------------------------------------------------------------------------

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            return
        before = self.lines
        if isinstance(node, ast.stmt):
            self.lines = self.lines_of(node)
            self.statement(node)
        if not isinstance(node, ast.Raise):  # a message is read by people
            for fault in self.changes(node):
                self.replace(*fault)
            self.tokens(node)
            for name, value in ast.iter_fields(node):
                if name not in ("annotation", "returns", "decorator_list"):
                    for child in value if isinstance(value, list) else [value]:
                        if isinstance(child, ast.AST):
                            self.inside.append(node)
                            self.visit(child)
                            self.inside.pop()
        self.lines = before

    def lines_of(self, node: ast.stmt) -> range:
        """Lines of a simple statement, of the head of a compound one, of the body of a function (for its defaults)."""
        first, last = node.lineno, node.end_lineno or node.lineno
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef):
            return range(node.body[0].lineno, last + 1)
        if isinstance(body, list) and body:
            return range(first, max(first, body[0].lineno - 1) + 1)
        if not any(isinstance(outer, ast.FunctionDef) for outer in self.inside):
            return range(0)
        return range(first, last + 1)

    def statement(self, node: ast.stmt) -> None:
        """Leaves a whole statement out."""
        left_out = isinstance(node, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break))
        if isinstance(node, ast.Expr):
            left_out = not isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Assign):  # x = f(x)
            names = {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            left_out = len(names) == 1 and bool(names & {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)})
        if left_out and any(isinstance(outer, ast.FunctionDef) for outer in self.inside):
            self.replace(node, "pass")

    def changes(self, node: ast.AST) -> Iterator[tuple[ast.expr, bytes | str]]:
        """Expressions and what can stand in their place."""
        if isinstance(node, ast.Constant):
            yield from ((node, new) for new in _constants(node.value))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            yield node, self.text(node.operand)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SWAPPED:
                start = self.text(node.func)
                yield node.func, start[: len(start) - len(name)] + SWAPPED[name].encode()
            if name in LEFT_OUT:
                yield from ((node, kept) for kept in self.kept(node, name))
        if isinstance(node, (ast.If, ast.IfExp, ast.While)) and not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
            yield node.test, b"not (" + self.text(node.test) + b")"

    def kept(self, node: ast.Call, name: str) -> Iterator[bytes]:
        """The arguments that are left where a call is left out."""
        is_method = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") not in (
            "math", "np", "torch",
        )  # fmt: skip
        if isinstance(node.func, ast.Attribute) and is_method:
            if name not in ("min", "max"):
                yield self.text(node.func.value)
            return
        arguments = [a for a in node.args if not isinstance(a, (ast.Starred, ast.GeneratorExp))]
        both = name in ("min", "max", "minimum", "maximum", "hypot")
        if both and len(arguments) < 2:
            return
        yield from (b"(" + self.text(a) + b")" for a in (arguments if both else arguments[:1]))

    def tokens(self, node: ast.AST) -> None:
        """Operators."""
        if isinstance(node, ast.Compare):
            for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                old, others = COMPARISONS[type(op)]
                for new in others:
                    self.between(left, right, old, new)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            self.between(node.left, node.right, *OPERATORS[type(node.op)])
        if isinstance(node, ast.BoolOp):
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                self.between(left, right, old, new)
        if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
            old, new = OPERATORS[type(node.op)]
            start, end = self.span(node.target)[1], self.span(node.value)[0]
            gap = self.source[start:end].decode()
            self.note(start, end, gap.replace(old + "=", new + "=", 1))


def _constants(value: object) -> list[str]:
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int):
        return [str(value + 1), str(value - 1)] if value else ["1"]
    if isinstance(value, float):
        return [repr(round(value * 1.1, 15)), repr(round(value * 0.9, 15))] if value else ["0.1"]
    return []
