"""The pixel proof: true links pass, swapped or changed images fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tifffile

from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.proof import ProofOptions, ProofRow, _judge, _spread, check_pixel_proof
from bioimage_assets_tests.core.joins.join_builders import image_table, tiff_set_row, write_small_plate

EVERY_CELL = ProofOptions(objects_per_image=1_000)


def swap_folders(one: Path, two: Path) -> None:
    """Exchange two folders on disk."""
    spare = one.with_name("spare")
    one.rename(spare)
    two.rename(one)
    spare.rename(two)


def join_small(plate) -> pa.Table:
    return join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()


def test_true_links_are_confirmed_by_every_cell(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    proof = check_pixel_proof(join_small(plate), plate.images, options=EVERY_CELL)
    assert proof.is_passed
    assert (proof.checked_count, len(proof.rows)) == (6, 12)
    assert proof.scale == 1 / 65_535


def test_two_fields_swapped_on_disk_fail_with_one_cell_per_field(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    joined = join_small(plate)
    swap_folders(plate.store / "A/1/0", plate.store / "A/1/1")
    proof = check_pixel_proof(joined, plate.images)
    assert not proof.is_passed
    assert (proof.checked_count, proof.failed_count) == (2, 2)
    (finding,) = proof.findings
    assert (finding.code, finding.severity) == ("pixel-proof-failed", "error")


@pytest.mark.slow
def test_a_row_linked_to_the_wrong_image_fails(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    wrong = plate.cells.set_column(
        3, "Metadata_Site", pc.replace_substring(plate.cells["Metadata_Site"], "1", "0")
    )
    joined = join_plate(plate.images, wrong, plate_key="ds/P1", dataset_id="ds").table()
    proof = check_pixel_proof(joined, plate.images, options=EVERY_CELL)
    assert {row.object_id for row in proof.failed} == {f"ds/P1/1/{number}" for number in (1, 2, 3)}


def test_an_object_whose_label_is_elsewhere_fails(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    numbers = pa.array([2, 3, 1] * 2)
    joined = (
        join_small(plate)
        .drop_columns(["Metadata_ObjectNumber"])
        .append_column("Metadata_ObjectNumber", numbers)
    )
    proof = check_pixel_proof(joined, plate.images, options=EVERY_CELL)
    assert all(row.remeasured is None for row in proof.rows)
    assert "no such label" in proof.findings[0].message


def test_raw_intensities_are_recognised(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    joined = join_small(plate)
    for channel in ("DNA", "ER"):
        name = f"Cells_Intensity_MeanIntensity_{channel}"
        raw = pc.multiply(joined[name], 65_535.0)
        joined = joined.set_column(joined.column_names.index(name), name, raw)
    proof = check_pixel_proof(joined, plate.images, options=EVERY_CELL)
    assert (proof.is_passed, proof.scale) == (True, 1.0)


def test_images_without_labels_are_said_and_prove_nothing(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    images = plate.images.filter(pc.equal(plate.images["image_kind"], "image"))
    proof = check_pixel_proof(join_small(plate), images)
    assert not proof.is_passed
    assert {f.code for f in proof.findings} == {"proof-without-labels"}


def test_unreadable_pixels_are_findings_of_their_image_only(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    joined = join_small(plate)
    shutil.rmtree(plate.store / "A/1/1/0")
    proof = check_pixel_proof(joined, plate.images)
    assert [(f.code, f.location) for f in proof.findings] == [("pixels-unreadable", "P1:A01:1")]
    assert proof.checked_count == 1


def test_labels_of_another_size_are_a_finding_and_prove_nothing(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    rows = plate.images.to_pylist()
    for row in rows:
        if row["image_kind"] == "image":  # the same arrays, declared as a stack
            row |= {"axes": "zyx", "channel_names": ["DNA"]}
    proof = check_pixel_proof(join_small(plate), image_table(*rows))
    assert not proof.is_passed
    assert {f.code for f in proof.findings} == {"pixels-unreadable"}
    assert "a stack, or labels of another resolution" in proof.findings[0].message


def test_a_table_without_intensities_cannot_be_proved(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    with pytest.raises(ContractError, match="pixel proof needs"):
        check_pixel_proof(plate.cells.select(["Metadata_ObjectNumber"]), plate.images)


def test_label_files_beside_one_channel_tiffs_prove_too(tmp_path) -> None:
    plate = write_small_plate(tmp_path / "zarr")
    labels = np.zeros((100, 120), np.uint16)
    for number, (y, x) in enumerate(((5, 7), (30, 60), (77, 99)), start=1):
        labels[y : y + 20, x : x + 18] = number
    tifffile.imwrite(tmp_path / "cells.tif", labels)
    rows = []
    for image_id, pixels in plate.pixels.items():
        folder = tmp_path / image_id[-1]
        folder.mkdir()
        for name, plane in zip(("d.tif", "e.tif"), pixels, strict=True):
            tifffile.imwrite(folder / name, plane)
        names = {"DNA": "d.tif", "ER": "e.tif"}
        rows.append(
            tiff_set_row(
                image_id, str(folder), names, well_id="A01", site_id=image_id[-1], shape=[2, 100, 120]
            )
        )
    images = image_table(*rows)
    joined = join_plate(images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()
    label_files = {(image_id, "Cells"): str(tmp_path / "cells.tif") for image_id in plate.pixels}
    assert check_pixel_proof(joined, images, label_files=label_files, options=EVERY_CELL).is_passed
    swap_folders(tmp_path / "0", tmp_path / "1")
    assert not check_pixel_proof(joined, images, label_files=label_files).is_passed


def test_an_image_without_labels_hides_none_of_the_others(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    images = plate.images.filter(pc.not_equal(plate.images["image_id"], "P1:A01:0:labels/cells"))
    proof = check_pixel_proof(join_small(plate), images, options=EVERY_CELL)
    assert {row.image_id for row in proof.rows} == {"P1:A01:1"}
    assert [(f.code, f.location) for f in proof.findings] == [("proof-without-labels", "P1:A01:0")]


@pytest.mark.parametrize(
    ("count", "wanted", "chosen"),
    [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (9, 1, [4]), (10, 2, [2, 7]), (6, 4, [0, 2, 3, 5])],
)
def test_rows_to_check_are_spread_evenly(count: int, wanted: int, chosen: list[int]) -> None:
    assert _spread(count, wanted) == chosen


def test_the_first_object_that_differs_is_shown_with_both_numbers() -> None:
    rows = [
        ProofRow("a", "i", "F", 1.0, 1.0),
        ProofRow("b", "j", "F", 2.0, 3.0),
        ProofRow("c", "k", "F", 4.0, None),
    ]
    proof = _judge(rows, (), {"float32"}, 1e-3)
    assert [row.object_id for row in proof.failed] == ["b", "c"]
    assert (proof.checked_count, proof.failed_count, proof.is_passed) == (3, 2, False)
    (finding,) = proof.findings
    assert finding.message.startswith(
        "2 of 3 objects are not where their row says, e.g. b: F is 2, the pixels of j give 3."
    )
    assert not _judge([], (), set(), 1e-3).is_passed
    assert _judge([ProofRow("a", "i", "F", 1.0, 1.0009)], (), set(), 1e-3).is_passed
