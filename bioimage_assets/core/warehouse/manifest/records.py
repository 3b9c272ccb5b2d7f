"""``warehouse_manifest.json`` as typed records: what every table is for, how it joins, and which files hold it.

Source: Cytomining warehouse specification 1.0.0 (M1-M5) and the manifest of the seeds. Keys that
other tools wrote, at the top or in an entry, are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import orjson

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.manifest.layout import (
    Layout,
    is_schema_path,
    split_index_path,
)
from bioimage_assets.core.warehouse.manifest.partition_records import (
    OpenPartitions,
    PartitionEntry,
    PartitionMap,
    as_count,
    as_int,
    as_list,
    as_text,
    read_steps,
)
from bioimage_assets.core.warehouse.manifest.roles import SPEC_VERSION

_ENTRY_KEYS = (
    "table_name", "role", "format", "join_keys", "columns", "column_types", "row_count", "source_type", "source_ref",
    "analysis_level", "object_type", "snapshot_id", "partition_column", "partitions", "partition_count",
    "partition_index", "schema_file", "gone_files", "steps", "updated_at",
)  # fmt: skip
# What stands in the index of the partitions, or only beside its name.
_BESIDE = frozenset({"partitions", "steps"})
_OF_INDEX = frozenset({"partition_index", "partition_count"})
# Keys that earlier versions wrote and nobody needs.
_FORMER_KEYS = ("unaligned_files",)
_TOP_KEYS = ("warehouse_root", "warehouse_spec_version", "layout", "generation", "tables")


@dataclass(frozen=True, slots=True)
class WarehouseTableManifestEntry:
    """One table of a warehouse root.

    ``join_keys`` and ``columns`` (names) are lists, as the seeds have them; ``column_types`` are Arrow types.
    ``row_count`` is the whole table's. ``partitions`` are read from the files beside the manifest when they are asked for; in
    manifests of earlier versions they stand in the entry itself. ``partition_index`` names these files. ``partitions`` is None
    for entries that another tool wrote without naming files. ``gone_files`` are objects under names of another tool, with the version that is no longer part of the table:
    a bucket may still hold them. ``steps`` are the calls that made the partitions, with their arguments and the versions of
    their libraries, each list once under the key that the partitions give. ``extra`` holds keys this project does not know.
    """

    table_name: str
    role: str
    format: str = "parquet"
    join_keys: Sequence[str] = ()
    columns: Sequence[str] = ()
    row_count: int | None = None
    source_type: str | None = None
    source_ref: str | None = None
    column_types: Mapping[str, str] = field(default_factory=dict)
    analysis_level: str | None = None
    object_type: str | None = None
    snapshot_id: int | None = None
    partition_column: str | None = None
    partitions: Mapping[str, PartitionEntry] | None = None
    partition_count: int | None = None
    partition_index: str | None = None
    schema_file: str | None = None
    gone_files: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    updated_at: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    # JSON of this entry: an entry that no write touches is neither built nor encoded again.
    _encoded: bytes | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("join_keys", "columns"):
            object.__setattr__(self, name, list(getattr(self, name)))

    def to_bytes(self) -> bytes:
        """JSON of the entry, indented as it stands in the file."""
        if self._encoded is None:
            object.__setattr__(self, "_encoded", _encode_entry(self.to_stored_dict()))
        assert self._encoded is not None
        return self._encoded

    def to_dict(self) -> dict[str, object]:
        """The whole entry with all partitions; keys that were never set are left out, except the seeds' own."""
        return self._to_dict(_OF_INDEX)

    def to_stored_dict(self) -> dict[str, object]:
        """As the manifest stores it: without what stands in the files that ``partition_index`` names."""
        return self._to_dict(_BESIDE if self.is_indexed else _OF_INDEX)

    @property
    def is_indexed(self) -> bool:
        """Whether the partitions stand in the files that ``partition_index`` names, and are as these say."""
        if self.partition_index is None:
            return False
        return self.partitions is None or getattr(self.partitions, "index_path", None) == self.partition_index

    def _to_dict(self, left_out: frozenset[str]) -> dict[str, object]:
        content: dict[str, object] = dict(self.extra)
        for name in _ENTRY_KEYS:
            if name in left_out:
                continue
            value = getattr(self, name)
            if name in ("gone_files", "column_types", "steps") and not value:
                continue
            if value is None and name not in ("row_count", "source_type", "source_ref"):
                continue
            if name == "partitions":
                value = {key: part.to_dict() for key, part in value.items()}
            elif isinstance(value, Mapping):
                value = dict(value)
            content[name] = list(value) if isinstance(value, tuple | list) else value
        return content

    @classmethod
    def from_dict(
        cls, content: object, open_partitions: OpenPartitions | None = None
    ) -> WarehouseTableManifestEntry:
        """Read an entry; ManifestError where it is not a table entry. Without ``open_partitions`` indexed ones stay unknown."""
        if not isinstance(content, dict) or not isinstance(content.get("table_name"), str):
            raise ManifestError(
                f"A manifest table entry must be an object with a 'table_name', found {content!r:.80}."
            )
        inline, path = content.get("partitions"), _index_path(content.get("partition_index"))
        # An earlier version that changed the table wrote its partitions into the entry: they are the newer ones.
        path = path if not isinstance(inline, dict) else None
        indexed = open_partitions(path) if path is not None and open_partitions is not None else None
        entry = cls(
            table_name=content["table_name"],
            role=str(content.get("role") or ""),
            format=str(content.get("format") or ""),
            join_keys=tuple(str(key) for key in as_list(content.get("join_keys"))),
            columns=tuple(_column_name(column) for column in as_list(content.get("columns"))),
            row_count=as_count(content.get("row_count")),
            source_type=as_text(content.get("source_type")),
            source_ref=as_text(content.get("source_ref")),
            column_types=_texts(content.get("column_types")),
            analysis_level=as_text(content.get("analysis_level")),
            object_type=as_text(content.get("object_type")),
            snapshot_id=as_int(content.get("snapshot_id")),
            partition_column=as_text(content.get("partition_column")),
            partitions=PartitionMap(inline) if isinstance(inline, dict) else indexed,
            partition_count=as_count(content.get("partition_count")) if path is not None else None,
            partition_index=path,
            schema_file=_schema_path(content.get("schema_file")),
            gone_files=_texts(content.get("gone_files")),
            steps=indexed.steps if indexed is not None else read_steps(content.get("steps")),
            updated_at=as_text(content.get("updated_at")),
            extra={k: value for k, value in content.items() if k not in (*_ENTRY_KEYS, *_FORMER_KEYS)},
        )
        object.__setattr__(entry, "_encoded", _encode_entry(content))
        return entry

    @property
    def is_announced(self) -> bool:
        """Whether a change is to make this table, which holds nothing yet (object stores; see ``announce``)."""
        return self.partitions is not None and self.partition_index is None and not len(self.partitions)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of the table that the manifest names, sorted as a reader that lists the folder sees them."""
        return tuple(sorted(name for part in (self.partitions or {}).values() for name in part.files))


@dataclass(frozen=True, slots=True)
class WarehouseManifest:
    """The whole manifest; ``generation`` grows by one with every change this project makes."""

    warehouse_root: str
    tables: tuple[WarehouseTableManifestEntry, ...] = ()
    warehouse_spec_version: str | None = SPEC_VERSION
    layout: Layout | None = None
    generation: int = 0
    extra: Mapping[str, object] = field(default_factory=dict)

    def entry(self, table_name: str) -> WarehouseTableManifestEntry | None:
        """Entry of exactly this name, None where there is none."""
        return next((entry for entry in self.tables if entry.table_name == table_name), None)

    def with_entry(self, entry: WarehouseTableManifestEntry) -> WarehouseManifest:
        """Copy with one entry replaced or added; entries stay sorted by name."""
        return self.with_tables([*(e for e in self.tables if e.table_name != entry.table_name), entry])

    def with_tables(self, entries: Iterable[WarehouseTableManifestEntry]) -> WarehouseManifest:
        """Copy of the next generation with these entries."""
        tables = tuple(sorted(entries, key=lambda entry: entry.table_name))
        return replace(self, tables=tables, generation=self.generation + 1)

    def to_dict(self) -> dict[str, object]:
        """As the file stores it."""
        return {**self._own_keys(), "tables": [entry.to_dict() for entry in self.tables]}

    def to_json(self, **json_options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **json_options)  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """Bytes of the file: sorted keys, two-space indent."""
        content = self._own_keys()
        content["tables"] = [orjson.Fragment(entry.to_bytes()) for entry in self.tables]
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"

    def _own_keys(self) -> dict[str, object]:
        content: dict[str, object] = dict(self.extra)
        content |= {"warehouse_root": self.warehouse_root, "generation": self.generation}
        if self.warehouse_spec_version is not None:
            content["warehouse_spec_version"] = self.warehouse_spec_version
        if self.layout is not None:
            content["layout"] = self.layout
        return content


def parse_manifest(
    payload: bytes, where: str, open_partitions: OpenPartitions | None = None
) -> WarehouseManifest:
    """Read the bytes of a manifest; entries of partitions beside it are read when they are asked for.

    Raises
    ------
    ManifestError
        The bytes are not a JSON object, or an entry is not a table entry.
    """
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise ManifestError(
            f"Invalid warehouse_manifest.json: {error} ({where}). The tables are untouched; "
            "`bioimage-assets maintain` writes a new one from the files and keeps the broken one aside."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("tables", []), list):
        raise ManifestError(
            f"Invalid warehouse_manifest.json: expected an object with a list 'tables' ({where})."
        )
    version = content.get("warehouse_spec_version")
    layout = content.get("layout")
    return WarehouseManifest(
        warehouse_root=str(content.get("warehouse_root") or where),
        tables=tuple(
            WarehouseTableManifestEntry.from_dict(entry, open_partitions)
            for entry in content.get("tables", [])
        ),
        warehouse_spec_version=None if version is None else str(version),
        layout=layout if layout in ("flat", "namespaced") else None,
        generation=as_count(content.get("generation")) or 0,
        extra={key: value for key, value in content.items() if key not in _TOP_KEYS},
    )


def steps_key(steps: Sequence[Mapping[str, object]]) -> str | None:
    """Key of a list of steps in the manifest, None for no step."""
    if not steps:
        return None
    return blake2b(orjson.dumps(list(steps), option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()


def _encode_entry(content: Mapping[str, object]) -> bytes:
    try:
        encoded = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:  # it was read, but is nested too deep to be written again
        raise ManifestError(
            f"Invalid warehouse_manifest.json: expected entries as deep as this project writes them, found: {error}. "
            "`bioimage-assets maintain` writes a new one from the files and keeps the broken one aside."
        ) from error
    return encoded.replace(b"\n", b"\n    ")


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _index_path(value: object) -> str | None:
    """An index of partitions; a path to anywhere else names none, and the files tell the partitions."""
    return value if isinstance(value, str) and split_index_path(value) is not None else None


def _schema_path(value: object) -> str | None:
    """A schema beside the tables; a path to anywhere else is not looked at, and the files tell the columns."""
    return value if isinstance(value, str) and is_schema_path(value) else None


def _column_name(column: object) -> str:
    return str(column.get("name")) if isinstance(column, dict) else str(column)
