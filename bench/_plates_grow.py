"""Plates for bench/plates.py, made in slices that can be stopped and gone on with: stores, rows, events, pages.

What a stage has made is written down beside it, so a later call makes what is missing and nothing twice.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DATASETS = 50
SLICE = 500  # plates of one commit, and of one slice of real stores
NAMESPACE = "bioimage.cytotable"
WELLS = 24
FEATURES = 10


def plate_key(number: int) -> str:
    """Fifty datasets take turns, so each has a fiftieth of the plates."""
    return f"set{number % DATASETS:02}/P{number:06}"


@dataclass(frozen=True)
class Room:
    """The folder of one bench: its data, its Dagster instance, and what is made by now."""

    folder: Path
    end_s: float

    @property
    def data(self) -> Path:
        """As BIOIMAGE_DATA_DIR."""
        return self.folder / "data"

    @property
    def incoming(self) -> Path:
        """The watched root."""
        return self.data / "incoming"

    @property
    def home(self) -> Path:
        """As DAGSTER_HOME."""
        return self.folder / "home"

    def grow(self, stage: str, target: int, make: Callable[[list[int]], None]) -> float | None:
        """Have a stage make plates up to a number; processor seconds of one plate, or None where there was nothing to make.

        SystemExit(3) once the time is over: what is made stays, a later call goes on.
        """
        notes = self.folder / f"{stage}.json"
        state = json.loads(notes.read_text()) if notes.exists() else {"made": 0, "seconds": {}}
        spent, key = state["seconds"], str(target)
        while state["made"] < target:
            if time.monotonic() > self.end_s:
                raise SystemExit(3)
            numbers = list(range(state["made"], min(target, state["made"] + SLICE)))
            started = time.process_time()
            make(numbers)
            spent[key] = spent.get(key, 0.0) + time.process_time() - started
            state["made"] = numbers[-1] + 1
            state.setdefault("plates", {})[key] = state.get("plates", {}).get(key, 0) + len(numbers)
            notes.write_text(json.dumps(state))
        made = state.get("plates", {}).get(key)
        return spent[key] / made if made else None


def write_store(store: Path, name: str, *, chunks: bool) -> None:
    """An OME-Zarr 0.5 plate of one well with one field: documents, and a chunk where pixels are asked for."""
    axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    level = {"path": "0", "coordinateTransformations": scale}
    plate = {
        "version": "0.5", "name": name, "rows": [{"name": "A"}], "columns": [{"name": "1"}],
        "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}],
    }  # fmt: skip
    _write_group(store, {"ome": {"version": "0.5", "plate": plate}})
    _write_group(store / "A" / "1", {"ome": {"version": "0.5", "well": {"images": [{"path": "0"}]}}})
    field = store / "A" / "1" / "0"
    _write_group(field, {"ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}})
    array = {
        "zarr_format": 3, "node_type": "array", "shape": [8, 8], "data_type": "uint16", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 8]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }  # fmt: skip
    (field / "0").mkdir()
    (field / "0" / "zarr.json").write_text(json.dumps(array))
    if chunks:
        (field / "0" / "c" / "0").mkdir(parents=True)
        (field / "0" / "c" / "0" / "0").write_bytes(bytes(128))


def _write_group(folder: Path, attributes: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(document))


def write_skeletons(room: Room, numbers: Iterable[int]) -> None:
    """Stores that can be listed: the plate's document, one well and one field, no pixels."""
    for number in numbers:
        store = room.incoming / f"{plate_key(number)}.zarr"
        if not store.exists():
            write_store(store, f"P{number:06}", chunks=False)


def scan_slice(room: Room, numbers: list[int]) -> None:
    """Make real stores, scan them as a run does, and remove them; what the scan takes is all that is timed."""
    from bioimage_assets.core.discovery.roots import discover_roots
    from bioimage_assets.core.scan.scanner import scan_plate_source

    root = room.folder / "slice"
    shutil.rmtree(root, ignore_errors=True)  # of a run that was stopped
    for number in numbers:
        write_store(root / f"{plate_key(number)}.zarr", f"P{number:06}", chunks=True)
    started = time.process_time()
    for source in discover_roots([str(root)]).sources:
        scan = scan_plate_source(source)
        images, chunks = scan.images, scan.chunks.read_all()
        assert images.num_rows == 1, scan.findings
        assert chunks.num_rows == 1, scan.findings
    seconds = time.process_time() - started
    shutil.rmtree(root)
    with (room.folder / "scan_seconds.jsonl").open("a") as lines:
        lines.write(json.dumps({"first": numbers[0], "plates": len(numbers), "seconds": seconds}) + "\n")


def scan_rows(folder: Path) -> tuple[pa.Table, pa.Table]:
    """Image and chunk rows of one real plate: what the catalog is filled with, under other keys."""
    from bioimage_assets.core.discovery.roots import discover_roots
    from bioimage_assets.core.scan.scanner import scan_plate_source

    root = folder / "one"
    shutil.rmtree(root, ignore_errors=True)
    write_store(root / "set00" / "P000000.zarr", "P000000", chunks=True)
    (source,) = discover_roots([str(root)]).sources
    scan = scan_plate_source(source)
    tables = scan.images, scan.chunks.read_all()
    shutil.rmtree(root)
    return tables


