"""Finds in the source every code that a finding can be made with, and with which severities: constants, tables, wrappers, loops.

A *maker* is what is called with a code: ``Finding``, ``FindingLog.note``, and every function that hands its own parameter on to one.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "bioimage_assets"
CATALOGUE = PACKAGE / "core" / "finding_codes"
# Called with code and severity in these places; an ArrayIssue is made a warning by who reads the levels.
MAKERS: dict[str, tuple[int, int | str]] = {
    "Finding": (0, 1), "Issue": (0, 1), "note": (0, 1), "note_repeated": (0, 1), "ArrayIssue": (0, "warning"),
}  # fmt: skip
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Made:
    """One place of the source where a finding is made; ``severities`` holds None where one cannot be told."""

    code: str
    severities: frozenset[str | None]
    place: str


@dataclass(slots=True)
class CodeScan:
    """What was found; ``unresolved`` are expressions in the place of a code, by module, that are no literals in the end."""

    made: list[Made] = field(default_factory=list)
    unresolved: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Module:
    name: str
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    calls: list[tuple[ast.Call, ast.FunctionDef | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str


class _Sources(dict[str, _Module]):
    """Modules by their path below the package, each parsed when it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        paths = [path for path in sorted(PACKAGE.rglob("*.py")) if not path.is_relative_to(CATALOGUE)]
        self.texts = {str(path.relative_to(PACKAGE)): path.read_text() for path in paths}

    def __missing__(self, name: str) -> _Module:
        self[name] = _read(name, self.texts[name])
        return self[name]

    def list_with(self, words: Collection[str]) -> list[_Module]:
        """Those in which one of some words stands."""
        pattern = re.compile("|".join(map(re.escape, sorted(words))))
        return [self[name] for name, text in self.texts.items() if pattern.search(text)]


def scan_codes() -> CodeScan:
    """Look at all modules but the catalogue, until no function is found that hands on a code."""
    sources = _Sources()
    makers: dict[tuple[str, str], tuple[int, int | str | None]] = {}
    while True:
        scan = CodeScan()
        known = len(makers)
        for module in sources.list_with({*MAKERS, *(function for _, function in makers)}):
            for call, function in module.calls:
                if (places := _find_maker(module, call, makers)) is not None:
                    _look_at(module, call, function, places, sources, makers, scan)
        if len(makers) == known:
            return scan


def _read(name: str, text: str) -> _Module:
    module = _Module(name, ast.parse(text))
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            module.constants[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            module.constants[node.target.id] = node.value
    _walk(module.tree, None, module)
    return module


def _walk(node: ast.AST, function: ast.FunctionDef | None, module: _Module) -> None:
    """Note imports, and calls with the function around each."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            module.calls.append((child, function))
        elif isinstance(child, ast.ImportFrom) and (child.module or "").startswith("bioimage_assets."):
            source = f"{(child.module or '').removeprefix('bioimage_assets.').replace('.', '/')}.py"
            module.imports |= {alias.name: (source, alias.name) for alias in child.names}
        _walk(child, child if isinstance(child, ast.FunctionDef) else function, module)


def _find_maker(
    module: _Module, call: ast.Call, makers: dict[tuple[str, str], tuple[int, int | str | None]]
) -> tuple[int, int | str | None] | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in MAKERS:
        return MAKERS[name]
    return makers.get(module.imports.get(name, (module.name, name)))


def _look_at(
    module: _Module,
    call: ast.Call,
    function: ast.FunctionDef | None,
    places: tuple[int, int | str | None],
    sources: _Sources,
    makers: dict[tuple[str, str], tuple[int, int | str | None]],
    scan: CodeScan,
) -> None:
    code, severity = _argument(call, places[0], "code"), places[1]
    if code is None:
        scan.unresolved.add((module.name, ast.unparse(call)))
        return
    given = _argument(call, severity, "severity") if isinstance(severity, int) else None
    severities = [severity] if isinstance(severity, str) else []
    severities += list(_resolve(module, given, function, sources)) if given is not None else []
    for value in _resolve(module, code, function, sources):
        if isinstance(value, _Parameter) and function is not None:
            if module.name.endswith("finding_log.py"):
                continue  # its methods are makers already
            passed = next((one for one in severities if isinstance(one, _Parameter)), None)
            first = next((one for one in severities if isinstance(one, str)), None)
            makers[module.name, function.name] = (
                _index(function, value.name),
                first if passed is None else _index(function, passed.name),
            )
        elif isinstance(value, str):
            known = frozenset(one if isinstance(one, str) else None for one in severities) or frozenset(
                {None}
            )
            scan.made.append(Made(value, known, f"{module.name}:{call.lineno}"))
        else:
            scan.unresolved.add((module.name, ast.unparse(code)))


def _argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return named or (call.args[index] if index < len(call.args) else None)


def _index(function: ast.FunctionDef, name: str) -> int:
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return names.index(name) - (names[0] == "self")


def _resolve(
    module: _Module,
    value: ast.expr,
    function: ast.FunctionDef | None,
    sources: _Sources,
    depth: int = 0,
) -> Iterator[str | _Parameter | None]:
    """Literals that an expression may be; None for what cannot be told."""
    options: list[ast.expr | None] = [None]
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
        return
    if isinstance(value, ast.IfExp):
        options = [value.body, value.orelse]
    elif isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
        table = module.constants.get(value.value.id)
        options = list(table.values) if isinstance(table, ast.Dict) else [None]
    elif isinstance(value, ast.Name):
        found = _assigned(function, value.id) if function is not None else []
        if (
            not found
            and function is not None
            and value.id in {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
        ):
            yield _Parameter(value.id)
            return
        source, name = module.imports.get(value.id, (module.name, value.id))
        constant = sources[source].constants.get(name) if source in sources.texts else None
        if not found and constant is not None:
            yield from _resolve(sources[source], constant, None, sources, depth + 1)
            return
        options = found or [None]
    for option in options:
        if option is None or depth > _MAX_DEPTH:
            yield None
        else:
            yield from _resolve(module, option, function, sources, depth + 1)


def _assigned(function: ast.FunctionDef, name: str) -> list[ast.expr | None]:
    """What a local name is set to, by assignments and by loops over tuples that stand there."""
    found: list[ast.expr | None] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found += _part(target, [node.value], name)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            found += _part(node.target, [node.value], name)
        elif isinstance(node, ast.For | ast.comprehension):
            rows = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else [None]
            found += _part(node.target, list(rows), name)
    return found


def _part(target: ast.expr, values: list[ast.expr | None], name: str) -> list[ast.expr | None]:
    if isinstance(target, ast.Name):
        return values if target.id == name else []
    names = [getattr(one, "id", "") for one in getattr(target, "elts", ())]
    if name not in names:
        return [None] if name in {getattr(one, "id", "") for one in ast.walk(target)} else []
    index = names.index(name)
    flat = [
        part for one in values for part in ((one.body, one.orelse) if isinstance(one, ast.IfExp) else (one,))
    ]
    return [one.elts[index] if isinstance(one, ast.Tuple) else None for one in flat]


def list_by_code(scan: CodeScan) -> dict[str, list[Made]]:
    """Places by code."""
    found: dict[str, list[Made]] = defaultdict(list)
    for one in scan.made:
        found[one.code].append(one)
    return dict(found)
