"""Dagster's storage and the catalog on PostgreSQL, stores and tables in a bucket, several workers at once.

The instance is the file that is shipped in `deploy/`; only the environment differs from a laptop. Where network
namespaces are permitted every worker has a host of its own: another name, another address, another loopback.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog import load_catalog

from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.network_hosts import Host, Network, run_network
from bioimage_assets_tests.builders.restartable_postgres import PostgresServer, run_restartable_postgres
from bioimage_assets_tests.builders.s3_server import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    create_bucket,
    open_client,
    run_s3,
    storage_options,
)

pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
pytest.importorskip("psycopg2", reason="psycopg2 is not installed")

REPOSITORY = Path(__file__).resolve().parents[2]
PLATES = ["screen-a/SA-P1", "screen-a/SA-P2"]
IMAGE_ROWS = 36  # twelve wells of one field: the image and two label images

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@dataclass
class Site:
    """A shared installation: database, bucket and the environment that every process is given."""

    database: PostgresServer
    bucket: str
    endpoint: str
    home: Path
    hosts: tuple[Host, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        catalog = {
            "TYPE": "sql",
            "URI": f"postgresql+psycopg2://catalog@{self.database.address}:{self.database.port}/iceberg",
            "WAREHOUSE": f"s3://{self.bucket}/iceberg",
            "S3__ENDPOINT": self.endpoint,
            "S3__ACCESS_KEY_ID": ACCESS_KEY,
            "S3__SECRET_ACCESS_KEY": SECRET_KEY,
            "S3__REGION": REGION,
        }
        return {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_PG_HOST": self.database.address,
            "DAGSTER_PG_PORT": str(self.database.port),
            "DAGSTER_PG_DB": "dagster",
            "DAGSTER_PG_USERNAME": "catalog",
            "DAGSTER_PG_PASSWORD": "trusted",
            "BIOIMAGE_INCOMING": f"s3://{self.bucket}/incoming",
            "BIOIMAGE_WAREHOUSE": f"s3://{self.bucket}/warehouse",
            "BIOIMAGE_REPORTS": str(self.home / "reports"),
            "BIOIMAGE_CATALOG": "lab",
            "MPLBACKEND": "Agg",
            **{f"PYICEBERG_CATALOG__LAB__{name}": value for name, value in catalog.items()},
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }

    def start_worker(self, plate_key: str, *options: str) -> subprocess.Popen[str]:
        """One worker; on the host of the plate where there are hosts."""
        host = self.hosts[PLATES.index(plate_key)].prefix if self.hosts else []
        return subprocess.Popen(
            [*host, sys.executable, "-m", "bioimage_assets.cli.main", "materialize", "--plates", plate_key, *options],
            cwd=self.home, env={**os.environ, **self.environment, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run_workers(self, *options: str) -> list[str]:
        """All plates at once, a process each; gives the output of those that failed."""
        workers = [self.start_worker(key, *options) for key in PLATES]
        outputs = [worker.communicate(timeout=400)[0] for worker in workers]
        return [text for worker, text in zip(workers, outputs, strict=True) if worker.returncode]

    def image_rows(self) -> dict[str, int]:
        """Rows of the catalog per plate, read by PyIceberg alone."""
        # PyIceberg reads the environment when it is imported. The name is part of the table's identity.
        prefix = "PYICEBERG_CATALOG__LAB__"
        properties = {
            name.removeprefix(prefix).replace("__", ".").replace("_", "-").lower(): value
            for name, value in self.environment.items()
            if name.startswith(prefix)
        }
        catalog = load_catalog("lab", **properties)
        rows = catalog.load_table("bioimage.cytotable.image_assets").scan().to_arrow()
        return {row["values"]: row["counts"] for row in pc.value_counts(rows["plate_key"]).to_pylist()}

    def cell_rows(self) -> dict[str, int]:
        """Rows of joined cells per plate in the bucket."""
        warehouse = open_warehouse(
            f"s3://{self.bucket}/warehouse", storage_options=storage_options(self.endpoint)
        )
        rows = warehouse.read("joined_profiles", columns=["plate_key"])
        return {row["values"]: row["counts"] for row in pc.value_counts(rows["plate_key"]).to_pylist()}


def wait_for_start(worker: subprocess.Popen[str]) -> None:
    """Read a worker's output until it says that a plate is running."""
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.rstrip().endswith(": running"):
            return
    raise AssertionError("the worker ended before it started a plate")


