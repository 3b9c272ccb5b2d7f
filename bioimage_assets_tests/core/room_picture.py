"""The picture of the rooms in ``docs/architecture.md``, drawn from the imports as they are.

``python -m bioimage_assets_tests.core.room_picture`` draws it again. It is an SVG file that needs no program to be shown:
the pages load nothing from another host.
"""

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
PACKAGE = "bioimage_assets"
# Pixels: a room, the space that a line takes between two rooms, from one row to the next.
BOX_WIDTH, BOX_HEIGHT, LINE_WIDTH, GAP, ROW = 118, 28, 14, 14, 74
# A room, or a place where a line passes between the rooms of a row: (from, to, row).
Slot = str | tuple[str, str, int]


def draw_rooms() -> str:
    """SVG: a line leads down from a room to those it imports that it does not reach by another way."""
    direct = find_imports()
    lines = {(room, to) for room in direct for to in direct[room] - _reached(direct, room)}
    paths = _route(lines, _rank(direct))
    rows = _order(paths)
    width = max(_width(row) for row in rows) + 2 * GAP
    places = {slot: place for number, row in enumerate(rows) for slot, place in _place(row, number, width)}
    height = ROW * (len(rows) - 1) + BOX_HEIGHT + 2 * GAP
    drawn = [_draw_line([places[slot] for slot in path]) for path in paths]
    drawn += [_draw_room(slot, *places[slot]) for row in rows for slot in row if isinstance(slot, str)]
    return "\n".join([_HEAD.format(width=width, height=height), *drawn, "</svg>", ""])


_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="sans-serif" font-size="13" text-anchor="middle">\n'
    "<title>Which folder imports which: a line leads down to what is imported</title>\n"
    '<rect width="100%" height="100%" fill="#ffffff"/>'
)


def _rank(direct: Mapping[str, set[str]]) -> dict[str, int]:
    """Row of each room, 0 at the top; a room stands as high above the last row as its longest way down is long."""
    depth: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in depth:
            depth[room] = 1 + max(map(measure, direct.get(room, ())), default=-1)
        return depth[room]

    highest = max(map(measure, sorted(direct)))
    return {room: highest - below for room, below in depth.items()}


def _route(lines: set[tuple[str, str]], rank: Mapping[str, int]) -> list[list[Slot]]:
    """For each line its room, a place in every row that it passes, and the room that it leads to."""
    return [
        [start, *((start, end, row) for row in range(rank[start] + 1, rank[end])), end]
        for start, end in sorted(lines, key=lambda line: (rank[line[0]], line))
    ]


def _order(paths: Sequence[Sequence[Slot]]) -> list[list[Slot]]:
    """Rows from left to right, so that few lines cross: each slot goes to the middle of its neighbours, row by row."""
    rows, up, down = _stack(paths)
    for sweep in range(24):
        neighbours, order = (
            (up, range(1, len(rows))) if sweep % 2 == 0 else (down, range(len(rows) - 2, -1, -1))
        )
        for number in order:
            beside = {slot: x for row in rows for slot, (x, _) in _place(row, 0, 0)}
            middle = {
                slot: sum(beside[other] for other in found) / len(found)
                for slot in rows[number]
                if (found := neighbours.get(slot))
            }
            rows[number].sort(key=lambda slot: middle.get(slot, beside[slot]))
    return rows


def _stack(
    paths: Sequence[Sequence[Slot]],
) -> tuple[list[list[Slot]], dict[Slot, list[Slot]], dict[Slot, list[Slot]]]:
    """Slots of each row, and for each slot those that it is joined to in the row above and in the row below."""
    rank: dict[Slot, int] = {paths[0][0]: 0}
    up: dict[Slot, list[Slot]] = {}
    down: dict[Slot, list[Slot]] = {}
    for path in paths:
        for above, below in itertools.pairwise(path):
            rank.setdefault(below, rank[above] + 1)
            down.setdefault(above, []).append(below)
            up.setdefault(below, []).append(above)
    rows: list[list[Slot]] = [[] for _ in range(max(rank.values()) + 1)]
    for slot in rank:
        rows[rank[slot]].append(slot)
    return rows, up, down


def _width(row: Sequence[Slot]) -> int:
    return sum((BOX_WIDTH if isinstance(slot, str) else LINE_WIDTH) + GAP for slot in row) - GAP


def _place(row: Sequence[Slot], number: int, width: int) -> Iterator[tuple[Slot, tuple[int, int]]]:
    """Middle of each slot of a row in pixels; the row stands in the middle of the picture."""
    x = (width - _width(row)) // 2
    for slot in row:
        own = BOX_WIDTH if isinstance(slot, str) else LINE_WIDTH
        yield slot, (x + own // 2, GAP + BOX_HEIGHT // 2 + number * ROW)
        x += own + GAP


def _draw_line(points: Sequence[tuple[int, int]]) -> str:
    half, bend = BOX_HEIGHT // 2, ROW // 2
    (x, y), *rest = points
    steps = [f"M{x} {y + half}"]
    for to_x, to_y in rest:
        steps.append(f"C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y - half}")
        if (to_x, to_y) != points[-1]:
            steps.append(f"L{to_x} {to_y + half}")
        x, y = to_x, to_y
    return f'<path d="{" ".join(steps)}" fill="none" stroke="#5f7f7b" stroke-width="1.3"/>'


def _draw_room(room: str, x: int, y: int) -> str:
    corner = f'x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}"'
    box = f'<rect {corner} width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" fill="#e0f2f1" stroke="#00796b"/>'
    return f'{box}<text x="{x}" y="{y + 5}" fill="#1b3b38">{room}</text>'


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


if __name__ == "__main__":
    PICTURE.write_text(draw_rooms())
