"""`tables drop`: one table goes, with its rows, snapshots and files, after a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from bioimage_assets.cli.command import argument, command, flag, option
from bioimage_assets.cli.confirmation import confirm_removal
from bioimage_assets.cli.options import CatalogChoice, Json, WarehouseChoice
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.near_names import suggest_name
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    from bioimage_assets.core.model.results import DroppedTable


@command
def drop(
    table: Annotated[str, argument("NAME", "the table")],
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    only: Annotated[
        Literal["catalog", "warehouse"] | None,
        option("", "where the table is, if both have one of that name"),
    ] = None,
    yes: Annotated[bool, flag("do not ask")] = False,
    dry_run: Annotated[bool, flag("say what would be removed and do nothing")] = False,
    as_json: Json = False,
) -> int:
    """Remove a table with all its rows, snapshots and files.

    It says what will go and asks. Files outside the table's own folder stay; images are not touched. A table of the
    project's own is built again by the next materialize. Exit code 1: there is no such table, or the answer was no. Without a
    terminal to ask at, --yes is needed; without it the exit code is 2 and nothing is removed.

    Examples:
        bioimage-assets tables drop hit_features --dry-run
        bioimage-assets tables drop hit_features --only warehouse --yes
    """
    found = {
        where: dropped
        for where in ("catalog", "warehouse")
        if only in (None, where)
        and (dropped := _drop_from(where, table, catalog, warehouse, dry_run=True)) is not None
    }
    if len(found) > 1:
        raise UsageError(f"Catalog and warehouse both have a table {table!r}: say which with --only.")
    if not found:
        _print_dropped(None, table, as_json=as_json, known=_list_tables(catalog, warehouse))
        return FAILED
    ((where, would),) = found.items()
    if dry_run:
        _print_dropped(would, table, as_json=as_json)
        return OK
    if not yes and not confirm_removal(_describe_dropped(would), "the table"):
        print_progress("Nothing was removed.")
        return FAILED
    done = _drop_from(where, table, catalog, warehouse, dry_run=False)
    _print_dropped(done, table, as_json=as_json)
    return OK if done is not None else FAILED


def _drop_from(
    where: str, name: str, catalog: CatalogChoice, warehouse: WarehouseChoice, *, dry_run: bool
) -> DroppedTable | None:
    if where == "catalog":
        if not catalog.has_started:
            return None
        from bioimage_assets.core.catalog.drop import drop_catalog_table
        from bioimage_assets.core.catalog.session import resolve_identifier

        opened = catalog.open()
        return drop_catalog_table(
            opened, resolve_identifier(opened, catalog.namespace, name), dry_run=dry_run
        )
    if not warehouse.is_there():
        return None
    from bioimage_assets.core.warehouse.changes.drop import drop_table

    root = warehouse.open()
    return drop_table(root.files_at, root.resolve(name), dry_run=dry_run)


def _list_tables(catalog: CatalogChoice, warehouse: WarehouseChoice) -> list[str]:
    from bioimage_assets.cli.project_tables import open_project_tables

    return sorted({table.leaf for table in open_project_tables(catalog, warehouse).list()})


def _print_dropped(
    dropped: DroppedTable | None, name: str, *, as_json: bool, known: Sequence[str] = ()
) -> None:
    if as_json:
        print_json({"table": name, "dropped": None if dropped is None else asdict(dropped)})
    elif dropped is None:
        print(
            f"There is no table {name!r} in catalog or warehouse; nothing was removed.{suggest_name(name, known)}"
        )
    else:
        print(_describe_dropped(dropped))


def _describe_dropped(dropped: DroppedTable) -> str:
    verb = "Would remove" if dropped.is_dry_run else "Removed"
    snapshots = f", {count_words(dropped.snapshot_count, 'snapshot')}" if dropped.where == "catalog" else ""
    note = f" ({dropped.note})" if dropped.note else ""
    return (
        f"{verb} the {dropped.where} table {dropped.table}: {count_words(dropped.row_count, 'row')}{snapshots}, "
        f"{count_words(dropped.file_count, 'file')} of {dropped.bytes:,} bytes below {dropped.location}{note}."
    )
