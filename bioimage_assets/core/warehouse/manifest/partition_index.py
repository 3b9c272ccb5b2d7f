"""Entries of a table's partitions in buckets of bounded size, and the index that names them: bytes and records.

A replaced plate changes one bucket, the index and the manifest, however many plates the table has. The bucket of a key
is told by the first bits of the key's digest; a bucket that grows too large is cut in two by the next bit. All
files are named by a digest of their content and never change: who knows an older manifest finds its own
entries until they are cleared away (``retired``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise

import orjson

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.manifest.layout import is_bucket_name, is_entries_name
from bioimage_assets.core.warehouse.manifest.partition_records import PartitionEntry, PartitionMap, read_steps

INDEX_VERSION = 1
MAX_BUCKET_PARTITIONS = 48
"""Some 15 kB; on average a bucket is two thirds full."""
MAX_INDEX_BYTES = 64 << 20
MAX_BUCKET_BYTES = 256 << 20  # one partition of a table without plates may have very many files
_KEY_BITS = 64
_MAX_COUNT = 1 << 48


@dataclass(frozen=True, slots=True)
class BucketRef:
    """One bucket as the index names it, with what it holds."""

    bits: str
    digest: str
    partition_count: int
    file_count: int
    row_count: int

    @property
    def name(self) -> str:
        """File name of the bucket."""
        return f"bucket-{self.bits}-{self.digest}.json"


@dataclass(frozen=True)
class PartitionIndex:
    """All buckets of a table by the bits that their keys share, and files that newer ones replaced, with the time.

    ``has_mixed``: some rows belong to no single partition.
    """

    folder: str
    buckets: Mapping[str, BucketRef] = field(default_factory=dict)
    has_mixed: bool = False
    retired: Mapping[str, str] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Rows of the whole table."""
        return self._totals[2]

    @property
    def partition_count(self) -> int:
        """Partitions of the table."""
        return self._totals[0]

    @property
    def file_count(self) -> int:
        """Parts of the table."""
        return self._totals[1]

    @cached_property
    def _totals(self) -> tuple[int, int, int]:
        """Partitions, files and rows, in one pass: every write makes an index of its own."""
        partitions = files = rows = 0
        for ref in self.buckets.values():
            partitions += ref.partition_count
            files += ref.file_count
            rows += ref.row_count
        return partitions, files, rows

    def has_bucket_named(self, name: str) -> bool:
        """Whether a file is that of one of the buckets."""
        ref = self.buckets.get(name.removeprefix("bucket-").partition("-")[0])
        return ref is not None and ref.name == name

    def find_bucket(self, key: str) -> str | None:
        """Bits of the bucket that would hold a key; None where there is none for it."""
        bits = key_bits(key)
        return next((bits[:n] for n in range(self._depth + 1) if bits[:n] in self.buckets), None)

    def place_bucket(self, key: str) -> str:
        """Bits of a bucket for a key that none of the buckets holds: as few as keep it apart from the others."""
        bits = key_bits(key)
        return next(
            bits[:n]
            for n in range(_KEY_BITS + 1)
            if not any(other.startswith(bits[:n]) for other in self.buckets)
        )

    @cached_property
    def _depth(self) -> int:
        return max(map(len, self.buckets), default=0)

    def to_bytes(self) -> bytes:
        """As the file stores it."""
        content = {
            "version": INDEX_VERSION,
            "folder": self.folder,
            "has_mixed": self.has_mixed,
            "buckets": {
                bits: [ref.digest, ref.partition_count, ref.file_count, ref.row_count]
                for bits, ref in self.buckets.items()
            },
            "retired": dict(self.retired),
        }
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class Bucket:
    """Partitions whose keys share some bits, and the calls that made them."""

    bits: str
    partitions: Mapping[str, PartitionEntry] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)

    def to_bytes(self, folder: str) -> bytes:
        """As the file stores it; ManifestError where what another tool wrote is nested too deep to be written again."""
        content = {
            "folder": folder,
            "bits": self.bits,
            "partitions": {key: part.to_dict() for key, part in self.partitions.items()},
            "steps": dict(self.steps),
        }
        try:
            return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise ManifestError(
                f"The entries of partitions in {folder} cannot be written again: {error}."
            ) from error

    def describe(self, digest: str) -> BucketRef:
        """What the index says of it; ``digest`` is that of its bytes."""
        parts = self.partitions.values()
        files, rows = sum(len(part.files) for part in parts), sum(part.row_count for part in parts)
        return BucketRef(self.bits, digest, len(self.partitions), files, rows)


def key_bits(key: str) -> str:
    """Bits of a key's digest."""
    return format(_key_number(key), f"0{_KEY_BITS}b")


