"""A real REST catalog on a real S3 server: the whole way of a store, many writers at once, and a server that is killed."""

import contextlib
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from requests.adapters import HTTPAdapter

from bioimage_assets.core.catalog import locks, retry
from bioimage_assets.core.catalog.browse import catalog_table_to_arrow, list_catalog_tables
from bioimage_assets.core.catalog.deregister import deregister_store
from bioimage_assets.core.catalog.drop import drop_catalog_table
from bioimage_assets.core.catalog.history import list_snapshots, rollback, tag_release
from bioimage_assets.core.catalog.maintain import maintain_table
from bioimage_assets.core.catalog.publish import register_store
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog, table_exists
from bioimage_assets.core.catalog.unreferenced_files import list_files, referenced_paths
from bioimage_assets.core.errors import BioimageError, CatalogError, SchemaConflictError
from bioimage_assets.core.public_api.export import export_catalog_to_cytomining_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.at_once import run_at_once
from bioimage_assets_tests.builders.seaweed_server import PLAIN, SeaweedServer
from bioimage_assets_tests.core.catalog import writers
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate, row_counts
from bioimage_assets_tests.core.catalog.stores import write_zarr_image
from bioimage_assets_tests.core.catalog.writers import ALL_WORK, acknowledged, check_whole, start_writer

A, B = "a-screen-with-a-long-name/P1", "a-screen-with-a-long-name/P2"


@pytest.fixture
def namespace() -> str:
    return f"test_{uuid4().hex[:12]}.cytotable"


@pytest.fixture
def rest(seaweed: SeaweedServer) -> Catalog:
    return open_catalog("lake", seaweed.catalog_properties())


def read_in_warehouse(seaweed: SeaweedServer, root: str, name: str) -> pa.Table:
    return open_warehouse(root, storage_options=seaweed.storage_options()).read(name)


