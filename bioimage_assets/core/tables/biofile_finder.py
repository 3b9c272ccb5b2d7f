"""The images of one plate become rows of a data source of BioFile Finder: one row per image file, or per field of a Zarr store.

https://github.com/AllenInstitute/biofile-finder: only "File Path" has to be there; "File ID" has to be unique and "File Name", "File Size"
(bytes), "Thumbnail" (web URL) and "Uploaded" (YYYY-MM-DD HH:MM:SS.Z) are known; every other column is metadata to group and filter
by. Within a value a comma separates several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from bioimage_assets.core.browse_link import build_browse_url
from bioimage_assets.core.model.axes import count_channels
from bioimage_assets.core.model.image import axis_names, is_in_files

# Names that BioFile Finder treats in a way of its own, however they are spelt.
PREDEFINED = ("File ID", "File Path", "File Name", "File Size", "Thumbnail", "Uploaded")
_TEXT, _COUNT = pa.string(), pa.int64()
COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "File ID": (_TEXT, "Plate, image and, where an image has several files, the file."),
    "File Path": (_TEXT, "Image file, or field of view in an OME-Zarr plate."),
    "File Name": (_TEXT, "Last part of the path; of a field in a plate its image."),
    "File Size": (_COUNT, "Bytes; empty where the file cannot be asked, and for Zarr."),
    "Thumbnail": (_TEXT, "Picture of the field, where thumbnails were asked for."),
    "Uploaded": (_TEXT, "When the file was last changed, UTC."),
    "Dataset": (_TEXT, "Dataset."),
    "Plate": (_TEXT, "Plate."),
    "Well": (_TEXT, "Well."),
    "Site": (_TEXT, "Field of view in the well."),
    "Acquisition": (_TEXT, "Run of acquisition, where a plate has several."),
    "Image": (_TEXT, "Id of the image in the tables of this project."),
    "Channels": (_TEXT, "Channels that the file holds."),
    "Format": (_TEXT, "Kind of file."),
    "Dimensions": (_TEXT, "Axes in their stored order."),
    "Size X": (_COUNT, "Pixels across."),
    "Size Y": (_COUNT, "Pixels down."),
    "Size Z": (_COUNT, "Planes of the stack."),
    "Size C": (_COUNT, "Channels of the image."),
    "Size T": (_COUNT, "Time points."),
    "Data Type": (_TEXT, "Type of the pixels."),
    "Pixel Size X (µm)": (pa.float64(), "Width of a pixel."),
    "Pixel Size Y (µm)": (pa.float64(), "Height of a pixel."),
    "Acquired": (_TEXT, "When the image was taken, UTC."),
    "Cell Count": (_COUNT, "Cells that were measured on the image."),
    "QC Passed Fraction": (pa.float64(), "Share of these cells that passed quality control."),
    "Open in browser": (_TEXT, "The image in 'bioimage-assets browse', which has to run."),
}


@dataclass(frozen=True, slots=True)
class CellCount:
    """Cells of one image; ``judged`` of them were looked at by quality control, of which ``passed`` passed."""

    measured: int = 0
    judged: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the storage says of a file; None where it was not asked, or does not know."""

    size_bytes: int | None = None
    changed_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class PlateFacts:
    """What is known of a plate besides its images.

    Parameters
    ----------
    cells
        By image.
    wells
        Columns of the platemap by well; values are texts.
    thumbnails
        Address of a picture by image.
    files
        By path.
    """

    cells: Mapping[str, CellCount] = field(default_factory=dict)
    wells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    thumbnails: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileFacts] = field(default_factory=dict)


def list_paths(images: pa.Table) -> list[str]:
    """Paths of the image files of a plate; fields of Zarr stores are none."""
    return [path for row in _shown(images) if is_in_files(row["format_family"]) for path, _, _ in _files(row)]


