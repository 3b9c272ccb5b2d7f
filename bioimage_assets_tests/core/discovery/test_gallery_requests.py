"""A gallery in a bucket is listed with one request per 1,000 names, or not at all where an inventory has them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote_plus

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.discovery.gallery_check import GalleryCheck, check_gallery
from bioimage_assets.core.discovery.gallery_inventory import open_inventory
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import CorruptStoreError, StoreNotFoundError, UnsupportedStoreError
from bioimage_assets.core.stores.key_tree import list_key_tree
from bioimage_assets_tests.builders.gallery import (
    BUCKET,
    image_folder,
    list_images,
    write_platemap,
    write_rows,
)
from bioimage_assets_tests.builders.s3_gate import Gate, run_gate
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.builders.tiff_plates import phenix_name

SOURCE = "cpg0016-jump/source_4"
PLATES = ("BR1", "BR2", "BR3")
ROWS = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 25)]
ABSENT = 7


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[Gate, str]]:
    """A bucket behind a door that counts, with three plates of 192 wells: 1,152 images less seven, and a few tables."""
    with run_s3() as upstream, run_gate(upstream) as gate:
        name = create_bucket(upstream)
        store = obstore.store.from_url(
            f"s3://{name}", **{k: v for k, v in storage_options(upstream).items() if k != "allow_http"},
            client_options={"allow_http": True},
        )  # fmt: skip
        for key in list_keys():
            obstore.put(store, key, b"x")
        for key, payload in tables():
            obstore.put(store, key, payload)
        yield gate, name


def list_keys() -> list[str]:
    """Images; the first seven of the last plate were lost."""
    keys = [
        f"{SOURCE}/{image_folder('2021_B1', plate)}/{phenix_name(well, 1, channel)}"
        for plate in PLATES
        for well in ROWS
        for channel in (1, 2)
    ]
    lost = len(keys) - 2 * len(ROWS)
    return [*keys[:lost], *keys[lost + ABSENT :]]


def tables(root: Path | None = None) -> list[tuple[str, bytes]]:
    """LoadData tables and platemaps, written below a folder and read back."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        source = (root or Path(scratch)) / SOURCE
        for plate in PLATES:
            folder = f"{BUCKET}/{SOURCE}/{image_folder('2021_B1', plate)}"
            rows = [{**row, "Metadata_Plate": plate} for row in list_images(folder, ROWS)]
            write_rows(source / "workspace/load_data_csv/2021_B1" / plate / "load_data.csv", rows)
            write_platemap(source, "2021_B1", plate, ROWS)
        base = root or Path(scratch)
        return [(str(p.relative_to(base)), p.read_bytes()) for p in sorted(base.rglob("*")) if p.is_file()]


def options_of(gate: Gate) -> dict[str, str]:
    return storage_options(gate.address)


def check_counts(gate: Gate) -> tuple[int, int]:
    """Listings and other requests since the door began to count."""
    listed = gate.counts["LIST"]
    return listed, sum(gate.counts.values()) - listed


def require_faults(found: GalleryCheck) -> None:
    assert [(plate.plate, plate.absent_count) for plate in found.plates] == [
        ("BR1", 0),
        ("BR2", 0),
        ("BR3", ABSENT),
    ]
    assert sorted({finding.code for finding in found.all_findings}) == [
        "gallery-images-absent",
        "gallery-no-measurements",
    ]


