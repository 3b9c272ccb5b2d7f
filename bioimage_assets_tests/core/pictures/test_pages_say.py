"""Pages say what profiles are relative to, what a plate without images lacks, and count in proper words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape

import pyarrow as pa
import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.reference import describe_references, find_reference
from bioimage_assets.core.pictures.style import pictures_wanted
from bioimage_assets.core.pictures.well_numbers import find_strata, median_per_well, sum_per_well
from bioimage_assets.core.profiling.cosmicqc import build_cosmicqc_profiles
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.pycytominer import OBJECT_COUNT, build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets_tests.core.pictures.page_reader import read_page
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate

pytestmark = pytest.mark.slow

SETTINGS = DatasetSettings()
PLANS = plan_plate(control_count=8)
TO_PLATE = Finding(
    "normalised-to-plate", "warning", "Metadata_control_type", "Normalised to the whole plate."
)


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    return make_cells(PLANS)


@pytest.fixture(scope="module")
def wells(cells: pa.Table) -> pa.Table:
    return unmarked(build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)[0])


def unmarked(table: pa.Table) -> pa.Table:
    """The table without the mark of what its rows are relative to, as earlier versions stored it."""
    return table.select([name for name in table.column_names if name != "Metadata_Normalized_To"])


def relative_to(wells: pa.Table, *values: str | None) -> pa.Table:
    """The wells with the mark of what they are normalised to, repeated over the rows."""
    marks = [values[row % len(values)] for row in range(wells.num_rows)]
    return unmarked(wells).append_column("Metadata_Normalized_To", pa.array(marks, pa.string()))


@pytest.fixture
def no_pictures() -> Iterator[None]:
    """Pages of sentences and numbers only; drawing is most of what a page takes."""
    with pictures_wanted(False):
        yield


def facts_of(page: str) -> dict[str, str]:
    """Headlines of a page by their names."""
    return {
        name: value for value, name in re.findall(r'<div class="fact"><b>(.*?)</b><span>(.*?)</span>', page)
    }


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("is_centered", [False, True])
def test_a_plate_page_says_that_controls_are_the_reference_and_whether_they_were_centred(
    wells: pa.Table, is_centered: bool
) -> None:
    settings = DatasetSettings(center_controls=is_centered, normalization_method="robustize")
    page = build_plate_report(PlateTables("s/P1", settings, wells=relative_to(wells, "controls"))).html
    facts = facts_of(page)
    assert facts["normalised to (robustize)"] == "controls"
    assert facts["controls centred"] == ("yes" if is_centered else "no")
    assert "in deviations of the control wells (Metadata_control_type is negcon) of this plate" in page
    assert ("moved to zero (center_controls = true)" in page) == is_centered
    assert (escape("numbers are pycytominer's own") in page) != is_centered


@pytest.mark.usefixtures("no_pictures")
def test_a_plate_page_says_that_the_plate_is_its_own_reference(wells: pa.Table) -> None:
    by_column = PlateTables("s/P1", SETTINGS, wells=relative_to(wells, "plate"))
    by_finding = PlateTables("s/P1", SETTINGS, wells=wells, findings=(TO_PLATE,))
    for tables in (by_column, by_finding):
        page = build_plate_report(tables).html
        assert facts_of(page)["normalised to (standardize)"] == "plate"
        assert "controls centred" not in facts_of(page)
        assert "in deviations of all cells of this plate" in page


def test_a_table_with_one_column_twice_leaves_the_rest_of_the_page(wells: pa.Table) -> None:
    twice = relative_to(wells, "controls").append_column(
        "Metadata_Normalized_To", pa.array(["plate"] * wells.num_rows)
    )
    plate = build_plate_report(PlateTables("s/P1", SETTINGS, wells=twice))
    dataset = build_dataset_report(DatasetTables("s", SETTINGS, (twice,)))
    assert "What profiles are relative to" in {missing.title for missing in plate.not_drawn}
    assert "What profiles are relative to" in {missing.title for missing in dataset.not_drawn}
    assert plate.picture("well_pca") is not None
    assert dataset.picture("plates_count") is not None


@pytest.mark.usefixtures("no_pictures")
def test_a_page_does_not_guess_what_an_older_table_is_relative_to(wells: pa.Table) -> None:
    assert find_reference(wells) is None
    page = build_plate_report(PlateTables("s/P1", SETTINGS, wells=wells)).html
    assert "normalised to (standardize)" not in facts_of(page)
    assert "in deviations of the reference cells of this plate" in page


@pytest.mark.usefixtures("no_pictures")
def test_a_dataset_page_counts_rows_by_what_they_are_relative_to(wells: pa.Table) -> None:
    plates = (relative_to(wells, "controls"), relative_to(wells, "plate"), relative_to(wells, "controls"))
    selected = build_selected_features([wells], SETTINGS)[0]
    consensus = relative_to(build_consensus(selected, SETTINGS)[0], "controls", "mixed")
    count = consensus.num_rows
    settings = DatasetSettings(mix_references=True)
    page = build_dataset_report(DatasetTables("s", settings, plates, selected, consensus)).html
    assert "2 plates to the control wells of their plate and 1 plate to all wells of their plate" in page
    assert "mix_references = true" in page
    rows = re.findall(
        r"<tr><td>(controls|plate|mixed)</td><td>[^<]*</td>" + r'<td class="number">(\d+)</td>' * 2, page
    )
    assert rows == [
        ("controls", str(2 * wells.num_rows), str(-(-count // 2))),
        ("plate", str(wells.num_rows), "0"),
        ("mixed", "0", str(count // 2)),
    ]
    alone = describe_references(["controls", "plate"], SETTINGS)
    assert alone.endswith("wells of both kinds are not combined.")
    assert "not combined" not in describe_references(["controls"], SETTINGS)


def test_a_dataset_page_counts_wells_without_treatment_and_lists_the_finding(wells: pa.Table) -> None:
    selected = build_selected_features([wells], SETTINGS)[0]
    names = ["Metadata_compound", "Metadata_control_type"]
    for name in names:  # the last three wells are described by no platemap
        values = [*selected[name].to_pylist()[:-3], None, None, None]
        selected = selected.set_column(selected.column_names.index(name), name, pa.array(values, pa.string()))
    name = "Metadata_concentration_um"
    doses = pa.array([*selected[name].to_pylist()[:-3], None, None, None], pa.float64())
    selected = selected.set_column(selected.column_names.index(name), name, doses)
    consensus, report = build_consensus(selected, SETTINGS)
    page = build_dataset_report(
        DatasetTables("s", SETTINGS, (wells,), selected, consensus, report.findings)
    ).html
    assert facts_of(page)["wells without treatment"] == "3"
    (found,) = [finding for finding in read_page(page).findings if finding.code == "well-without-treatment"]
    assert found.text.startswith("3 wells ")


def test_a_plate_without_images_says_so_once(cells: pa.Table, wells: pa.Table) -> None:
    alone = cells.drop_columns(["image_id"])
    joins = pa.table({"outcome": ["profiles-without-image"], "join_rule": [None], "row_count": [400]})
    tables = PlateTables(
        "s/P1", SETTINGS, alone, build_cosmicqc_profiles(alone, SETTINGS)[0], wells, IMAGE_ASSETS.empty_table(), None, joins,
        is_imageless=True,
    )  # fmt: skip
    report = build_plate_report(tables)
    facts = facts_of(report.html)
    assert (facts["images"], facts["cells"]) == ("0", "400")
    assert "cells joined to an image" not in facts
    assert report.html.count("has no images") == 1
    assert "without image" not in report.html
    assert [(missing.title, missing.is_odd) for missing in report.not_drawn] == [
        ("Failed and passed cells", False)
    ]
    assert report.findings == ()
    assert {picture.name for picture in report.pictures} == {
        "plate_overview", "qc_conditions", "qc_histograms", "well_pca", "dose_response", "lineage",
    }  # fmt: skip


def test_a_plate_whose_images_are_all_unreadable_is_not_taken_for_one_without(
    cells: pa.Table, wells: pa.Table
) -> None:
    joins = pa.table({"outcome": ["profiles-without-image"], "join_rule": [None], "row_count": [400]})
    qc = build_cosmicqc_profiles(cells, SETTINGS)[0]
    tables = PlateTables("s/P1", SETTINGS, cells, qc, wells, IMAGE_ASSETS.empty_table(), None, joins)
    report = build_plate_report(tables)
    assert facts_of(report.html)["cells joined to an image"] == "0"
    assert report.picture("join_report") is not None
    assert "made of measurements alone" not in report.html


def test_profiles_of_one_well_at_several_times_are_added_up(wells: pa.Table) -> None:
    early, late = (
        wells.append_column("Metadata_Time", pa.array([time] * wells.num_rows)) for time in ("0h", "24h")
    )
    both = pa.concat_tables([early, late])
    assert find_strata(both) == ["Metadata_Time"]
    assert find_strata(wells) == []
    frame = both.to_pandas()
    assert sum_per_well(both, OBJECT_COUNT) == frame.groupby("well_id")[OBJECT_COUNT].sum().to_dict()
    medians = frame.groupby("well_id")[FEATURES[0]].median().to_dict()
    assert median_per_well(both, FEATURES[0]) == pytest.approx(medians)
    page = build_plate_report(PlateTables("s/P1", SETTINGS, wells=both)).html
    facts = facts_of(page)
    assert (facts["wells profiled"], facts["well profiles"]) == (str(wells.num_rows), str(2 * wells.num_rows))
    assert "Wells have several profiles (Metadata_Time)" in page
    assert "<th>Time</th>" in page


def test_one_of_something_is_not_many(wells: pa.Table) -> None:
    assert [count_words(count, "feature") for count in (0, 1, 2, 1200)] == [
        "0 features", "1 feature", "2 features", "1,200 features",
    ]  # fmt: skip
    names = [name for name in wells.column_names if name not in FEATURES[1:]]
    report = build_plate_report(PlateTables("s/P1", SETTINGS, wells=wells.select(names).slice(0, 1)))
    facts = facts_of(report.html)
    assert (facts["well profiled"], facts["feature"]) == ("1", "1")
    dataset = build_dataset_report(
        DatasetTables("s", SETTINGS, (wells.slice(0, 1),), wells.select(names).slice(0, 1))
    )
    assert {"plate", "well", "feature selected"} <= facts_of(dataset.html).keys()


@pytest.mark.usefixtures("no_pictures")
def test_a_finding_of_a_severity_that_is_not_known_is_listed_last() -> None:
    odd = Finding("odd", "notice", "", "written by a later version")  # type: ignore[arg-type]
    page = build_plate_report(replace(PlateTables("s/P1", SETTINGS), findings=(odd, TO_PLATE))).html
    assert page.index("normalised-to-plate") < page.index("written by a later version")
