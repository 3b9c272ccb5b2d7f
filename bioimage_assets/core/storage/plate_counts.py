"""What is stored of plates, in numbers: counted in the stored tables themselves, in a few reads for any number of plates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.catalog.read import read_batches
from bioimage_assets.core.storage.state import StorageState

KEY = "plate_key"


@dataclass(frozen=True, slots=True)
class PlateCounts:
    """Rows of one plate's tables; None where the plate has no such table.

    Parameters
    ----------
    images, labels
        Images of ``image_assets``, label images apart.
    matched
        Cells that are linked to an image.
    qc_failed
        Cells that quality control fails.
    wells
        Wells that have a profile.
    """

    images: int = 0
    labels: int = 0
    chunks: int = 0
    cells: int | None = None
    matched: int | None = None
    qc_failed: int | None = None
    wells: int | None = None


def count_stored(state: StorageState, plate_keys: Collection[str]) -> dict[str, PlateCounts]:
    """Count what is stored of plates; a plate of which nothing is stored has no image and no other number."""
    images = _tally(state, "image_assets", "image_kind", plate_keys)
    matched = _sum_matched(state, plate_keys)
    failed = _tally(state, "cosmicqc_profiles", "Metadata_cqc_failed", plate_keys)
    wells = _count_wells(state, plate_keys)
    counts = {}
    for key in plate_keys:
        kinds = images.get(key, Counter())
        counts[key] = PlateCounts(
            images=kinds.total() - kinds["label"],
            labels=kinds["label"],
            chunks=_rows(state, "chunk_index", key) or 0,
            cells=_rows(state, "joined_profiles", key),
            matched=matched.get(key),
            qc_failed=failed[key][True] if state.holds("cosmicqc_profiles", key) else None,
            wells=wells.get(key),
        )
    return counts


def _rows(state: StorageState, name: str, key: str) -> int | None:
    return state.row_count(name, key) if state.holds(name, key) else None


def _sum_matched(state: StorageState, plate_keys: Collection[str]) -> dict[str, int]:
    keys = [key for key in plate_keys if state.holds("join_report", key)]
    matched = dict.fromkeys(keys, 0)
    for batch in _read(state, "join_report", [KEY, "outcome", "row_count"], keys):
        for row in batch.to_pylist():
            if row["outcome"] == "matched" and row[KEY] in matched:
                matched[row[KEY]] += row["row_count"]
    return matched


def _count_wells(state: StorageState, plate_keys: Collection[str]) -> dict[str, int]:
    """Wells with a profile: as many as profiles, unless several of one well are told apart.

    Only those plates are read: the footers of thousands of features cost minutes for a thousand plates.
    """
    name = "pycytominer_profiles"
    rows = {key: state.row_count(name, key) or 0 for key in plate_keys if state.holds(name, key)}
    plain = set() if state.tables.is_in_catalog(name) else _list_one_per_well(state, name)
    told_apart = _tally(state, name, "well_id", [key for key in rows if key not in plain])
    return {key: len(told_apart[key]) if key in told_apart else count for key, count in rows.items()}


def _list_one_per_well(state: StorageState, name: str) -> set[str]:
    """Plates whose profiles were aggregated by well and nothing else, as the manifest lists the calls."""
    listed = state.tables.warehouse.listed(name)
    plain = {made for made, calls in listed.steps.items() if _is_by_well(calls)}
    return {key for key, part in listed.partitions.items() if part.steps in plain}


def _is_by_well(calls: Iterable[Mapping[str, object]]) -> bool:
    arguments = [call.get("arguments") for call in calls if call.get("call") == "pycytominer.aggregate"]
    return bool(arguments) and all(
        isinstance(given, Mapping) and given.get("strata") == ["Metadata_Well"] for given in arguments
    )


def _tally(
    state: StorageState, name: str, column: str, plate_keys: Collection[str]
) -> Mapping[str, Counter[object]]:
    """How often each value of a column stands in the rows of each plate, batch by batch: cells may be millions."""
    found: dict[str, Counter[object]] = defaultdict(Counter)
    keys = [key for key in plate_keys if state.holds(name, key)]
    for batch in _read(state, name, [KEY, column], keys):
        groups = pa.Table.from_batches([batch]).group_by([KEY, column]).aggregate([([], "count_all")])
        for row in groups.to_pylist():
            found[row[KEY]][row[column]] += row["count_all"]
    return found


def _read(
    state: StorageState, name: str, columns: Sequence[str], keys: Sequence[str]
) -> Iterable[pa.RecordBatch]:
    """Rows of some plates that the table is known to hold; in the warehouse maybe of others, too."""
    if not keys:
        return ()
    if state.tables.is_in_catalog(name):
        catalog, identifier = state.tables.identify(name)
        return read_batches(catalog, identifier, columns=columns, plate_keys=keys)
    return state.tables.warehouse.batches(
        name, columns=columns, plate_keys=None if state.is_most_of(name, keys) else keys
    )
