"""A module's source becomes the list of single changes that a test should notice.

Each change is named by the function it is in, the smallest readable piece of code around it before and after,
and a number where the same piece stands there more than once. Moving lines does not change the name.
Left out are changes that nobody could see or should test: annotations, decorators, ``strict=`` of ``zip``, the wording
of messages, and the exact size of buffers and budgets (numbers of 1,000 and more, ``n << m``).
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Pow: ast.Mult,
}  # fmt: skip
_CALLS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}
_BUDGET = 1_000
_READABLE = 60  # characters; the piece of code around a change grows up to this
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CONDITIONAL = (ast.If, ast.While, ast.IfExp)
# Their negation is made by the change of an operator already.
_HAS_OPERATOR = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)


@dataclass(frozen=True, slots=True)
class Change:
    """One change; ``lines`` (1-based, inclusive) is the statement that has to run for it to be seen.

    ``scope`` is the qualified name of the function or class, empty at module level. ``at_import`` tells that the
    changed code runs when the module is imported, ``lines`` being of no use. ``path`` leads to the changed place.
    """

    scope: str
    text: str
    lines: tuple[int, int]
    at_import: bool
    path: tuple[_Step, ...]
    replacement: ast.AST

    @property
    def name(self) -> str:
        """What the change is called in tables and in the file of explained changes."""
        return f"{self.scope or '<module>'}: {self.text}"

    def build_tree(self) -> ast.Module:
        """The whole changed module."""
        module = _replace(self.path, self.replacement)
        assert isinstance(module, ast.Module)
        return ast.fix_missing_locations(module)


def list_changes(source: str) -> list[Change]:
    """All single changes of a module, in the order of its code."""
    seen: Counter[tuple[str, str]] = Counter()
    changes = []
    for path in _places(ast.parse(source)):
        for replacement in _replacements(path):
            change = _build(path, replacement)
            seen[change.scope, change.text] += 1
            number = seen[change.scope, change.text]
            changes.append(change if number == 1 else replace(change, text=f"{change.text} ({number})"))
    return changes


@dataclass(frozen=True, slots=True)
class _Step:
    """One step down the tree: the node, and where its parent keeps it."""

    node: ast.AST
    field: str = ""
    index: int | None = None


Path = tuple[_Step, ...]


def _places(tree: ast.Module) -> Iterator[Path]:
    def walk(path: Path) -> Iterator[Path]:
        yield path
        node = path[-1].node
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST) and not _is_left_out(node, child):
                    yield from walk((*path, _Step(child, field, index)))

    yield from walk((_Step(tree),))


def _is_left_out(parent: ast.AST, child: ast.AST) -> bool:
    match parent, child:
        case _, ast.keyword(arg="strict"):
            return True
        case ((ast.Module() | ast.ClassDef() | ast.FunctionDef()), ast.Expr(value=ast.Constant())):
            return True  # docstrings
        case ast.Raise(), _:
            return True  # what the message says; that it is raised is a change of the statement
        case ast.Call(func=ast.Name(id="Finding")), ast.JoinedStr() | ast.Constant():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]), _:
            return name in ("message", "reason", "advice", "__all__") or _is_type(parent)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")), _:
            return True
    return False


def _is_type(assign: ast.Assign) -> bool:
    value = assign.value
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in (
        "Literal", "Callable", "Mapping", "tuple", "dict", "list",
    )  # fmt: skip


def _replacements(path: Path) -> Iterator[ast.AST]:
    node = path[-1].node
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], _COMPARE[type(op)](), *ops[i + 1 :]], others)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            yield ast.UnaryOp(ast.USub(), ast.Constant(value + 1))
        case ast.BinOp(left=left, op=op, right=right) if (
            type(op) in _ARITHMETIC and not _is_text(left, right) and not _is_size(node)
        ):
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target=target, op=op, value=value):
            if type(op) in _ARITHMETIC and not _is_text(value):
                yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
            yield ast.Assign([target], value)
        case ast.Constant(value=value):
            yield from map(ast.Constant, _other_values(value, path))
        case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), node.args, _keywords(node, name))
        case ast.Return(value=value) if value is not None and not _is_none(value):
            if not _is_yes_or_no(path):  # there None is no more than the answer False
                yield ast.Return(ast.Constant(None))
            elif not isinstance(value, _HAS_OPERATOR):
                yield ast.Return(ast.UnaryOp(ast.Not(), value))
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    if _is_plain_test(path):
        yield ast.UnaryOp(ast.Not(), node)


def _keywords(call: ast.Call, name: str) -> list[ast.keyword]:
    return [] if name == "sorted" else call.keywords


def _is_text(*nodes: ast.AST) -> bool:
    return any(
        isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
        for node in nodes
    )


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _other_values(value: object, path: Path) -> list[object]:
    match value:
        case bool():
            return [not value]
        case int():
            parent = path[-2].node
            if isinstance(parent, ast.UnaryOp) or value >= _BUDGET or _is_size(parent):
                return []
            return [value + 1, value - 1] if value else [1]
        case float():
            return [value * 2 if value else 1.0]
    return []


def _is_size(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.LShift)
        and isinstance(node.left, ast.Constant)
    )


def _is_yes_or_no(path: Path) -> bool:
    function = next(
        step.node for step in reversed(path) if isinstance(step.node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return isinstance(function.returns, ast.Name) and function.returns.id == "bool"


def _is_plain_test(path: Path) -> bool:
    """A condition without an operator of its own: ``if found:``."""
    step = path[-1]
    if isinstance(step.node, _HAS_OPERATOR) or len(path) < 2:
        return False
    parent = path[-2].node
    return (isinstance(parent, _CONDITIONAL) and step.field == "test") or (
        isinstance(parent, ast.comprehension) and step.field == "ifs"
    )


def _build(path: Path, replacement: ast.AST) -> Change:
    around = _piece_around(path)
    before, after = _show(path[around].node), _show(_replace(path[around:], replacement))
    scope = ".".join(step.node.name for step in path[:-1] if isinstance(step.node, _SCOPES))
    return Change(scope, f"{before} → {after}", _lines(path), _at_import(path), path, replacement)


def _replace(path: Path, replacement: ast.AST) -> ast.AST:
    """Copy of the tree along the path, with another node at its end; nodes off the path are shared."""
    below = ast.copy_location(replacement, path[-1].node)
    for step, child in zip(path[-2::-1], path[:0:-1], strict=True):
        parent = copy.copy(step.node)
        if child.index is None:
            setattr(parent, child.field, below)
        else:
            siblings = list(getattr(parent, child.field))
            siblings[child.index] = below
            setattr(parent, child.field, siblings)
        below = parent
    return below


def _piece_around(path: Path) -> int:
    """Position in the path of the largest piece of code around the change that can still be read."""
    best = len(path) - 1
    for position in range(len(path) - 1, 0, -1):
        node = path[position].node
        if isinstance(node, ast.stmt) and position < len(path) - 1 and hasattr(node, "body"):
            break
        if not isinstance(node, ast.expr | ast.stmt):
            continue
        if position < len(path) - 1 and len(ast.unparse(node)) > _READABLE:
            break
        best = position
        if isinstance(node, ast.stmt):
            break
    return best


def _show(node: ast.AST) -> str:
    if isinstance(node, ast.Break | ast.Continue | ast.Pass):
        return type(node).__name__.lower()
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def _lines(path: Path) -> tuple[int, int]:
    statement = next(step.node for step in reversed(path) if isinstance(step.node, ast.stmt))
    body = getattr(statement, "body", None)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):  # a default
        return body[0].lineno, statement.end_lineno or body[-1].lineno
    if body and isinstance(body, list):
        return statement.lineno, max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, statement.end_lineno or statement.lineno


def _at_import(path: Path) -> bool:
    return not any(isinstance(step.node, ast.FunctionDef | ast.AsyncFunctionDef) for step in path)
