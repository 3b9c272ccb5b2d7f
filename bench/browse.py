"""How soon a plate of 384 wells x 9 fields is there in `bioimage-assets browse`, as ratios to the three seconds that are promised.

    python bench/browse.py [--folder FOLDER]

Writes a plate of 3,456 fields of 5 x 512 x 512 pixels (16 bits, three levels) and 200,000 cells of 200 features, stores its tables, and asks the
server, which is a process of its own, as a browser does: over six connections. Warm is a server that was asked for the plate before, and pictures that
were made before. Without --folder all of it is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images, store_wells

ROWS, COLUMNS, FIELDS, LEVELS, SIDE = 16, 24, 9, 3, 512
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
FEATURES, CELLS_PER_FIELD = 200, 58
LIMIT_S, CONNECTIONS, PLATE = 3.0, 6, "bench/P1"
_SERVER = (
    "from bioimage_assets.browse.serve import Start, serve;"
    "from bioimage_assets.core.settings.project import read_project_settings;"
    "serve(read_project_settings(), Start(port=0), lambda started: print(started.url, flush=True))"
)


def write_plate(store: Path) -> Path:
    """An OME-Zarr 0.5 plate whose fields are links to the files of the first one."""
    names = [(chr(65 + row), str(column + 1)) for row in range(ROWS) for column in range(COLUMNS)]
    plate = {
        "rows": [{"name": chr(65 + row)} for row in range(ROWS)],
        "columns": [{"name": str(column + 1)} for column in range(COLUMNS)],
        "wells": [
            {"path": f"{row}/{column}", "rowIndex": ord(row) - 65, "columnIndex": int(column) - 1}
            for row, column in names
        ],
    }
    write_group(store, {"version": "0.5", "plate": plate})
    first = write_field(store / "A" / "1" / "0")
    for row, column in names:
        well = store / row / column
        write_group(well, {"version": "0.5", "well": {"images": [{"path": str(n)} for n in range(FIELDS)]}})
        for number in range(FIELDS):
            if well / str(number) != first:
                shutil.copytree(first, well / str(number), copy_function=os.link)
    return store


def write_group(folder: Path, ome: dict[str, object]) -> None:
    """A group with its attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (folder / "zarr.json").write_text(json.dumps(document))


def write_field(folder: Path) -> Path:
    """One field with its levels."""
    axes = [
        {"name": "c", "type": "channel"},
        *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx"),
    ]
    scales = [
        {
            "path": str(n),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 0.65 * 2**n, 0.65 * 2**n]}],
        }
        for n in range(LEVELS)
    ]
    channels = [{"label": name, "color": "FFFFFF"} for name in CHANNELS]
    write_group(
        folder,
        {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": scales}],
            "omero": {"channels": channels},
        },
    )
    pixels = np.random.default_rng(0).gamma(2, 400, (len(CHANNELS), SIDE, SIDE)).astype(np.uint16)
    for level in range(LEVELS):
        part = pixels[:, :: 2**level, :: 2**level]
        array = zarr.create_array(
            folder / str(level), shape=part.shape, dtype=part.dtype, chunks=(1, *part.shape[1:]), dimension_names=("c", "y", "x")
        )  # fmt: skip
        array[...] = part
    return folder


def store_plate(folder: Path) -> int:
    """Tables as a run stores them; gives the number of cells."""
    settings = settings_of(folder / "data")
    images = store_images(settings, PLATE, write_plate(folder / "P1.zarr"))
    cells = store_cells(settings, PLATE, images, per_image=CELLS_PER_FIELD)
    draw = np.random.default_rng(1)
    for number in range(FEATURES):
        cells = cells.append_column(f"Cells_Texture_{number}", pa.array(draw.random(cells.num_rows)))
    from bioimage_assets.core.warehouse.root import open_warehouse

    open_warehouse(settings.warehouse_uri).replace_partitions("joined_profiles", cells, [PLATE])
    wells = sorted(set(images["well_id"].to_pylist()))
    store_wells(settings, PLATE, {well: (500, 20, float(number)) for number, well in enumerate(wells)})
    return int(cells.num_rows)


@contextlib.contextmanager
def run_server(data_dir: Path) -> Iterator[str]:
    """The server; gives its address."""
    environment = os.environ | {"BIOIMAGE_DATA_DIR": str(data_dir), "BIOIMAGE_CATALOG": "none"}
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r}); {_SERVER}"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)


class Browser:
    """A few connections that stay open."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def ask(self, paths: Sequence[str]) -> list[bytes]:
        """Ask for some addresses, over all connections at once; in order."""
        shares = [paths[start::CONNECTIONS] for start in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            answers = list(pool.map(self._ask_one_after_another, shares))
        found = dict(pair for share in answers for pair in share)
        return [found[path] for path in paths]

    def _ask_one_after_another(self, paths: Sequence[str]) -> list[tuple[str, bytes]]:
        connection = http.client.HTTPConnection(self._parts.netloc)
        found = []
        for path in paths:
            connection.request("GET", f"{self._parts.path}{path}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
            found.append((path, body))
        connection.close()
        return found


def measure(browser: Browser, paths: Sequence[str]) -> tuple[float, list[bytes]]:
    """Seconds until all are there."""
    started = time.perf_counter()
    answers = browser.ask(paths)
    return time.perf_counter() - started, answers


def run(folder: Path) -> bool:
    """Print every measure; whether all goals were met."""
    cells = store_plate(folder)
    plate = f"api/plate?plate_key={PLATE}"
    with run_server(folder / "data") as url:
        browser = Browser(url)
        cold, (body,) = measure(browser, [plate])
        warm, _ = measure(browser, [plate])
        pictures = [f"{well['fields'][0]['thumbnail']}&size=64" for well in json.loads(body)["wells"]]
        first, _ = measure(browser, pictures[:1])
        made, _ = measure(browser, pictures)
        kept, _ = measure(browser, pictures)
        list_cold, _ = measure(browser, [f"api/cells?plate_key={PLATE}&well_id=H12&limit=100"])
    print(
        f"{len(pictures)} wells x {FIELDS} fields, {cells:,} cells; api/plate {len(body):,} bytes, cold {cold:.2f} s, warm {warm:.3f} s"
    )
    print(
        f"one picture {first * 1000:.0f} ms; {len(pictures)} pictures made in {made:.2f} s, kept ones in {kept:.2f} s; cells of a well {list_cold:.2f} s"
    )
    goals = {
        "api/plate warm and 384 pictures that were made before": warm + kept,
        "api/plate cold and the first picture": cold + first,
        "the cells of a well, cold": list_cold,
    }
    for what, seconds in goals.items():
        ratio = LIMIT_S / seconds
        print(
            f"{'ok  ' if ratio >= 1 else 'LOW '} {what:<62} {ratio:10.2f} x limit of {LIMIT_S:g} s",
            flush=True,
        )
    return all(seconds <= LIMIT_S for seconds in goals.values())


def main() -> None:
    """Run it in a folder that is removed, unless one is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="an empty folder that is kept")
    given = parser.parse_args().folder
    with contextlib.ExitStack() as stack:
        folder = given or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        is_good = run(folder)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