def _open_network(servers: ExitStack) -> Network | None:
    """A host per plate, None where they are not permitted; a test says that then."""
    try:
        return servers.enter_context(run_network(len(PLATES)))
    except RuntimeError:
        return None


@pytest.fixture(scope="module")
def site(screens_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    shutil.copy(REPOSITORY / "deploy" / "dagster.postgres.yaml", home / "dagster.yaml")
    try:
        with ExitStack() as servers:
            network = _open_network(servers)
            address = network.gateway if network else "127.0.0.1"
            database = servers.enter_context(run_restartable_postgres(address))
            endpoint = servers.enter_context(run_s3(address))
            bucket = create_bucket(endpoint)
            client = open_client(endpoint)
            for path in sorted((screens_root / "screen-a").rglob("*")):
                if path.is_file():
                    key = f"incoming/{path.relative_to(screens_root).as_posix()}"
                    client.upload_file(str(path), bucket, key)
            built = Site(database, bucket, endpoint, home, network.hosts if network else ())
            failures = built.run_workers()
            assert not failures, failures[0][-2000:]
            yield built
    except RuntimeError as error:
        pytest.skip(str(error))


def test_workers_share_a_database_and_a_bucket(site: Site) -> None:
    assert site.image_rows() == dict.fromkeys(PLATES, IMAGE_ROWS)
    cells = site.cell_rows()
    assert set(cells) == set(PLATES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.environment.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(site.home)) as instance:
            assert sorted(instance.get_dynamic_partitions("plates")) == PLATES
            for asset in ("image_assets", "joined_profiles", "cytomining_warehouse"):
                assert instance.get_materialized_partitions(dg.AssetKey(asset)) == set(PLATES)


def test_every_worker_was_on_a_host_of_its_own(site: Site) -> None:
    if not site.hosts:
        with pytest.raises(RuntimeError) as reason, run_network(1):
            pass
        pytest.skip(str(reason.value))
    assert {host.address for host in site.hosts} <= site.database.clients()
    names = [
        subprocess.check_output([*host.prefix, sys.executable, "-c", "import socket; print(socket.gethostname())"])
        for host in site.hosts
    ]  # fmt: skip
    assert [name.decode().strip() for name in names] == ["worker-1", "worker-2"]


@pytest.mark.stress
def test_a_database_that_dies_in_the_middle_leaves_no_torn_partition(site: Site) -> None:
    cells = site.cell_rows()
    workers = [site.start_worker(key, "--force") for key in PLATES]
    for worker in workers:
        wait_for_start(worker)
    for pause_s in (2, 4):
        time.sleep(pause_s)
        site.database.kill()
        time.sleep(1)
        site.database.start()
    outputs = [worker.communicate(timeout=400)[0] for worker in workers]
    assert all("password" not in text and "trusted" not in text for text in outputs)

    # Whatever the workers were doing: complete old rows or complete new rows.
    assert site.image_rows() == dict.fromkeys(PLATES, IMAGE_ROWS)
    assert site.cell_rows() == cells
    root = f"s3://{site.bucket}/warehouse"
    valid = validate_warehouse_manifest(root, storage_options=storage_options(site.endpoint))
    assert valid.is_valid, valid.errors

    failures = site.run_workers("--force")
    assert not failures, failures[0][-2000:]
    assert site.image_rows() == dict.fromkeys(PLATES, IMAGE_ROWS)
    assert site.cell_rows() == cells
