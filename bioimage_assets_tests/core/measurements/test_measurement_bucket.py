"""A dataset in a bucket: settings, measurements, platemap and pixels open with the project's own credentials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import anndata
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import tifffile

from bioimage_assets.cli.main import main
from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.joins.contract import validate_microscopy_profile_table
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.duckdb_view import build_locator_view
from bioimage_assets.core.pixels.locate import locate
from bioimage_assets.core.pixels.proof import check_pixel_proof
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.public_api.export_tables import export_profiles_to_cytomining_warehouse
from bioimage_assets.core.public_api.join import join_image_assets_with_profiles, join_profiles_with_store
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.stores.pixel_store import ReadCount
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    write_cellprofiler_folder,
    write_npz,
    write_sqlite,
)
from bioimage_assets_tests.builders.s3_server import create_bucket, open_client, run_s3, storage_options
from bioimage_assets_tests.core.joins.join_builders import SmallPlate, write_small_plate

WRONG_PLACE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture(autouse=True)
def misleading_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_* of another account: whatever listens to it instead of the storage options fails."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setenv("AWS_ENDPOINT_URL", WRONG_PLACE)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")


@pytest.fixture
def upload(endpoint: str):
    """Copy a folder into a bucket of its own; gives its URI and the options that open it."""

    def copy(folder: Path) -> tuple[str, dict[str, str]]:
        client = open_client(endpoint)
        bucket = create_bucket(endpoint)
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            client.upload_file(str(path), bucket, f"screen/{path.relative_to(folder).as_posix()}")
        return f"s3://{bucket}/screen", storage_options(endpoint)

    return copy


def read_cells(source: str, options: dict[str, str] | None):
    result = read_measurements(
        [source],
        plate_key="screen/P1",
        dataset_id="screen",
        plate_name="P1",
        settings=DatasetSettings(),
        storage_options=options,
    )
    return result, result.reader.read_all()


def test_every_kind_of_measurement_is_read_from_a_bucket(tmp_path: Path, upload) -> None:
    spec = PlateSpec(cells={1: 3, 2: 2})
    write_cellprofiler_folder(tmp_path / "csv", spec)
    write_sqlite(tmp_path / "P1.sqlite", {None: spec})
    _, expected = read_cells(str(tmp_path / "csv"), None)
    pq.write_table(expected, tmp_path / "P1.parquet")
    write_npz(tmp_path / "npz" / "A01_5.npz", cells=3)
    library = anndata.AnnData(np.arange(6.0).reshape(3, 2))
    library.write_h5ad(tmp_path / "P2.h5ad")
    uri, options = upload(tmp_path)
    for name in ("csv", "P1.sqlite", "P1.parquet"):
        result, cells = read_cells(f"{uri}/{name}", options)
        assert cells.select(expected.schema.names).equals(expected), name
        assert all(file.startswith(uri) for file in result.source_files)
    assert read_cells(f"{uri}/npz", options)[1].num_rows == 3
    cells = read_cells(f"{uri}/P2.h5ad", options)[1]
    assert cells.select(["0", "1"]).to_pandas().equals(library.to_df().reset_index(drop=True))


def test_settings_and_platemap_are_read_from_a_bucket(tmp_path: Path, upload) -> None:
    (tmp_path / "dataset.toml").write_text(
        '[platemaps]\ndir = "layouts"\n\n[join]\nprofile_site_offset = 1\n'
    )
    maps = tmp_path / "layouts" / "platemap"
    maps.mkdir(parents=True)
    (tmp_path / "layouts" / "barcode_platemap.csv").write_text(
        "Assay_Plate_Barcode,Plate_Map_Name\nP1,first\n"
    )
    (maps / "first.txt").write_text("well_position\tcompound\tbroad_sample\nA01\tDMSO\tB1\nA02\tx\tB2\n")
    external = tmp_path / "layouts" / "external_metadata"
    external.mkdir()
    (external / "compounds.tsv").write_text("broad_sample\ttarget\nB2\tTUBB\n")
    uri, options = upload(tmp_path)
    settings = read_dataset_settings(uri, storage_options=options)
    assert (settings.platemap_dir, settings.profile_site_offset) == ("layouts", 1)
    platemap = read_platemap(uri, "P1", settings, storage_options=options)
    local = read_platemap(tmp_path, "P1", settings)
    assert platemap is not None
    assert local is not None
    assert platemap.table.equals(local.table)
    assert platemap.table["Metadata_target"].to_pylist() == [None, "TUBB"]
    assert platemap.uri == f"{uri}/layouts/platemap/first.txt"
    assert read_platemap(uri, "P1", DatasetSettings(), storage_options=options) is None
    assert read_dataset_settings(f"{uri}/elsewhere", storage_options=options) == DatasetSettings()


@pytest.mark.slow
def test_crops_and_their_proof_are_cut_from_a_bucket_chunk_by_chunk(tmp_path: Path, upload) -> None:
    plate: SmallPlate = write_small_plate(tmp_path)
    uri, options = upload(tmp_path)
    remote = pa.array([f"{uri}/{plate.store.name}"] * plate.images.num_rows)
    images = plate.images.set_column(plate.images.schema.names.index("uri"), "uri", remote)
    joined = join_plate(images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()
    count = ReadCount()
    location = locate(joined.to_pylist()[0], image_assets=images, storage_options=options)
    crop = read_crop(location, count=count, storage_options=options)
    np.testing.assert_array_equal(crop, plate.pixels["P1:A01:0"][:, 5:25, 7:25])
    assert sorted(count.keys) == ["A/1/0/0/c/0/0/0", "A/1/0/0/c/1/0/0"]
    assert [f"A/1/0/0/{chunk.chunk_key}" for chunk in location.chunks] == sorted(count.keys)
    assert locate(joined.to_pylist()[0], image_assets=images).chunks == ()
    proof = check_pixel_proof(joined, images, storage_options=options)
    assert proof.is_passed
    assert proof.checked_count == 2


def test_digests_and_crops_of_tiffs_are_read_from_a_bucket(tmp_path: Path, upload) -> None:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    tifffile.imwrite(tmp_path / "renamed.tif", pixels)
    uri, options = upload(tmp_path)
    scan = ScanOptions(dataset_id="ds", plate_key="ds/P1", storage_options=options)
    images = scan_image_assets(f"{uri}/renamed.tif", options=scan)
    digest = hashlib.md5((tmp_path / "renamed.tif").read_bytes()).hexdigest()
    cells = [
        {"Image_MD5Digest_DNA": digest, "Cells_Location_Center_X": 30.0, "Cells_Location_Center_Y": 40.0}
    ]
    settings = DatasetSettings(match_md5=True)
    result = join_plate(
        images, cells, settings=settings, plate_key="ds/P1", dataset_id="ds", storage_options=options
    )
    (row,) = result.table().to_pylist()
    assert row["join_rule"] == "md5"
    location = locate(row, image_assets=images, storage_options=options)
    assert location.chunks[0].chunk_key == "renamed.tif#0"
    crop = read_crop(location, storage_options=options)
    np.testing.assert_array_equal(crop.reshape(56, -1), pixels[8:64, 0:62])


def check_every_entry(uri: str, plate: SmallPlate, folder: Path, options: dict[str, str]) -> None:
    """Every call that takes a table reads it from the bucket and says the same as of the local one."""
    images, joined = f"{uri}/images.parquet", f"{uri}/joined"
    for table in (f"{uri}/cells/part-*.parquet", f"{uri}/cells.csv.gz"):
        linked = join_image_assets_with_profiles(images, table, storage_options=options)
        assert linked["join_rule"].to_pylist() == ["plate_well_site"] * 6, table
    assert validate_microscopy_profile_table(f"{uri}/cells", storage_options=options).linking_rules
    expected = locate("ds/P1/0/2", joined=folder / "joined", image_assets=plate.images)
    found = locate("ds/P1/0/2", joined=joined, image_assets=images, storage_options=options)
    assert (found.slices, len(found.chunks)) == (expected.slices, len(expected.chunks))
    assert check_pixel_proof(joined, images, storage_options=options).is_passed
    connection = duckdb.connect()
    build_locator_view(connection, joined, images, storage_options=options)
    assert connection.execute("SELECT count(*) FROM cell_pixels").fetchone() == (6,)
    with pytest.raises(BioimageError, match="No Parquet or CSV table"):
        query_metadata_table(f"{uri}/nothing", storage_options=options)


@pytest.mark.slow
def test_tables_in_a_bucket_open_everywhere_with_the_options_that_images_open_with(
    tmp_path: Path, upload, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plate = write_small_plate(tmp_path)
    for folder in ("cells", "joined"):
        (tmp_path / folder).mkdir()
    pq.write_table(plate.cells.slice(0, 3), tmp_path / "cells/part-0.parquet")
    pq.write_table(plate.cells.slice(3), tmp_path / "cells/part-1.parquet")
    pq.write_table(plate.images, tmp_path / "images.parquet")
    joined = join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds")
    joined.write_parquet(tmp_path / "joined/part.parquet")
    with pa.CompressedOutputStream(str(tmp_path / "cells.csv.gz"), "gzip") as stream:
        pa_csv.write_csv(plate.cells, stream)
    uri, options = upload(tmp_path)
    check_every_entry(uri, plate, tmp_path, options)

    for name, value in {**options, "max_retries": "1", "timeout": "30s"}.items():
        monkeypatch.setenv(f"BIOIMAGE_STORAGE_{name.upper()}", value)
    assert join_profiles_with_store(f"{uri}/{plate.store.name}", f"{uri}/cells").num_rows == 6
    assert main(["locate", "ds/P1/0/2", "--joined", f"{uri}/joined", "--image-assets", f"{uri}/images.parquet",
                 "--catalog", "none", "--json"]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["object_id"] == "ds/P1/0/2"
    export_profiles_to_cytomining_warehouse(f"{uri}/cells", f"{uri}/warehouse", profile_dataset_id="ds")
    assert open_warehouse(f"{uri}/warehouse").read("profiles").num_rows == 6
