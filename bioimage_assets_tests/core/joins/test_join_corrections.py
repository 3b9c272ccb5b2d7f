"""Rows are never linked to a neighbour field on a guess: another numbering of sites, or another plate name, is proven or declared."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.decision import LinkProof
from bioimage_assets.core.joins.join import JoinOptions, JoinResult, join_plate, join_profiles
from bioimage_assets.core.joins.report import read_proven_site_offset
from bioimage_assets.core.joins.sources import ProfileSource
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.joins.join_builders import image_table, plate_images, tiff_set_row

FROM_ONE = {"Metadata_Well": ["A01", "A01", "B02", "B02"], "Metadata_Site": [1, 2, 1, 2]}
RIGHT = ["P1:A01:0", "P1:A01:1", "P1:B02:0", "P1:B02:1"]


def join(profiles: dict[str, list], images: pa.Table | None = None, **options) -> JoinResult:
    images = plate_images() if images is None else images
    return join_plate(images, pa.table(profiles), plate_key="ds/P1", dataset_id="ds", **options)


def links(result: JoinResult) -> list[str | None]:
    return result.table()["image_id"].to_pylist()


def findings(result: JoinResult) -> dict[str, Finding]:
    return {finding.code: finding for finding in result.report.findings}


def answer(**by_links: LinkProof) -> Callable[[ProfileSource], LinkProof]:
    """Pixels that answer by the image of the first row: ``P1_A01_0`` for P1:A01:0."""

    def weigh(rows: ProfileSource) -> LinkProof:
        names = rows.schema.names
        batch = next(iter(rows.batches([names.index("image_id"), names.index("Metadata_Well")])))
        assert batch.schema.names == ["image_id", "Metadata_Well"]
        return by_links[str(batch["image_id"][0]).replace(":", "_")]

    return weigh


def test_sites_that_all_differ_by_one_are_linked_to_nothing_and_the_setting_is_named():
    result = join(FROM_ONE)
    assert links(result) == [None] * 4
    assert result.table()["site_id"].to_pylist() == ["1", "2", "1", "2"]
    found = findings(result)
    assert found.keys() == {"site-offset", "nothing-linked"}
    assert (found["site-offset"].severity, found["site-offset"].setting) == (
        "error",
        "[join] profile_site_offset = 1",
    )
    assert "profiles 1, 2, images 0, 1" in found["site-offset"].message


def test_sites_that_count_from_zero_where_images_count_from_one_are_refused_too():
    result = join({**FROM_ONE, "Metadata_Site": [0, 1, 0, 1]}, plate_images(sites=("1", "2")))
    assert links(result) == [None] * 4
    assert findings(result)["site-offset"].setting == "[join] profile_site_offset = -1"


@pytest.mark.parametrize(("offset", "linked"), [(1, RIGHT), (0, ["P1:A01:1", None, "P1:B02:1", None])])
def test_a_declared_offset_is_not_questioned_by_keys(offset: int, linked: list[str | None]):
    result = join(FROM_ONE, settings=DatasetSettings(profile_site_offset=offset))
    assert links(result) == linked
    assert "site-offset" not in findings(result)


def test_rows_of_wells_without_a_second_site_are_refused_with_the_others():
    result = join({"Metadata_Well": ["A01", "B02", "B02"], "Metadata_Site": [1, 1, 2]})
    assert links(result) == [None] * 3


def test_sites_that_no_offset_explains_stay_linked_where_they_fit():
    result = join({**FROM_ONE, "Metadata_Site": [1, 2, 0, 1]})
    assert links(result) == ["P1:A01:1", None, "P1:B02:0", "P1:B02:1"]
    assert findings(result)["site-mismatch"].severity == "warning"


def files(site: int) -> dict[str, str]:
    return {"DNA": f"P1_A01_f{site}_DNA.tif"}


NAMED = image_table(
    *(
        tiff_set_row(f"P1:A01:{site}", "/data/P1", files(site), well_id="A01", site_id=str(site))
        for site in (0, 1)
    )
)


def test_names_of_image_files_prove_an_offset():
    rows = {"Metadata_Well": ["A01"] * 3, "Metadata_Site": [1, 2, 2]}
    rows["Image_FileName_DNA"] = ["P1_A01_f0_DNA.tif", "P1_A01_f1_DNA.tif", "renamed.tif"]
    result = join(rows, NAMED)
    assert links(result) == ["P1:A01:0", "P1:A01:1", "P1:A01:1"]
    assert result.table()["join_rule"].to_pylist() == ["proven_position"] * 3
    finding = findings(result)["site-offset-proven"]
    assert (finding.severity, finding.setting) == ("warning", "[join] profile_site_offset = 1")
    assert "conflicting-rules" not in findings(result)
    assert read_proven_site_offset(result.report.to_table()) == 1


def test_names_of_image_files_refute_an_offset():
    rows = {"Metadata_Well": ["A01"] * 2, "Metadata_Site": [1, 2]}
    rows["Image_FileName_DNA"] = ["P1_A01_f1_DNA.tif", "P1_A01_f2_DNA.tif"]
    result = join(rows, NAMED)
    assert links(result) == ["P1:A01:1", None]
    assert findings(result)["site-mismatch"].severity == "warning"
    assert read_proven_site_offset(result.report.to_table()) == 0


CONFIRMED = LinkProof(
    "confirmed", "40 cells fit", finding=Finding("links-confirmed-by-pixels", "info", "", "40 cells fit")
)
UNDECIDED = LinkProof("undecided", "too few cells")


def test_pixels_prove_an_offset():
    result = join(FROM_ONE, weigh_links=answer(P1_A01_0=CONFIRMED))
    assert links(result) == RIGHT
    found = findings(result)
    assert "40 cells fit" in found["site-offset-proven"].message
    assert found["links-confirmed-by-pixels"].severity == "info"
    assert result.report.count("corrected-position") == 4
    assert result.report.profile_rows == result.report.matched_rows == 4


def test_pixels_that_do_not_prove_an_offset_leave_the_rows_without_image():
    result = join(FROM_ONE, weigh_links=answer(P1_A01_0=UNDECIDED))
    assert links(result) == [None] * 4
    assert "too few cells" in findings(result)["site-offset"].message


def test_pixels_that_agree_with_another_numbering_of_sites_are_believed_where_keys_say_nothing():
    contradicted = LinkProof(
        "contradicted", "others fit", 1, Finding("links-contradicted-by-pixels", "error", "", "others fit")
    )
    images = plate_images(sites=("0", "1", "2"))
    weigh = answer(P1_A01_1=contradicted, P1_A01_0=CONFIRMED)
    result = join(FROM_ONE, images, weigh_links=weigh)
    assert links(result) == RIGHT
    assert "site-offset-proven" in findings(result)
    declared = join(FROM_ONE, images, weigh_links=weigh, settings=DatasetSettings(profile_site_offset=0))
    assert links(declared)[0] == "P1:A01:1"
    assert findings(declared)["links-contradicted-by-pixels"].severity == "error"


OTHER_NAME = {**FROM_ONE, "Metadata_Plate": ["BR00117035"] * 4, "Metadata_Site": [0, 1, 0, 1]}


def test_a_plate_name_that_matches_nowhere_is_proposed_where_wells_and_sites_are_the_same():
    result = join(OTHER_NAME)
    assert links(result) == [None] * 4
    finding = findings(result)["unknown-plate"]
    assert (finding.severity, finding.setting) == ("error", "[join] ignore_profile_plate = true")
    assert "'BR00117035'" in finding.message
    assert "exactly those of the images" in finding.message


def test_pixels_prove_another_name_of_the_plate_together_with_its_numbering():
    rows = {**OTHER_NAME, "Metadata_Site": [1, 2, 1, 2]}
    result = join(rows, weigh_links=answer(P1_A01_0=CONFIRMED))
    assert links(result) == RIGHT
    assert findings(result)["site-offset-proven"].setting == (
        "[join] profile_site_offset = 1 and ignore_profile_plate = true"
    )


def test_a_part_of_the_wells_under_another_name_is_no_proposal_since_any_plate_has_them():
    rows = {name: values[:2] for name, values in OTHER_NAME.items()}
    finding = findings(join(rows))["unknown-plate"]
    assert finding.severity == "error"
    assert "exactly those" not in finding.message


def test_rows_of_two_other_plates_are_no_other_name_of_one():
    rows = {**OTHER_NAME, "Metadata_Plate": ["X", "X", "Y", "Y"]}
    assert "exactly those" not in findings(join(rows))["unknown-plate"].message


def test_a_stream_whose_sites_all_differ_fails_at_its_end_unless_it_can_be_looked_at_before():
    table = pa.table(FROM_ONE)
    options = JoinOptions(plate_key="ds/P1", dataset_id="ds")
    with pytest.raises(ContractError, match="site_offset=1"):
        join_profiles(plate_images(), table.to_reader(), options).table()
    looked = JoinOptions(
        plate_key="ds/P1", dataset_id="ds", preview=table, weigh_links=answer(P1_A01_0=CONFIRMED)
    )
    assert links(join_profiles(plate_images(), table.to_reader(), looked)) == RIGHT
    declared = JoinOptions(plate_key="ds/P1", dataset_id="ds", site_offset=1)
    assert links(join_profiles(plate_images(), table.to_reader(), declared)) == RIGHT


def test_the_name_of_another_plate_that_is_there_is_no_other_name_of_this_one():
    result = join(
        OTHER_NAME,
        weigh_links=answer(**{"P1_A01_0": CONFIRMED, "None": UNDECIDED}),
        other_plates=frozenset({"BR00117035"}),
    )
    assert links(result) == [None] * 4
    finding = findings(result)["unknown-plate"]
    assert (finding.severity, finding.setting) == ("error", "")
    assert "Plate 'BR00117035' is in this dataset, too" in finding.message
