"""What is in each well of a plate, from the platemap files beside a dataset.

Layout of https://github.com/cytomining/profiling-recipe: ``platemaps/barcode_platemap.csv`` names the platemap
of each plate, ``platemaps/platemap/<name>.txt`` holds the wells, ``platemaps/external_metadata/`` more about compounds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError, StoreError, StoreNotFoundError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import (
    PLATEMAP_SUFFIXES,
    describe_not_read,
    find_not_read,
    has_suffix,
    without_suffix,
)
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.model.store_paths import join_path, show_name
from bioimage_assets.core.model.well_columns import find_well_columns, join_well
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.quantities import AS_WRITTEN, build_column, read_quantity
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.stores.base import Store, StoredObject
from bioimage_assets.core.stores.open import local_path, open_store
from bioimage_assets.core.text_files.missing_words import is_missing_value
from bioimage_assets.core.text_files.text_table import TextTable, read_text_table

BARCODE_FILE = "barcode_platemap.csv"
_MAPS, _EXTERNAL = "platemap", "external_metadata"
_BELOW = (_MAPS, _EXTERNAL)
_PLATE_COLUMNS = ("assay_plate_barcode", "plate_barcode", "barcode", "metadata_plate", "plate_id", "plate")
_MAP_COLUMNS = ("plate_map_name", "platemap_file", "platemap_name", "plate_map", "platemap")
_WELL_COLUMNS = ("well_position", "metadata_well_position", "metadata_well", "well_id", "well")
_RESERVED = frozenset(
    {
        "Metadata_Plate", "Metadata_Well", "Metadata_Object_Count", "Metadata_QC_Failed_Count",
        "Metadata_Low_Cell_Count", "Metadata_Normalized_To",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlateMap:
    """What is in the wells of one plate.

    ``table`` has one row per well: ``Metadata_Well`` (normalised, unique) and every other column of the
    files under ``Metadata_<name>``. It has no rows where the dataset has platemaps but none for this plate.
    """

    name: str
    uri: str
    table: pa.Table
    findings: tuple[Finding, ...] = ()

    @property
    def wells(self) -> tuple[str, ...]:
        """Wells that the platemap describes."""
        return tuple(self.table["Metadata_Well"].to_pylist())


def read_platemap(
    dataset_dir: str | Path,
    plate_name: str,
    settings: DatasetSettings,
    *,
    external_metadata_dir: str = "",
    storage_options: Mapping[str, object] | None = None,
) -> PlateMap | None:
    """Read the platemap of a plate, None where the dataset has no platemap folder.

    Without ``barcode_platemap.csv`` the file named like the plate is taken, else the only file there is (a finding
    says so). Plate names are compared as text: ``001`` is not ``1``. ``external_metadata_dir`` is another folder below the dataset
    with more about compounds. ``storage_options`` are the project's
    (``BIOIMAGE_STORAGE_*``), for a dataset in a bucket.

    Raises
    ------
    ProfilingError
        When a file cannot be read as a table, has no well column, or names a well twice.
    """
    folder = f"{str(dataset_dir).rstrip('/')}/{settings.platemap_dir.strip('/')}"
    try:
        _refuse_folder_outside(folder, str(dataset_dir))
        store = open_store(folder, storage_options=storage_options)
    except StoreNotFoundError:
        return None
    try:
        found = _read_folder(store, folder, plate_name, settings)
        if found is None or not external_metadata_dir:
            return found
        place = f"{str(dataset_dir).rstrip('/')}/{external_metadata_dir}"
        return _add_external(found, place, plate_name, settings, storage_options)
    except StoreError as error:
        raise ProfilingError(f"The platemaps of {plate_name!r} cannot be read: {error}") from error
    finally:
        store.close()


def _refuse_folder_outside(folder: str, dataset_dir: str) -> None:
    """A dataset may come from anybody: its platemaps are files of its own, and no link to another place is followed."""
    path, dataset = local_path(folder), local_path(dataset_dir)
    if path is None or dataset is None:
        return
    real, inside = os.path.realpath(path), os.path.realpath(dataset)
    if os.path.lexists(path) and not f"{real}/".startswith(f"{inside.rstrip('/')}/"):
        raise ProfilingError(
            f"{folder} leads out of the dataset, to {real}; it was not opened. Copy the platemaps into the dataset."
        )


def _find_links_outside(folder: str, names: Collection[str]) -> list[Finding]:
    """Links that a listing left out, since they lead out of the folder; ``names`` are what it has."""
    path = local_path(folder)
    if path is None:
        return []
    with os.scandir(path) as entries:
        links = sorted(entry.name for entry in entries if entry.is_symlink() and entry.name not in names)
    return [
        Finding(
            "platemap-link-refused", "warning", show_name(name),
            "A link that leads out of the platemap folder, or to nothing; not followed. Copy the file.", folder,
        )
        for name in links
    ]  # fmt: skip


def _read_folder(store: Store, folder: str, plate_name: str, settings: DatasetSettings) -> PlateMap | None:
    folders, files = store.list_level("")
    if not folders and not files and store.is_remote:
        return None
    listed = {"": files}
    listed |= {name: store.list_level(name)[1] for name in _BELOW if name in folders}
    names = {PurePosixPath(item.key).name for item in files}
    findings: list[Finding] = _find_links_outside(folder, {*folders, *names})
    findings += _find_not_read(folder, listed)
    tables = {
        name: sorted(item.key for item in items if has_suffix(item.key, PLATEMAP_SUFFIXES))
        for name, items in listed.items()
    }
    key = _choose_file(store, tables, plate_name, settings, findings)
    if key is None:
        empty = pa.table({"Metadata_Well": pa.array([], pa.string())})
        return PlateMap("", folder, empty, tuple(findings))
    wells = read_text_table(store, key, settings.missing_words)
    findings += wells.findings
    table = _build_wells(wells, settings.platemap_well_column, plate_name, findings)
    for name in tables.get(_EXTERNAL, ()):
        extra = read_text_table(store, name, settings.missing_words)
        findings += extra.findings
        table = _join_external(table, extra, plate_name, findings)
    table = _spell_columns(table, (settings.control_column, *settings.treatment_columns))
    findings += _find_kept_words(table, wells.uri, settings)
    return PlateMap(_stem(key), wells.uri, table, tuple(findings))


def _stem(key: str) -> str:
    return without_suffix(PurePosixPath(key).name, PLATEMAP_SUFFIXES)


def _find_not_read(folder: str, listed: Mapping[str, Sequence[StoredObject]]) -> list[Finding]:
    """Files of the platemap folder, and of those below it, that are not tables of text."""
    files = [(item.key, item.size_bytes) for items in listed.values() for item in items]
    names = find_not_read(files, PLATEMAP_SUFFIXES)
    if not names:
        return []
    text = describe_not_read(names, PLATEMAP_SUFFIXES)
    return [Finding("platemap-not-read", "warning", show_name(names[0]), text, folder)]


def _find_kept_words(table: pa.Table, uri: str, settings: DatasetSettings) -> list[Finding]:
    """Say which words that other tools take for "no value" are values here."""
    places: dict[str, dict[str, int]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        expected = settings.control_values if name == settings.control_column else ()
        for word in column.to_pylist() if pa.types.is_string(column.type) else ():
            if word is not None and word not in expected and is_missing_value(word):
                counts = places.setdefault(word, {})
                counts[name] = counts.get(name, 0) + 1
    if not places:
        return []
    listed = "; ".join(
        f"{word!r} in "
        + ", ".join(f"{name} ({count_words(count, 'well')})" for name, count in counts.items())
        for word, counts in places.items()
    )
    toml = ", ".join(f'"{word}"' for word in places)
    message = (
        f"Taken as values: {listed}. If such a word means no value, list it in dataset.toml: "
        f"[platemaps] missing = [{toml}]."
    )
    return [Finding("platemap-word-kept", "info", next(iter(places)), message, uri)]


def _choose_file(
    store: Store,
    tables: Mapping[str, Sequence[str]],
    plate_name: str,
    settings: DatasetSettings,
    findings: list[Finding],
) -> str | None:
    """Key of the plate's platemap; None with a finding where there is none."""
    barcodes = [key for key in tables[""] if key.lower() == BARCODE_FILE]
    maps = [key for key in tables[""] if key not in barcodes] + [*tables.get(_MAPS, ())]
    by_name = {PurePosixPath(key).name: key for key in maps} | {_stem(key): key for key in maps}
    if barcodes:
        listed = read_text_table(store, barcodes[0], settings.missing_words)
        findings += listed.findings
        return _choose_by_barcode(listed, by_name, plate_name, findings)
    if plate_name in by_name:
        return by_name[plate_name]
    if len(maps) == 1:
        where = join_path(store.uri, maps[0])
        message = f"There is no {BARCODE_FILE}; the only platemap {where} is taken for plate {plate_name!r}."
        findings.append(Finding("platemap-assumed", "info", where, message))
        return maps[0]
    message = f"There is no {BARCODE_FILE} and no platemap named {plate_name!r} among {len(maps)} file(s)."
    findings.append(Finding("platemap-missing", "warning", store.uri, message))
    return None


