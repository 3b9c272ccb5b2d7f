"""A gathered release in; ``ro-crate-metadata.json`` out: its files with checksums, its tables, and the calls and versions behind them.

RO-Crate 1.1 (https://www.researchobject.org/ro-crate/specification/1.1/) and Process Run Crate 0.5
(https://www.researchobject.org/workflow-run-crate/profiles/process_run_crate/): each table that libraries made is the result of one action.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bioimage_assets.core.extras import build_missing
from bioimage_assets.core.model.table_specs import STEPS, TABLES
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.release.layout import CRATE_NAME
from bioimage_assets.core.release.place_files import PlacedFile, flush
from bioimage_assets.core.release.record import ReleasedTable, ReleaseRecord

if TYPE_CHECKING:
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

CRATE_VERSION = "1.1"  # Process Run Crate 0.5 builds on it
# Younger than RO-Crate 1.1, whose context lacks it: https://www.researchobject.org/ro-crate/specification/1.1/appendix/jsonld.html
SHA256_TERM = "http://schema.org/sha256"
PROCESS_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_PARQUET = "application/vnd.apache.parquet"
DEFAULT_LICENSE = "https://creativecommons.org/publicdomain/zero/1.0/"
LICENSE_NAMES = {
    DEFAULT_LICENSE: "CC0 1.0 Universal",
    "https://creativecommons.org/licenses/by/4.0/": "Creative Commons Attribution 4.0 International",
}
_PRODUCT = "bioimage_assets"


def need_rocrate() -> None:
    """Look whether the library is there; MissingExtraError where it is not."""
    try:
        import rocrate.rocrate  # noqa: F401
    except ImportError as error:
        raise build_missing("A release", "release", error) from error


def write_crate(folder: Path, record: ReleaseRecord, files: Sequence[PlacedFile]) -> None:
    """Write the description of a release beside its files."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=CRATE_VERSION)
    crate.metadata.extra_terms["sha256"] = SHA256_TERM
    crate.name = f"Release {record.name}"
    crate.description = record.description or _describe(record)
    crate.license = _add_license(crate, record.license)
    crate.datePublished = record.created_at
    crate.root_dataset["identifier"] = f"sha256:{record.content_sha256}"
    author = _add_author(crate, record)
    parts = {file.path: _add_file(crate, file) for file in files}
    tables = {table.folder: _add_table(crate, table, parts) for table in record.tables}
    software = {name: _add_software(crate, name, version) for name, version in record.software.items()}
    actions = _add_actions(crate, record, tables, software)
    for action in actions if author is not None else ():
        action["agent"] = author
    crate.metadata.write(folder)
    flush(folder / CRATE_NAME)


def _describe(record: ReleaseRecord) -> str:
    rows = sum(table.row_count for table in record.tables)
    return (
        f"The {count_words(len(record.tables), 'table')} of an image-based profiling project as they were at {record.created_at}: "
        f"{count_words(rows, 'row')}, in {count_words(record.file_count, 'file')}."
    )


def _add_license(crate: ROCrate, uri: str) -> ContextEntity:
    from rocrate.model.contextentity import ContextEntity

    words = {
        "@type": "CreativeWork",
        "name": LICENSE_NAMES.get(uri, uri),
        "description": f"See {uri}.",
        "url": uri,
    }
    return crate.add(ContextEntity(crate, uri, properties=words))


def _add_author(crate: ROCrate, record: ReleaseRecord) -> Entity | None:
    """Who released, where the caller says so: a person, written ``Name <https://orcid.org/…>`` where there is an address."""
    from rocrate.model.contextentity import ContextEntity

    publisher = None
    if record.publisher:
        name, uri = split_name(record.publisher)
        words = {"@type": "Organization", "name": name} | ({"url": uri} if uri else {})
        publisher = crate.add(ContextEntity(crate, uri or "#publisher", properties=words))
        crate.publisher = publisher
    if not record.author:
        return None
    name, uri = split_name(record.author)
    person = ContextEntity(crate, uri or "#author", properties={"@type": "Person", "name": name})
    if publisher is not None:
        person["affiliation"] = publisher
    crate.root_dataset["author"] = crate.add(person)
    return person


