"""Digests of a root's files, read to their last byte, and whether every page is what was written."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.parquet_checksums import check_names, decode_all, open_parquet
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.warehouse.changes.stage_parts import digest_stream
from bioimage_assets.core.warehouse.files.root_files import RootFiles


def digest_stored(files: RootFiles, path: str) -> str | None:
    """Digest of a stored file, as ``parts.digest_file`` gives it of a staged one; None where there is none."""
    try:
        with files.filesystem().open_input_stream(files.arrow_path(path)) as stream:
            return digest_stream(stream)
    except FileNotFoundError:
        return None


def find_bad_pages(files: RootFiles, path: str) -> str | None:
    """What is wrong with the pages of a Parquet file, None where all of them can be decoded and fit their checksums."""
    try:
        with (
            files.filesystem().open_input_file(files.arrow_path(path)) as stream,
            open_parquet(stream) as parquet,
        ):
            check_names(parquet.schema_arrow)
            rows = decode_all(parquet)
            if rows != parquet.metadata.num_rows:
                return (
                    f"its footer says {count_words(parquet.metadata.num_rows, 'row')}, its pages hold {rows}"
                )
    except (pa.ArrowException, OSError) as error:
        return str(error)
    return None