def _choose_by_barcode(
    barcodes: TextTable, by_name: Mapping[str, str], plate_name: str, findings: list[Finding]
) -> str | None:
    wanted = _map_of_plate(barcodes, plate_name)
    if wanted is None:
        message = f"Plate {plate_name!r} is not listed in {barcodes.uri}; its wells stay without treatments."
        bare = next((b for b in _listed_plates(barcodes) if b.lstrip("0") == plate_name.lstrip("0")), None)
        if bare is not None:
            message += f" It lists {bare!r}: a spreadsheet may have taken the leading zeros."
        findings.append(Finding("plate-not-in-barcodes", "warning", barcodes.uri, message))
        return None
    name = PurePosixPath(wanted).name
    if name not in by_name:
        raise ProfilingError(
            f"{barcodes.uri} names platemap {wanted!r} for plate {plate_name!r}, but there is no such file; "
            f"found {sorted({PurePosixPath(key).name for key in by_name.values()})}."
        )
    return by_name[name]


def _listed_plates(barcodes: TextTable) -> list[str]:
    return [name for name in barcodes.column(_find_column(barcodes, _PLATE_COLUMNS)) if name]


def _map_of_plate(barcodes: TextTable, plate_name: str) -> str | None:
    plate_index = _find_column(barcodes, _PLATE_COLUMNS)
    map_index = _find_column(barcodes, _MAP_COLUMNS)
    named = {row[map_index] for row in barcodes.rows if row[plate_index] == plate_name and row[map_index]}
    if len(named) > 1:
        raise ProfilingError(
            f"{barcodes.uri} names several platemaps for plate {plate_name!r}: {sorted(map(str, named))}."
        )
    return named.pop() if named else None


