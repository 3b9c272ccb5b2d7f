"""Partitions of a table as records: the files that hold each, their rows and bytes, and where they came from.

What is read may come from anybody: words of the wrong kind are as good as none.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, ItemsView, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass

from bioimage_assets.core.warehouse.manifest.layout import is_file_name

_MAX_COUNT = 1 << 48  # sums of such counts stay within int64


@dataclass(frozen=True, slots=True)
class PartitionEntry:
    """Files that hold one partition (names in the table's folder), their rows, and where they came from.

    ``steps`` is the key of the calls that made them, in the table's ``steps``. ``file_bytes`` and ``file_digests`` are in the
    order of ``files``: 0 and the empty text where they are not known, as in manifests of earlier versions.
    """

    files: tuple[str, ...]
    row_count: int
    fingerprint: str | None = None
    run_id: str | None = None
    updated_at: str | None = None
    digest: str | None = None
    file_rows: tuple[int, ...] = ()
    steps: str | None = None
    file_bytes: tuple[int, ...] = ()
    file_digests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.files)
        if len(self.file_bytes) != count:
            object.__setattr__(self, "file_bytes", (*self.file_bytes, *[0] * count)[:count])
        if len(self.file_digests) != count:
            known = self.file_digests or ((self.digest or "",) if count == 1 else ())
            object.__setattr__(self, "file_digests", (*known, *[""] * count)[:count])

    def size_of(self, name: str) -> int:
        """Bytes of one of the files as they were written, 0 where that is not known."""
        return self.file_bytes[self.files.index(name)]

    def digest_of(self, name: str) -> str:
        """Digest of one of the files as it was written, empty where that is not known."""
        return self.file_digests[self.files.index(name)]

    def to_dict(self) -> dict[str, object]:
        """As the manifest stores it."""
        content: dict[str, object] = {"files": list(self.files), "rows": self.row_count}
        for name in ("fingerprint", "run_id", "updated_at", "digest", "steps"):
            if getattr(self, name) is not None:
                content[name] = getattr(self, name)
        if len(self.files) > 1:
            content["file_rows"] = list(self.file_rows)
        if any(self.file_bytes):
            content["file_bytes"] = list(self.file_bytes)
        if any(self.file_digests) and self.file_digests != (self.digest,):
            content["file_digests"] = list(self.file_digests)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> PartitionEntry:
        """Read an entry back."""
        # A manifest may come from anybody: what is not a name of a file of the table's folder names nothing.
        # 130,000 of these are read for 10,000 plates: each field once, no generator.
        get = content.get
        files = tuple([name for name in map(str, as_list(get("files"))) if is_file_name(name)])
        rows = as_count(get("rows")) or 0
        counts = tuple([as_count(n) or 0 for n in as_list(get("file_rows"))])
        if len(counts) != len(files):
            counts = (rows, *(0 for _ in files[1:])) if files else ()
        digest = as_text(get("digest"))
        digests = tuple(map(str, as_list(get("file_digests"))))
        return cls(
            files, rows, as_text(get("fingerprint")), as_text(get("run_id")), as_text(get("updated_at")), digest, counts,
            as_text(get("steps")), tuple([as_int(size) or 0 for size in as_list(get("file_bytes"))]), digests,
        )  # fmt: skip


class PartitionMap(Mapping[str, PartitionEntry]):
    """Partitions of one table, read from their JSON only when asked for: a root of 2,000 plates has 20,000.

    Several threads may ask: the JSON is let go only after everything is read, and whoever looks for a key takes it before.
    """

    __slots__ = ("_parsed", "_raw")

    def __init__(self, raw: Mapping[str, object]) -> None:
        self._raw = {str(key): value for key, value in raw.items() if isinstance(value, dict)}
        self._parsed: dict[str, PartitionEntry] = {}

    def __getitem__(self, key: str) -> PartitionEntry:
        raw = self._raw
        found = self._parsed.get(key)
        if found is None:
            found = self._parsed[key] = PartitionEntry.from_dict(raw[key])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw or self._parsed)

    def __len__(self) -> int:
        return len(self._raw or self._parsed)

    def items(self) -> ItemsView[str, PartitionEntry]:
        """All partitions; no key is looked for."""
        return self._parse_all().items()

    def values(self) -> ValuesView[PartitionEntry]:
        """The same without keys."""
        return self._parse_all().values()

    def _parse_all(self) -> dict[str, PartitionEntry]:
        raw, known = self._raw, self._parsed
        if raw:
            self._parsed = {
                key: known.get(key) or PartitionEntry.from_dict(value) for key, value in raw.items()
            }
            # Half of the memory, and of 130,000 partitions a sixth of the time.
            self._raw = {}
        return self._parsed


class IndexedPartitions(Mapping[str, PartitionEntry]):
    """Partitions of one table whose entries stand in files beside the manifest, and are read when they are asked for."""

    index_path: str

    @property
    @abstractmethod
    def row_count(self) -> int:
        """Rows of all partitions, without reading their entries."""

    @abstractmethod
    def choose(self, keys: Collection[str]) -> dict[str, PartitionEntry]:
        """Those of some partitions that are there; what is not known yet is read at once."""

    @property
    @abstractmethod
    def steps(self) -> Mapping[str, Sequence[Mapping[str, object]]]:
        """Calls that made the partitions, as the table's entry has them."""


OpenPartitions = Callable[[str], IndexedPartitions]
"""Gives the partitions that an index names, by its path below the root."""


def as_list(value: object) -> list[object]:
    """A list; anything else is an empty one."""
    return list(value) if isinstance(value, (list, tuple)) else []


def as_text(value: object) -> str | None:
    """A text; None stays None."""
    return None if value is None else str(value)


def as_int(value: object) -> int | None:
    """A number that JSON can hold; sums of what a manifest claims stay far below 64 bit (see ``as_count``)."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < 1 << 63 else None


def as_count(value: object) -> int | None:
    """A number of rows or of changes; what nobody can have counted is not a claim."""
    found = as_int(value)
    return found if found is not None and 0 <= found < _MAX_COUNT else None


def read_steps(value: object) -> dict[str, list[Mapping[str, object]]]:
    """Lists of calls by their keys; what is no such list is left out."""
    found = value.items() if isinstance(value, dict) else ()
    return {str(key): [step for step in as_list(steps) if isinstance(step, dict)] for key, steps in found}
