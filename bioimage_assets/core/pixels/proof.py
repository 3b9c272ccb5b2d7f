"""The proof that each row is linked to its own image: its intensity is measured again from the pixels.

The mean intensity under an object's label must equal ``<Compartment>_Intensity_MeanIntensity_<channel>``, raw or
divided by the largest value of the pixel type, as CellProfiler stores it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import BioimageError, ContractError, UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.model.image import LevelRecord
from bioimage_assets.core.pixels.boxes import find_box_columns, is_box_column, read_box
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, build_location, with_planes
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.pixels.planes import is_plane_column

_FEATURE = re.compile(r"(Cells|Cytoplasm|Nuclei)_Intensity_MeanIntensity_(.+)")
_NUMBER_COLUMNS = ("Metadata_ObjectNumber", "ObjectNumber")
_KEY_COLUMNS = ("dataset_id", "image_id", "Metadata_ObjectID", *_NUMBER_COLUMNS)

LabelFiles = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """How much to measure again, and how equal is equal.

    Parameters
    ----------
    objects_per_image, max_images
        Objects taken from each image, spread over its rows; images are spread over the plate.
    relative_tolerance
        Allowed relative difference of the means.
    compartments
        Tried in this order; one with labels and features is measured.
    """

    objects_per_image: int = 1
    max_images: int = 400
    relative_tolerance: float = 1e-4
    compartments: tuple[str, ...] = ("Nuclei", "Cells")


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One mean measured again; ``remeasured`` is null where the object's label is not in its box."""

    object_id: str
    image_id: str
    feature: str
    measured: float
    remeasured: float | None


@dataclass(frozen=True, slots=True)
class PixelProof:
    """Outcome of the proof; ``is_passed`` needs at least one checked object and no failed one."""

    rows: tuple[ProofRow, ...]
    failed: tuple[ProofRow, ...]
    findings: tuple[Finding, ...] = ()
    scale: float = 1.0

    @property
    def checked_count(self) -> int:
        """Objects that were measured again."""
        return len({row.object_id for row in self.rows})

    @property
    def failed_count(self) -> int:
        """Objects with at least one mean that differs."""
        return len({row.object_id for row in self.failed})

    @property
    def is_passed(self) -> bool:
        """Whether the pixels confirm every object that was checked."""
        return bool(self.rows) and not self.failed


@dataclass(slots=True)
class _Image:
    geometry: ImageGeometry
    labels: dict[str, ImageGeometry] = field(default_factory=dict)


def check_pixel_proof(
    joined: object,
    image_assets: object,
    *,
    label_files: LabelFiles | None = None,
    options: ProofOptions | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> PixelProof:
    """Measure linked objects again from the pixels of the images they are linked to.

    Parameters
    ----------
    joined
        ``joined_profiles`` rows of any kind; only keys, boxes and mean intensities are read.
    image_assets
        Images and their label images (``image_kind=label``, named after the compartment).
    label_files
        (image id, compartment) to a label TIFF, for images that have no labels in their store.
    storage_options
        Of the object store that tables and images lie in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Raises
    ------
    ContractError
        There is no mean intensity feature, object number or box to compare.

    Examples
    --------
    >>> check_pixel_proof("joined_profiles/", images).is_passed
    True
    """
    options = options or ProofOptions()
    rows = _read_rows(joined, storage_options)
    images = _read_images(image_assets, label_files or {}, storage_options)
    found: list[ProofRow] = []
    findings: list[Finding] = []
    for (dataset, image_id), sample in _choose(rows, options):
        image = images.get((dataset, image_id))
        try:
            if image is None or not image.labels:
                findings.append(_no_labels(image_id))
                continue
            for row in sample:
                found += _measure(row, image, options, storage_options)
        except BioimageError as error:
            findings.append(Finding("pixels-unreadable", "error", image_id, str(error)))
    dtypes = {image.geometry.dtype for image in images.values()}
    return _judge(found, findings, dtypes, options.relative_tolerance)


def _read_rows(joined: object, storage_options: Mapping[str, object] | None) -> pa.Table:
    source = open_profiles(joined, storage_options)
    names = source.schema.names
    features = [name for name in names if _FEATURE.fullmatch(name)]
    numbers = [name for name in _NUMBER_COLUMNS if name in names]
    if not features or not numbers or "image_id" not in names:
        raise ContractError(
            "The pixel proof needs image_id, an object number and <Compartment>_Intensity_MeanIntensity_<channel>; "
            f"found {len(features)} such feature(s) and object number column(s) {numbers}."
        )
    wanted = [n for n in dict.fromkeys((*_KEY_COLUMNS, *features)) if n in names]
    wanted += [n for n in names if (is_box_column(n) or is_plane_column(n)) and n not in wanted]
    return query_metadata_table(source, columns=wanted, filters=[("image_id", "IS NOT", None)])


def _read_images(
    image_assets: object, label_files: LabelFiles, storage_options: Mapping[str, object] | None
) -> dict[tuple[str | None, str], _Image]:
    records = query_metadata_table(image_assets, storage_options=storage_options).to_pylist()
    images = {
        (r.get("dataset_id"), r["image_id"]): _Image(read_geometry(r))
        for r in records
        if r.get("image_kind") != "label"
    }
    for record in records:
        owner = images.get((record.get("dataset_id"), record.get("source_image_id") or ""))
        if record.get("image_kind") == "label" and owner is not None:
            name = record["image_id"].rpartition("/")[2].lower()
            owner.labels[name] = read_geometry(record)
    for (image_id, compartment), path in label_files.items():
        for (_, known), image in images.items():
            if known == image_id:
                image.labels[compartment.lower()] = _label_file(image.geometry, path)
    return images


def _label_file(image: ImageGeometry, path: str) -> ImageGeometry:
    shape = tuple(image.levels[0].shape[image.axes.index(axis)] for axis in ("y", "x"))
    level = LevelRecord(0, "0", shape, None)
    return ImageGeometry(
        image.plate_key, image.dataset_id, image.image_id, "ome-tiff", path, None, ("y", "x"), "uint16",
        (level,), (), (), None, None,
    )  # fmt: skip


def _choose(
    rows: pa.Table, options: ProofOptions
) -> Iterator[tuple[tuple[str | None, str], list[dict[str, object]]]]:
    """Rows to check, spread evenly over images and over the rows of each image."""
    datasets = (
        rows.column("dataset_id").to_pylist() if "dataset_id" in rows.column_names else [None] * rows.num_rows
    )
    by_image: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(datasets, rows.column("image_id").to_pylist(), strict=True)):
        by_image[key].append(row)
    keys = list(by_image)
    for key in (keys[i] for i in _spread(len(keys), options.max_images)):
        chosen = [by_image[key][i] for i in _spread(len(by_image[key]), options.objects_per_image)]
        yield key, rows.take(pa.array(chosen)).to_pylist()