def build_rows(images: pa.Table, facts: PlateFacts, browse_url: str) -> pa.Table:
    """Rows of one plate, sorted by id; columns of the platemap follow the others."""
    further = sorted({name for values in facts.wells.values() for name in values})
    names = {name: _free_name(name) for name in further}
    rows = [row for image in _shown(images) for row in _image_rows(image, facts, names, browse_url)]
    rows.sort(key=lambda row: str(row["File ID"]))
    schema = pa.schema(
        [*((name, kind) for name, (kind, _) in COLUMNS.items()), *((one, _TEXT) for one in names.values())]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _shown(images: pa.Table) -> Iterator[dict[str, object]]:
    for batch in images.to_batches(max_chunksize=512):
        yield from (row for row in batch.to_pylist() if row["image_kind"] != "label")


def _image_rows(
    image: Mapping[str, object], facts: PlateFacts, further: Mapping[str, str], browse_url: str
) -> Iterator[dict[str, object]]:
    shared = _shared(image, facts, browse_url)
    values = facts.wells.get(str(image["well_id"]), {})
    shared |= {name: values.get(column) for column, name in further.items()}
    found = list(_files(image))
    base = f"{image['plate_key']}/{image['image_id']}"
    for path, relative, channels in found:
        storage = facts.files.get(path, FileFacts())
        yield {
            **shared,
            "File ID": base if len(found) == 1 else f"{base}/{relative}",
            "File Path": path,
            "File Name": path.rstrip("/").rpartition("/")[2]
            if is_in_files(str(image["format_family"]))
            else image["image_id"],
            "File Size": storage.size_bytes,
            "Uploaded": _moment(storage.changed_at_s),
            "Channels": _join(channels),
        }


def _shared(image: Mapping[str, object], facts: PlateFacts, browse_url: str) -> dict[str, object]:
    image_id, plate_key = str(image["image_id"]), str(image["plate_key"])
    axes = axis_names(image["axes"]) or ()  # type: ignore[arg-type]
    sizes = dict(zip(axes, image["shape"], strict=False))  # type: ignore[call-overload]
    cells = facts.cells.get(image_id)
    acquired = (image.get("acquisition") or {}).get("acquired_at")  # type: ignore[attr-defined]
    return {
        "Thumbnail": facts.thumbnails.get(image_id),
        "Dataset": image["dataset_id"],
        "Plate": image["plate_id"] or plate_key.partition("/")[2],
        "Well": image["well_id"],
        "Site": image["site_id"],
        "Acquisition": image["acquisition_id"],
        "Image": image_id,
        "Format": image["format_family"],
        "Dimensions": "".join(axes).upper(),
        **{f"Size {axis.upper()}": sizes.get(axis, 1) for axis in "xyzt"},
        "Size C": count_channels(axes, image["shape"]) or 1,  # type: ignore[arg-type]
        "Data Type": image["dtype"],
        "Pixel Size X (µm)": image["pixel_size_x_um"],
        "Pixel Size Y (µm)": image["pixel_size_y_um"],
        "Acquired": None if acquired is None else _moment(acquired.timestamp()),
        "Cell Count": None if cells is None else cells.measured,
        "QC Passed Fraction": cells.passed / cells.judged if cells and cells.judged else None,
        "Open in browser": build_browse_url(browse_url, plate_key, image_id=image_id),
    }


def _files(image: Mapping[str, object]) -> Iterator[tuple[str, str, list[str]]]:
    """Path, path within the image, and channels of each file of an image."""
    uri = str(image["uri"]).rstrip("/")
    names = [str(name) for name in image["channel_names"] or () if name]  # type: ignore[attr-defined]
    if not is_in_files(str(image["format_family"])):
        group = str(image["array_path"] or "").rpartition("/")[0]
        yield (f"{uri}/{group}" if group else uri, group, names)
        return
    by_path: dict[str, list[str]] = {}
    for one in image["files"] or ():  # type: ignore[attr-defined]
        if one["role"] == "image":
            channels = by_path.setdefault(one["path"], [])
            channels += [one["channel"]] if one["channel"] and one["channel"] not in channels else []
    for path, channels in by_path.items():
        yield (f"{uri}/{path}", path, channels or names)
    if not by_path:
        yield (uri, "", names)


def _join(values: Iterable[str]) -> str | None:
    return ",".join(values) or None


def _moment(seconds: float | None) -> str | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}+00:00"


def _free_name(column: str) -> str:
    """Name of a column of the platemap that BioFile Finder does not take for one of its own, and that is not here yet."""
    name = column.removeprefix("Metadata_").strip() or column
    taken = {_simplify(one) for one in (*PREDEFINED, *COLUMNS)}
    return f"Platemap {name}" if _simplify(name) in taken else name


def _simplify(name: str) -> str:
    return "".join(character for character in name.lower() if character not in " -_\t")
