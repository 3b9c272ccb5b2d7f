"""A scan as the seeds' public API gives it: ``ScanResult`` with ``ImageAsset`` rows, and its ``DatasetSummary``.

Thin views of ``StoreScan``: everything that the typed tables hold is still reachable through ``scan``. A result
may also be put together by hand from ``ImageAsset`` rows, as adapters of other packages do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.axes import count_channels, name_axes
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.identity import build_plate_key, store_stem
from bioimage_assets.core.model.image import ImageRecord, LevelRecord, axis_names, build_axes
from bioimage_assets.core.model.scan import StoreScan


@dataclass(frozen=True, slots=True)
class ImageAsset:
    """One image, label image or bare array of a store; ``shape`` and ``chunk_shape`` in the order of its axes."""

    uri: str
    shape: list[int]
    dtype: str
    array_path: str | None = None
    chunk_shape: list[int] | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    image_id: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What ``scan_store`` found in one store; ``warnings`` are the findings in words.

    Without ``scan`` the typed records are made of ``image_assets``: identity from the store's name, geometry
    from shape, chunk shape and the metadata keys ``axes`` and ``storage_variant``. UsageError where that fails.
    """

    source_uri: str
    format_family: str
    image_assets: list[ImageAsset]
    warnings: list[str] = field(default_factory=list)
    scan: StoreScan = field(default=None, repr=False, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.scan is None:
            object.__setattr__(self, "scan", _build_scan(self))

    @property
    def uri(self) -> str:
        """Location of the store."""
        return self.scan.uri

    @property
    def dataset_id(self) -> str:
        """Dataset that the store's images belong to."""
        return self.scan.dataset_id

    @property
    def plate_key(self) -> str:
        """Partition of the store's images."""
        return self.scan.plate_key

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """Typed records of the images."""
        return self.scan.images

    def to_dict(self) -> dict[str, object]:
        """The seeds' four keys."""
        return {
            "source_uri": self.source_uri,
            "format_family": self.format_family,
            "image_assets": [asset.to_dict() for asset in self.image_assets],
            "warnings": list(self.warnings),
        }

    def to_json(self, **options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A store at a glance; the lists are sorted and without repeats, ``<root>`` is an array at the root."""

    source_uri: str
    format_family: str
    image_asset_count: int
    chunked_asset_count: int
    array_paths: list[str]
    dtypes: list[str]
    shapes: list[list[int]]
    axes: list[str]
    channel_counts: list[int]
    storage_variants: list[str]
    warnings: list[str]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)

    def to_json(self, **options: object) -> str:
        """JSON text; keyword arguments go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)  # type: ignore[arg-type]


def build_scan_result(scan: StoreScan) -> ScanResult:
    """View a scan as the seeds do."""
    return ScanResult(
        source_uri=scan.uri,
        format_family=scan.format_family,
        image_assets=[_build_asset(image) for image in scan.images],
        warnings=[f"{finding.code}: {finding.message}" for finding in scan.findings],
        scan=scan,
    )


def _build_scan(result: ScanResult) -> StoreScan:
    """Records of a result that was put together by hand."""
    if not result.source_uri:
        raise UsageError("Invalid ScanResult: ScanResult.source_uri is required.")
    if not result.image_assets:
        raise UsageError("Invalid ScanResult: ScanResult.image_assets must contain at least one asset.")
    stem = store_stem(result.source_uri)
    plate_key = build_plate_key(stem, stem)
    images = tuple(
        _build_record(asset, result.format_family, stem, plate_key, is_only=len(result.image_assets) == 1)
        for asset in result.image_assets
    )
    fingerprint = combine_fingerprints(image.fingerprint for image in images)
    return StoreScan(
        uri=result.source_uri,
        dataset_id=stem,
        plate_key=plate_key,
        format_family=result.format_family,
        images=images,
        findings=(),
        fingerprint=fingerprint,
    )


def _build_record(asset: ImageAsset, family: str, stem: str, plate_key: str, *, is_only: bool) -> ImageRecord:
    for name in ("uri", "shape", "dtype"):
        if not getattr(asset, name):
            raise UsageError(f"Invalid ScanResult: image_assets.{name} is required.")
    path = asset.array_path
    axes, variant = asset.metadata.get("axes"), asset.metadata.get("storage_variant")
    chunk_shape = None if asset.chunk_shape is None else tuple(asset.chunk_shape)
    listed = axis_names(axes) if isinstance(axes, str) else axes if isinstance(axes, list | tuple) else ()
    names = name_axes([str(axis) for axis in listed], [None] * len(listed)).names
    return ImageRecord(
        plate_key=plate_key,
        dataset_id=stem,
        image_id=asset.image_id or (stem if is_only or path is None else f"{stem}:{path}"),
        image_kind="image",
        format_family=family,
        storage_variant=str(variant or family),
        uri=asset.uri,
        shape=tuple(asset.shape),
        dtype=asset.dtype,
        fingerprint=combine_fingerprints([json.dumps(asset.to_dict(), sort_keys=True, default=str)]),
        array_path=path,
        axes=build_axes(names) if names else None,
        chunk_shape=chunk_shape,
        levels=(LevelRecord(0, path or "", tuple(asset.shape), chunk_shape),),
    )


def _build_asset(image: ImageRecord) -> ImageAsset:
    metadata: dict[str, object] = {
        "storage_variant": image.storage_variant,
        "ndim": len(image.shape),
        "axes": image.axes,
        "channel_count": _count_channels(image),
        "image_kind": image.image_kind,
        "plate_id": image.plate_id,
        "well_id": image.well_id,
        "site_id": image.site_id,
        "channel_names": list(image.channel_names) if image.channel_names else None,
        "level_count": len(image.levels),
    }
    return ImageAsset(
        uri=image.uri,
        shape=list(image.shape),
        dtype=image.dtype,
        array_path=image.array_path,
        chunk_shape=None if image.chunk_shape is None else list(image.chunk_shape),
        metadata={k: v for k, v in metadata.items() if v is not None or k in ("axes", "channel_count")},
        image_id=image.image_id,
    )


def _count_channels(image: ImageRecord) -> int | None:
    return count_channels(axis_names(image.axes), image.shape)


def build_dataset_summary(result: ScanResult) -> DatasetSummary:
    """Sum a scan up."""
    images = result.images
    return DatasetSummary(
        source_uri=result.source_uri,
        format_family=result.format_family,
        image_asset_count=len(images),
        chunked_asset_count=sum(image.chunk_shape is not None for image in images),
        array_paths=_distinct(image.array_path or "<root>" for image in images),
        dtypes=_distinct(image.dtype for image in images),
        shapes=[list(shape) for shape in sorted({image.shape for image in images})],
        axes=_distinct(image.axes for image in images if image.axes),
        channel_counts=sorted({count for image in images if (count := _count_channels(image)) is not None}),
        storage_variants=_distinct(image.storage_variant for image in images),
        warnings=list(result.warnings),
    )


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