def _spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` numbers below ``count``, evenly spaced, the middle one where only one is wanted."""
    if count <= wanted:
        return list(range(count))
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def _measure(
    row: Mapping[str, object],
    image: _Image,
    options: ProofOptions,
    storage_options: Mapping[str, object] | None,
) -> Iterator[ProofRow]:
    number = next(int(row[name]) for name in _NUMBER_COLUMNS if row.get(name) is not None)  # type: ignore[call-overload]
    for compartment in options.compartments:
        label = image.labels.get(compartment.lower())
        features = _features(row, compartment, image.geometry)
        if label is None or not features:
            continue
        box = read_box(row, find_box_columns(row, compartment))
        plane = with_planes(CropChoice(), row, label)
        labels = read_crop(build_location(label, box, plane), storage_options=storage_options)
        mask = labels.reshape(-1) == number
        channels = tuple(channel for _, channel in features)
        choice = with_planes(CropChoice(channels=channels, z=_only(image.geometry)), row, image.geometry)
        crop = read_crop(build_location(image.geometry, box, choice), storage_options=storage_options)
        planes = crop.reshape(len(channels), -1)
        if planes.shape[1] != mask.size:
            raise UsageError(
                f"Labels and pixels of {image.geometry.image_id} differ in size ({mask.size} and {planes.shape[1]} "
                "pixels in the same box): a stack, or labels of another resolution."
            )
        for (name, _), pixels in zip(features, planes, strict=True):
            mean = float(pixels[mask].mean()) if mask.any() else None
            object_id = str(row.get("Metadata_ObjectID") or f"{row['image_id']}/{number}")
            yield ProofRow(object_id, str(row["image_id"]), name, float(row[name]), mean)  # type: ignore[arg-type]
        return


def _only(geometry: ImageGeometry) -> int | None:
    """The single z plane of a flat image; stacks have no plane that a 2-D mean could be compared with."""
    position = geometry.axis("z")
    return None if position is None or geometry.levels[0].shape[position] > 1 else 0


def _features(row: Mapping[str, object], compartment: str, geometry: ImageGeometry) -> list[tuple[str, int]]:
    found = []
    for name, value in row.items():
        match = _FEATURE.fullmatch(name)
        if match and match[1] == compartment and match[2] in geometry.channel_names and value is not None:
            found.append((name, geometry.channel_names.index(match[2])))
    return found


def _judge(
    rows: Sequence[ProofRow], findings: Sequence[Finding], dtypes: set[str], tolerance: float
) -> PixelProof:
    scale = _find_scale(rows, dtypes)
    failed = tuple(
        row
        for row in rows
        if row.remeasured is None
        or not np.isclose(row.measured, row.remeasured * scale, rtol=tolerance, atol=1e-12)
    )
    extra = []
    if failed:
        text = (
            f"{len({r.object_id for r in failed})} of {len({r.object_id for r in rows})} objects are not where their "
            f"row says, e.g. {failed[0].object_id}: {failed[0].feature} is {failed[0].measured:.6g}, the pixels of "
            f"{failed[0].image_id} give {_shown(failed[0].remeasured, scale)}. Images may be swapped or changed."
        )
        extra.append(Finding("pixel-proof-failed", "error", failed[0].image_id, text))
    return PixelProof(tuple(rows), failed, (*findings, *extra), scale)


def _shown(value: float | None, scale: float) -> str:
    return "no such label" if value is None else f"{value * scale:.6g}"


def _find_scale(rows: Sequence[ProofRow], dtypes: set[str]) -> float:
    """1 for raw intensities, else 1 / largest value of the pixel type; whichever is nearer for most rows."""
    # Logarithms below: a zero says nothing about the scale.
    pairs = [(r.measured, r.remeasured) for r in rows if r.remeasured and r.measured > 0]
    # CellProfiler divides integer images by the largest value of their type, unless it knows the camera's bits.
    candidates = [1.0, *(1.0 / np.iinfo(d).max for d in dtypes if np.issubdtype(np.dtype(d), np.integer))]
    if not pairs:
        return 1.0
    middle = float(np.median([np.log(measured / again) for measured, again in pairs]))
    return min(candidates, key=lambda candidate: abs(middle - np.log(candidate)))


def _no_labels(image_id: str) -> Finding:
    text = f"Image {image_id} has no label image; its objects were not measured again."
    return Finding("proof-without-labels", "info", image_id, text)
