"""The picture of the rooms in ``docs/architecture.md``, drawn from the imports as they are.

``python -m bioimage_assets_tests.core.room_picture`` draws it again.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
START, END = "```mermaid\n", "```\n"
PACKAGE = "bioimage_assets"


def draw_rooms() -> str:
    """Mermaid text: an arrow leads from a room to those it imports that it does not reach by another way."""
    direct = find_imports()
    lines = ["flowchart TD"]
    for room in sorted(direct):
        lines += [f"    {room} --> {target}" for target in sorted(direct[room] - _reached(direct, room))]
    return "\n".join(lines) + "\n"


def find_imports() -> dict[str, set[str]]:
    """Rooms that each room imports; modules that stand alone in ``core/`` are left out."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        room = _room_of(path.relative_to(ROOT).with_suffix("").parts)
        if room is not None:
            others = {_room_of(tuple(name.split("."))) for name in _imports(path)}
            found.setdefault(room, set()).update(other for other in others - {room} if other is not None)
    return found


def _room_of(parts: tuple[str, ...]) -> str | None:
    if parts[0] != PACKAGE or len(parts) < 3 or parts[1] == "demo":
        return None
    if parts[1] == "core":
        return parts[2] if (ROOT / PACKAGE / "core" / parts[2]).is_dir() else None
    return "cli" if parts[1] == "cli" else "dagster"


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


def _reached(direct: dict[str, set[str]], room: str) -> set[str]:
    """Rooms that a room reaches by way of another."""
    reached: set[str] = set()
    waiting = [target for other in direct[room] for target in direct.get(other, ())]
    while waiting:
        target = waiting.pop()
        if target not in reached:
            reached.add(target)
            waiting += direct.get(target, ())
    return reached


def read_picture() -> str:
    """Picture of the page as it is."""
    return PAGE.read_text().partition(START)[2].partition(END)[0]


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().replace(START + read_picture(), START + draw_rooms(), 1))
