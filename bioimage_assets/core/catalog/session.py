"""Opening a PyIceberg catalog by name, properties or object, and parsing the names of its tables.

Any catalog that PyIceberg knows works by configuration alone (https://py.iceberg.apache.org/configuration/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from weakref import WeakSet

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext, make_url

from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.errors import CatalogError, UsageError
from bioimage_assets.core.extras import build_missing, find_extra_of
from bioimage_assets.core.settings.project import EMBEDDED_CATALOG, read_project_settings

# The namespace segment that the seeds append: tables of `bioimage` live in `bioimage.cytotable`.
NAMESPACE_SEGMENT = "cytotable"

Identifier = tuple[str, ...]
CatalogLike = str | Catalog

_WITH_CLEAN_FAILURES: WeakSet[Engine] = WeakSet()


def open_catalog(catalog: CatalogLike = "default", properties: Mapping[str, str] | None = None) -> Catalog:
    """Open a catalog; an open one is returned as it is.

    ``embedded`` is the project's SQLite catalog below ``data/`` unless ``properties`` say otherwise; every
    other name is looked up by PyIceberg (``.pyiceberg.yaml``, ``PYICEBERG_CATALOG__*``), ``properties`` on top.
    Safe to call from many processes on a catalog that does not exist yet. CatalogError with the reason
    where it cannot be opened.

    Examples
    --------
    >>> open_catalog("embedded").name
    'embedded'
    """
    if not isinstance(catalog, str):
        return _with_clean_failures(catalog)
    if catalog == EMBEDDED_CATALOG and not properties:
        properties = replace(read_project_settings(), catalog_name=EMBEDDED_CATALOG).catalog_properties
    given = dict(properties or {})
    with catalog_errors(f"Opening the catalog {catalog!r}"):
        _create_parent_folder(given.get("uri", ""))
        try:
            return _with_clean_failures(
                # PyIceberg makes the catalog's tables on opening: the second of two first processes meets "already
                # exists".
                call_with_retry(lambda: load_catalog(catalog, **given), deadline_s=60)
            )
        except (ValueError, KeyError, ImportError) as error:
            if isinstance(error, ImportError) and (extra := find_extra_of(error)) is not None:
                raise CatalogError(
                    str(build_missing(f"The catalog {catalog!r}", extra.name, error))
                ) from error
            raise CatalogError(
                f"The catalog {catalog!r} cannot be opened: {error}. Describe it in .pyiceberg.yaml or in "
                f"PYICEBERG_CATALOG__{catalog.upper()}__URI, or use the catalog 'embedded'."
            ) from error


def _with_clean_failures(catalog: Catalog) -> Catalog:
    """Make a SQL catalog drop the connection whose COMMIT failed.

    SQLAlchemy 2.0 gives it back to the pool with its transaction open (SQLite busy at COMMIT, for one): the
    database stays locked, and the next look through it finds a commit that nobody else will ever see.
    """
    # event.contains would go by the address of the engine, which may be that of an older one.
    if isinstance(catalog, SqlCatalog) and catalog.engine not in _WITH_CLEAN_FAILURES:
        event.listen(catalog.engine, "handle_error", _drop_connection)
        _WITH_CLEAN_FAILURES.add(catalog.engine)
    return catalog


def _drop_connection(context: ExceptionContext) -> None:
    if context.statement is None and context.connection is not None:
        # As if the connection were lost: SQLAlchemy then closes it in place of pooling it.
        context.is_disconnect = True
        # Only this connection; the others of the pool are fine.
        context.invalidate_pool_on_disconnect = False


def _create_parent_folder(uri: str) -> None:
    database = sqlite_path(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)


def sqlite_path(uri: str) -> Path | None:
    """File of a SQLite catalog URI, None for other catalogs and for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    name = make_url(uri).database
    if not name or name == ":memory:":
        return None
    return Path(unquote(name[5:]) if name.startswith("file:") else name)  # only SQLite's own URIs are quoted


def default_lock_path(catalog: Catalog, identifier: Identifier) -> Path | None:
    """Lock file that serialises the commits to one table of a SQLite catalog; None where the server does it."""
    database = sqlite_path(str(catalog.properties.get("uri", "")))
    if database is None:
        return None
    return database.with_name(f".{database.name}-locks") / f"{'.'.join(identifier)}.lock"


def parse_namespace(namespace: str | Sequence[str]) -> Identifier:
    """Split a namespace given as ``a.b`` or as a sequence into its segments; UsageError where one is empty."""
    parts = tuple(namespace.split(".")) if isinstance(namespace, str) else tuple(namespace)
    if not parts or not all(part.strip() for part in parts):
        raise UsageError(
            f"Namespace {namespace!r} has an empty segment; expected something like 'bioimage.cytotable'."
        )
    return tuple(part.strip() for part in parts)


def candidate_namespaces(namespace: str | Sequence[str]) -> tuple[Identifier, ...]:
    """Namespaces where a table may be: the one ending in ``cytotable`` first, then the one of older layouts."""
    parts = parse_namespace(namespace)
    return (parts,) if parts[-1] == NAMESPACE_SEGMENT else ((*parts, NAMESPACE_SEGMENT), parts)


def list_leaf_names(catalog: Catalog, namespace: Identifier) -> list[str]:
    """Sorted names of the tables directly in one namespace; empty where it does not exist."""
    try:
        return sorted(identifier[-1] for identifier in catalog.list_tables(namespace))
    except NoSuchNamespaceError:
        return []


def table_exists(catalog: Catalog, identifier: Identifier) -> bool:
    """Tell whether a table is there, by loading it (works for every kind of catalog)."""
    try:
        catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return False
    return True


def resolve_identifier(catalog: Catalog, namespace: str | Sequence[str], table: str) -> Identifier:
    """Identifier under which a table is, or would be created.

    ``<namespace>.cytotable.<table>`` where it exists, else ``<namespace>.<table>`` where that exists. A table
    that is nowhere yet goes beside the tables that are already there, so one dataset is never split over two
    namespaces; else into ``<namespace>.cytotable``.
    """
    candidates = candidate_namespaces(namespace)
    with catalog_errors(f"Looking for the table {table!r} in {'.'.join(candidates[0])}"):
        for candidate in candidates:
            if table_exists(catalog, (*candidate, table)):
                return (*candidate, table)
        for candidate in candidates:
            if list_leaf_names(catalog, candidate):
                return (*candidate, table)
    return (*candidates[0], table)


def parse_identifier(identifier: str | Sequence[str]) -> Identifier:
    """Split ``a.b.table`` or a sequence into segments; UsageError unless namespace and table are given."""
    parts = tuple(identifier.split(".")) if isinstance(identifier, str) else tuple(identifier)
    if len(parts) < 2 or not all(parts):
        raise UsageError(f"Table identifier {identifier!r} must be '<namespace>.<table>'.")
    return parts
