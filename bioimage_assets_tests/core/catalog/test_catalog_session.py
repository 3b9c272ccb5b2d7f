"""Catalogs are opened by name, properties or object; namespaces follow the seeds' rule."""

import sqlite3
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from sqlalchemy import event, text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.event import registry
from sqlalchemy.exc import OperationalError

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import (
    _drop_connection,
    default_lock_path,
    list_leaf_names,
    open_catalog,
    parse_identifier,
    resolve_identifier,
    sqlite_path,
)
from bioimage_assets.core.errors import CatalogError, MissingTableError, UsageError
from bioimage_assets_tests.core.catalog.conftest import sqlite_properties
from bioimage_assets_tests.core.catalog.plates import ROWS, build_plate

A = "screen/P1"


def test_an_open_catalog_is_used_as_it_is(catalog: Catalog) -> None:
    assert open_catalog(catalog) is catalog


def test_the_embedded_catalog_lies_below_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path / "lab data"))
    replace_partitions(open_catalog("embedded"), "n.t", build_plate(A), [A])
    assert (tmp_path / "lab data" / "catalog" / "catalog.db").exists()
    assert read_table(open_catalog("embedded"), "n.t").num_rows == 10


def test_a_catalog_is_found_by_its_name_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in sqlite_properties(tmp_path).items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAB__{key.upper()}", value)
    # PyIceberg reads its configuration once, when it is imported.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    replace_partitions(open_catalog("lab"), "n.t", build_plate(A), [A])
    assert read_table(open_catalog("lab"), "n.t").num_rows == 10


def test_an_unknown_catalog_says_how_to_describe_one() -> None:
    with pytest.raises(CatalogError, match="PYICEBERG_CATALOG__NOWHERE__URI"):
        open_catalog("nowhere")


def test_a_catalog_in_a_file_that_is_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="Opening the catalog"):
        open_catalog("embedded", sqlite_properties(tmp_path / "file" / "below"))


def test_a_missing_table_is_named(catalog: Catalog) -> None:
    with pytest.raises(MissingTableError, match=r"bioimage\.cytotable\.rows"):
        read_table(catalog, "bioimage.cytotable.rows")


@pytest.mark.parametrize("namespace", ["bioimage", "bioimage.cytotable", ("bioimage", "cytotable")])
def test_the_segment_is_added_unless_it_is_last(catalog: Catalog, namespace: str | tuple[str, ...]) -> None:
    assert resolve_identifier(catalog, namespace, "image_assets") == ("bioimage", "cytotable", "image_assets")


def test_a_table_of_an_older_layout_is_found_and_its_neighbours_stay_beside_it(catalog: Catalog) -> None:
    replace_partitions(catalog, "bioimage.image_assets", build_plate(A), [A])
    assert resolve_identifier(catalog, "bioimage", "image_assets") == ("bioimage", "image_assets")
    assert resolve_identifier(catalog, "bioimage", "chunk_index") == ("bioimage", "chunk_index")


def test_the_present_layout_wins_over_the_older_one(catalog: Catalog) -> None:
    for identifier in ("bioimage.image_assets", "bioimage.cytotable.image_assets"):
        replace_partitions(catalog, identifier, build_plate(A), [A])
    assert resolve_identifier(catalog, "bioimage", "image_assets") == (
        "bioimage",
        "cytotable",
        "image_assets",
    )
    assert resolve_identifier(catalog, "bioimage", "chunk_index") == ("bioimage", "cytotable", "chunk_index")


@pytest.mark.parametrize("namespace", ["", "a..b", (), "a. "])
def test_an_empty_namespace_segment_is_refused(catalog: Catalog, namespace: str | tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        resolve_identifier(catalog, namespace, "t")


def test_a_table_needs_a_namespace() -> None:
    with pytest.raises(UsageError):
        parse_identifier("rows")


def test_a_namespace_that_does_not_exist_has_no_tables(catalog: Catalog) -> None:
    assert list_leaf_names(catalog, ("nowhere",)) == []


def test_only_a_sqlite_file_needs_a_lock(catalog: Catalog, tmp_path: Path) -> None:
    lock = default_lock_path(catalog, ("a", "t"))
    assert lock is not None
    assert lock.is_relative_to(tmp_path)
    assert sqlite_path("sqlite:///:memory:") is None
    assert sqlite_path("postgresql+psycopg2://u@h/db") is None


def test_a_read_only_catalog_is_a_clear_error_and_still_readable(catalog: Catalog, tmp_path: Path) -> None:
    replace_partitions(catalog, "n.t", build_plate(A), [A])
    properties = sqlite_properties(tmp_path / "catalog") | {
        "uri": f"sqlite:///file:{tmp_path / 'catalog' / 'catalog.db'}?mode=ro&uri=true"
    }
    read_only = open_catalog("embedded", properties)
    assert read_table(read_only, "n.t").num_rows == 10
    with pytest.raises(CatalogError, match="cannot be written here"):
        replace_partitions(read_only, "n.t", build_plate(A, 1), [A])
    assert read_table(catalog, "n.t").equals(build_plate(A))


def test_an_empty_declared_table_can_be_read(catalog: Catalog) -> None:
    replace_partitions(catalog, "n.t", ROWS.empty_table(), [A], schema=ROWS)
    assert read_table(catalog, "n.t").schema.equals(ROWS)


def test_every_catalog_drops_a_connection_that_could_not_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may have the address of an older one, by which SQLAlchemy knows listeners; those of its dialect outlive it.

    Given back to the pool with its transaction open, the connection shows a commit that nobody else will ever see.
    """
    properties = sqlite_properties(tmp_path / "catalog")
    open_catalog("embedded", properties)
    older, newer = (SqlCatalog("embedded", **properties).engine for _ in range(2))
    event.listen(older, "handle_error", _drop_connection)
    known = {id(engine): (id(engine), "handle_error", id(_drop_connection)) for engine in (older, newer)}
    listeners = registry._key_to_collection
    monkeypatch.setitem(listeners, known[id(newer)], dict(listeners[known[id(older)]]))
    assert event.contains(newer, "handle_error", _drop_connection)  # as at an address that is used again

    catalog = SqlCatalog("embedded", **properties)
    monkeypatch.setattr(catalog, "engine", newer)
    open_catalog(catalog)
    monkeypatch.setattr(DefaultDialect, "do_commit", _refuse)
    with newer.connect() as connection:
        refused = connection.connection.dbapi_connection
        connection.execute(text("DELETE FROM iceberg_tables"))
        with pytest.raises(OperationalError):
            connection.commit()
    with newer.connect() as connection:
        assert connection.connection.dbapi_connection is not refused


def _refuse(*_: object) -> None:
    raise sqlite3.OperationalError("database is locked")
