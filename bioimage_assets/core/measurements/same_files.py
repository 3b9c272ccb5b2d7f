"""Which of two equal measurement files of one plate is read, by the dataset's rule.

Only files of equal size are compared; what tells them apart is mostly seen in a few kilobytes of each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import compress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.cellprofiler_csv import CellProfilerFolder
from bioimage_assets.core.measurements.deepprofiler import inspect_npz
from bioimage_assets.core.measurements.find_sources import FoundSources
from bioimage_assets.core.measurements.measured_twice import MeasuredImage, choose_images
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.positions import parse_position
from bioimage_assets.core.model.file_kinds import measurement_kind
from bioimage_assets.core.text_files.open_csv import BROKEN_FILE_ERRORS, open_csv

# At the start, in the middle and at the end, before files of equal size are read in full.
_SAMPLE_BYTES = 4_096
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Source:
    """One file, or the files of one folder. ``is_comparable``: equal bytes mean that it is the same measurement."""

    name: str
    paths: tuple[str, ...]
    is_comparable: bool


def keep_one_of_same_files(found: FoundSources, context: PlateContext) -> tuple[FoundSources, list[Finding]]:
    """Leave out what is an earlier file or folder again; one without a row is never a copy.

    Folders and DeepProfiler files whose *names* tell their place are compared by their paths only. MeasurementError
    where the rule for duplicates is ``error``.
    """
    sources = _list_sources(found, context)
    first = _find_first(sources)
    rows = {i: _count_rows(sources[i].paths) for i, at in enumerate(first) if at != i}
    repeated = [i for i, count in rows.items() if count]
    copies = [
        MeasuredImage(
            None, f"{sources[i].name}, the same as {sources[first[i]].name}", rows[i], is_copy=True,
            source=sources[i].paths[0],
        )
        for i in repeated
    ]  # fmt: skip
    choice = choose_images(copies, context)
    kept = np.ones(len(sources), bool)
    kept[repeated] = choice.kept
    return replace(
        found,
        paths=tuple(compress(found.paths, kept)) if not found.folders else found.paths,
        names=tuple(compress(found.names, kept)) if not found.folders else found.names,
        folders=tuple(compress(found.folders, kept)),
    ), list(choice.findings)


def _list_sources(found: FoundSources, context: PlateContext) -> list[_Source]:
    if found.folders:
        return [
            _Source(folder.name, _files_of(folder), not _has_well(folder.name, context))
            for folder in found.folders
        ]
    names = found.names or found.paths
    is_comparable = found.kind in ("parquet", "csv", "in-carta")
    return [_Source(name, (path,), is_comparable) for name, path in zip(names, found.paths, strict=True)]


def _files_of(folder: CellProfilerFolder) -> tuple[str, ...]:
    return (*(path for _, path in folder.objects), *([folder.image_csv] if folder.image_csv else []))


def _has_well(name: str, context: PlateContext) -> bool:
    return parse_position(name, context.settings.file_pattern)["well"] is not None


def _find_first(sources: Sequence[_Source]) -> list[int]:
    """For each source the first that is the same, which may be itself."""
    first = list(range(len(sources)))
    by_identity: dict[tuple[tuple[int, int], ...], int] = {}
    by_size: dict[tuple[int, ...], list[int]] = {}
    for i, source in enumerate(sources):
        try:
            facts = [os.stat(path) for path in source.paths]
        except OSError:  # a link that leads to itself or nowhere: its reader says so
            continue
        at = by_identity.setdefault(tuple((one.st_dev, one.st_ino) for one in facts), i)
        if at != i:
            first[i] = at
        elif source.is_comparable:
            by_size.setdefault(tuple(one.st_size for one in facts), []).append(i)
    for alike in by_size.values():
        if len(alike) > 1:
            _compare(sources, alike, first)
    return first


def _compare(sources: Sequence[_Source], alike: Sequence[int], first: list[int]) -> None:
    """Find equal sources among those of equal sizes; whole files are read only where samples of them are equal."""
    by_sample: dict[bytes, list[int]] = {}
    for i in alike:
        by_sample.setdefault(b"".join(map(_digest_samples, sources[i].paths)), []).append(i)
    for some in by_sample.values():
        by_digest: dict[bytes, int] = {}
        for i in some if len(some) > 1 else ():
            first[i] = by_digest.setdefault(b"".join(map(_digest_file, sources[i].paths)), i)


def _digest_samples(path: str) -> bytes:
    """Digest of the begin, middle and end of a file."""
    size = os.path.getsize(path)
    digest = blake2b(digest_size=16)
    with open(path, "rb") as handle:
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            handle.seek(start)
            digest.update(handle.read(_SAMPLE_BYTES))
    return digest.digest()


def _digest_file(path: str) -> bytes:
    digest = blake2b()
    with open(path, "rb") as handle:
        while piece := handle.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.digest()


def _count_rows(paths: Sequence[str]) -> int:
    """Rows of the longest table among some files; a file that cannot be read is reported by its reader."""
    return max((_count_rows_of(path) for path in paths), default=0)


def _count_rows_of(path: str) -> int:
    kind = measurement_kind(path)
    try:
        if kind == "parquet":
            return int(pq.read_metadata(path).num_rows)
        if kind == "deepprofiler":
            return inspect_npz(path, Path(path).name.lower()).cell_count
        with open_csv(path) as handle:
            return max(0, sum(1 for line in handle if line.strip()) - 1)
    except (pa.ArrowException, ValueError, KeyError, *BROKEN_FILE_ERRORS):
        return 0
