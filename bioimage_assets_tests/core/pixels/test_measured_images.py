"""Mean intensities of whole images say whether a plate is linked right where no cell has a place."""

import numpy as np
import pyarrow as pa
import pytest
import tifffile
import zarr

from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.pixels.link_proof import build_link_weigher
from bioimage_assets.core.pixels.measured_images import link_measured_images
from bioimage_assets.core.pixels.witness import weigh_links
from bioimage_assets_tests.builders.witness_plates import (
    CHANNELS,
    PlateLook,
    WitnessPlate,
    image_id,
    write_witness_plate,
)

LOOKS = {"zarr": PlateLook(seed=11), "tiff": PlateLook(seed=12, kind="tiff")}
ILLUMINATION = 1.3  # corrected images are brighter, and a little otherwise each


@pytest.fixture(scope="module", params=LOOKS)
def plate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WitnessPlate:
    return write_witness_plate(tmp_path_factory.mktemp(request.param), LOOKS[request.param])


def measure_images(plate: WitnessPlate) -> pa.Table:
    """Image.csv: means of whole planes, read by zarr and tifffile, of corrected images, from 0 to 1."""
    rng = np.random.default_rng(0)
    rows = []
    for number, image in enumerate(plate.images.to_pylist(), 1):
        row = {
            "Metadata_ImageNumber": number,
            "Metadata_Well": image["well_id"],
            "Metadata_Site": image["site_id"],
        }
        for channel, name in enumerate(CHANNELS):
            if image["format_family"] == "zarr":
                pixels = zarr.open_array(f"{image['uri']}/{image['array_path']}", mode="r")[channel]
            else:
                pixels = tifffile.imread(f"{image['uri']}/{image['files'][channel]['path']}")
            mean = pixels.mean() * ILLUMINATION * rng.normal(1, 0.005)
            row[f"Image_ImageQuality_MeanIntensity_Orig{name}"] = float(mean) / 65_535
        rows.append(row)
    return pa.Table.from_pylist(rows)


def link(plate: WitnessPlate, measured: pa.Table, image_of) -> pa.Table:
    ids = [image_of(row["Metadata_Well"], int(row["Metadata_Site"])) for row in measured.to_pylist()]
    known = set(plate.images["image_id"].to_pylist())
    column = pa.array([one if one in known else None for one in ids], pa.string())
    linked = measured.append_column("image_id", column)
    return linked.filter(column.is_valid())


def swap(one: str, other: str):
    return lambda well, site: image_id({one: other, other: one}.get(well, well), site)


@pytest.mark.slow
def test_means_of_their_own_images_confirm_the_links(plate: WitnessPlate):
    verdict = weigh_links(link(plate, measure_images(plate), image_id), plate.images)
    assert (verdict.verdict, verdict.better) == ("confirmed", None)
    assert 0 < verdict.requests <= verdict.cost.max_requests


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image_of", "kind"),
    [
        (lambda well, site: image_id(well, site + 1), "site-offset"),
        (lambda well, site: image_id(f"{well[0]}{6 - int(well[1:]):02d}", site), "mirrored-columns"),
        (swap("A02", "C04"), "swapped-wells"),
    ],
)
def test_means_of_other_images_name_what_was_mixed_up(plate: WitnessPlate, image_of, kind: str):
    verdict = weigh_links(link(plate, measure_images(plate), image_of), plate.images)
    assert verdict.verdict == "contradicted"
    assert verdict.better.kind == kind
    if kind == "site-offset":
        assert verdict.better.setting == "[join] profile_site_offset = 1"
    if kind == "swapped-wells":
        assert set(verdict.better.wells) == {"A02", "C04"}


@pytest.mark.slow
def test_numbers_without_relation_to_the_pixels_decide_nothing(plate: WitnessPlate):
    measured = measure_images(plate)
    rng = np.random.default_rng(5)
    for name in measured.column_names:
        if "MeanIntensity" in name:
            random = pa.array(rng.random(measured.num_rows))
            measured = measured.set_column(measured.column_names.index(name), name, random)
    assert weigh_links(link(plate, measured, image_id), plate.images).verdict == "undecided"


def test_rows_of_the_image_table_get_the_image_of_their_cells(plate: WitnessPlate):
    cells = pa.table(
        {
            "image_id": ["P1:A01:0", "P1:A01:0", "P1:A01:1", None, "P1:A02:0", "P1:A02:1"],
            "Metadata_Well": ["A01", "A01", "A01", "A01", "A02", "A02"],
            "Metadata_Site": ["0", "0", "1", "2", "0", "0"],
        }
    )
    measured = pa.table(
        {"Metadata_Well": ["A01"] * 3 + ["A02"] * 2, "Metadata_Site": ["0", "1", "2", "0", "1"]}
    )
    linked = link_measured_images(open_profiles(cells), measured)
    assert linked["image_id"].to_pylist() == ["P1:A01:0", "P1:A01:1"]
    assert link_measured_images(open_profiles(cells.select(["image_id"])), measured).num_rows == 0


@pytest.mark.slow
def test_a_join_without_centres_is_proven_by_whole_images(plate: WitnessPlate):
    measured = measure_images(plate)
    cells = pa.table(
        {
            "image_id": plate.cells["image_id"],
            "Metadata_Well": plate.cells["well_id"],
            "Metadata_Site": plate.cells["site_id"],
        }
    )
    proof = build_link_weigher(plate.images, measured_images=measured)(open_profiles(cells))
    assert (proof.verdict, proof.finding.code) == ("confirmed", "links-confirmed-by-pixels")
    alone = build_link_weigher(plate.images)(open_profiles(cells))
    assert (alone.verdict, alone.finding.severity) == ("undecided", "info")