def _find_column(table: TextTable, candidates: Iterable[str]) -> int:
    lowered = [name.lower() for name in table.names]
    for candidate in candidates:
        if candidate.lower() in lowered:
            return lowered.index(candidate.lower())
    raise ProfilingError(
        f"{table.uri} has none of the columns {list(candidates)}; found {list(table.names)}."
    )


def _build_wells(table: TextTable, well_column: str, plate_name: str, findings: list[Finding]) -> pa.Table:
    spelled, well_index = _read_wells(table, well_column)
    wells = [normalize_well(value) for value in spelled]
    unreadable = [text for text, well in zip(spelled, wells, strict=True) if well is None]
    if unreadable:
        message = f"{len(unreadable)} row(s) name no well and are left out: {unreadable[:5]}."
        findings.append(Finding("platemap-well-unreadable", "warning", table.uri, message))
    kept = [row for row, well in zip(table.rows, wells, strict=True) if well is not None]
    names = [well for well in wells if well is not None]
    if len(set(names)) < len(names):
        twice = sorted(well for well, count in Counter(names).items() if count > 1)
        raise ProfilingError(
            f"{table.uri} describes well(s) {twice[:10]} more than once; "
            "every cell of such a well would be counted twice. Remove the extra rows."
        )
    columns: dict[str, pa.Array] = {"Metadata_Well": pa.array(names, pa.string())}
    for index, name in enumerate(table.names):
        values = [row[index] for row in kept]
        prefixed = _prefixed(name)
        is_blank = not name and not any(values)
        if index == well_index or is_blank or (prefixed == "Metadata_Plate" and set(values) <= {plate_name}):
            continue
        prefixed = f"Metadata_platemap_{name}" if prefixed in _RESERVED else prefixed
        if prefixed in columns:
            raise ProfilingError(
                f"{table.uri} has two columns that become {prefixed}; found {list(table.names)}. Rename or remove one."
            )
        made, odd = build_column(prefixed, values, plate_name, table.uri)
        columns |= made
        findings += odd
    return pa.table(columns)


