"""One stored plate as the server knows it: its images by id, its wells with their fields, its channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import pyarrow as pa

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.model.identity import PlateKey, normalize_well, site_order
from bioimage_assets.core.model.image import LISTED, is_in_files
from bioimage_assets.core.pictures.geometry import PlateGeometry, choose_geometry
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.storage.state import look_at_tables
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

_SHORT = (
    "image_id",
    "well_id",
    "site_id",
    "acquisition_id",
    "image_kind",
    "scan_status",
    "fingerprint",
    "format_family",
    "uri",
)
# Tables of which one row or part says that there is such a plate, images or not.
_TABLES_OF_PLATES = ("image_assets", "joined_profiles", "pycytominer_profiles", "plate_completeness")


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One image of a plate, without what only reading its pixels needs; ``row`` is its place in the stored rows.

    ``fingerprint`` changes with the image's metadata, and with any file of the plate.
    """

    row: int
    image_id: str
    well_id: str | None
    site_id: str | None
    acquisition_id: str | None
    image_kind: str
    scan_status: str
    fingerprint: str
    format_family: str
    uri: str

    @property
    def is_shown(self) -> bool:
        """Whether it is a field with pixels; label images and what was never opened are none."""
        return self.image_kind != "label" and self.scan_status != LISTED

    @property
    def order(self) -> tuple[str, int, str]:
        """Fields of a well in the order of their numbers, one acquisition after the other."""
        return (self.acquisition_id or "", *site_order(self.site_id or ""))


@dataclass(frozen=True)
class BrowsedPlate:
    """The images of one plate; ``images`` are its rows of ``image_assets``."""

    plate_key: str
    images: pa.Table
    fields: Mapping[str, FieldRow]

    @property
    def dataset_id(self) -> str:
        """Dataset part of the key."""
        return self.plate_key.partition("/")[0]

    @property
    def plate_id(self) -> str:
        """Name of the plate as its images have it, else the plate part of the key."""
        names = self.images["plate_id"].drop_null() if self.images.num_rows else []
        return str(names[0]) if len(names) else self.plate_key.partition("/")[2]

    def field(self, image_id: str) -> FieldRow:
        """One image; NotThereError where the plate has none of that id."""
        found = self.fields.get(image_id)
        if found is None:
            raise NotThereError(f"Plate {self.plate_key} has no image {image_id!r:.200}.")
        return found

    def geometry(self, image_id: str) -> ImageGeometry:
        """What reading pixels of an image needs; UsageError where it was never opened."""
        return read_geometry(self.image_row(image_id))

    def image_row(self, image_id: str) -> dict[str, object]:
        """The whole stored row of an image."""
        row: dict[str, object] = self.images.slice(self.field(image_id).row, 1).to_pylist()[0]
        return row

    @cached_property
    def wells(self) -> Mapping[str, list[FieldRow]]:
        """Fields by well, both sorted; those of no well stand under an empty name."""
        found: dict[str, list[FieldRow]] = {}
        for one in self.fields.values():
            if one.is_shown:
                found.setdefault(normalize_well(one.well_id) or one.well_id or "", []).append(one)
        return {well: sorted(found[well], key=lambda one: one.order) for well in sorted(found)}

    @cached_property
    def own_store_uri(self) -> str | None:
        """URI of the one Zarr store that all images are in; None where they are in files, or in several stores."""
        uris = {one.uri for one in self.fields.values()}
        if len(uris) != 1 or any(is_in_files(one.format_family) for one in self.fields.values()):
            return None
        return uris.pop()

    def channel_names(self) -> list[str | None]:
        """Names of most of the shown images; as many without a name as there are channels where none are named."""
        shown = [one.row for one in self.fields.values() if one.is_shown]
        if not shown:
            return []
        named = Counter(tuple(names or ()) for names in self.images["channel_names"].take(shown).to_pylist())
        names = list(named.most_common(1)[0][0])
        count = read_geometry(self.images.slice(shown[0], 1).to_pylist()[0]).channel_count
        return [*names, *([None] * (count - len(names)))]


def find_plate(project: BrowsedProject, plate_key: str) -> BrowsedPlate:
    """A plate of this project; NotThereError where nothing is stored under the key, or it is no key."""
    return project.keep(("plate", plate_key), lambda: _read_plate(project, plate_key))


def find_geometry(project: BrowsedProject, plate: BrowsedPlate) -> PlateGeometry:
    """Rows and columns of the plate, from its wells with images and those that it declares."""
    layout = project.keep(
        ("layout", plate.plate_key), lambda: project.find("plate_layout", plate.plate_key, ["well_id"])
    )
    declared = [] if layout is None else layout["well_id"].to_pylist()
    return choose_geometry([*plate.wells, *declared])


def _read_plate(project: BrowsedProject, plate_key: str) -> BrowsedPlate:
    try:
        PlateKey.parse(plate_key)
    except IdentityError as error:
        raise NotThereError(f"{plate_key!r:.200} is no key of a plate.") from error
    images = project.find("image_assets", plate_key)
    if images is None or not images.num_rows:
        if not _is_stored(project, plate_key):
            raise NotThereError(f"Plate {plate_key!r} is not stored in this project.")
        images = IMAGE_ASSETS.empty_table()
    fields = {one.image_id: one for one in _list_fields(images, _read_version(project, plate_key))}
    return BrowsedPlate(plate_key, images, fields)


def _list_fields(images: pa.Table, version: str) -> Iterator[FieldRow]:
    columns = [images[name].to_pylist() for name in _SHORT]
    for row, values in enumerate(zip(*columns, strict=True)):
        one = FieldRow(row, *values)
        yield replace(
            one, fingerprint=blake2b(f"{version} {one.fingerprint}".encode(), digest_size=8).hexdigest()
        )


def _read_version(project: BrowsedProject, plate_key: str) -> str:
    """What the plate's files were when its images were stored: fingerprints of images speak of their metadata alone."""
    state = look_at_tables(project.tables, ["image_assets"], [plate_key])
    return state.fingerprint("image_assets", plate_key) or ""


def _is_stored(project: BrowsedProject, plate_key: str) -> bool:
    """Whether a plate without images is there: of measurements alone, or one whose images were not understood."""
    state = look_at_tables(project.tables, _TABLES_OF_PLATES, [plate_key])
    return any(state.holds(name, plate_key) for name in _TABLES_OF_PLATES)
