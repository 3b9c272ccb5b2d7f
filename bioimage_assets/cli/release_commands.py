"""Commands of releases: release, verify-release, diff."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from bioimage_assets.cli.command import PLACE, Several, argument, command, flag, option
from bioimage_assets.cli.options import Json, get_storage_options
from bioimage_assets.cli.output import (
    FAILED,
    OK,
    note_codes_shown,
    print_json,
    print_pairs,
    print_table,
    print_warnings,
    show_text,
)
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.settings.project import read_project_settings

if TYPE_CHECKING:
    from bioimage_assets.core.release.make import ReleaseWords
    from bioimage_assets.core.storage.tables import ProjectTables

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

    Examples:
        bioimage-assets release screens-1 --description 'Both screens'
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


@command
def verify_release(
    name: Annotated[str, argument("RELEASE", "name of a release, or the folder of one", type=PLACE)],
    releases: Releases = None,
    as_json: Json = False,
) -> int:
    """Compare every file of a release with its checksum.

    Exit code 1: a file is changed, lost, or none of the release.

    Examples:
        bioimage-assets verify-release screens-1
    """
    from bioimage_assets.core.release.verify import verify_release

    named = choose_releases_dir(releases) / name
    folder = named if "/" not in name and named.is_dir() else Path(name)
    with show_progress(f"Reading {folder}"):
        problems = list(verify_release(folder))
    if as_json:
        found = [{"code": one.code, "location": one.location, "message": one.message} for one in problems]
        sentences = [one.message for one in problems]
        print_json(
            {"folder": str(folder), "is_valid": not problems, "problems": sentences, "findings": found}
        )
    else:
        for problem in problems:
            print(f"{show_text(problem.message)} ({problem.code})")
            note_codes_shown()
        print(f"{folder}: {'not as it was released' if problems else 'as it was released'}")
    return FAILED if problems else OK


@command
def diff(
    a: Annotated[str, argument("A", "release, root, project, or 'now'", type=PLACE)],
    b: Annotated[str | None, argument("[B]", "the same; default: the project as it is", type=PLACE)] = None,
    tables: Annotated[tuple[str, ...], option("TABLE...", "only these tables", cls=Several)] = (),
    plates: Annotated[
        tuple[str, ...], option("PLATE...", "only these plates, datasets or campaigns", cls=Several)
    ] = (),
    ignore: Annotated[
        tuple[str, ...],
        option(
            "COLUMN...", "columns that do not matter, such as uri in a project that was moved", cls=Several
        ),
    ] = (),
    memory_mb: Annotated[
        int, option("MB", "megabytes of values that are read at once", type=click.IntRange(min=1))
    ] = 128,
    read_all: Annotated[
        bool, flag("read partitions, too, whose files are the same by their digests")
    ] = False,
    releases: Releases = None,
    as_json: Json = False,
) -> int:
    """Say which tables, plates, wells, rows and features differ between two states, and by how much.

    A and B are names of releases, places of releases or warehouse roots, data folders of projects, or `now`. The order of rows and
    the layout of files are no difference; NaN equals NaN, 0.0 equals -0.0. Exit code 1: the tables differ.

    Examples:
        bioimage-assets diff screens-1
        bioimage-assets diff screens-1 now --plates screen-a/SA-P1
    """
    from bioimage_assets.cli.diff_report import print_diff
    from bioimage_assets.core.release.compare.compare_states import DiffOptions, compare_states
    from bioimage_assets.core.release.compare.open_state import open_state

    folder, options = choose_releases_dir(releases), get_storage_options()
    with show_progress("Comparing"):
        state_a, state_b = (open_state(word, folder, _open_project, options) for word in (a, b or "now"))
        wanted = DiffOptions(tables or None, plates or None, memory_mb << 20, read_all, ignore)
        found = compare_states(state_a, state_b, wanted)
    if as_json:
        print_json({"is_same": found.is_same, **asdict(found)})
    else:
        print_diff(found)
    return OK if found.is_same else FAILED


def _open_project(data_dir: Path | None) -> ProjectTables:
    from bioimage_assets.resources.project import ProjectResource

    return ProjectResource(data_dir=None if data_dir is None else str(data_dir)).tables()
