"""Files that are there and the LoadData table of a plate in, what either lacks out.

The faults are those that were found in published data: thousands of images that a table names and nobody has
(https://github.com/jump-cellpainting/datasets/issues/78), wells without a row (…/issues/61), sites called ``IXMtest``
(https://github.com/broadinstitute/cellpainting-gallery/issues/141), folders that were renamed afterwards (…/issues/142), empty tables (…/issues/117).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.formats.plate_folders.load_data import LoadDataImage, path_of_location
from bioimage_assets.core.formats.plate_folders.patterns import parse_name
from bioimage_assets.core.model.file_kinds import TIFF_FILE_SUFFIXES, has_suffix
from bioimage_assets.core.phrases import count_words, plural_of

_PLACE = re.compile(r"(?:^|/)images/[^/]+/images[^/]*/(?P<folder>[^/]+)/(?P<file>.+)$")
_MAX_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ListedPlate:
    """A plate and its LoadData table.

    Parameters
    ----------
    plate
        Its name in ``workspace``.
    table_uri
        The table.
    images
        What it names.
    wells
        Wells that the platemap describes; empty where it was not read.
    """

    plate: str
    table_uri: str
    images: Sequence[LoadDataImage]
    wells: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a table and the files have in common: images named, named ones that are not there, and what is odd."""

    named_count: int
    absent_count: int
    findings: tuple[Finding, ...]


def compare_images(listed: ListedPlate, folder: str | None, files: Collection[str]) -> Comparison:
    """Compare a table with the files of a plate.

    Parameters
    ----------
    listed
        The plate and its table.
    folder
        Name of the plate's folder of images; None where it is not here, and nothing is said of single images.
    files
        Paths below that folder.
    """
    return _Comparing(listed, folder, files).compare()


class _Comparing:
    def __init__(self, listed: ListedPlate, folder: str | None, files: Collection[str]) -> None:
        self.listed, self.folder = listed, folder
        self.files = {path for path in files if has_suffix(path, TIFF_FILE_SUFFIXES)}
        self.places = dict(_place_of(image.location) for image in listed.images)

    def compare(self) -> Comparison:
        if not self.listed.images:
            text = f"The LoadData table of plate {self.listed.plate!r} names no image of a well."
            return Comparison(0, 0, (self._finding("gallery-load-data-empty", "error", text),))
        findings = [*self._check_plates(), *self._check_sites(), *self._check_folder()]
        absent: list[str] = []
        if self.folder is not None:
            absent = sorted(file for file in self.places if file not in self.files)
            findings += [*self._check_absent(absent), *self._check_unnamed()]
        findings += self._check_wells()
        return Comparison(len(self.places), len(absent), tuple(findings))

    def _check_plates(self) -> Iterator[Finding]:
        names = Counter(image.parts.plate for image in self.listed.images)
        others = [name for name in names if name not in (None, self.listed.plate)]
        if others:
            text = (
                f"The LoadData table in the folder of plate {self.listed.plate!r} has Metadata_Plate {_show(others)} in {sum(names[n] for n in others):,} "
                "places. Measurements that were made with it call the plate so."
            )
            yield self._finding("gallery-other-plate", "warning", text)

    def _check_sites(self) -> Iterator[Finding]:
        odd = Counter(
            site
            for image in self.listed.images
            if not (site := image.parts.site_id or "").isdecimal() and site
        )
        if odd:
            text = (
                f"Metadata_Site is no number in {sum(odd.values()):,} of {len(self.listed.images):,} places ({_show(odd)}): a word of the file's name stands there, and "
                "images of one well are told apart by nothing. Correct the column, as the names of the files say."
            )
            yield self._finding("gallery-site-not-a-number", "error", text)

    def _check_folder(self) -> Iterator[Finding]:
        """Folders that were renamed after the table was written."""
        named = Counter(folder for folder in self.places.values() if folder)
        others = [name for name in named if name != self.folder]
        if self.folder is not None and others:
            text = f"The table names images in {_show(others)}; those of plate {self.listed.plate!r} lie in {self.folder!r}. They are compared by the rest of their paths."
            yield self._finding("gallery-folder-renamed", "warning", text)

    def _check_absent(self, absent: Sequence[str]) -> Iterator[Finding]:
        if not absent:
            return
        wells = _wells_of(absent)
        text = f"{len(absent):,} of {count_words(len(self.places), 'image')} that the LoadData table names are not there"
        text += f", of {count_words(len(wells), 'well')} ({_show(wells)})" if wells else ""
        yield self._finding("gallery-images-absent", "error", f"{text}. The first is {absent[0]}.")

    def _check_unnamed(self) -> Iterator[Finding]:
        """Images of listed wells that no row names: further channels and sites, mostly on purpose."""
        wells = {image.parts.well_id for image in self.listed.images}
        unnamed = sorted(self.files - self.places.keys())
        of_listed = [file for file in unnamed if _well_of(file) in wells]
        if of_listed:
            text = f"{count_words(len(of_listed), 'image')} of wells in the LoadData table {plural_of(len(of_listed), 'is', 'are')} named by none of its rows, the first is {of_listed[0]}."
            yield self._finding("gallery-images-not-listed", "info", text)

    def _check_wells(self) -> Iterator[Finding]:
        wells = {image.parts.well_id for image in self.listed.images}
        imaged = _wells_of(self.files) - wells
        described = self.listed.wells - wells
        for found, where in ((imaged, "with images"), (described - imaged, "of the platemap")):
            if found:
                words = count_words(len(found), "well")
                text = f"{words} {where} without a row in the LoadData table: {_show(sorted(found))}. Nothing was measured there."
                yield self._finding("gallery-wells-not-listed", "warning", text)

    def _finding(self, code: str, severity: Severity, text: str) -> Finding:
        return Finding(code, severity, self.listed.plate, text, self.listed.table_uri)


def _place_of(location: str) -> tuple[str, str]:
    """Path below the plate's folder, and that folder; of a location that is in no gallery its name, and nothing."""
    path = path_of_location(location)
    found = _PLACE.search(path)
    return (found["file"], found["folder"]) if found else (path.rpartition("/")[2], "")


def _well_of(file: str) -> str | None:
    parts = parse_name(file)
    return None if parts is None else parts.well_id


def _wells_of(files: Iterable[str]) -> set[str]:
    return {well for file in files if (well := _well_of(file)) is not None}


def _show(values: Iterable[object]) -> str:
    listed = [str(value) for value in values]
    shown = ", ".join(listed[:_MAX_SHOWN])
    return shown if len(listed) <= _MAX_SHOWN else f"{shown} and {len(listed) - _MAX_SHOWN:,} more"