def _key_number(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_KEY_BITS // 8).digest())


def cut_bucket(bucket: Bucket) -> list[Bucket]:
    """Cut a bucket by further bits until none is too large; an empty one is no bucket any more."""
    if not bucket.partitions:
        return []
    if len(bucket.partitions) <= MAX_BUCKET_PARTITIONS or len(bucket.bits) >= _KEY_BITS:
        used = {part.steps for part in bucket.partitions.values()}
        steps = {name: calls for name, calls in bucket.steps.items() if name in used}
        return [Bucket(bucket.bits, bucket.partitions, steps)]
    depth = len(bucket.bits)
    halves: dict[str, dict[str, PartitionEntry]] = {"0": {}, "1": {}}
    for key, part in bucket.partitions.items():
        halves[key_bits(key)[depth]][key] = part
    return [
        piece
        for bit, parts in halves.items()
        for piece in cut_bucket(Bucket(bucket.bits + bit, parts, bucket.steps))
    ]


def name_index(payload: bytes) -> str:
    """File name of an index."""
    return f"index-{digest_entries(payload)}.json"


def digest_entries(payload: bytes) -> str:
    """Digest of a file of entries, as its name has it."""
    return blake2b(payload, digest_size=10).hexdigest()


def parse_index(payload: bytes, folder: str, name: str, where: str) -> PartitionIndex:
    """Read an index.

    Raises
    ------
    ManifestError
        The bytes are not those that its name promises, or no index of this table or version.
    """
    content = _parse(payload, name, where)
    version = content.get("version")
    if isinstance(version, int) and version > INDEX_VERSION:
        raise ManifestError(
            f"{where} has the version {version}; up to {INDEX_VERSION} is understood. A newer version of this package wrote "
            "the root: use that one."
        )
    buckets, retired = content.get("buckets"), content.get("retired")
    if content.get("folder") != folder or version != INDEX_VERSION or not isinstance(buckets, dict):
        raise _odd(where, f"an index of the partitions in {folder!r}")
    refs = {bits: _parse_ref(bits, ref, where) for bits, ref in buckets.items()}
    _refuse_overlap(refs, where)
    kept = retired.items() if isinstance(retired, dict) else ()
    return PartitionIndex(
        folder,
        refs,
        content.get("has_mixed") is True,
        {name: str(time) for name, time in kept if is_entries_name(name)},
    )


def parse_bucket(payload: bytes, folder: str, bits: str, name: str, where: str) -> Bucket:
    """Read a bucket.

    Raises
    ------
    ManifestError
        The bytes are not those that its name promises, it is another table's, or holds keys of another bucket.
    """
    content = _parse(payload, name, where)
    partitions = content.get("partitions")
    if content.get("folder") != folder or content.get("bits") != bits or not isinstance(partitions, dict):
        raise _odd(where, f"the bucket {bits!r} of the partitions in {folder!r}")
    wanted, shift = int(bits or "0", 2), _KEY_BITS - len(bits)
    strangers = [key for key in partitions if _key_number(key) >> shift != wanted]
    if strangers:
        raise _odd(where, f"no entry for {strangers[0]!r}, which belongs to another bucket")
    return Bucket(bits, PartitionMap(partitions), read_steps(content.get("steps")))


def _parse(payload: bytes, name: str, where: str) -> Mapping[str, object]:
    if not name.endswith(f"-{digest_entries(payload)}.json"):
        raise _odd(where, "the bytes that were written")
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise _odd(where, f"JSON ({error})") from error
    if not isinstance(content, dict):
        raise _odd(where, "an object")
    return content


def _parse_ref(bits: str, ref: object, where: str) -> BucketRef:
    if isinstance(ref, list) and len(ref) == 4 and isinstance(ref[0], str):
        counts = [number for number in ref[1:] if _is_count(number)]
        if len(counts) == 3:
            found = BucketRef(bits, ref[0], *counts)
            if is_bucket_name(found.name):
                return found
    raise _odd(where, f"digest and counts of the bucket {bits!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _refuse_overlap(bits: Iterable[str], where: str) -> None:
    """No key may belong to two buckets."""
    ordered = sorted(bits)
    for first, second in pairwise(ordered):
        if second.startswith(first):
            raise _odd(where, f"one bucket for each key, and not both {first!r} and {second!r}")


def _odd(where: str, expected: str) -> ManifestError:
    return ManifestError(
        f"{where} is damaged, or was not written by this package: expected {expected}. The tables are untouched; "
        "`bioimage-assets maintain` writes the entries of the partitions anew from the files."
    )
