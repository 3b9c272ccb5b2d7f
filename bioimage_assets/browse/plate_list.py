"""The datasets and plates of a project, with what is stored of each in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.catalog.read import read_batches
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.storage.standing_findings import read_standing_findings
from bioimage_assets.core.storage.state import StorageState, look_at_tables

# One look tells which plates there are and how many cells each has.
_LOOKED_AT = ("image_assets", "joined_profiles", "plate_completeness", "pycytominer_profiles")


@dataclass(frozen=True, slots=True)
class ListedPlate:
    """One plate in numbers; ``cell_count`` is None where none were measured, ``worst_finding`` a severity or None."""

    plate_key: str
    plate_id: str
    well_count: int
    field_count: int
    cell_count: int | None
    worst_finding: str | None


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset with its plates, sorted by key."""

    dataset_id: str
    plates: tuple[ListedPlate, ...]


@dataclass(frozen=True, slots=True)
class _Fields:
    plate_id: str | None
    wells: int
    fields: int


def list_datasets(project: BrowsedProject) -> tuple[ListedDataset, ...]:
    """All datasets, sorted; kept until something is stored."""
    return project.keep(("datasets",), lambda: _read_datasets(project))


def _read_datasets(project: BrowsedProject) -> tuple[ListedDataset, ...]:
    state = look_at_tables(project.tables, _LOOKED_AT, None)
    keys = state.plates
    fields = _count_fields(project)
    worst = _find_worst(project, keys)
    found: dict[str, list[ListedPlate]] = defaultdict(list)
    for key in keys:
        found[dataset_of(key)].append(_describe(key, state, fields.get(key), worst.get(key)))
    return tuple(ListedDataset(name, tuple(found[name])) for name in sorted(found))


def _describe(key: str, state: StorageState, fields: _Fields | None, worst: str | None) -> ListedPlate:
    cells = state.row_count("joined_profiles", key) if state.holds("joined_profiles", key) else None
    counted = fields or _Fields(None, 0, 0)
    name = counted.plate_id or key.partition("/")[2]
    return ListedPlate(key, name, counted.wells, counted.fields, cells, worst)


def _find_worst(project: BrowsedProject, keys: Collection[str]) -> Mapping[str, str]:
    groups = read_standing_findings(project.tables, keys)
    return {key: found[0].severity for key, found in groups.items() if found}


def _count_fields(project: BrowsedProject) -> dict[str, _Fields]:
    """Wells and fields of all plates in one pass over four columns of the images."""
    tables, name = project.tables, "image_assets"
    columns = ["plate_key", "plate_id", "well_id", "image_kind"]
    if tables.is_in_catalog(name):
        if not tables.is_catalog_there():
            return {}
        catalog, identifier = tables.identify(name)
        batches = read_batches(catalog, identifier, columns=columns)
    elif tables.warehouse.has_table(name):
        batches = tables.warehouse.batches(name, columns=columns)
    else:
        return {}
    names: dict[str, str] = {}
    wells: dict[str, set[str]] = defaultdict(set)
    fields: Counter[str] = Counter()
    for batch in batches:
        for row in _count_in(batch).to_pylist():
            fields[row["plate_key"]] += row["count_all"]
            wells[row["plate_key"]].add(row["well_id"] or "")
            names.setdefault(row["plate_key"], row["plate_id"] or "")
    return {key: _Fields(names[key] or None, len(wells[key] - {""}), fields[key]) for key in fields}


def _count_in(batch: pa.RecordBatch) -> pa.Table:
    """Images of each well, label images left out."""
    images = pa.Table.from_batches([batch])
    shown = images.filter(pc.not_equal(images["image_kind"], "label"))
    return shown.group_by(["plate_key", "plate_id", "well_id"]).aggregate([([], "count_all")])
