"""A copy of the Cell Painting Gallery goes through the whole graph without a line of settings."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.headless import materialize_plates
from bioimage_assets.summary import summarize_plates
from bioimage_assets_tests.builders.gallery import WELLS, image_folder, write_plate

pytestmark = pytest.mark.slow

KEYS = [f"cpg0016-jump__source_4/{plate}" for plate in ("BR1", "BR1.2021_B2")]
TABLES = (
    "image_assets", "scan_findings", "single_cells", "measured_images", "joined_profiles", "join_report", "image_quality",
    "cosmicqc_profiles", "pycytominer_profiles",
)  # fmt: skip


def write_external(source: Path) -> None:
    folder = source / "workspace/metadata/external_metadata"
    folder.mkdir(parents=True)
    (folder / "external_metadata.tsv").write_text("compound\tpert_iname\nDMSO\tdmso\nc1\taspirin\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Built tables: a plate with images of which two are lost, and one of its name in another batch, whose images are elsewhere."""
    from bioimage_assets.resources.project import ProjectResource

    folder = tmp_path_factory.mktemp("gallery")
    source = folder / "data/incoming/cpg0016-jump/source_4"
    write_plate(source, "2021_B1", "BR1")
    write_plate(source, "2021_B2", "BR1", images=False)
    write_external(source)
    for path in (source / image_folder("2021_B1", "BR1")).rglob("r01c02*"):
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(folder / "data"))
        patch.setenv("BIOIMAGE_PICTURES", "off")
        (folder / "instance").mkdir()
        instance = dg.DagsterInstance.local_temp(str(folder / "instance"))
        report = materialize_plates(instance, select=TABLES, with_datasets=False)
        assert report.is_ok, [plate.message for plate in report.plates]
        yield ProjectResource()


def test_plates_are_found_measured_and_linked_with_or_without_their_images(project) -> None:
    rows = {row.plate: row for row in summarize_plates(project, KEYS)}
    assert {key: (row.images, row.cells, row.wells) for key, row in rows.items()} == {
        KEYS[0]: (3, 24, 4),
        KEYS[1]: (4, 24, 4),
    }
    # The lost field of BR1 had a quarter of its cells.
    assert [rows[key].matched for key in KEYS] == [18, 24]
    images = [row for key in KEYS for row in project.tables().read("image_assets", key).to_pylist()]
    assert {tuple(row["channel_names"]) for row in images} == {("OrigDNA", "OrigER")}
    assert {row["image_id"] for row in images} == {
        f"{key.partition('/')[2]}:{well}:1"
        for key in KEYS
        for well in WELLS
        if (key, well) != (KEYS[0], "A02")
    }


def test_wells_have_their_batch_their_platemap_and_what_is_known_of_compounds(project) -> None:
    wells = project.warehouse().read("pycytominer_profiles").to_pandas().set_index(["plate_key", "well_id"])
    assert wells["Metadata_Batch"].groupby("plate_key").unique().map(list).to_dict() == {
        KEYS[0]: ["2021_B1"],
        KEYS[1]: ["2021_B2"],
    }
    for key in KEYS:
        of_plate = wells.loc[key]
        assert of_plate["Metadata_compound"].to_dict() == {
            "A01": "c1",
            "A02": "DMSO",
            "B01": "c1",
            "B02": "DMSO",
        }
        assert set(of_plate["Metadata_pert_iname"]) == {"aspirin", "dmso"}


def test_what_load_data_names_and_nobody_has_is_a_finding_of_the_plate(project) -> None:
    rows = project.tables().read("scan_findings", KEYS[0]).to_pylist()
    [row] = [row for row in rows if row["code"].startswith("gallery-")]
    assert row["code"] == "gallery-images-absent"
    assert "2 of 8 images" in row["message"]
    others = project.tables().read("scan_findings", KEYS[1]).to_pylist()
    assert [row["code"] for row in others] == ["images-listed"]