def _read_wells(table: TextTable, well_column: str) -> tuple[list[str | None], int | None]:
    """The wells as they are written, and their column; None where a row and a column number make them."""
    candidates = (well_column, *_WELL_COLUMNS)
    two = find_well_columns(table.names, with_bare=True)
    if two is None or {name.lower() for name in candidates} & {name.lower() for name in table.names}:
        index = _find_column(table, candidates)
        return table.column(index), index
    rows, columns = (table.column(table.names.index(name)) for name in two)
    return [join_well(row, column) for row, column in zip(rows, columns, strict=True)], None


def _spell_columns(table: pa.Table, wanted: Iterable[str]) -> pa.Table:
    """Give columns that the settings name the settings' spelling, where only the case differs."""
    names = [each for name in wanted for each in (name, f"{name}{AS_WRITTEN}")]
    spelled = {name.lower(): name for name in names if name not in table.column_names}
    return table.rename_columns([spelled.pop(name.lower(), name) for name in table.column_names])


def _prefixed(name: str) -> str:
    return name if name.startswith("Metadata_") else f"Metadata_{name}"


def _join_external(table: pa.Table, extra: TextTable, plate_name: str, findings: list[Finding]) -> pa.Table:
    names = [_prefixed(name) for name in extra.names]
    key = next((name for name in names if name in table.column_names and name != "Metadata_Well"), None)
    if key is None:
        message = (
            f"None of its columns {list(extra.names)} is a column of the platemap; the file is not used."
        )
        findings.append(Finding("external-metadata-unused", "warning", extra.uri, message))
        return table
    position = _index_rows(extra, names.index(key), pa.types.is_floating(table[key].type), key)
    rows = pa.array([position.get(value) for value in table[key].to_pylist()], pa.int64())
    for index, name in enumerate(names):
        if name == key:
            continue
        if name in table.column_names:
            message = f"Column {name} is in the platemap too; the platemap's values are kept."
            findings.append(Finding("external-metadata-column", "info", extra.uri, message))
            continue
        made, odd = build_column(name, extra.column(index), plate_name, extra.uri)
        findings += odd
        for made_name, values in made.items():
            table = table.append_column(made_name, values.take(rows))
    return table


def _add_external(
    platemap: PlateMap,
    folder: str,
    plate_name: str,
    settings: DatasetSettings,
    storage_options: Mapping[str, object] | None,
) -> PlateMap:
    """Join the tables of a further folder of external metadata."""
    findings, table = list(platemap.findings), platemap.table
    store = open_store(folder, storage_options=storage_options)
    try:
        for item in sorted(store.list_level("")[1]):
            if has_suffix(item.key, PLATEMAP_SUFFIXES):
                extra = read_text_table(store, item.key, settings.missing_words)
                findings += extra.findings
                table = _join_external(table, extra, plate_name, findings)
    finally:
        store.close()
    table = _spell_columns(table, (settings.control_column, *settings.treatment_columns))
    return replace(platemap, table=table, findings=tuple(findings))


def _index_rows(extra: TextTable, index: int, is_number: bool, key: str) -> dict[str | float, int]:
    """Row of each key of a file of external metadata; ProfilingError where one is there twice."""
    texts = extra.column(index)
    keys: list[str | float | None] = [read_quantity(text) for text in texts] if is_number else [*texts]
    present = [value for value in keys if value is not None]
    if len(set(present)) < len(present):
        twice = sorted(str(value) for value, count in Counter(present).items() if count > 1)
        raise ProfilingError(
            f"{extra.uri} describes {key} {twice[:5]} more than once; wells would be doubled."
        )
    return {value: row for row, value in enumerate(keys) if value is not None}
