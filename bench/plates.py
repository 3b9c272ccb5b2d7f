"""What one more plate costs when 100, 1,000, 10,000 or 100,000 are there: every part that looks at all plates, run and not computed.

    python bench/plates.py --folder <scratch folder> [--largest 10000] [--parts sensor status] [--minutes 7] [--remove]

Plates hold metadata: one well, one field. The folder keeps what was made and measured (`results.json`, `results.md`), so a run
that is stopped, or that ends because its minutes are over (exit code 3), is gone on with by the same call. 100,000 plates
take about 10 GB and an hour or two. docs/capacity.md quotes the table.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

from _plates_grow import Room, set_environment
from filelock import FileLock

SIZES = (100, 1_000, 10_000, 100_000)
PARTS = ("scan", "catalog", "warehouse", "maintenance", "sensor", "status", "pages", "ui")
OUT_OF_TIME = 3


def main() -> int:
    """Measure what is not measured yet, print the table; 3 where the time did not suffice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--largest", type=int, default=10_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--again", action="store_true", help="measure these parts again at the largest size")
    parser.add_argument("--remove", action="store_true", help="remove what was made; results stay")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.folder = chosen.folder.resolve()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.one:
        return measure(chosen.folder, chosen.parts[0], chosen.one, chosen.minutes)
    if chosen.remove:
        remove(chosen.folder)
        return 0
    end_s, code = time.monotonic() + 60 * chosen.minutes, 0
    if chosen.again:
        again = {(part, chosen.largest) for part in chosen.parts}  # smaller ones are there no more
        kept = [row for row in read_results(chosen.folder) if (row["part"], row["plates"]) not in again]
        (chosen.folder / "results.json").write_text(json.dumps(kept))
    for count in (size for size in SIZES if size <= chosen.largest):
        for part in chosen.parts:
            done = {(row["part"], row["plates"]) for row in read_results(chosen.folder)}
            # Smaller sizes are measured first, since plates are only added.
            if code or (part, count) in done:
                continue
            left = (end_s - time.monotonic()) / 60
            code = OUT_OF_TIME if left <= 0 else run(chosen.folder, part, count, left)
    table = build_table(read_results(chosen.folder))
    (chosen.folder / "results.md").write_text(table)
    print(table)
    return code


def run(folder: Path, part: str, count: int, minutes: float) -> int:
    """Measure one part at one size in a process of its own, so that its memory is its own."""
    words = ["--folder", str(folder), "--parts", part, "--one", str(count), "--minutes", f"{minutes:.3f}"]
    print(f"{part} at {count:,} plates", flush=True)
    return subprocess.run([sys.executable, __file__, *words], check=False).returncode


def measure(folder: Path, part: str, count: int, minutes: float) -> int:
    """In the process of one part: grow, measure, write down."""
    room = Room(folder, time.monotonic() + 60 * minutes)
    set_environment(room)
    import _plates_parts

    if part == "ui":
        from _plates_ui import measure_ui as work
    else:
        work = getattr(_plates_parts, f"measure_{part}")
    numbers = work(room, count)
    with FileLock(folder / "results.lock"):  # parts may be measured by several calls
        rows = [*read_results(folder), {"part": part, "plates": count, "numbers": numbers}]
        (folder / "results.json").write_text(json.dumps(rows, indent=1))
    return 0


def read_results(folder: Path) -> list[dict]:
    """What was measured before."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else []


def build_table(results: list[dict]) -> str:
    """Markdown: a row per number, a column per size, and how it grew over the last tenfold (0: not at all, 1: with the plates)."""
    names = list(dict.fromkeys(name for row in results for name in row["numbers"]))
    found = {(name, row["plates"]): value for row in results for name, value in row["numbers"].items()}
    sizes = [size for size in SIZES if any(row["plates"] == size for row in results)]
    lines = [
        f"| | {' | '.join(f'{size:,}' for size in sizes)} | exponent |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    order = {part: place for place, part in enumerate(PARTS)}
    part_of = {name: row["part"] for row in results for name in row["numbers"]}
    for name in sorted(names, key=lambda name: order[part_of[name]]):
        values = [found.get((name, size)) for size in sizes]
        cells = " | ".join("" if value is None else show(value) for value in values)
        lines.append(f"| {name} | {cells} | {show_exponent(values)} |")
    return "\n".join(lines) + "\n"


def show(value: float) -> str:
    """Three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show_exponent(values: list[float | None]) -> str:
    """Of the last two sizes that were measured."""
    known = [(place, value) for place, value in enumerate(values) if value]
    if len(known) < 2:
        return ""
    (first, before), (last, after) = known[-2:]
    return f"{math.log10(after / before) / (last - first):.2f}"


def remove(folder: Path) -> None:
    """Everything but the results and pictures."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("results.json", "results.md") and path.suffix != ".png":
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
