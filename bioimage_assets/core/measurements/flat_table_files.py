"""The Parquet files of one flat profile table, given or staged, with named columns and one schema."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names, resolve_duplicates
from bioimage_assets.core.measurements.csv_staging import StagedTable


@dataclass(frozen=True, slots=True)
class TableFile:
    """A Parquet file with the column names it stands for, and the file the user gave."""

    path: str
    names: tuple[str, ...]
    given: str

    def positions(self) -> dict[str, int]:
        """Number of each column in the file; staged files have columns of their own in front."""
        start = len(pq.read_schema(self.path)) - len(self.names)
        return {name: start + number for number, name in enumerate(self.names)}

    def stored_names(self) -> dict[str, str]:
        """What each column is called in the file; staged files have positional names."""
        stored = pq.read_schema(self.path).names
        return dict(zip(self.names, stored[len(stored) - len(self.names) :], strict=True))


def name_staged_files(staged: StagedTable) -> list[TableFile]:
    """Staged files with the output names of their columns; a file holds only those that its CSVs had."""
    names, _ = resolve_duplicates([column.output for column in staged.columns])
    files = []
    for path in staged.paths:
        slots = [name for name in pq.read_schema(path).names if name not in ("unit", "block")]
        files.append(
            TableFile(path, tuple(names[int(slot.removeprefix("c"))] for slot in slots), staged.name)
        )
    return files


def list_parquet_tables(paths: Sequence[str]) -> list[TableFile]:
    """Describe Parquet files, each column under a name of its own; MeasurementError where one is not a Parquet file."""
    files = []
    for path in paths:
        try:
            if os.path.lexists(path) and not os.path.isfile(path) and not os.path.islink(path):
                raise OSError("it is no file")  # a pipe would never end
            names = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as error:
            raise MeasurementError(
                f"{path} is no readable Parquet file: {str(error).rstrip('.')}. Wait if it is still being written, else copy it again."
            ) from error
        files.append(TableFile(path, resolve_duplicates(names)[0], path))
    return files


def find_renamed(files: Sequence[TableFile]) -> list[Finding]:
    """Findings for Parquet columns that share a name with an earlier one; staged files have other names anyway."""
    findings = []
    for file in files:
        stored = pq.read_schema(file.path).names
        changed = [new for new, old in zip(file.names, stored, strict=False) if new != old]
        if changed and file.path == file.given:
            text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
            findings.append(Finding("duplicate-columns", "warning", "", text, file.given))
    return findings


def read_named_schema(file: TableFile) -> pa.Schema:
    """Schema of a file under the names that its columns stand for (staged files have positional names)."""
    schema = pq.read_schema(file.path)
    own = list(schema)[len(schema) - len(file.names) :]
    return pa.schema([field.with_name(name) for field, name in zip(own, file.names, strict=True)])


def unify_table_schemas(schemas: Sequence[pa.Schema]) -> tuple[pa.Schema, list[Finding]]:
    """One schema for all files: the first file's columns, then what others add."""
    if all(schema.equals(schemas[0]) for schema in schemas):
        return schemas[0], []
    try:
        schema = pa.unify_schemas([s.remove_metadata() for s in schemas], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise MeasurementError(
            f"The measurement files of one plate have incompatible columns: {error}."
        ) from error
    text = "The measurement files of the plate have different columns; missing ones are null."
    return schema, [Finding("different-columns", "warning", "", text)]
