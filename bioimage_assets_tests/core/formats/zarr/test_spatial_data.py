"""A SpatialData store gives its images and labels, linked where the store says so; its other elements are told and are no images."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import zarr

from bioimage_assets.core.formats.ome_zarr import spatial_data
from bioimage_assets.core.formats.ome_zarr.limits import MAX_ELEMENTS
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.builders.spatial_stores import write_spatial_data
from bioimage_assets_tests.builders.zarr_documents import write_array, write_group, write_image


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_healthy_store_gives_its_images_and_labels_and_no_warning(tmp_path: Path, zarr_format: int) -> None:
    systems = ["global", "microscope"]
    root = write_spatial_data(
        tmp_path / "blobs.zarr", zarr_format=zarr_format,
        images={"blobs_image": systems, "blobs_multiscale_image": systems},
        labels={"blobs_labels": systems, "blobs_multiscale_labels": systems},
    )  # fmt: skip
    scan = scan_store_records(str(root))
    found = {image.image_id: (image.image_kind, image.source_image_id) for image in scan.images}
    assert found == {
        "blobs:images/blobs_image": ("image", None),
        "blobs:images/blobs_multiscale_image": ("image", None),
        "blobs:labels/blobs_labels": ("label", "blobs:images/blobs_image"),
        "blobs:labels/blobs_multiscale_labels": ("label", "blobs:images/blobs_multiscale_image"),
    }
    group = zarr.open_group(str(root), mode="r")
    for image in scan.images:
        assert [level.shape for level in image.levels] == [group[level.path].shape for level in image.levels]
        # How an element lies in other coordinate systems is no pixel size of its own.
        assert [level.scale[-1] for level in image.levels if level.scale] == [1.0, 2.0]
    assert scan.images[0].channel_names == ("0", "1")
    assert {finding.severity for finding in scan.findings} == {"info"}
    told = [finding.message for finding in scan.findings if finding.code == "not-an-image"]
    assert [message.rpartition(": ")[2] for message in told] == ["transcripts.", "circles.", "table."]


@pytest.mark.parametrize(
    ("images", "labels", "source"),
    [
        ({"he": ["global"]}, {"cells": ["global"]}, "he"),
        ({"he": ["global"], "dapi": ["global"]}, {"cells": ["global"]}, None),
        ({"he": ["a"], "dapi": ["b"]}, {"cells": ["b"]}, "dapi"),
        ({"he": ["global"], "dapi": ["global"]}, {"dapi_segmentation": ["global"]}, "dapi"),
        ({"cells_image": ["a"]}, {"cells_labels": ["b"]}, None),
        ({"he": []}, {"cells": ["global"]}, None),
        ({"he": []}, {"he_mask": []}, "he"),
        ({"image": ["a"], "cells": ["a"]}, {"labels": ["a"]}, "image"),
        ({"dapi": ["a"], "dapi_image": ["b"]}, {"dapi_labels": ["b"]}, "dapi_image"),
        ({"dapi": ["a"], "dapi_image": ["a"]}, {"dapi_labels": ["a"]}, None),
    ],
)
def test_a_label_is_linked_by_its_name_or_its_coordinate_system_or_not_at_all(
    tmp_path: Path, images: dict[str, list[str]], labels: dict[str, list[str]], source: str | None
) -> None:
    scan = scan_store_records(str(write_spatial_data(tmp_path / "s.zarr", images=images, labels=labels)))
    (label,) = [image for image in scan.images if image.image_kind == "label"]
    assert label.source_image_id == (source and f"s:images/{source}")


def test_more_elements_than_a_store_has_are_read_to_the_limit_in_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spatial_data, "MAX_ELEMENTS", 3)
    root = write_spatial_data(tmp_path / "s.zarr", images={f"i{n}": ["a"] for n in range(5)}, labels={})
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == ["s:images/i0", "s:images/i1", "s:images/i2"]
    assert [finding.location for finding in scan.findings if finding.code == "list-too-long"] == ["images"]
    names = [f"images/{n}_image" for n in range(MAX_ELEMENTS)]
    images = {name: {"global"} for name in names}
    started = time.process_time()
    assert [spatial_data.find_image(f"labels/{n}", {"global"}, images) for n in range(20)] == names[:20]
    assert time.process_time() - started < 1, "all labels together take seconds"


def test_elements_below_a_group_that_says_nothing_are_told_too(tmp_path: Path) -> None:
    """Stores of old versions have no attributes at their root; other tools put tables beside images."""
    root = tmp_path / "old.zarr"
    write_group(root, "", {})
    write_image(root, "images/he")
    write_group(root, "images", {})
    write_group(root, "table", {})
    write_group(root, "table/table", {"encoding-type": "anndata"})
    write_array(root, "table/table/X", (4, 3), (4, 3))
    write_group(root, "points", {})
    write_group(root, "points/p", {"encoding-type": "ngff:points"})
    scan = scan_store_records(str(root))
    assert [(image.image_id, image.image_kind) for image in scan.images] == [("old", "image")]
    assert {(finding.code, finding.severity) for finding in scan.findings} == {("not-an-image", "info")}


def test_an_element_without_metadata_and_a_folder_of_another_kind_are_not_lost(tmp_path: Path) -> None:
    root = write_spatial_data(tmp_path / "s.zarr", images={"he": ["a"]}, labels={})
    (root / "images/broken").mkdir()
    write_image(root, "more")
    scan = scan_store_records(str(root))
    assert [image.image_id for image in scan.images] == ["s:images/he", "s:more"]
    assert [(f.code, f.location) for f in scan.findings if f.severity != "info"] == [
        ("unreadable-element", "images/broken")
    ]