def test_a_check_lists_one_request_per_thousand_names_and_reads_each_table_once(bucket) -> None:
    gate, name = bucket
    count = len(list_keys()) + len(tables())
    gate.watch(lambda number, name: False)
    tree = list_key_tree(f"s3://{name}", options_of(gate))
    assert len(tree) == count
    assert check_counts(gate) == (-(-count // 1000), 0)
    require_faults(check_gallery(tree, options_of(gate)))
    # Three LoadData tables, one list of barcodes, three platemaps; nothing is listed again.
    assert check_counts(gate) == (-(-count // 1000), 7)


def test_the_sensors_look_at_a_gallery_lists_folders_of_plates_and_no_image_twice(bucket) -> None:
    gate, name = bucket
    gate.watch(lambda number, name: False)
    found = discover_plates(f"s3://{name}", storage_options=options_of(gate))
    assert [source.plate_key for source in found.sources] == [
        f"cpg0016-jump__source_4/{plate}" for plate in PLATES
    ]
    listed, others = check_counts(gate)
    assert others == 0
    # 15 for the folders of a project with one source and one batch, and each plate's own images once: one request per 1,000.
    assert listed == 15 + len(PLATES)


@pytest.fixture(params=["CSV", "Parquet"])
def inventory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An inventory of the same keys as S3 writes it, in two files, with an old version and a deleted object."""
    sizes = [(key, 1) for key in list_keys()] + [(key, len(payload)) for key, payload in tables()]
    rows = [("lab", key, True, False, size, f"e{number}") for number, (key, size) in enumerate(sizes)]
    rows += [("lab", f"{SOURCE}/images/2021_B1/images/BR8/old.tiff", False, False, 1, "o"), ("lab", f"{SOURCE}/images/2021_B1/images/BR8/gone.tiff", True, True, None, None)]  # fmt: skip
    rows.append(("lab", "other/file with a blank+plus.txt", True, False, 1, "f"))
    names = ["Bucket", "Key", "IsLatest", "IsDeleteMarker", "Size", "ETag"]
    files = []
    for number, part in enumerate((rows[:700], rows[700:])):
        suffix = "csv.gz" if request.param == "CSV" else "parquet"
        path = tmp_path / "data" / f"{number}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        (write_csv if request.param == "CSV" else write_parquet)(path, part)
        files.append({"key": f"inv/lab/all/data/{path.name}", "size": path.stat().st_size})
    manifest = {
        "sourceBucket": "lab", "destinationBucket": "arn:aws:s3:::lab-inventory", "version": "2016-11-30",
        "fileFormat": request.param, "fileSchema": ", ".join(names) if request.param == "CSV" else "message s3.inventory {}",
        "files": files,
    }  # fmt: skip
    path = tmp_path / "2026-11-30T01-00Z" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps(manifest))
    return path


def write_csv(path: Path, rows: Sequence[tuple[object, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for bucket, key, latest, deleted, size, etag in rows:
        writer.writerow([bucket, quote_plus(str(key), safe="/"), str(latest).lower(), str(deleted).lower(), "" if size is None else size, etag or ""])  # fmt: skip
    path.write_bytes(gzip.compress(text.getvalue().encode()))


def write_parquet(path: Path, rows: Sequence[tuple[object, ...]]) -> None:
    names = ("bucket", "key", "is_latest", "is_delete_marker", "size", "e_tag")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)


def test_an_inventory_gives_the_same_plates_and_faults_without_any_listing(bucket, inventory: Path) -> None:
    gate, name = bucket
    manifest = json.loads(inventory.read_text())
    inventory.write_text(json.dumps(manifest | {"sourceBucket": name}))
    gate.watch(lambda number, name: False)
    tree = open_inventory(f"s3://{name}", str(inventory), options_of(gate))
    listed = list_key_tree(f"s3://{name}", options_of(gate))
    assert [e.path for e in tree.walk("cpg0016-jump")] == [e.path for e in listed.walk("")]
    assert [e.size_bytes for e in tree.walk("cpg0016-jump")] == [e.size_bytes for e in listed.walk("")]
    assert [entry.name for entry in tree.children("other")] == ["file with a blank+plus.txt"]
    gate.watch(lambda number, name: False)
    found = check_gallery(tree, options_of(gate))
    require_faults(found)
    assert check_counts(gate) == (0, 7)
    by_listing = check_gallery(listed, options_of(gate))
    assert found.plates == by_listing.plates
    below = open_inventory(f"s3://{name}/{SOURCE}", str(inventory), options_of(gate))
    assert [e.path for e in below.walk("")] == [e.path[len(SOURCE) + 1 :] for e in listed.walk(SOURCE)]
    assert [plate.plate for plate in check_gallery(below, options_of(gate)).plates] == list(PLATES)


def test_an_inventory_that_cannot_be_used_is_refused_by_name(inventory: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedStoreError, match="inventory of bucket 'lab', found 'other'"):
        open_inventory("s3://other", str(inventory))
    document = json.loads(inventory.read_text())
    inventory.write_text(json.dumps(document | {"fileFormat": "ORC"}))
    with pytest.raises(UnsupportedStoreError, match="written as ORC; expected CSV or Parquet"):
        open_inventory("s3://lab", str(inventory))
    inventory.write_text("{}")
    with pytest.raises(CorruptStoreError, match="no manifest of an S3 inventory"):
        open_inventory("s3://lab", str(inventory))
    inventory.write_text(json.dumps(document | {"files": [{"key": "a/lost.csv.gz"}]}))
    with pytest.raises(StoreNotFoundError, match=r"lost\.csv\.gz, which lies neither beside it"):
        open_inventory("s3://lab", str(inventory))
    inventory.write_text(json.dumps(document))
    for path in tmp_path.glob("data/*"):
        path.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(CorruptStoreError, match="not a file of the inventory"):
        open_inventory(str(tmp_path), str(inventory))
