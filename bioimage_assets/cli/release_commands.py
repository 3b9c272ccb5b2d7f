"""Commands of releases: release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bioimage_assets.cli.command import PLACE, argument, command, option
from bioimage_assets.cli.options import Json
from bioimage_assets.cli.output import print_json, print_pairs, print_table, print_warnings
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.settings.project import read_project_settings

if TYPE_CHECKING:
    from bioimage_assets.core.release.make import ReleaseWords

Releases = Annotated[
    str | None,
    option("FOLDER", "folder of the releases (default: 'releases' below BIOIMAGE_DATA_DIR)", type=PLACE),
]


def choose_releases_dir(folder: str | None) -> Path:
    """Local folder of the releases."""
    return Path(folder) if folder is not None else read_project_settings().data_dir / "releases"


@dataclass(frozen=True, slots=True)
class ReleaseText:
    """What the release says of itself."""

    description: Annotated[str | None, option("TEXT", "what the release is")] = None
    license_: Annotated[str | None, option("URI", "its licence (default: CC0 1.0)", "--license")] = None
    author: Annotated[str | None, option("NAME", "who releases, as 'Name <https://orcid.org/...>'")] = None
    publisher: Annotated[
        str | None, option("NAME", "where the author works, as 'Name <https://ror.org/...>'")
    ] = None

    def build(self) -> ReleaseWords:
        """The same as ``core.release`` takes it."""
        from bioimage_assets.core.release.make import ReleaseWords

        words = (self.description, self.license_, self.author, self.publisher)
        return ReleaseWords(*(word or "" for word in words))


@command
def release(
    name: Annotated[str, argument("NAME", "name of the release, and of the tag of each catalog table")],
    words: ReleaseText,
    releases: Releases = None,
    as_json: Json = False,
) -> None:
    """Keep all tables as they are now, with checksums, versions and settings, as an RO-Crate.

    The catalog's tables get a tag, which upkeep never expires; the files of catalog and warehouse get a second name below the
    release, which takes room only for what changes later. A second call with the same content changes nothing.
    """
    from bioimage_assets.core.release.make import make_release
    from bioimage_assets.resources.project import ProjectResource

    with show_progress(f"Releasing {name}"):
        made = make_release(
            ProjectResource().tables(),
            choose_releases_dir(releases),
            name,
            words.build(),
        )
    record = made.record
    print_warnings(record.absences)
    if as_json:
        print_json(
            {
                "name": record.name,
                "outcome": made.outcome,
                "folder": str(made.folder),
                "created_at": record.created_at,
                "content_sha256": record.content_sha256,
                "file_count": record.file_count,
                "total_bytes": record.total_bytes,
                "tables": {f"{t.home}.{t.name}": t.row_count for t in record.tables},
                "snapshots": {t.name: t.snapshot_id for t in record.tables if t.snapshot_id is not None},
                "software": dict(record.software),
                "absences": list(record.absences),
            }
        )
        return
    print_table(
        ("table", "where", "rows", "partitions", "snapshot"),
        [(t.name, t.home, t.row_count, t.partition_count, t.snapshot_id) for t in record.tables],
    )
    print_pairs({"release": f"{made.folder} ({made.outcome})", "content": f"sha256 {record.content_sha256}"})
