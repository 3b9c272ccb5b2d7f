"""The five linking rules, in order of trust, on whole joins."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from bioimage_assets.core.joins.join import JoinOptions, join_plate, join_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, plate_images, tiff_set_row

NAMES = {"DNA": "A01_w1.tif", "ER": "A01_w2.tif"}
TWO_FIELDS = image_table(
    tiff_set_row("P1:A01:1", "/data/ds/P1/s1", NAMES, well_id="A01", site_id="1"),
    tiff_set_row(
        "P1:A01:2", "/data/ds/P1/s2", {"DNA": "b_w1.tif", "ER": "b_w2.tif"}, well_id="A01", site_id="2"
    ),
)


def link(images: pa.Table, **columns: list) -> list[tuple[str | None, str | None]]:
    """(image_id, join_rule) of each row of a plate join."""
    joined = join_plate(images, pa.table(columns), plate_key="ds/P1", dataset_id="ds").table()
    return list(zip(joined["image_id"].to_pylist(), joined["join_rule"].to_pylist(), strict=True))


def test_an_image_id_links_first() -> None:
    rows = link(
        plate_images(),
        Metadata_ImageID=["P1:B02:1", "unknown"],
        Metadata_Well=["B02", "A01"],
        Metadata_Site=[1, 0],
    )
    assert rows == [("P1:B02:1", "image_id"), ("P1:A01:0", "plate_well_site")]


@pytest.mark.parametrize("image_id", ["P1:B/2/1/0", "P1:B/2/1/1"])
def test_the_array_form_of_the_seeds_still_links_at_every_level(image_id: str) -> None:
    levels = [{"level": n, "path": f"B/2/1/{n}", "shape": [1, 1, 1]} for n in (0, 1)]
    images = image_table(image_row("P1:B02:1", array_path="B/2/1/0", levels=levels), image_row("P1:B02:0"))
    assert link(images, image_id=[image_id]) == [("P1:B02:1", "image_id")]


def test_a_store_given_on_its_own_links_by_its_stem_as_dataset() -> None:
    images = image_table(image_row("P1", array_path="0", plate_id=None))
    joined = join_profiles(
        images, [{"dataset_id": "P1", "image_id": "P1:0"}, {"dataset_id": "Q", "image_id": "P1:0"}]
    )
    assert joined.table()["join_rule"].to_pylist() == ["image_id", None]


@pytest.mark.parametrize("well", ["A1", "a01", "A-1", "A - 1", "A/1", "r01c01", "(1,1)", "  A01 "])
@pytest.mark.parametrize("site", [1, 1.0, "1", "001", " 1 "])
def test_plate_well_and_site_link_in_any_spelling(well: str, site: object) -> None:
    assert link(plate_images(), Metadata_Plate=["P1"], Metadata_Well=[well], Metadata_Site=[site]) == [
        ("P1:A01:1", "plate_well_site")
    ]


def test_plate_names_match_exactly_with_their_leading_zeros() -> None:
    images = image_table(
        image_row("001:A01:0", plate_id="001", plate_key="ds/001", well_id="A01", site_id="0")
    )
    joined = join_profiles(
        images,
        pa.table({"Metadata_Plate": ["001", "1"], "Metadata_Well": ["A01"] * 2, "Metadata_Site": [0, 0]}),
    )
    assert joined.table()["join_rule"].to_pylist() == ["plate_well_site", None]
    assert [f.code for f in joined.report.findings] == ["unknown-plate"]


def test_rows_of_another_partition_stay_without_image_and_are_named() -> None:
    cells = {"plate_key": ["ds/P2", None, "ds/P1"], "Metadata_Well": ["A01"] * 3, "Metadata_Site": [0] * 3}
    joined = join_plate(plate_images(), pa.table(cells), plate_key="ds/P1", dataset_id="ds")
    assert joined.table()["image_id"].to_pylist() == [None, "P1:A01:0", "P1:A01:0"]
    (finding,) = joined.report.findings
    assert (finding.code, finding.location) == ("unknown-plate", "ds/P2")


def test_another_name_of_the_very_plate_links_where_the_dataset_says_so() -> None:
    cells = pa.table({"Metadata_Plate": ["BR00117010"], "Metadata_Well": ["A01"], "Metadata_Site": [0]})
    for settings, rule in (
        (DatasetSettings(), None),
        (DatasetSettings(ignore_profile_plate=True), "plate_well_site"),
    ):
        joined = join_plate(plate_images(), cells, settings=settings, plate_key="ds/P1", dataset_id="ds")
        (row,) = joined.table().to_pylist()
        assert (row["join_rule"], row["Metadata_Plate"]) == (rule, "BR00117010")
        found = {f.code: f.setting for f in joined.report.findings}
        assert ("[join] ignore_profile_plate = true" in found.values()) == (rule is None)


def test_the_store_name_of_the_plate_links_like_its_own_name() -> None:
    images = image_table(image_row("x:A01:0", plate_id="Screening plate 1", well_id="A01", site_id="0"))
    assert (
        link(
            images,
            Metadata_Plate=["P1", "Screening plate 1"],
            Metadata_Well=["A01"] * 2,
            Metadata_Site=["0"] * 2,
        )
        == [("x:A01:0", "plate_well_site")] * 2
    )


def test_a_well_profile_links_to_the_only_image_of_its_well_and_to_none_of_several() -> None:
    images = image_table(
        image_row("P1:A01:0", well_id="A01", site_id="0"),
        image_row("P1:B02:0", well_id="B02", site_id="0"),
        image_row("P1:B02:1", well_id="B02", site_id="1"),
    )
    result = join_plate(
        images, pa.table({"Metadata_Well": ["A1", "b02"]}), plate_key="ds/P1", dataset_id="ds"
    )
    joined = result.table()
    assert joined["image_id"].to_pylist() == ["P1:A01:0", None]
    assert joined["well_id"].to_pylist() == ["A01", "B02"]
    assert result.report.count("ambiguous", "plate_well") == 1


def test_md5_links_only_when_asked_for_and_reads_the_files(tmp_path) -> None:
    (tmp_path / "a.tif").write_bytes(b"one")
    (tmp_path / "b.tif").write_bytes(b"two")
    images = image_table(
        tiff_set_row("P1:x", str(tmp_path), {"DNA": "a.tif"}),
        tiff_set_row("P1:y", str(tmp_path), {"DNA": "b.tif"}),
    )
    digest = hashlib.md5(b"two", usedforsecurity=False).hexdigest().upper()
    profiles = pa.table({"Image_MD5Digest_DNA": [digest]})
    assert join_plate(images, profiles, plate_key="ds/P1").table()["image_id"].to_pylist() == [None]
    asked = join_plate(images, profiles, settings=DatasetSettings(match_md5=True), plate_key="ds/P1")
    assert asked.table().select(["image_id", "join_rule"]).to_pylist() == [
        {"image_id": "P1:y", "join_rule": "md5"}
    ]


def test_a_stored_digest_saves_the_reading_and_a_missing_file_is_a_finding() -> None:
    digest = "0" * 31 + "a"
    images = image_table(
        image_row("P1:x", file_md5=f"{'1' * 32},{digest}", format_family="ome-tiff"),
        tiff_set_row("P1:y", "/nowhere", {"DNA": "b.tif"}),
    )
    asked = join_plate(
        images,
        pa.table({"MD5Digest_DNA": [digest]}),
        settings=DatasetSettings(match_md5=True),
        plate_key="ds/P1",
    )
    assert asked.table()["image_id"].to_pylist() == ["P1:x"]
    assert [f.code for f in asked.report.findings] == ["md5-unreadable"]


@pytest.mark.parametrize(
    "folder",
    [
        "/data/ds/P1/s1",
        "/data/ds//P1/s1/",
        "file:/data/ds/P1/s1",
        "file:///data/ds/P1/s1",
        "\\data\\ds\\P1\\s1",
    ],
)
def test_path_and_file_name_link_in_any_spelling(folder: str) -> None:
    assert link(TWO_FIELDS, Image_FileName_DNA=["A01_w1.tif"], Image_PathName_DNA=[folder]) == [
        ("P1:A01:1", "path")
    ]


def test_declared_prefixes_are_rewritten_at_folder_borders_only() -> None:
    profiles = pa.table(
        {"FileName_DNA": ["A01_w1.tif"] * 2, "PathName_DNA": ["/home/lab/P1/s1", "/home/lab2/P1/s1"]}
    )
    settings = DatasetSettings(path_rewrites=(("/home/lab/", "/data/ds"),))
    images = image_table(
        *TWO_FIELDS.to_pylist(),
        tiff_set_row("P1:C01:1", "/elsewhere", {"DNA": "A01_w1.tif"}, well_id="C01", site_id="1"),
    )
    joined = join_plate(images, profiles, settings=settings, plate_key="ds/P1").table()
    assert joined["join_rule"].to_pylist() == ["path", None]


def test_a_file_name_links_within_one_plate_by_any_channel() -> None:
    rows = link(
        TWO_FIELDS,
        Image_FileName_DNA=["A01_w1.tif", "gone.tif", None],
        Image_FileName_ER=["x.tif", "b_w2.tif", None],
    )
    assert rows == [("P1:A01:1", "file_name"), ("P1:A01:2", "file_name"), (None, None)]


def test_a_file_name_in_a_store_links_by_store_and_image_path() -> None:
    assert link(plate_images(), Image_FileName_DNA=["P1.ome.zarr/B/2/1"]) == [("P1:B02:1", "file_name")]


def test_a_file_name_never_links_across_plates() -> None:
    images = image_table(
        tiff_set_row("P1:A01:1", "/data/ds/P1", NAMES),
        tiff_set_row("P2:A01:1", "/data/ds/P2", NAMES, plate_id="P2", plate_key="ds/P2"),
    )
    profiles = pa.table({"FileName_DNA": ["A01_w1.tif"] * 3, "Metadata_Plate": ["P2", None, "P3"]})
    assert join_profiles(images, profiles).table()["image_id"].to_pylist() == ["P2:A01:1", None, None]


def test_channels_that_name_different_images_are_ambiguous() -> None:
    profiles = pa.table({"FileName_DNA": ["A01_w1.tif"], "FileName_ER": ["b_w2.tif"]})
    result = join_plate(TWO_FIELDS, profiles, plate_key="ds/P1")
    assert result.report.count("ambiguous", "file_name") == 1
    assert result.table()["image_id"].to_pylist() == [None]


def test_an_ambiguous_rule_gives_way_to_a_later_one_that_is_certain() -> None:
    assert link(TWO_FIELDS, Metadata_Well=["A01"], FileName_DNA=["b_w1.tif"]) == [("P1:A01:2", "file_name")]


def test_rules_that_name_different_images_are_an_error_finding_and_the_more_trusted_one_links() -> None:
    profiles = pa.table({"Metadata_Well": ["A01"], "Metadata_Site": ["1"], "FileName_DNA": ["b_w1.tif"]})
    result = join_plate(TWO_FIELDS, profiles, plate_key="ds/P1")
    assert result.table()["image_id"].to_pylist() == ["P1:A01:1"]
    assert result.report.count("conflicting-rules", "file_name") == 1
    assert [(f.code, f.severity) for f in result.report.findings] == [("conflicting-rules", "error")]


def test_an_acquisition_chooses_between_images_of_one_position() -> None:
    images = image_table(
        *(image_row(f"P1:A01:0:{a}", well_id="A01", site_id="0", acquisition_id=a) for a in ("0", "1"))
    )
    keys = {"Metadata_Well": ["A01"] * 2, "Metadata_Site": ["0"] * 2, "Metadata_Acquisition": [1, None]}
    assert link(images, **keys) == [("P1:A01:0:1", "plate_well_site"), (None, None)]


def test_labels_are_never_linked() -> None:
    label = image_row("P1:A01:0:labels/cells", image_kind="label", well_id="A01", site_id="0")
    images = image_table(label, image_row("P1:A01:0", well_id="A01", site_id="0"))
    rows = link(
        images,
        image_id=["P1:A01:0:labels/cells", None],
        Metadata_Well=[None, "A01"],
        Metadata_Site=[None, "0"],
    )
    assert rows == [(None, None), ("P1:A01:0", "plate_well_site")]


def test_rows_of_another_dataset_are_not_linked_whatever_their_well() -> None:
    images = plate_images()
    keys = {"dataset_id": ["ds", "other"], "Metadata_Well": ["A01"] * 2, "Metadata_Site": ["0"] * 2}
    assert join_profiles(images, pa.table(keys)).table()["image_id"].to_pylist() == ["P1:A01:0", None]


def test_the_laboratory_is_taken_for_the_dataset_only_where_it_is_one() -> None:
    keys = {"Metadata_Source": ["source_4", "ds"], "image_id": ["P1:A01:0"] * 2}
    assert join_profiles(plate_images(), pa.table(keys)).report.matched_rows == 2


def test_only_images_of_the_partition_are_candidates() -> None:
    other = image_row("P2:A01:0", plate_key="ds/P2", plate_id="P2", well_id="A01", site_id="0")
    images = image_table(other, image_row("P1:A01:0", well_id="A01", site_id="0"))
    assert link(images, Metadata_Well=["A01"], Metadata_Site=["0"]) == [("P1:A01:0", "plate_well_site")]


def test_chosen_join_keys_are_matched_exactly_instead_of_the_ladder() -> None:
    profiles = pa.table(
        {"Metadata_Plate": ["P1", "P1"], "Metadata_Well": ["A1", None], "image_id": ["P1:B02:0"] * 2}
    )
    images = plate_images(sites=("0",))
    joined = join_profiles(images, profiles, JoinOptions(join_keys=("plate_id", "well_id"))).table()
    assert joined.select(["image_id", "join_rule"]).to_pylist() == [
        {"image_id": "P1:A01:0", "join_rule": "join_keys"}, {"image_id": None, "join_rule": None},
    ]  # fmt: skip


@pytest.mark.parametrize("keys", [("plate_id", "well_id"), ("plate_id", "well_id", "site_id"), ("image_id",)])
def test_rows_and_images_without_a_chosen_key_are_not_the_same_place(keys: tuple[str, ...]) -> None:
    nowhere = image_row("P1:x", plate_id="P1", well_id=None, site_id=None)
    images = image_table(nowhere, image_row("P1:A01:0", well_id="A01", site_id="0"))
    cells = pa.table(
        {
            "Metadata_Plate": pa.array(["P1", "P1", None]),
            "Metadata_Well": pa.array([None, "A01", "A01"], pa.string()),
            "Metadata_Site": pa.array([None, "0", "0"], pa.string()),
            "image_id": pa.array([None, "P1:A01:0", None], pa.string()),
        }
    )
    joined = join_profiles(images, cells, JoinOptions(join_keys=keys)).table()
    assert joined["join_rule"].to_pylist() == [None, "join_keys", None]


def test_a_file_name_that_wells_share_links_no_row_to_the_image_of_another_well() -> None:
    images = image_table(tiff_set_row("P1:A02:1", "/data/ds/P1/A02", {"DNA": "img_001.tif"}, well_id="A02"))
    cells = pa.table({"Metadata_Well": ["A02", "B02"], "Image_FileName_DNA": ["img_001.tif"] * 2})
    joined = join_plate(images, cells, plate_key="ds/P1", dataset_id="ds")
    assert joined.table()["image_id"].to_pylist() == ["P1:A02:1", None]
    assert "unknown-well" in [finding.code for finding in joined.report.findings]


def test_a_path_into_another_well_than_the_row_names_is_an_error() -> None:
    images = image_table(tiff_set_row("P1:A02:1", "/data/ds/P1/A02", {"DNA": "img_001.tif"}, well_id="A02"))
    cells = pa.table(
        {
            "Metadata_Well": ["B02"],
            "Image_PathName_DNA": ["/data/ds/P1/A02"],
            "Image_FileName_DNA": ["img_001.tif"],
        }
    )
    joined = join_plate(images, cells, plate_key="ds/P1", dataset_id="ds")
    assert joined.table()["join_rule"].to_pylist() == ["path"]
    assert [f.severity for f in joined.report.findings if f.code == "conflicting-rules"] == ["error"]