@pytest.mark.slow
def test_a_store_goes_all_the_way_through_a_rest_catalog_and_a_bucket(
    seaweed: SeaweedServer, rest: Catalog, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.storage_options().items():
        monkeypatch.setenv(f"BIOIMAGE_STORAGE_{name.upper()}", value)
    store = str(write_zarr_image(tmp_path / "plate.zarr"))
    for _ in range(2):
        done = register_store(store, rest, namespace)
        assert (done.image_assets_rows_published, done.chunk_rows_published) == (1, 6)
    assert list_catalog_tables(rest, namespace) == ["chunk_index", "image_assets"]
    images = catalog_table_to_arrow(rest, namespace, "image_assets")
    assert images["uri"].to_pylist() == [store]

    root = f"s3://{PLAIN}/{namespace}"
    export_catalog_to_cytomining_warehouse(rest, namespace, root)
    assert read_in_warehouse(seaweed, root, "image_assets")["image_id"].equals(images["image_id"])
    found = validate_warehouse_manifest(root, deep=True, storage_options=seaweed.storage_options())
    assert (found.errors, found.warnings) == ([], [])

    tag_release(rest, namespace, "v1")
    deregister_store(store, rest, namespace)
    assert catalog_table_to_arrow(rest, namespace, "image_assets").num_rows == 0
    rollback(rest, f"{namespace}.image_assets", "v1")
    assert catalog_table_to_arrow(rest, namespace, "image_assets").equals(images)
    report = maintain_table(rest, f"{namespace}.image_assets", options=ALL_WORK, dry_run=False)
    assert len(report.expired_snapshots) >= 1
    assert catalog_table_to_arrow(rest, namespace, "image_assets").equals(images)
    table = rest.load_table(f"{namespace}.image_assets")
    assert {file.path for file in list_files(table)} >= referenced_paths(table)
    dropped = drop_catalog_table(rest, f"{namespace}.chunk_index", dry_run=False)
    assert dropped is not None
    assert list_catalog_tables(rest, namespace) == ["image_assets"]


def test_a_refused_first_write_leaves_no_table_in_a_rest_catalog(rest: Catalog, namespace: str) -> None:
    name = f"{namespace}.rows"
    wrong = pa.table({"plate_key": [A], "v": pa.array([2**63], pa.uint64())})
    with pytest.raises(SchemaConflictError, match=f"{name}, {A}: Column 'v'"):
        replace_partitions(rest, name, wrong, [A])
    assert not table_exists(rest, tuple(name.split(".")))
    replace_partitions(rest, name, pa.table({"plate_key": [A], "v": [1.5]}), [A])
    assert len(list_snapshots(rest, name)) == 1
    with pytest.raises(SchemaConflictError, match="tables drop rows"):
        replace_partitions(rest, name, pa.table({"plate_key": [B], "v": ["x"]}), [B])


class StumblingServer(HTTPAdapter):
    """Answers its first requests as SeaweedFS does while another writer makes the namespace; then lets them through."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures_left = failures

    def send(self, request: requests.PreparedRequest, *args, **kwargs) -> requests.Response:
        if not self.failures_left:
            return super().send(request, *args, **kwargs)
        self.failures_left -= 1
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 500, request.url or "", request
        answer._content = (
            b'{"error": {"message": "failed to check namespace: attribute not found: s3tables.metadata",'
            b' "type": "InternalServerError", "code": 500}}'
        )
        return answer


def test_a_server_that_stumbles_is_asked_again(
    rest: Catalog, seaweed: SeaweedServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = StumblingServer(failures=3)
    rest._session.mount(seaweed.catalog_properties()["uri"], server)
    replace_partitions(rest, f"{namespace}.rows", build_plate(A), [A])
    assert server.failures_left == 0
    assert len(list_snapshots(rest, f"{namespace}.rows")) == 1
    assert row_counts(read_table(rest, f"{namespace}.rows")) == {A: 10}

    monkeypatch.setattr(retry, "SERVER_ERROR_DEADLINE_S", 0.2)
    server.failures_left = 10**6
    with pytest.raises(
        CatalogError, match=r"failed to check namespace.* log of the catalog's server.* run it again"
    ) as refused:
        replace_partitions(rest, f"{namespace}.rows", build_plate(B), [B])
    assert f"{namespace}.rows" in str(refused.value)
    server.failures_left = 0
    assert row_counts(read_table(rest, f"{namespace}.rows")) == {A: 10}


@pytest.mark.slow
@pytest.mark.parametrize(
    "has_lock",
    # This server lets several win; how soon it is settled who did is its own affair.
    [
        pytest.param(True, id="one machine"),
        pytest.param(False, id="several machines", marks=pytest.mark.stress),
    ],
)
def test_first_writers_at_once_all_land_in_a_rest_catalog(
    seaweed: SeaweedServer, namespace: str, monkeypatch: pytest.MonkeyPatch, *, has_lock: bool
) -> None:
    if not has_lock:
        monkeypatch.setattr(locks, "_own_folder", lambda: None)
    catalogs = [open_catalog("lake", seaweed.catalog_properties()) for _ in range(4)]

    def write(number: int) -> None:
        key = f"screen/P{number}"
        replace_partitions(catalogs[number], f"{namespace}.rows", build_plate(key), [key])

    run_at_once(write, 4)
    rows = read_table(catalogs[0], f"{namespace}.rows")
    assert row_counts(rows) == {f"screen/P{number}": 10 for number in range(4)}


def run_writers(
    seaweed: SeaweedServer, folder: Path, plates: int, generations: int
) -> tuple[pa.Table, Counter[str]]:
    """One process per plate writes its generations; the rows in the end, and snapshots by plate."""
    properties = seaweed.catalog_properties()
    keys = [f"{A}{number:03d}" for number in range(plates)]
    journals = {key: folder / f"{number}.journal" for number, key in enumerate(keys)}
    started = [start_writer(properties, key, range(generations), journals[key]) for key in keys]
    for writer in started:
        writer.join(600)
    assert {key: acknowledged(path) for key, path in journals.items()} == {
        key: list(range(generations)) for key in keys
    }
    catalog = open_catalog("embedded", properties)
    table = catalog.load_table(TABLE)
    added: Counter[str] = Counter()
    for snapshot in table.snapshots():
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id == snapshot.snapshot_id:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                added.update(
                    str(entry.data_file.partition[0])
                    for entry in entries
                    if entry.snapshot_id == snapshot.snapshot_id and entry.status.name == "ADDED"
                )
    return read_table(catalog, TABLE), added


@pytest.fixture
def empty_table(seaweed: SeaweedServer) -> None:
    # By the server itself: it may keep the metadata of a table that several began at once below another folder than the table
    # says, and our own command then refuses to remove files.
    with contextlib.suppress(NoSuchTableError, NoSuchNamespaceError):
        open_catalog("embedded", seaweed.catalog_properties()).drop_table(TABLE)


@pytest.mark.parametrize(
    ("plates", "generations"),
    [pytest.param(3, 3, marks=pytest.mark.slow), pytest.param(16, 10, marks=pytest.mark.stress)],
)
@pytest.mark.usefixtures("empty_table")
def test_every_replacement_of_many_processes_lands_in_a_rest_catalog(
    seaweed: SeaweedServer, tmp_path: Path, plates: int, generations: int
) -> None:
    rows, added = run_writers(seaweed, tmp_path, plates, generations)
    assert set(check_whole(rows).values()) == {generations - 1}
    assert sum(added.values()) == plates * generations


@pytest.mark.slow
@pytest.mark.usefixtures("empty_table")
def test_a_server_killed_amid_commits_tears_nothing_and_the_next_run_completes(
    seaweed: SeaweedServer, tmp_path: Path
) -> None:
    catalog = open_catalog("embedded", seaweed.catalog_properties())
    keys, landed, errors = [A, B], dict.fromkeys([A, B], -1), []
    rows = writers.ROWS_PER_PLATE
    stop = threading.Event()

    def write(key: str) -> None:
        own = open_catalog("embedded", seaweed.catalog_properties())
        for generation in range(10_000):
            if stop.is_set():
                return
            try:
                replace_partitions(own, TABLE, build_plate(key, generation, rows), [key])
                landed[key] = generation
            except BioimageError as error:
                errors.append(str(error))
                return

    for key in keys:
        replace_partitions(catalog, TABLE, build_plate(key, 0, rows), [key])
    for _ in range(2):
        threads = [threading.Thread(target=write, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        seaweed.kill()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert errors
        assert all(TABLE in error for error in errors), errors
        seaweed.start()
        found = check_whole(read_table(open_catalog("embedded", seaweed.catalog_properties()), TABLE))
        # What was acknowledged is there; what was not is there whole or not at all.
        assert all(found[key] in (landed[key], landed[key] + 1) for key in keys), (found, landed)
        errors.clear()
        for key in keys:
            again = open_catalog("embedded", seaweed.catalog_properties())
            replace_partitions(again, TABLE, build_plate(key, 20_000, rows), [key])
        assert set(check_whole(read_table(catalog, TABLE)).values()) == {20_000}
        landed.update(dict.fromkeys(keys, 20_000))
