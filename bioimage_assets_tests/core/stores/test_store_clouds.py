"""Plates in Azure containers and Google buckets give the rows of the local copy, and say who may not read them.

``az://`` is tested against Azurite, a process of its own. ``gs://`` is tested against the local server that answers
the XML of Amazon's and Google's listings alike: what is Google's own (tokens, its metadata service) is not.
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.errors import KeyMissingError, StoreAccessError, StoreNotFoundError, UsageError
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets, scan_store_records
from bioimage_assets.core.stores import credentials
from bioimage_assets.core.stores.open import open_store
from bioimage_assets_tests.builders import tiff_plates
from bioimage_assets_tests.builders.azure_server import AzuriteServer, run_azurite
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff, write_pyramid
from bioimage_assets_tests.builders.zarr_documents import write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.builders.zarr_server import StandInS3

PLACE = ["uri", "fingerprint", "plate_key"]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteServer]:
    with run_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def gcs(tmp_path: Path) -> Iterator[StandInS3]:
    (tmp_path / "bucket").mkdir()
    with StandInS3(tmp_path / "bucket").running() as server:
        yield server


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(credentials, "_METADATA_SERVICE", ("127.0.0.1", 9))
    for name in [*credentials._GCS_ENVIRONMENT, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"]:
        monkeypatch.delenv(name, raising=False)


def write_stores(folder: Path) -> list[Path]:
    """One store of each kind: a sharded plate, an archive of it, OME-TIFFs, a plate folder."""
    plate = write_pixel_plate(folder / "my screen/P 1%µ.zarr", sharded=True)
    archive = folder / "P1.ozx"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(plate.rglob("*")):
            if path.is_file():
                opened.write(path, path.relative_to(plate))
    single = write_ome_tiff(folder / "a b.ome.tif", np.zeros((5, 16, 16), np.uint16), "CYX")
    pyramid = write_pyramid(folder / "p.ome.tif", np.zeros((3, 512, 512), np.uint16), "CYX")
    loose = tiff_plates.write_named(folder / "Plate7", tiff_plates.imagexpress_name, sites=2)
    return [plate, archive, single, pyramid, loose]


def check_stores(root: str, folder: Path, stores: list[Path], options: ScanOptions) -> None:
    for path in stores:
        uri = f"{root}/{path.relative_to(folder)}"
        remote, local = scan_image_assets(uri, options=options), scan_image_assets(str(path))
        assert remote.num_rows > 0
        assert remote.drop_columns(PLACE).equals(local.drop_columns(PLACE)), uri
        chunks = scan_chunk_index(uri, dataset_id="d", options=options).read_all()
        own = scan_chunk_index(str(path), dataset_id="d").read_all()
        assert chunks.num_rows > 0
        assert chunks.drop_columns(["plate_key"]).equals(own.drop_columns(["plate_key"])), uri


@pytest.mark.slow
def test_every_kind_of_store_in_an_azure_container_is_the_local_one(azurite: AzuriteServer, tmp_path: Path):
    stores = write_stores(tmp_path)
    container = azurite.create_container()
    azurite.upload(container, tmp_path)
    check_stores(f"az://{container}", tmp_path, stores, ScanOptions(storage_options=azurite.options()))
    options = ScanOptions(storage_options={k: v for k, v in azurite.options().items() if k != "account_name"})
    uri = f"abfss://{container}@devstoreaccount1.dfs.core.windows.net/a b.ome.tif"
    assert scan_image_assets(uri, options=options).num_rows == 1


@pytest.mark.slow
def test_an_azure_plate_costs_one_request_per_document_and_a_tiff_two(azurite: AzuriteServer, tmp_path: Path):
    wells = {f"{row}/{column}": [str(field) for field in range(9)] for row in "AB" for column in range(1, 7)}
    write_plate(tmp_path / "p.zarr", wells=wells, levels=("0", "1", "2"))
    write_ome_tiff(tmp_path / "a.ome.tif", np.zeros((5, 16, 16), np.uint16), "CYX")
    container = azurite.create_container()
    azurite.upload(container, tmp_path)
    options = ScanOptions(storage_options=azurite.options(), include_labels=False)
    images = len(scan_store_records(f"az://{container}/p.zarr", options).images)
    counts = azurite.count_requests()
    assert images == 108
    assert set(counts) == {"get"}
    assert counts["get"] / images <= 4.2
    scan_store_records(f"az://{container}/a.ome.tif", options)
    assert azurite.count_requests() == {"head": 1, "get": 1}


@pytest.mark.slow
def test_who_may_not_read_an_azure_container_is_told(
    azurite: AzuriteServer, tmp_path: Path, no_credentials: None
):
    write_pixel_plate(tmp_path / "p.zarr", columns=1)
    write_ome_tiff(tmp_path / "a.ome.tif", np.zeros((5, 16, 16), np.uint16), "CYX")
    private, public = azurite.create_container(), azurite.create_container(is_public=True)
    for container in (private, public):
        azurite.upload(container, tmp_path)
    place = {"endpoint": azurite.endpoint, "account_name": "devstoreaccount1"}
    anonymous = ScanOptions(storage_options={**place, "skip_signature": "true"})
    wrong = ScanOptions(storage_options=azurite.options(account_key=base64.b64encode(b"wrong" * 9).decode()))
    for name in ("p.zarr", "a.ome.tif", ""):
        for options in (wrong, anonymous):
            with pytest.raises(StoreAccessError, match="access denied"):
                scan_store_records(f"az://{private}/{name}", options)
    assert scan_chunk_index(f"az://{public}/p.zarr", options=anonymous).read_all().num_rows == 48
    assert len(scan_store_records(f"az://{public}/a.ome.tif", anonymous).images) == 1
    with pytest.raises(StoreNotFoundError, match="no such bucket"):
        scan_store_records("az://nothing-here/p.zarr", ScanOptions(storage_options=azurite.options()))
    with pytest.raises(StoreAccessError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        scan_store_records(f"az://{private}/p.zarr", ScanOptions(storage_options=place))


@pytest.mark.slow
def test_the_end_of_an_azure_blob_is_read_whatever_its_size(azurite: AzuriteServer, tmp_path: Path):
    (tmp_path / "five").write_bytes(b"01234")
    (tmp_path / "none").write_bytes(b"")
    container = azurite.create_container()
    azurite.upload(container, tmp_path)
    store = open_store(f"az://{container}", storage_options=azurite.options())
    assert [store.tail("five", count) for count in (2, 5, 9)] == [b"34", b"01234", b"01234"]
    assert store.tail("none", 4) == b""
    assert {item.key: item.version for item in store.list()} == {
        k: store.head(k).version for k in ("five", "none")
    }
    with pytest.raises(KeyMissingError):
        store.tail("absent", 4)


@pytest.mark.slow
def test_every_kind_of_store_in_a_google_bucket_is_the_local_one(gcs: StandInS3):
    stores = write_stores(gcs.root)
    check_stores("gs://bucket", gcs.root, stores, ScanOptions(storage_options=gcs.gcs_options()))


def test_a_google_bucket_is_asked_as_often_as_amazons(gcs: StandInS3):
    wells = {f"A/{column}": [str(field) for field in range(9)] for column in range(1, 5)}
    write_plate(gcs.root / "p.zarr", wells=wells, levels=("0", "1", "2"))
    for scheme, options in (("gs", gcs.gcs_options()), ("s3", gcs.options())):
        scan_options = ScanOptions(storage_options=options, include_labels=False)
        assert len(scan_store_records(f"{scheme}://bucket/p.zarr", scan_options).images) == 36
        assert set(gcs.counts) == {"get"}
        assert gcs.counts.pop("get") <= 7 + 4 + 4 * 36  # what the root is, wells, images with three levels


def test_who_may_not_read_a_google_bucket_is_told(gcs: StandInS3, no_credentials: None):
    write_pixel_plate(gcs.root / "p.zarr", columns=1)
    gcs.token = "right"
    signed = gcs.gcs_options(bearer_token="right")
    del signed["skip_signature"]
    assert len(scan_store_records("gs://bucket/p.zarr", ScanOptions(storage_options=signed)).images) == 2
    for name in ("p.zarr", "a.ome.tif", ""):
        for options in ({**signed, "bearer_token": "wrong"}, gcs.gcs_options()):
            with pytest.raises(StoreAccessError, match="access denied"):
                scan_store_records(f"gs://bucket/{name}", ScanOptions(storage_options=options))
    with pytest.raises(StoreAccessError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        scan_store_records("gs://bucket/p.zarr")


def test_options_of_one_service_do_not_disturb_another(gcs: StandInS3):
    write_pixel_plate(gcs.root / "p.zarr", columns=1)
    options = {
        "google_base_url": gcs.endpoint, "google_skip_signature": "true", "aws_endpoint": gcs.endpoint,
        "aws_skip_signature": "true", "aws_region": "us-east-1", "azure_storage_account_name": "a",
    }  # fmt: skip
    for scheme in ("gs", "s3"):
        scan = scan_store_records(f"{scheme}://bucket/p.zarr", ScanOptions(storage_options=options))
        assert len(scan.images) == 2
    with pytest.raises(UsageError, match="nonsense"):
        scan_store_records("gs://bucket/p.zarr", ScanOptions(storage_options={**options, "nonsense": "1"}))


@pytest.mark.parametrize("endpoint", ["s3.lab.example", ""])
def test_an_endpoint_without_its_scheme_is_named_before_anything_is_asked(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(
        UsageError, match=r"aws_endpoint is '.*'; expected an address that begins with https://"
    ):
        open_store("s3://screens/P7.ome.zarr", storage_options={"aws_endpoint": endpoint})
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL is"):
        open_store("s3://screens/P7.ome.zarr", storage_options={"aws_skip_signature": True})