def split_name(text: str) -> tuple[str, str]:
    """A name, and the address in angle brackets behind it.

    >>> split_name("Ada Lovelace <https://orcid.org/0000-0000-0000-0001>")
    ('Ada Lovelace', 'https://orcid.org/0000-0000-0000-0001')
    """
    name, _, rest = text.partition("<")
    return name.strip(), rest.rstrip("> ")


def _set_links(entity: Entity, name: str, found: Sequence[Entity]) -> None:
    """One link stands alone, several in a list."""
    if found:
        entity[name] = list(found) if len(found) > 1 else found[0]


def _add_file(crate: ROCrate, file: PlacedFile) -> Entity:
    properties = {
        "name": file.path.rpartition("/")[2],
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
        "encodingFormat": _find_format(file.path),
    }
    return crate.add_file(dest_path=file.path, properties=properties)


def _find_format(path: str) -> str:
    if path.endswith(".parquet"):
        return _PARQUET
    if path.endswith(".toml"):
        return "application/toml"
    return mimetypes.guess_type(path)[0] or "text/plain"


def _add_table(crate: ROCrate, table: ReleasedTable, parts: dict[str, Entity]) -> Entity:
    spec = TABLES.get(table.name)
    words = spec.summary if spec is not None else f"Table of the role {table.role or 'unknown'}."
    held = [part for path, part in parts.items() if path.startswith(f"{table.folder}/")]
    entity = crate.add_dataset(
        dest_path=table.folder,
        properties={
            "name": f"{table.name} ({table.home})",
            "description": f"{words} {count_words(table.row_count, 'row')}, {count_words(table.partition_count, 'partition')}.",
            "size": count_words(table.row_count, "row"),
        },
    )
    _set_links(entity, "hasPart", held)
    if table.snapshot_id is not None:
        entity["identifier"] = f"iceberg:{'.'.join(table.identifier)}@{table.snapshot_id}"
    return entity


def _add_software(crate: ROCrate, name: str, version: str) -> ContextEntity:
    from rocrate.model.contextentity import ContextEntity

    # Process Run Crate wants an absolute address: the page of a package in a catalogue of all registries.
    url = "https://www.python.org/" if name == "python" else f"https://libraries.io/pypi/{name}/"
    properties = {"@type": "SoftwareApplication", "name": name, "url": url, "softwareVersion": version}
    return crate.add(ContextEntity(crate, f"{url}#{version}", properties=properties))


def _add_actions(
    crate: ROCrate,
    record: ReleaseRecord,
    tables: dict[str, Entity],
    software: dict[str, ContextEntity],
) -> list[ContextEntity]:
    """One action for each table: made by which versions of which libraries, from which tables."""
    from rocrate.model.contextentity import ContextEntity

    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROCESS_PROFILE, properties=profile))
    made_from = {table.name: step.inputs for step in STEPS for table in step.tables}
    by_name = {table.name: tables[table.folder] for table in record.tables}
    actions = []
    for table in record.tables:
        used = [software[_PRODUCT]] + [
            software.get(name)
            if record.software.get(name) == version
            else _add_software(crate, name, version)
            for name, versions in table.libraries.items()
            for version in versions
        ]
        properties = {
            "@type": "CreateAction",
            "name": f"Making of {table.name} ({table.home})",
            "description": "Made by a run of the project; arguments of the calls stand in warehouse/_warehouse/partitions.",
            "endTime": table.updated_at or record.created_at,
        }
        action = crate.add(ContextEntity(crate, f"#made-{table.home}-{table.name}", properties=properties))
        _set_links(action, "instrument", used)
        action["result"] = tables[table.folder]
        sources = [by_name[name] for name in made_from.get(table.name, ()) if name in by_name]
        _set_links(action, "object", sources)
        actions.append(action)
    _set_links(crate.root_dataset, "mentions", actions)
    return actions
