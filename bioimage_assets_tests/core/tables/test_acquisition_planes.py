"""Facts of the acquisition as columns: one row per plane that says anything, a nullable struct per image."""

from datetime import UTC, datetime

from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts, drop_empty
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.tables.acquisition_planes import build_acquisition_planes
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES

MOMENT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)


def image(image_id: str, facts: AcquisitionFacts | None, *planes: PlaneFacts) -> ImageRecord:
    return ImageRecord(
        "ds/p", "ds", image_id, "image", "ome-tiff", "files", f"file:///{image_id}", (2, 8, 8), "uint8", "f",
        plate_id="p", well_id="A01", site_id="1", channel_names=("DNA", None), acquisition=facts, planes=planes,
        image_name=f"Field {image_id}",
    )  # fmt: skip


def test_each_plane_is_a_row_with_the_place_and_channel_of_its_image():
    facts = AcquisitionFacts("ome-xml", stage_x_um=12.5, acquired_at=MOMENT)
    planes = (
        PlaneFacts(0, 0, 0, acquired_at=MOMENT, exposure_s=0.1),
        PlaneFacts(1, 0, 0, time_offset_s=1.5),
    )
    table = build_acquisition_planes([image("a", None), image("b", facts, *planes)])
    assert table.schema == ACQUISITION_PLANES
    rows = table.to_pylist()
    assert [(row["image_id"], row["well_id"], row["channel"], row["c"]) for row in rows] == [
        ("b", "A01", "DNA", 0), ("b", "A01", None, 1),
    ]  # fmt: skip
    assert [row["acquired_at"] for row in rows] == [MOMENT, None]
    assert [row["exposure_s"] for row in rows] == [0.1, None]
    assert [row["time_offset_s"] for row in rows] == [None, 1.5]
    assert {row["source"] for row in rows} == {"ome-xml"}


def test_without_planes_the_table_is_empty_and_has_its_columns():
    assert build_acquisition_planes([image("a", None)]).schema == ACQUISITION_PLANES


def test_facts_of_an_image_are_a_struct_and_null_where_there_are_none():
    facts = AcquisitionFacts("htd", exposures_s=(0.1, None), objective="20x", magnification=20.0)
    rows = build_image_assets([image("a", None), image("b", facts), image("c", None)]).to_pylist()
    assert [row["acquisition"] is None for row in rows] == [True, False, True]
    assert rows[1]["acquisition"]["exposures_s"] == [0.1, None]
    assert rows[1]["acquisition"]["magnification"] == 20.0
    assert rows[1]["acquisition"]["emission_nm"] is None
    assert rows[2]["image_name"] == "Field c"


def test_lists_that_say_nothing_are_left_out_and_facts_of_nothing_are_none():
    assert drop_empty(AcquisitionFacts("htd", exposures_s=(None, None))) is None
    assert drop_empty(AcquisitionFacts("htd", exposures_s=(None,), binning="2x2")) == AcquisitionFacts(
        "htd", binning="2x2"
    )
