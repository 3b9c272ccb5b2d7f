"""Cells that a command line chooses become a Parquet file with what an export of crops needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from bioimage_assets.cli.project_tables import StoredTables
from bioimage_assets.cli.query_views import open_query
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.near_names import suggest_plate
from bioimage_assets.core.pixels.boxes import is_box_column
from bioimage_assets.core.pixels.crop_export.plan import KEYS, QC_FAILED
from bioimage_assets.core.pixels.locate import OBJECT_ID_COLUMN
from bioimage_assets.core.pixels.planes import is_plane_column
from bioimage_assets.core.sql import quote_identifier, quote_literal

_QC = "cosmicqc_profiles"
_ID = quote_identifier(OBJECT_ID_COLUMN)


@dataclass(frozen=True, slots=True)
class CellChoice:
    """Which cells are meant: a condition, or a statement that gives their ids; and how that is narrowed."""

    where: str | None
    query: str | None
    plates: tuple[str, ...]
    only_passed: bool
    carry: tuple[str, ...]

    def describe(self) -> str:
        """The choice in words: what tells one export from another."""
        words = [] if self.where is None else [f"--where {self.where}"]
        words += [] if self.query is None else [f"--query {self.query}"]
        words += [f"--plates {' '.join(sorted(set(self.plates)))}"] if self.plates else []
        words += ["--only-passed"] if self.only_passed else []
        return " ".join(words) or "all cells"


def write_chosen_cells(tables: StoredTables, choice: CellChoice, target: Path) -> tuple[str, ...]:
    """Write the chosen rows of joined_profiles, with their QC verdict; give the columns that are to be carried along.

    UsageError where a statement cannot run, names no ids or chooses no cell; MissingTableError where there are no
    joined profiles, or no verdicts that are asked for.
    """
    if choice.where is not None and choice.query is not None:
        raise UsageError("--where and --query both say which cells are meant: give one of them.")
    tables.find("joined_profiles")
    has_qc = any(table.leaf == _QC for table in tables.list())
    if choice.only_passed and not has_qc:
        raise MissingTableError(
            f"--only-passed needs the table {_QC}, which is not there; run 'bioimage-assets materialize' first."
        )
    cells, query = _cells(has_qc), _query(choice)
    with open_query(tables, _statement(cells, query, choice, "c.*")) as connection:
        own = connection.sql(f"SELECT * FROM ({cells}) LIMIT 0").columns
        _require_columns(choice.carry, own)
        needed = [name for name in own if name in choice.carry or _is_needed(name)]
        extra = _extra_columns(connection, query, needed)
        listed = [f"c.{quote_identifier(name)}" for name in needed]
        listed += [f"k.{quote_identifier(name)}" for name in extra]
        connection.sql(_statement(cells, query, choice, ", ".join(listed))).write_parquet(str(target))
    if not pq.read_metadata(target).num_rows:
        raise UsageError(f"No cell was chosen by {choice.describe()}.{_suggest_plates(tables, choice)}")
    return tuple(dict.fromkeys([*choice.carry, *extra]))


def _cells(has_qc: bool) -> str:
    if not has_qc:
        return "SELECT * FROM joined_profiles"
    verdicts = f"SELECT dataset_id, {_ID}, COLUMNS('^Metadata_cqc_') FROM {_QC}"
    return f"SELECT * FROM joined_profiles LEFT JOIN ({verdicts}) USING (dataset_id, {_ID})"


def _query(choice: CellChoice) -> str | None:
    text = None if choice.query is None else choice.query.strip().rstrip(";")
    if text == "":
        raise UsageError("--query is empty.")
    return text


def _statement(cells: str, query: str | None, choice: CellChoice, columns: str) -> str:
    """One SELECT; what a user wrote ends with a line of its own, so that a comment in it ends there, too."""
    source = f"({cells}) c"
    if query is not None:
        source += f" JOIN (\n{query}\n) k ON c.{_ID} = k.{_ID}"
    conditions = []
    if choice.where is not None:
        if not choice.where.strip():
            raise UsageError("--where is empty.")
        conditions.append(f"(\n{choice.where}\n)")
    if choice.plates:
        conditions.append(f"c.plate_key IN ({', '.join(map(quote_literal, choice.plates))})")
    if choice.only_passed:
        conditions.append(f"NOT CAST(c.{quote_identifier(QC_FAILED)} AS BOOLEAN)")
    return f"SELECT {columns} FROM {source}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")


def _is_needed(name: str) -> bool:
    return name in (*KEYS, QC_FAILED) or is_box_column(name) or is_plane_column(name)


def _extra_columns(
    connection: duckdb.DuckDBPyConnection, query: str | None, needed: Sequence[str]
) -> list[str]:
    """What a query gives besides the columns that are read of the cells themselves."""
    if query is None:
        return []
    given = connection.sql(f"SELECT * FROM (\n{query}\n) LIMIT 0").columns
    if OBJECT_ID_COLUMN not in given:
        raise UsageError(f"--query has to give a column {OBJECT_ID_COLUMN}; it gives {', '.join(given)}.")
    return [name for name in given if name not in needed]


def _suggest_plates(tables: StoredTables, choice: CellChoice) -> str:
    """Which plates may have been meant, for those that have no cell."""
    known = tables.list_plates(tables.find("joined_profiles"))
    unknown = [key for key in choice.plates if key not in known]
    return suggest_plate(unknown[0], known) if unknown else ""


def _require_columns(carry: Sequence[str], own: Sequence[str]) -> None:
    missing = [name for name in carry if name not in own]
    if missing:
        raise UsageError(f"--carry {missing[0]}: there is no such column in joined_profiles.")
