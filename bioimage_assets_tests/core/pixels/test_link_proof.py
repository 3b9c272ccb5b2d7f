"""A join asks the pixels behind its links: exactly under label images, else by the witness; and what it does with the answer."""

from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.joins.decision import LinkProof
from bioimage_assets.core.joins.join import JoinResult, join_plate
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.pixels.link_proof import build_link_weigher
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.witness_plates import PlateLook, WitnessPlate, write_witness_plate
from bioimage_assets_tests.core.joins.join_builders import SmallPlate, write_small_plate


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> WitnessPlate:
    return write_witness_plate(tmp_path_factory.mktemp("witness"), PlateLook(seed=3, columns=4, first_site=1))


def measure(plate: WitnessPlate, *, site_offset: int = 0, name: str = "P1") -> pa.Table:
    """The cells as a pipeline writes them: with positions, without the id of their image."""
    cells = plate.cells
    sites = [int(site) + site_offset for site in cells["site_id"].to_pylist()]
    kept = [
        column
        for column in cells.column_names
        if column.partition("_")[0] in ("Cells", "Nuclei", "Cytoplasm")
    ]
    positions = {
        "Metadata_Plate": pa.array([name] * cells.num_rows),
        "Metadata_Well": cells["well_id"],
        "Metadata_Site": pa.array(sites),
    }
    return pa.table(positions | {column: cells[column] for column in kept})


def join(plate: WitnessPlate, profiles: pa.Table, settings: DatasetSettings | None = None) -> JoinResult:
    settings = settings or DatasetSettings()
    weigh = build_link_weigher(plate.images, profile_site_offset=settings.profile_site_offset or 0)
    (key,) = set(plate.images["plate_key"].to_pylist())
    (dataset,) = set(plate.images["dataset_id"].to_pylist())
    return join_plate(
        plate.images, profiles, settings=settings, plate_key=key, dataset_id=dataset, weigh_links=weigh
    )


def codes(result: JoinResult) -> dict[str, str]:
    return {finding.code: finding.message for finding in result.report.findings}


@pytest.mark.slow
def test_links_that_fit_are_confirmed_and_stay_as_they_are(plate: WitnessPlate):
    result = join(plate, measure(plate))
    assert result.table()["image_id"].equals(plate.cells["image_id"])
    assert codes(result).keys() == {"links-confirmed-by-pixels"}


@pytest.mark.parametrize("offset", [1, -1])
def test_another_numbering_of_sites_is_proven_and_applied(plate: WitnessPlate, offset: int):
    result = join(plate, measure(plate, site_offset=offset))
    assert result.table()["image_id"].equals(plate.cells["image_id"])
    assert set(result.table()["join_rule"].to_pylist()) == {"proven_position"}
    assert codes(result).keys() == {"links-confirmed-by-pixels", "site-offset-proven"}


def test_another_name_of_the_plate_is_proven_and_applied(plate: WitnessPlate):
    result = join(plate, measure(plate, name="BR00117035"))
    assert result.table()["image_id"].equals(plate.cells["image_id"])
    assert "'BR00117035' is another name of the plate" in codes(result)["plate-name-proven"]


@pytest.mark.slow
def test_cells_of_another_plate_are_not_linked_by_its_name(plate: WitnessPlate, tmp_path: Path):
    other = write_witness_plate(tmp_path, PlateLook(seed=77, columns=4))
    result = join(plate, measure(other, name="P2"))
    assert result.table()["image_id"].null_count == other.cells.num_rows
    assert "do not prove" in codes(result)["unknown-plate"]


def test_a_stated_offset_that_the_pixels_contradict_is_an_error_that_names_the_right_one(plate: WitnessPlate):
    result = join(plate, measure(plate, site_offset=1), DatasetSettings(profile_site_offset=0))
    (finding,) = [found for found in result.report.findings if found.code == "links-contradicted-by-pixels"]
    assert (finding.severity, finding.setting) == ("error", "[join] profile_site_offset = 1")


def ask_labels(small: SmallPlate, cells: pa.Table, site_of: dict[str, str]) -> LinkProof:
    """Link the cells of each site to a field, and ask the labels."""
    ids = pa.array([f"P1:A01:{site_of[site]}" for site in cells["Metadata_Site"].to_pylist()])
    linked = cells.append_column("image_id", ids)
    linked = linked.append_column("dataset_id", pa.array(["ds"] * linked.num_rows))
    return build_link_weigher(small.images)(open_profiles(linked))


OWN, SWAPPED = {"0": "0", "1": "1"}, {"0": "1", "1": "0"}


def test_label_images_prove_exactly_where_cells_are_too_few_for_a_witness(tmp_path: Path):
    small = write_small_plate(tmp_path)
    proof = ask_labels(small, small.cells, OWN)
    assert (proof.verdict, proof.finding.code) == ("confirmed", "links-confirmed-by-pixels")
    assert "under their labels" in proof.reason


def test_a_cell_that_differs_where_others_fit_exactly_contradicts_the_links(tmp_path: Path):
    small = write_small_plate(tmp_path)
    name = "Cells_Intensity_MeanIntensity_DNA"
    sites = small.cells["Metadata_Site"].to_pylist()
    values = [
        value * (1.5 if site == "1" else 1)
        for site, value in zip(sites, small.cells[name].to_pylist(), strict=True)
    ]
    cells = small.cells.set_column(small.cells.column_names.index(name), name, pa.array(values))
    proof = ask_labels(small, cells, OWN)
    assert (proof.verdict, proof.finding.severity) == ("contradicted", "error")
    assert "1 of 2 objects are not where their row says" in proof.reason


def test_intensities_that_fit_no_label_may_be_of_corrected_images_and_say_nothing(tmp_path: Path):
    small = write_small_plate(tmp_path)
    proof = ask_labels(small, small.cells, SWAPPED)
    assert (proof.verdict, proof.finding.severity) == ("undecided", "warning")
