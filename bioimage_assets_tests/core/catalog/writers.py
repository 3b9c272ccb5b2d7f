"""Processes for the concurrency and crash tests; started from a fork server that has the imports done."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate

ROWS_PER_PLATE = 20
# Everything that maintenance can do, at once.
ALL_WORK = MaintenanceOptions(keep_snapshots=1, snapshot_age_s=0, orphan_age_s=0, min_small_files=2)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["bioimage_assets_tests.core.catalog.writers", "pyiceberg.catalog.sql"])


def start_writer(properties: dict[str, str], key: str, generations: range, journal: Path) -> BaseProcess:
    """Start a process that writes a plate's generations one after the other and notes each that was acknowledged."""
    process = _context.Process(target=_write, args=(properties, key, generations, journal), daemon=True)
    process.start()
    return process


def start_maintenance(properties: dict[str, str], journal: Path) -> BaseProcess:
    """Start a process that expires, compacts and removes whatever it can, once, and notes when it begins."""
    process = _context.Process(target=_maintain, args=(properties, journal), daemon=True)
    process.start()
    return process


def _maintain(properties: dict[str, str], journal: Path) -> None:
    catalog = open_catalog("embedded", properties)
    journal.write_bytes(b"started\n")
    maintain_table(catalog, TABLE, options=ALL_WORK, dry_run=False)
    journal.write_bytes(b"done\n")


def _write(properties: dict[str, str], key: str, generations: range, journal: Path) -> None:
    catalog = open_catalog("embedded", properties)
    with journal.open("ab", buffering=0) as notes:
        os.write(notes.fileno(), b"started\n")
        for generation in generations:
            replace_partitions(catalog, TABLE, build_plate(key, generation, ROWS_PER_PLATE), [key])
            os.write(notes.fileno(), f"{generation}\n".encode())


def acknowledged(journal: Path) -> list[int]:
    """Generations that a writer was told have landed."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [int(line) for line in lines if line.isdecimal()]


def plate_generations(properties: dict[str, str]) -> dict[str, int]:
    """Generation of every plate; AssertionError where a plate is not exactly one whole generation."""
    table = read_table(open_catalog("embedded", properties), TABLE)
    return check_whole(table)


def check_whole(table: pa.Table) -> dict[str, int]:
    grouped = table.group_by(["plate_key", "generation"]).aggregate(
        [("row", "count_distinct"), ([], "count_all")]
    )
    found: dict[str, int] = {}
    for row in grouped.to_pylist():
        key = row["plate_key"]
        assert key not in found, f"{key} holds two generations"
        assert row["row_count_distinct"] == row["count_all"] == ROWS_PER_PLATE, f"{key} is not whole: {row}"
        found[key] = row["generation"]
    return found
