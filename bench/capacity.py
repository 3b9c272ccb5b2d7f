"""What a plate costs the orchestration: seconds, event log and catalog per plate, one by one and in ranges.

Plates hold metadata and a few tiny chunks, so that what is measured is Dagster, scan and commit, not pixels.
`python bench/capacity.py [plates]`; docs/capacity.md explains and extrapolates the numbers.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg

from bioimage_assets.core.model.identity import build_well_id
from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_plates

TABLES = ("image_assets", "chunk_index", "plate_layout", "scan_findings")
ROWS, COLUMNS, FIELDS, CHUNKS = 4, 6, 2, 4
RANGE = 50


def write_plate(path: Path) -> None:
    """A plate of 24 wells with two fields each, four chunks per field (OME-NGFF 0.4)."""
    wells = [(chr(65 + row), str(column + 1)) for row in range(ROWS) for column in range(COLUMNS)]
    plate = {
        "version": "0.4",
        "name": path.name.removesuffix(".ome.zarr"),
        "rows": [{"name": chr(65 + row)} for row in range(ROWS)],
        "columns": [{"name": str(column + 1)} for column in range(COLUMNS)],
        "wells": [{"path": f"{r}/{c}", "rowIndex": ord(r) - 65, "columnIndex": int(c) - 1} for r, c in wells],
    }
    _write(path, {".zgroup": {"zarr_format": 2}, ".zattrs": {"plate": plate}})
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    image = {
        "multiscales": [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        ]
    }
    array = {
        "zarr_format": 2, "shape": [64, 64], "chunks": [32, 32], "dtype": "<u2", "compressor": None,
        "fill_value": 0, "order": "C", "filters": None, "dimension_separator": "/",
    }  # fmt: skip
    for row, column in wells:
        well = {"version": "0.4", "images": [{"path": str(field)} for field in range(FIELDS)]}
        _write(path / row / column, {".zgroup": {"zarr_format": 2}, ".zattrs": {"well": well}})
        for field in range(FIELDS):
            home = path / row / column / str(field)
            _write(home, {".zgroup": {"zarr_format": 2}, ".zattrs": image})
            _write(home / "0", {".zarray": array})
            for chunk in range(CHUNKS):
                part = home / "0" / str(chunk // 2)
                part.mkdir(exist_ok=True)
                (part / str(chunk % 2)).write_bytes(bytes(16))


def _write(folder: Path, documents: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(instance: dg.DagsterInstance, keys: list[str]) -> tuple[float, float]:
    """Seconds and processor seconds of one run over a range of plates, or over one."""
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    started, busy = time.perf_counter(), time.process_time()
    result = defs.resolve_job_def("plate_pipeline").execute_in_process(
        instance=instance,
        partition_key=keys[0] if len(keys) == 1 else None,
        tags=tags if len(keys) > 1 else {},
        asset_selection=[dg.AssetKey(name) for name in TABLES],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    return time.perf_counter() - started, time.process_time() - busy


def main(plate_count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["BIOIMAGE_DATA_DIR"] = str(root / "data")
        keys = [f"screen/P{number:05}" for number in range(plate_count + 5)]
        for key in keys:
            write_plate(root / "data" / "incoming" / f"{key}.ome.zarr")
        (root / "home").mkdir()
        (root / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with dg.DagsterInstance.from_config(str(root / "home")) as instance:
            register_plates(instance, keys)
            print(f"wells {build_well_id(ROWS - 1, COLUMNS - 1)}, images {ROWS * COLUMNS * FIELDS} per plate")
            for label, batches in (
                ("one by one", [[key] for key in keys[:5]]),
                (
                    f"ranges of {RANGE}",
                    [keys[5:][start : start + RANGE] for start in range(0, plate_count, RANGE)],
                ),
            ):
                log, catalog = size_of(root / "home"), size_of(root / "data" / "catalog")
                seconds, busy = (
                    sum(column) for column in zip(*(run(instance, b) for b in batches), strict=True)
                )
                count = sum(len(batch) for batch in batches)
                print(
                    f"{label:14} {count:5} plates {len(batches):4} runs  {seconds / count:7.3f} s/plate  {busy / count:7.3f} processor s/plate  "
                    f"event log {(size_of(root / 'home') - log) / count / 1e3:7.1f} kB/plate  "
                    f"catalog {(size_of(root / 'data' / 'catalog') - catalog) / count / 1e3:7.1f} kB/plate"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