def tile_rows(table: pa.Table, keys: list[str]) -> pa.Table:
    """The rows of one plate for many plates: keys and identities are each plate's own."""
    repeated = pa.concat_tables([table] * len(keys)).combine_chunks()
    column = pa.array(np.repeat(keys, table.num_rows))
    own = {
        "plate_key": column,
        "dataset_id": pc.utf8_slice_codeunits(column, 0, 5),
        "plate_id": pc.utf8_slice_codeunits(column, 6),
    }
    for name, values in own.items():
        if name in repeated.column_names:
            place = repeated.schema.get_field_index(name)
            repeated = repeated.set_column(place, repeated.schema.field(name), values)
    return repeated


def fill_catalog(numbers: list[int], project: object, rows: tuple[pa.Table, pa.Table]) -> None:
    """One commit per table."""
    from bioimage_assets.core.catalog.replace import replace_partitions

    keys = [plate_key(number) for number in numbers]
    for name, table in zip(("image_assets", "chunk_index"), rows, strict=True):
        replace_partitions(project.catalog(), f"{NAMESPACE}.{name}", tile_rows(table, keys), keys)


def build_wells(keys: list[str], value: float = 0.0) -> pa.Table:
    """Rows of a table of the warehouse: the wells of plates."""
    rng, rows = np.random.default_rng(len(keys)), WELLS * len(keys)
    column = pa.array(np.repeat(keys, WELLS))
    wells = pa.array(np.tile([f"A{well:02}" for well in range(1, WELLS + 1)], len(keys)))
    features = {f"Nuclei_Feature_{i}": rng.normal(value, 1, rows) for i in range(FEATURES)}
    return pa.table({"plate_key": column, "Metadata_Well": wells, **features})


def fill_warehouse(numbers: list[int], project: object) -> None:
    """One change of the root per table."""
    keys = [plate_key(number) for number in numbers]
    project.warehouse().replace_partitions(
        "pycytominer_profiles", build_wells(keys), keys, fingerprint=dict.fromkeys(keys, "f")
    )


def fill_pages(room: Room, numbers: list[int]) -> None:
    """A page and its summary each, as small as they may be."""
    from bioimage_assets.core.storage.pages import locate_page, locate_summary

    for number in numbers:
        page = locate_page(room.data / "reports", plate_key(number))
        page.parent.mkdir(parents=True, exist_ok=True)
        summary = {"partition": plate_key(number), "cells": 100, "linked": 99, "errors": 0, "warnings": 0}
        locate_summary(page).write_text(
            json.dumps({**summary, "worst": "", "made_at": "2026-01-01 00:00 UTC"})
        )
        page.write_text("<!doctype html>")


def fill_events(instance: object, asset: str, versions: dict[str, str]) -> None:
    """Say that plates were materialised: one real event, copied in SQL under each plate's name; through Dagster it takes hours."""
    import dagster as dg

    keys = sorted(versions)
    tags = {"dagster/data_version": versions[keys[0]]}
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=keys[0], tags=tags))
    (path,) = Path(instance.root_directory).rglob("index.db")
    with sqlite3.connect(path) as database:
        row = database.execute(
            "SELECT run_id, event, dagster_event_type, timestamp, step_key, asset_key FROM event_logs ORDER BY id DESC LIMIT 1"
        ).fetchone()
        ((last,),) = database.execute("SELECT max(id) FROM event_logs").fetchall()
        numbered = list(enumerate(keys[1:], last + 1))
        fields = "id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
        database.executemany(
            f"INSERT INTO event_logs ({fields}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    number,
                    row[0],
                    row[1].replace(keys[0], key).replace(versions[keys[0]], versions[key]),
                    *row[2:],
                    key,
                )
                for number, key in numbered
            ),
        )
        database.executemany(
            "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp) VALUES (?, ?, ?, ?, ?)",
            ((number, row[5], "dagster/data_version", versions[key], row[3]) for number, key in numbered),
        )


def register(instance: object, numbers: list[int]) -> None:
    """Add plates and datasets as partitions."""
    keys = sorted(plate_key(number) for number in numbers)
    instance.add_dynamic_partitions("plates", keys)
    instance.add_dynamic_partitions("datasets", sorted({key.split("/")[0] for key in keys}))


def set_environment(room: Room) -> None:
    """Everything lies in the bench's folder."""
    os.environ.update(
        BIOIMAGE_DATA_DIR=str(room.data),
        DAGSTER_HOME=str(room.home),
        BIOIMAGE_QUIET_SECONDS="0",
        BIOIMAGE_SENSORS="off",
        DAGSTER_DISABLE_TELEMETRY="yes",
    )
    room.home.mkdir(parents=True, exist_ok=True)
    room.incoming.mkdir(parents=True, exist_ok=True)
    config = room.home / "dagster.yaml"
    if not config.exists():
        config.write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
