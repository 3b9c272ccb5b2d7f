"""Codes about files of a release that are not as they were released."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, CodeFamily, FindingCode

RELEASES = CodeFamily(
    "releases",
    "Releases",
    seen_in=("verify-release",),
    page="release.md",
    codes=(
        FindingCode(
            "release-file-changed",
            ERROR,
            means="A file of a release is not what was released: its checksum is another one.",
            cause="The file was opened and written into, here or under its name in the warehouse, which is the same file; or the disk or a copy damaged it.",
            remedy="Restore the file from a copy of the release, then run `bioimage-assets verify-release` again. Without a copy make a release of another "
            "name of what there is now, and do not cite the old one.",
        ),
        FindingCode(
            "release-file-lost",
            ERROR,
            means="A file of a release is not there.",
            cause="It was removed, or the release was not copied as a whole.",
            remedy="Copy the release again, or restore the file from a copy, then run `bioimage-assets verify-release` again.",
        ),
        FindingCode(
            "release-file-strange",
            ERROR,
            means="A file in the folder of a release was not released.",
            cause="It was put there by hand or by another program (notes, thumbnails of the desktop, tables of a later run).",
            remedy="Move the file elsewhere. The release itself is whole, if nothing else is said.",
        ),
    ),
)
