"""An inventory of a bucket in, the names below a root out: no listing is asked for.

Source of truth: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html: ``manifest.json`` names the
files and their columns; in CSV, keys are URL-encoded and there is no header. Only current versions of objects count.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.stores.base import MAX_DOCUMENT_BYTES
from bioimage_assets.core.stores.key_tree import KEYS, KeyTree, keep_below
from bioimage_assets.core.stores.open import local_path, open_store
from bioimage_assets.core.stores.tree import open_tree

_MAX_FILE_BYTES = 4 << 30
# Fields of ``fileSchema`` in CSV, and the columns that are called so in Parquet.
_COLUMNS = {
    "Key": "key", "VersionId": "version_id", "IsLatest": "is_latest", "IsDeleteMarker": "is_delete_marker",
    "Size": "size", "LastModifiedDate": "last_modified_date", "ETag": "e_tag", "Bucket": "bucket",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says: the bucket, where its files are, how they are written, and the columns of CSV."""

    bucket: str
    file_uris: tuple[str, ...]
    format: str
    columns: tuple[str, ...]


def open_inventory(
    root_uri: str, inventory_uri: str, storage_options: Mapping[str, object] | None = None
) -> KeyTree:
    """Names below ``root_uri`` as an inventory has them: its ``manifest.json``, or one Parquet file of it.

    A manifest that was copied has its files beside it, or in ``data/`` beside it or one folder up.

    Raises
    ------
    StoreError
        There is no such inventory, it is of another bucket, or is written in another way (ORC).
    """
    bucket, prefix = _split_root(root_uri)
    manifest = _read_manifest(inventory_uri, storage_options)
    if bucket is not None and manifest.bucket and manifest.bucket != bucket:
        raise UnsupportedStoreError(
            f"{inventory_uri} is an inventory of bucket {manifest.bucket!r}, found {bucket!r} asked for."
        )
    parts = [keep_below(_read_file(uri, manifest, storage_options), prefix) for uri in manifest.file_uris]
    keys = pa.concat_tables(parts) if parts else KEYS.empty_table()
    return KeyTree(open_tree(root_uri, storage_options), keys)


def _split_root(root_uri: str) -> tuple[str | None, str]:
    """Bucket and prefix; of a local copy nothing is cut off, its names are those of the inventory."""
    if local_path(root_uri) is not None:
        return None, ""
    parts = urlsplit(root_uri)
    return parts.netloc, parts.path.strip("/")


def _read_manifest(uri: str, storage_options: Mapping[str, object] | None) -> Manifest:
    if uri.lower().endswith(".parquet"):
        return Manifest("", (uri,), "Parquet", ())
    try:
        document = json.loads(_get(uri, MAX_DOCUMENT_BYTES, storage_options))
        schema = tuple(name.strip() for name in str(document["fileSchema"]).split(","))
        manifest = Manifest(
            str(document["sourceBucket"]), tuple(str(file["key"]) for file in document["files"]),
            str(document["fileFormat"]), schema,
        )  # fmt: skip
        target = str(document.get("destinationBucket", "")).rpartition(":")[2]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptStoreError(
            f"{uri}: no manifest of an S3 inventory (sourceBucket, fileFormat, fileSchema, files): {error!r}."
        ) from error
    if manifest.format not in ("CSV", "Parquet"):
        raise UnsupportedStoreError(
            f"{uri}: the inventory is written as {manifest.format}; expected CSV or Parquet."
        )
    found = tuple(_locate(uri, key, target, storage_options) for key in manifest.file_uris)
    return Manifest(manifest.bucket, found, manifest.format, manifest.columns)


def _locate(uri: str, key: str, bucket: str, storage_options: Mapping[str, object] | None) -> str:
    """Where a file of the inventory is: in the bucket that it was written to, or beside a copied manifest."""
    folder, name = uri.rpartition("/")[0] or ".", key.rpartition("/")[2]
    if local_path(uri) is None and bucket:
        return f"s3://{bucket}/{key}"
    for place in (folder, f"{folder}/data", f"{folder}/../data"):
        try:
            store = open_store(place, storage_options=storage_options)
        except StoreNotFoundError:
            continue
        try:
            store.head(name)
            return f"{place}/{name}"
        except KeyMissingError:
            continue
        finally:
            store.close()
    raise StoreNotFoundError(f"{uri} names {name}, which lies neither beside it nor in 'data/'.")


def _get(uri: str, max_bytes: int, storage_options: Mapping[str, object] | None) -> bytes:
    folder, _, name = uri.rpartition("/")
    store = open_store(folder or ".", storage_options=storage_options)
    try:
        return store.get(name, max_bytes=max_bytes)
    except KeyMissingError as error:
        raise StoreNotFoundError(str(error)) from error
    finally:
        store.close()


def _read_file(uri: str, manifest: Manifest, storage_options: Mapping[str, object] | None) -> pa.Table:
    payload = _get(uri, _MAX_FILE_BYTES, storage_options)
    try:
        rows = _read_csv(payload, manifest) if manifest.format == "CSV" else _read_parquet(payload)
    except (pa.ArrowException, OSError) as error:
        raise CorruptStoreError(f"{uri}: not a file of the inventory that can be read ({error}).") from error
    if "key" not in rows.column_names:
        raise CorruptStoreError(f"{uri}: the inventory has no column of keys; found {rows.column_names}.")
    return _build_keys(rows)


def _read_csv(payload: bytes, manifest: Manifest) -> pa.Table:
    names = [_COLUMNS.get(name, name) for name in manifest.columns]
    compression = "gzip" if payload.startswith(b"\x1f\x8b") else None
    with pa.input_stream(io.BytesIO(payload), compression=compression) as stream:
        rows = pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(column_names=names),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    keys = [unquote_plus(key) for key in rows["key"].to_pylist()]
    return rows.set_column(rows.column_names.index("key"), "key", pa.array(keys, pa.string()))


def _read_parquet(payload: bytes) -> pa.Table:
    wanted = list(_COLUMNS.values())
    file = pq.ParquetFile(pa.BufferReader(payload))
    return file.read(columns=[name for name in file.schema_arrow.names if name in wanted])


def _build_keys(rows: pa.Table) -> pa.Table:
    """Current objects; sizes and times that the inventory does not have are 0, so that a change is told by the ETag alone."""
    for name, wanted in (("is_latest", "true"), ("is_delete_marker", "false")):
        if name in rows.column_names:
            texts = pc.utf8_lower(rows[name].cast(pa.string()))
            rows = rows.filter(pc.fill_null(pc.equal(texts, wanted), True))
    count = rows.num_rows
    empty = pa.nulls(count, pa.string())
    size = rows["size"] if "size" in rows.column_names else empty
    version = rows["e_tag"] if "e_tag" in rows.column_names else empty
    return pa.table(
        [
            rows["key"].cast(pa.large_string()),
            pc.fill_null(size.cast(pa.int64()), 0),
            pa.array([0.0] * count, pa.float64()),
            pc.fill_null(version.cast(pa.string()), "").cast(pa.large_string()),
        ],
        schema=KEYS,
    )
