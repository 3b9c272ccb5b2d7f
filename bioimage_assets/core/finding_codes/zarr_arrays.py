"""Codes about single Zarr arrays: data types, chunk grids, shards, and chunks that are missing or damaged."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, INFO, WARNING, CodeFamily, FindingCode

ZARR_ARRAYS = CodeFamily(
    "zarr-arrays",
    "Zarr arrays, chunks and shards",
    seen_in=(
        "scan",
        "scan_findings",
        "chunk_index",
    ),
    page="stores.md#what-a-row-holds",
    codes=(
        FindingCode(
            "unknown-dtype",
            WARNING,
            means="The data type of an array is not one of fixed-size numbers; it is kept as text and the size of an element is unknown.",
            cause="The array has a structured, text or object type, or a Zarr v3 extension type.",
            remedy="Nothing, where the array is no image. Write images as integers or floats (`uint16`, `float32`).",
            page="broken-stores.md",
        ),
        FindingCode(
            "irregular-chunk-grid",
            WARNING,
            means="The chunk grid of an array is not regular, so it has no chunk shape and no chunk rows.",
            cause="The array was written with a rectilinear or other experimental grid of Zarr v3.",
            remedy="Write the array with the grid `regular`. Rows of the image are complete; crops and the chunk index are not available.",
            page="broken-stores.md",
        ),
        FindingCode(
            "bad-shard-layout",
            WARNING,
            means="The shards of an array cannot be divided into its inner chunks; rows are of whole shards.",
            cause="The shard shape is no multiple of the inner chunk shape, or a transpose codec before the shards names wrong axes.",
            remedy="Write the array again with a shard shape that is a multiple of the chunk shape in every axis.",
            page="broken-stores.md",
        ),
        FindingCode(
            "wrapped-shard",
            WARNING,
            means="A codec follows the sharding codec, so that inner chunks cannot be read alone.",
            cause="The array compresses whole shards once more (for example gzip after `sharding_indexed`).",
            remedy="Put compression inside the sharding codec (its `codecs`), and write the array again. Whole shards can be read meanwhile.",
            page="broken-stores.md",
        ),
        FindingCode(
            "nested-shards",
            WARNING,
            means="The inner chunks of an array are shards themselves; rows are of the outer ones.",
            cause="The array was written with two sharding codecs, one in the other.",
            remedy="Write the array with one sharding codec to have a row for each chunk. Pixels are read all the same.",
            page="broken-stores.md",
        ),
        FindingCode(
            "unreadable-shard-index",
            WARNING,
            means="The index of the shards is encoded in a way that is not read, so inner chunks have no place.",
            cause="`index_codecs` has a compressor or big-endian bytes. Read are little-endian bytes, with or without crc32c.",
            remedy="Write the array with the default index codecs (`bytes` little-endian, `crc32c`).",
            page="broken-stores.md",
        ),
        FindingCode(
            "odd-chunk-key-encoding",
            WARNING,
            means="The chunk key encoding of an array is not known and is read as `default`.",
            cause="The array has a name other than `default` or `v2` in `chunk_key_encoding`.",
            remedy="Correct `chunk_key_encoding` in zarr.json. If chunks count as missing in the chunk index, the keys were read wrong.",
            page="broken-stores.md",
        ),
        FindingCode(
            "odd-dimension-separator",
            WARNING,
            means="The dimension separator of a Zarr v2 array is neither `.` nor `/` and is read as `.`.",
            cause="`dimension_separator` in `.zarray` was edited or written by another program.",
            remedy="Correct it to the character that stands between the numbers in the names of the chunks.",
            page="broken-stores.md",
        ),
        FindingCode(
            "chunks-elsewhere",
            ERROR,
            means="All chunks of an array lie under keys that no reader looks at.",
            cause="The metadata say that the numbers of a chunk key are joined by one character, and the files are named with the other (`0.0.0` and "
            "`0/0/0`). Copying through an object store or renaming does this.",
            remedy="Correct `dimension_separator` (Zarr v2) or `chunk_key_encoding` (v3), or rename the chunks. Readers see an empty image until then.",
            page="broken-stores.md",
        ),
        FindingCode(
            "empty-chunks",
            ERROR,
            means="Chunks are files without bytes, which no codec can decode.",
            cause="A copy was cut off, or the disk was full while the store was written.",
            remedy="Copy the store again. `chunk_index` names the chunks (stored_bytes is 0).",
            page="broken-stores.md",
        ),
        FindingCode(
            "corrupt-shard",
            ERROR,
            means="The index of a shard is damaged or does not fit the file; the chunks in it count as not readable.",
            cause="The shard was cut off while it was copied or written, its checksum is wrong, or its index is larger than 64 MiB.",
            remedy="Copy the shard that the finding names again, or write the array again.",
            page="broken-stores.md",
        ),
        FindingCode(
            "packed-chunks",
            INFO,
            means="Chunks in a ZIP archive are compressed by the archive, too, so they have no byte offset in it.",
            cause="The archive was made with compression. RFC-9 asks for none.",
            remedy="Write the archive without compression (`zip -0`). Pixels are read all the same; virtual plates need the offsets.",
            page="stores.md#images-that-lie-in-an-archive",
        ),
        FindingCode(
            "chunks-not-listed",
            INFO,
            means="The server cannot list its files, so it is not known which chunks exist and how large they are.",
            cause="The store lies on a plain web server.",
            remedy="Nothing, where you only need the images. To ask for each chunk, allow at least the number in the message: with "
            "`bioimage-assets ingest --max-head-requests N`, or by BIOIMAGE_MAX_HEAD_REQUESTS and `bioimage-assets materialize --force`.",
            page="stores.md#what-a-scan-costs",
        ),
        FindingCode(
            "chunks-denied",
            WARNING,
            means="The server denies single chunks; they count as absent.",
            cause="A bucket that may not be listed answers 403 for what does not exist. It may also be that you may not read these objects.",
            remedy="Ask for the right to list the bucket. Then absent and forbidden chunks can be told apart.",
            page="stores.md#what-a-scan-costs",
        ),
    ),
)
