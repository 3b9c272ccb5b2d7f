"""How long a plate of 384 wells x 9 fields takes to open in a headless Chromium, as a share of 3 s.

    python bench/browse_page.py [--rows 16] [--columns 24] [--fields 9]

Writes a plate of small fields, stores its images, serves it and opens its page: cold (thumbnails are made), warm (they are
there, the browser is new) and again (the browser has been there too). Two times count from the navigation: until the grid
of wells is painted, and until all thumbnails in view are there. The folder is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bioimage_assets_tests.builders.browse_server import run_browse
from bioimage_assets_tests.builders.browser import BROWSER, Tab, open_tab
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

GOAL_S = 3.0
PLATE = "bench/P1"
# Notes when the grid has been painted, and when every thumbnail in the window has loaded.
WATCH = """
new MutationObserver((_, watcher) => {
  if (!document.querySelector('.grid .well')) return;
  watcher.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.gridAt = performance.now(); wait(); }));
}).observe(document, { childList: true, subtree: true });
const isSeen = (one) => { const { top, bottom } = one.getBoundingClientRect(); return bottom > 0 && top < innerHeight; };
function wait() {
  const seen = [...document.querySelectorAll('.well .thumb')].filter(isSeen);
  const look = () => {
    if (!seen.every((one) => one.classList.contains('there'))) return setTimeout(look, 10);
    window.thumbnails = seen.length;
    requestAnimationFrame(() => setTimeout(() => { window.allAt = performance.now(); }));
  };
  look();
}
"""


def store_plate(folder: Path, rows: int, columns: int, fields: int) -> None:
    """A plate on disk and its images in the catalog."""
    import dagster as dg

    from bioimage_assets.headless import materialize_plates

    store = folder / "data" / "incoming" / "bench" / "P1.ome.zarr"
    store.parent.mkdir(parents=True)
    write_pixel_plate(store, rows=rows, columns=columns, fields=fields, levels=2, size=64)
    os.environ |= {"BIOIMAGE_DATA_DIR": str(folder / "data"), "BIOIMAGE_PICTURES": "off"}
    report = materialize_plates(dg.DagsterInstance.ephemeral(), select=["image_assets"], with_datasets=False)
    if not report.is_ok:
        raise SystemExit(f"the plate was not stored: {report.plates}")


def open_plate(tab: Tab, url: str) -> tuple[float, float, int]:
    """Seconds until the grid is painted, and until all thumbnails in view are there; how many these are."""
    tab.call("Page.navigate", url="about:blank")
    tab.call("Page.navigate", url=f"{url}#/plate/{PLATE.replace('/', '%2F')}")
    tab.wait("window.allAt > 0")
    grid, complete, count = tab.ask("[window.gridAt, window.allAt, window.thumbnails]")
    return grid / 1000, complete / 1000, count


def measure(folder: Path, url: str) -> dict[str, tuple[float, float, int]]:
    """Times of the first visit of all, of the first one of a new browser, and of its second one."""
    found = {}
    for number, names in enumerate((("cold",), ("warm", "again"))):
        with open_tab(folder / f"profile-{number}") as tab:
            tab.call("Page.enable")
            tab.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
            tab.size(1280, 800)
            for name in names:
                found[name] = open_plate(tab, url)
    return found


def main() -> int:
    """Print each time as a share of the goal; 1 where a warm plate is late."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 16), ("columns", 24), ("fields", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if BROWSER is None:
        print("No Chromium: nothing is measured.")
        return 0
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        started = time.perf_counter()
        store_plate(folder, options.rows, options.columns, options.fields)
        print(
            f"Plate of {options.rows * options.columns} wells x {options.fields} fields, made in {time.perf_counter() - started:.0f} s."
        )
        with run_browse(folder / "data") as url:
            found = measure(folder, url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, (grid, complete, count) in found.items():
        print(
            f"{name:<6} grid {grid:.2f} s, {grid / GOAL_S:.2f} of {GOAL_S:g} s; all {count} thumbnails in view {complete:.2f} s, {complete / GOAL_S:.2f} of {GOAL_S:g} s"
        )
    is_late = found["warm"][1] > GOAL_S
    print("LOW" if is_late else "ok ", f"a warm plate is open in {found['warm'][1]:.2f} s, goal {GOAL_S:g} s")
    return int(is_late)


if __name__ == "__main__":
    sys.exit(main())
