"""Rows of one plate that have certain values in a column; what is not wanted is left out where the table is read."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.errors import MissingTableError, WarehouseError

Wanted = Mapping[str, Sequence[str]]
"""Values by column; a row is picked where any of the columns has one of its values."""


def read_columns_of(project: BrowsedProject, name: str, plate_key: str) -> tuple[str, ...]:
    """Columns that a table has for one plate; none where it has no rows of it."""
    return project.keep(("columns", name, plate_key), lambda: _read_columns(project, name, plate_key))


def read_picked(
    project: BrowsedProject, name: str, plate_key: str, columns: Sequence[str], wanted: Wanted
) -> pa.Table | None:
    """Picked rows in stored order, with those of the columns that there are; None where the plate has no such table.

    Row groups whose statistics exclude all values are not read, and of the others the named columns alone.
    """
    known = read_columns_of(project, name, plate_key)
    if not known:
        return None
    chosen = [column for column in dict.fromkeys(columns) if column in known]
    present = {column: list(values) for column, values in wanted.items() if column in known}
    if not present:
        return None
    tables = project.tables
    if tables.is_in_catalog(name):
        catalog, identifier = tables.identify(name)
        where = " or ".join(_say_in(column, values) for column, values in present.items())
        return read_table(catalog, identifier, columns=chosen, plate_keys=[plate_key], where=where)
    dataset = tables.warehouse.dataset(name, plate_keys=[plate_key])
    is_picked = functools.reduce(
        operator.or_, [pc.field(column).isin(values) for column, values in present.items()]
    )
    return _scan(dataset, chosen, is_picked, f"Table {name!r} of plate {plate_key}")


def _say_in(column: str, values: Sequence[str]) -> str:
    """A condition in PyIceberg's syntax."""
    texts = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} in ({texts})"


def _scan(dataset: ds.Dataset, columns: Sequence[str], is_picked: pc.Expression, where: str) -> pa.Table:
    try:
        return dataset.scanner(
            columns=list(columns), filter=is_picked, batch_readahead=2, fragment_readahead=1
        ).to_table()
    except (pa.ArrowException, OSError) as error:
        raise WarehouseError(f"{where} cannot be read: {error}") from error


def _read_columns(project: BrowsedProject, name: str, plate_key: str) -> tuple[str, ...]:
    tables = project.tables
    try:
        if tables.is_in_catalog(name):
            return tuple(tables.schema(name).names) if tables.is_catalog_there() else ()
        if not tables.warehouse.files(name, [plate_key]):
            return ()
        return tuple(tables.warehouse.dataset(name, plate_keys=[plate_key]).schema.names)
    except MissingTableError:
        return ()
