"""``views.sql`` and ``README.md`` of a root: after ``duckdb -init views.sql`` every table is there.

Both are derived and may be deleted; they are written when a table appears or disappears, and by ``maintain``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.sql import quote_identifier, quote_literal
from bioimage_assets.core.warehouse.files.root_files import RootFiles
from bioimage_assets.core.warehouse.manifest.layout import (
    MANIFEST_NAME,
    README_NAME,
    VIEWS_NAME,
    leaf_name,
    namespace_of,
)
from bioimage_assets.core.warehouse.manifest.manifest_file import read_manifest
from bioimage_assets.core.warehouse.manifest.records import WarehouseManifest, WarehouseTableManifestEntry
from bioimage_assets.core.warehouse.reading.table_state import find_folder

_FIRST_LINE = "-- In this folder: duckdb -init views.sql   then: FROM README;   (the program duckdb: pip install duckdb-cli)"
_PATTERN = re.compile(r"([*?\[])")
# The named root as a pattern that matches itself alone, else the folder that DuckDB runs in.
_PLACE = "coalesce(regexp_replace(rtrim(getvariable('warehouse'), '/'), '([*?\\[])', '[\\1]', 'g'), '.')"


def write_views(files: RootFiles) -> None:
    """Write both files from the manifest as it is now; a table without a file gets no view, which could not be made."""
    with files.exclusive():
        manifest, _ = read_manifest(files)
        folders: dict[str, str] = {}
        listed = tuple(entry for entry in manifest.tables if not entry.is_announced)
        for entry in listed:
            found = find_folder(files, entry.table_name)
            if found.sizes:
                folders[entry.table_name] = found.path
        present = replace(manifest, tables=tuple(e for e in listed if e.table_name in folders))
        files.write_text(VIEWS_NAME, build_views_sql(present, folders, files.uri))
        files.write_text(README_NAME, build_readme(replace(manifest, tables=listed)))


def are_views_outdated(files: RootFiles) -> bool:
    """Whether a local root has views of an earlier version, which named the root by its absolute path."""
    found = files.read(VIEWS_NAME) if files.is_local else None
    return found is not None and not found[0].startswith(_FIRST_LINE.encode())


def build_views_sql(manifest: WarehouseManifest, folders: Mapping[str, str], root: str) -> str:
    """One view per table and a view ``README`` with roles, keys and live row counts.

    They show the root in whose folder DuckDB was started, or the one that the variable ``warehouse`` named before.
    ``root`` is only said where neither is a root: a copy shows the copy, or nothing.
    """
    lines = [
        _FIRST_LINE,
        "-- From elsewhere, say before which root is meant: SET VARIABLE warehouse = 'path/or/uri/of/the/root';",
        f"SET VARIABLE warehouse_root = {_PLACE};",
        "RESET VARIABLE warehouse;",
        "SET VARIABLE warehouse_root = (SELECT CASE WHEN count(*) > 0 THEN getvariable('warehouse_root') "
        f"ELSE error({quote_literal(_no_root(root))}) END "
        f"FROM glob(getvariable('warehouse_root') || {quote_literal(f'/{MANIFEST_NAME}')}));",
    ]
    spaces = {namespace_of(entry.table_name) for entry in manifest.tables} - {None}
    lines += [
        f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(str(space))};" for space in sorted(map(str, spaces))
    ]
    for entry in manifest.tables:
        folder = _PATTERN.sub(r"[\1]", folders[entry.table_name])
        pattern = quote_literal(f"/{folder}/*.parquet")
        lines.append(
            f"CREATE OR REPLACE VIEW {_view_name(entry)} AS FROM "
            f"read_parquet(getvariable('warehouse_root') || {pattern}, union_by_name = true, hive_partitioning = false);"
        )
    if manifest.tables:
        rows = "\nUNION ALL ".join(_readme_row(entry) for entry in manifest.tables)
        lines.append(f"CREATE OR REPLACE VIEW README AS\n{rows};")
    return "\n".join(lines) + "\n"


def build_readme(manifest: WarehouseManifest) -> str:
    """What each table is, for someone who opens the folder."""
    lines = [
        "# Cytomining-compatible Parquet warehouse",
        "",
        "Each table is a folder of Parquet files; `warehouse_manifest.json` says what is in it.",
        "Read a folder with pandas, polars or pyarrow, or all of them in SQL: `bioimage-assets query`, or DuckDB's program (`pip install duckdb-cli`), started "
        "in this folder with `duckdb -init views.sql`, then `FROM README;`.",
        "",
        "| table | role | one row is | join keys | columns |",
        "|---|---|---|---|---|",
    ]
    for entry in manifest.tables:
        keys = ", ".join(f"`{key}`" for key in entry.join_keys)
        lines.append(
            f"| `{entry.table_name}` | {entry.role} | {_grain(entry)} | {keys} | {len(entry.columns)} |"
        )
    return "\n".join(lines) + "\n"


def _no_root(root: str) -> str:
    return (
        "No warehouse root here. Start DuckDB in the folder of views.sql (cd there, then: duckdb -init views.sql), or name "
        "the root before views.sql is read: SET VARIABLE warehouse = 'path or URI'; "
        f"When it was written, this file lay in {root}"
    )


def _view_name(entry: WarehouseTableManifestEntry) -> str:
    space = namespace_of(entry.table_name)
    leaf = quote_identifier(entry.table_name if space is None else entry.table_name.removeprefix(f"{space}."))
    return leaf if space is None else f"{quote_identifier(space)}.{leaf}"


def _readme_row(entry: WarehouseTableManifestEntry) -> str:
    texts = (entry.table_name, entry.role, _grain(entry), ", ".join(entry.join_keys))
    names = ("table_name", "role", "one_row_is", "join_keys")
    said = ", ".join(f"{quote_literal(text)} AS {name}" for text, name in zip(texts, names, strict=True))
    return f"SELECT {said}, (SELECT count(*) FROM {_view_name(entry)}) AS row_count"


def _grain(entry: WarehouseTableManifestEntry) -> str:
    spec = TABLES.get(leaf_name(entry.table_name))
    if spec is not None and spec.role == entry.role:
        return spec.grain
    return f"one {entry.object_type or entry.analysis_level or 'row'}".replace("_", " ")
