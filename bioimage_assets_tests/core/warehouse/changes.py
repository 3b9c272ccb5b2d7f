"""Every way to change a warehouse root, and what a root is found to hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.maintain_entries import list_entries_files
from bioimage_assets.core.warehouse.manifest.layout import MANIFEST_NAME
from bioimage_assets.core.warehouse.root import Warehouse
from bioimage_assets_tests.core.warehouse.tables import generation

PLATES = ("screen/BR1", "screen/BR2", "screen/BR3")
TABLES = ("single_cells", "embeddings.embeddings")

Rows = dict[str, tuple[tuple[str, ...], Counter[tuple[str, int]]]]
"""By table: its columns, and how many rows of which plate and generation it has."""


def rows(number: int, plates: tuple[str, ...] = PLATES) -> pa.Table:
    return pa.concat_tables([generation(plate, number, 2) for plate in plates])


def wider(number: int, plate: str = PLATES[0]) -> pa.Table:
    return rows(number, (plate,)).append_column("later", pa.array([1.0, 2.0]))


@dataclass(frozen=True)
class Change:
    """One way to change a root; ``before`` makes the root it is applied to."""

    name: str
    act: Callable[[Warehouse], object]
    before: Callable[[Warehouse], object] = lambda warehouse: warehouse.replace_partitions(
        "single_cells", rows(0), PLATES
    )
    layout: str = "flat"


def damage(warehouse: Warehouse) -> None:
    """Give maintenance something to do: a part of another tool with a column more, and a wrong count."""
    warehouse.replace_partitions("single_cells", rows(0), PLATES)
    add_foreign_part(warehouse, wider(7))
    files = warehouse.files_at
    found = files.read(MANIFEST_NAME)
    assert found is not None
    content = json.loads(found[0])
    content["tables"][0]["row_count"] = 99
    files.write_text(MANIFEST_NAME, json.dumps(content))


def as_of_earlier_version(warehouse: Warehouse) -> None:
    """Two tables whose entries of partitions stand in the manifest itself."""
    warehouse.replace_partitions("single_cells", rows(0), PLATES)
    warehouse.append("embeddings.embeddings", rows(0), role="embeddings", join_keys=["image_id"])
    files, manifest = warehouse.files_at, warehouse.manifest()
    files.write_text(MANIFEST_NAME, json.dumps(manifest.to_dict()))
    for path in list_entries_files(manifest):
        files.remove_file(path)


def maintain_completely(warehouse: Warehouse) -> None:
    """Maintenance whose report of problems is an error."""
    problems = maintain_warehouse(warehouse.root).problems
    if problems:
        raise WarehouseError("; ".join(problems))


def add_foreign_part(warehouse: Warehouse, table: pa.Table) -> None:
    """Put a file into the folder of single cells as another tool would."""
    filesystem = warehouse.files_at.filesystem()
    filesystem.create_dir(warehouse.files_at.arrow_path("single_cells"), recursive=True)
    path = warehouse.files_at.arrow_path("single_cells/foreign.parquet")
    pq.write_table(table, path, filesystem=filesystem)


CHANGES = (
    Change("first table", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:1]), PLATES[:1]), lambda w: None),
    Change(
        "first table, namespaced", lambda w: w.replace_partitions("single_cells", rows(1), PLATES), lambda w: None, "namespaced"
    ),
    Change(
        "second table, namespaced", lambda w: w.append("embeddings", rows(1), role="embeddings", join_keys=["image_id"]), layout="namespaced"
    ),
    Change("one partition", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:1]), PLATES[:1])),
    Change("several partitions", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:2]), PLATES[:2])),
    Change(
        "one of mixed rows", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:1]), PLATES[:1]),
        lambda w: add_foreign_part(w, rows(0)),
    ),
    Change("one partition with a new column", lambda w: w.replace_partitions("single_cells", wider(1), PLATES[:1])),
    Change(
        "one partition with fewer columns", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:1]), PLATES[:1]),
        lambda w: w.replace_partitions("single_cells", {key: wider(0, key) for key in PLATES[:2]}, PLATES[:2]),
    ),
    Change(
        "one of parts with other columns", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[1:2]), PLATES[1:2]),
        lambda w: w.replace_partitions("single_cells", {PLATES[0]: wider(0), PLATES[1]: rows(0, PLATES[1:2])}, PLATES[:2]),
    ),
    Change("overwrite", lambda w: w.overwrite("single_cells", wider(1))),
    Change("append", lambda w: w.append("single_cells", rows(1, PLATES[:2]))),
    Change("append with a new column", lambda w: w.append("single_cells", wider(1))),
    Change("removed partition", lambda w: w.remove_partitions("single_cells", PLATES[:1])),
    Change("removed partitions, the last", lambda w: w.remove_partitions("single_cells", PLATES)),
    Change(
        "one partition of an earlier version's root", lambda w: w.replace_partitions("single_cells", rows(1, PLATES[:1]), PLATES[:1]),
        lambda w: as_of_earlier_version(w),
    ),
    Change("maintain an earlier version's root", maintain_completely, lambda w: as_of_earlier_version(w)),
    Change("convert an earlier version's root", lambda w: convert_layout(w.root, "namespaced"), lambda w: as_of_earlier_version(w)),
    Change("convert", lambda w: convert_layout(w.root, "namespaced")),
    Change("convert back", lambda w: convert_layout(w.root, "flat"), layout="namespaced"),
    Change("maintain", maintain_completely, damage),
)  # fmt: skip


def content(table: pa.Table) -> tuple[tuple[str, ...], Counter[tuple[str, int]]]:
    pairs = zip(table.column("plate_key").to_pylist(), table.column("generation").to_pylist(), strict=True)
    return tuple(table.column_names), Counter(pairs)


def read(warehouse: Warehouse) -> Rows:
    present = [name for name in TABLES if warehouse.has_table(name)]
    return {name.rpartition(".")[2]: content(warehouse.read(name)) for name in present}
