"""Pictures and pages are made from stored tables alone, stand alone, and show what the tables say."""

from __future__ import annotations

import base64
import io
import re
from urllib.parse import parse_qs, urlsplit

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pictures.accounting import draw_completeness, draw_join_report
from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.drawing import Drawing, NotDrawn
from bioimage_assets.core.pictures.embedding import draw_dose_response, draw_well_pca
from bioimage_assets.core.pictures.histograms import draw_qc_histograms
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.montage import draw_qc_montage
from bioimage_assets.core.pictures.page_parts import ReportSection, ReportTable
from bioimage_assets.core.pictures.plate_counts import build_lineage
from bioimage_assets.core.pictures.plate_map import WellValues, build_layout, draw_plate_heatmaps
from bioimage_assets.core.pictures.plate_overview import choose_features
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.replicate_plot import draw_replicates
from bioimage_assets.core.pictures.style import THUMBNAIL_BYTES, Picture, build_thumbnail
from bioimage_assets.core.profiling.cosmicqc import QcCondition, QcReport, build_cosmicqc_profiles
from bioimage_assets.core.profiling.dataset import build_selected_features
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.pictures.dataset_hits import with_hits
from bioimage_assets_tests.core.pictures.page_reader import read_page
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate

pytestmark = pytest.mark.slow

SETTINGS = DatasetSettings()
PLANS = plan_plate(control_count=8)
JOIN_REPORT = pa.table(
    {
        "outcome": ["matched", "profiles-without-image", "linked-column"],
        "join_rule": ["plate_well_site", None, "file_name"],
        "row_count": [390, 10, 7],
    }
)
COMPLETENESS = pa.table(
    {
        "well_id": ["A01", "A02"],
        "fields_declared": pa.array([2, 2], pa.int32()),
        "fields_found": pa.array([2, 1], pa.int32()),
        "verdict": ["complete", "partial"],
        "reasons": pa.array([[], ["field 1 is <missing>"]], pa.list_(pa.string())),
    }
)


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    return make_cells(PLANS)


@pytest.fixture(scope="module")
def qc(cells: pa.Table) -> tuple[pa.Table, QcReport]:
    return build_cosmicqc_profiles(cells, SETTINGS)


@pytest.fixture(scope="module")
def wells(cells: pa.Table) -> pa.Table:
    return build_well_profiles(cells, None, make_platemap(PLANS), SETTINGS)[0]


def size_of(picture: Drawing) -> tuple[int, int]:
    assert isinstance(picture, Picture)
    with Image.open(io.BytesIO(picture.png)) as image:
        image.verify()
        return image.size


def paint(row: pa.Table, *, size_px: int) -> Crop:
    """A crop whose brightness is the cell's number."""
    number = row["Metadata_ObjectNumber"][0].as_py()
    return Crop(np.full((2, size_px, size_px), 100 + number, np.uint16), ("DNA", "ER"), 0.5)


@pytest.mark.parametrize("rows", ["AB", "ABCDEFGHIJKLMNOP"])
def test_heatmaps_have_the_shape_of_their_plate(rows: str) -> None:
    columns = {2: 3, 8: 12, 16: 24}[len(rows)]
    values = {f"{row}{column:02d}": float(column) for row in rows for column in range(1, columns + 1)}
    picture = draw_plate_heatmaps("counts", "P1", "Cells.", [WellValues("Cells", values)])
    width, height = size_of(picture)
    assert isinstance(picture, Picture)
    assert 1.0 < width / height < 2.2
    assert picture.caption == "Cells."


def test_a_1536_well_plate_is_drawn() -> None:
    values = {"A01": 1.0, "AF48": -2.0}
    picture = draw_plate_heatmaps(
        "signed", "P1", "", [WellValues("Feature", values, "signed", frozenset({"A01"}))]
    )
    assert min(size_of(picture)) > 200


def test_the_layout_knows_controls_and_ranks_doses(wells: pa.Table) -> None:
    layout = {well.well: well for well in build_layout(wells, SETTINGS)}
    assert layout["A01"].is_control
    levels = [layout[plan.well].level for plan in PLANS if plan.compound == "active"][:3]
    assert levels == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]


def test_without_treatments_there_is_no_layout(wells: pa.Table) -> None:
    assert (
        build_layout(wells.drop_columns(["Metadata_compound", "Metadata_concentration_um"]), SETTINGS) == ()
    )


def test_thumbnails_fit_into_run_metadata() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="png")
    small = build_thumbnail(buffer.getvalue())
    assert len(small) <= THUMBNAIL_BYTES < len(buffer.getvalue())
    with Image.open(io.BytesIO(small)) as image:
        assert image.width / image.height == pytest.approx(4 / 3, rel=0.05)


def test_pictures_leave_the_global_settings_of_matplotlib_alone(wells: pa.Table) -> None:
    before = dict(mpl.rcParams)
    assert isinstance(draw_well_pca(wells, SETTINGS, "Wells"), Picture)
    assert dict(mpl.rcParams) == before


def test_histograms_have_a_caption_with_the_counts(cells: pa.Table, qc: tuple[pa.Table, QcReport]) -> None:
    picture = draw_qc_histograms(cells, qc[1], "QC")
    assert isinstance(picture, Picture)
    assert f"{qc[1].failed_count} of {qc[1].cell_count} cells" in picture.caption
    empty = QcReport(0, 0, 0, (), ())
    assert isinstance(draw_qc_histograms(cells, empty, "QC"), NotDrawn)


def test_the_montage_asks_for_flagged_cells_of_each_condition_and_for_passed_ones(
    cells: pa.Table, qc: tuple[pa.Table, QcReport]
) -> None:
    asked: list[str] = []

    def read_crop(row: pa.Table, *, size_px: int) -> Crop:
        asked.append(row["Metadata_ObjectID"][0].as_py())
        assert not set(FEATURES) & set(row.column_names)  # features are not read for a picture
        return paint(row, size_px=size_px)

    table, report = qc
    picture = draw_qc_montage(cells, table, report, read_crop, "Cells", per_row=3)
    assert size_of(picture)[0] > 200
    failed = dict(
        zip(table["Metadata_ObjectID"].to_pylist(), table["Metadata_cqc_failed"].to_pylist(), strict=True)
    )
    assert [failed[name] for name in asked[-3:]] == [False] * 3
    assert all(failed[name] for name in asked[:-3])
    assert len(asked) > 3


def test_the_worst_cell_of_a_condition_comes_first(cells: pa.Table) -> None:
    settings = DatasetSettings(qc_thresholds={"big": {"Nuclei_AreaShape_Area": 1.0}})
    table, report = build_cosmicqc_profiles(cells, settings)
    asked: list[int] = []

    def read_crop(row: pa.Table, *, size_px: int) -> Crop:
        asked.append(row["Metadata_ObjectNumber"][0].as_py())
        return paint(row, size_px=size_px)

    draw_qc_montage(cells, table, report, read_crop, "Cells", per_row=2)
    area = cells["Nuclei_AreaShape_Area"].to_numpy()
    assert asked[:2] == list(np.argsort(-area)[:2])


def test_a_montage_without_readable_pixels_is_left_out(
    cells: pa.Table, qc: tuple[pa.Table, QcReport]
) -> None:
    def read_crop(row: pa.Table, *, size_px: int) -> Crop:
        raise StoreNotFoundError("gone")

    missing = draw_qc_montage(cells, *qc, read_crop, "Cells")
    assert isinstance(missing, NotDrawn)
    assert missing.is_odd
    assert missing.sentence.endswith("the first: gone.")


def test_well_map_and_dose_response_need_wells_and_doses(wells: pa.Table) -> None:
    assert isinstance(draw_well_pca(wells.slice(0, 2), SETTINGS, "Wells"), NotDrawn)
    response = draw_dose_response(wells, SETTINGS, "Doses")
    assert size_of(response)[0] > 400
    undosed = wells.drop_columns(["Metadata_concentration_um"])
    assert isinstance(draw_dose_response(undosed, SETTINGS, "Doses"), NotDrawn)


def test_replicates_are_drawn_where_there_are_any(wells: pa.Table) -> None:
    report = measure_replicates(build_selected_features([wells], SETTINGS)[0], SETTINGS, null_size=200)
    picture = draw_replicates(report, "Replicates")
    assert isinstance(picture, Picture)
    assert "% of 6 treatments replicate" in picture.caption
    one_each = wells.slice(0, 9)
    alone = measure_replicates(one_each, SETTINGS, null_size=200)
    assert isinstance(draw_replicates(alone, "Replicates"), NotDrawn)


def test_chosen_features_differ_between_wells_and_from_each_other(wells: pa.Table) -> None:
    chosen = choose_features(wells, 3)
    assert len(set(chosen)) == len(chosen) == 3
    assert FEATURES.index(chosen[0]) % 2 == 1  # the treated features have odd numbers
    values = wells.select(chosen).to_pandas().to_numpy()
    correlation = np.corrcoef(values.T) - np.eye(len(chosen))
    assert np.abs(correlation).max() < 0.8


def test_completeness_and_join_captions_count(wells: pa.Table) -> None:
    complete, joins = draw_completeness(COMPLETENESS, "Completeness"), draw_join_report(JOIN_REPORT, "Join")
    assert isinstance(complete, Picture)
    assert complete.caption.startswith("1 of 2 wells is complete")
    assert isinstance(joins, Picture)
    assert joins.caption.startswith("390 profile rows")
    assert isinstance(draw_join_report(JOIN_REPORT.slice(2), "Join"), NotDrawn)


def test_lineage_accounts_for_every_cell(qc: tuple[pa.Table, QcReport], wells: pa.Table) -> None:
    tables = PlateTables("screen/P1", SETTINGS, wells=wells, join_report=JOIN_REPORT)
    steps = build_lineage(tables, qc[1])
    assert [step.count for step in steps] == [400, 390, qc[1].cell_count - qc[1].failed_count, 400]
    assert steps[1].lost == "10 without image"
    assert steps[2].lost == f"{qc[1].failed_count} failed QC"


def test_the_plate_page_stands_alone_and_shows_every_picture(
    cells: pa.Table, qc: tuple[pa.Table, QcReport], wells: pa.Table
) -> None:
    findings = (Finding("odd-thing", "warning", "A01", "a <script>alert(1)</script> in a name"),)
    tables = PlateTables(
        "screen/P1", SETTINGS, cells, qc[0], wells, None, COMPLETENESS, JOIN_REPORT, findings, None, paint
    )
    report = build_plate_report(tables)
    names = {picture.name for picture in report.pictures}
    assert names == {
        "plate_overview", "qc_conditions", "qc_histograms", "qc_montage", "well_pca", "dose_response", "lineage", "completeness",
        "join_report",
    }  # fmt: skip
    assert report.html.count("<img ") == len(report.pictures)
    assert "<script>" not in report.html
    assert "&lt;script&gt;" in report.html
    assert "field 1 is &lt;missing&gt;" in report.html
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", report.html)
    assert re.search(r"https?://", report.html) is None
    first = re.search(r'src="data:image/png;base64,([^"]+)"', report.html)
    assert first is not None
    assert base64.b64decode(first[1]) == report.pictures[0].png


def test_wells_and_the_worst_cells_lead_to_their_pixels_whatever_their_names_hold(
    cells: pa.Table, qc: tuple[pa.Table, QcReport], wells: pa.Table
) -> None:
    plate = 'scr een/P"1"<b>&%'
    names = [f"{plate}/{number}/'><script>" for number in range(qc[0].num_rows)]
    position = qc[0].column_names.index("Metadata_ObjectID")
    table = qc[0].set_column(position, "Metadata_ObjectID", pa.array(names))
    tables = PlateTables(
        plate, SETTINGS, cells, table, wells, None, COMPLETENESS, JOIN_REPORT, browse_url="https://hub.example/p/8765"
    )  # fmt: skip
    page = read_page(build_plate_report(tables).html)
    links = [urlsplit(link) for link in page.links if link.startswith("https://hub.example/p/8765/go?")]
    assert {(link.scheme, link.netloc, link.path) for link in links} == {
        ("https", "hub.example", "/p/8765/go")
    }
    asked = [parse_qs(link.query, strict_parsing=True) for link in links]
    assert all((one["dataset"], one["plate"]) == (["scr een"], ['P"1"<b>&%']) for one in asked)
    found = [one["cell"][0] for one in asked if "cell" in one]
    worst = [name for one in qc[1].conditions for name in expected_worst(table, one)]
    assert found == worst != []
    assert "A02" in {one["well"][0] for one in asked if "well" in one}
    assert "bioimage-assets browse" in page.text
    assert "script" not in page.tags


def expected_worst(qc: pa.Table, condition: QcCondition) -> list[str]:
    """The ten flagged cells furthest beyond the nearest threshold, sorted by pandas."""
    frame = qc.to_pandas()
    flagged = frame[frame[f"Metadata_cqc_{condition.name}_is_outlier"]].copy()
    scores = [
        flagged[f"Metadata_cqc_{condition.name}_{limit.feature}_zscore"].abs() - abs(limit.zscore)
        for limit in condition.thresholds
    ]
    flagged["beyond"] = np.min(scores, axis=0) if len(flagged) else []
    return (
        flagged.sort_values("beyond", ascending=False, kind="stable")["Metadata_ObjectID"].head(10).tolist()
    )


@pytest.mark.parametrize("missing", ["qc", "wells"])
def test_a_plate_with_some_tables_gets_the_page_it_can_have(
    missing: str, cells: pa.Table, qc: tuple[pa.Table, QcReport], wells: pa.Table
) -> None:
    given = {
        "joined": cells,
        "qc": qc[0],
        "wells": wells,
        "completeness": COMPLETENESS,
        "join_report": JOIN_REPORT,
    }
    given.pop(missing)
    report = build_plate_report(PlateTables("screen/P1", SETTINGS, **given))  # type: ignore[arg-type]
    assert "screen/P1" in report.html
    assert report.pictures


def test_a_plate_without_any_table_has_a_page_too() -> None:
    report = build_plate_report(PlateTables("screen/P1", SETTINGS))
    assert "No findings." in report.html
    assert report.pictures == ()


def test_the_dataset_page_compares_plates_and_treatments(wells: pa.Table) -> None:
    others = [
        build_well_profiles(
            make_cells(PLANS, plate=f"P{seed}", seed=seed), None, make_platemap(PLANS), SETTINGS
        )[0]
        for seed in (2, 3)
    ]
    plates = (wells, *others)
    selected, _ = build_selected_features(plates, SETTINGS)
    report = build_dataset_report(with_hits(DatasetTables("screen", SETTINGS, plates, selected)))
    assert [picture.name for picture in report.pictures] == [
        "plates_count", "plates_fraction", "well_pca", "replicates", "dose_response",
    ]  # fmt: skip
    assert "active 10" in report.html
    assert report.picture("replicates") is not None
    assert report.picture("nothing") is None


def test_long_tables_are_cut_and_say_so() -> None:
    table = ReportTable("Wells", ("well", "cells"), tuple((f"w{number}", number) for number in range(1000)))
    report = build_html_report("t", "s", (), (), [ReportSection("Wells", "", (), (table,))])
    assert "and 600 more rows" in report.html
    assert "w399<" in report.html
    assert "w400<" not in report.html


def without_profile(wells: pa.Table, well: str) -> pa.Table:
    """The same wells, one of them without a passing cell: its features are null."""
    names = wells["well_id"].to_pylist()
    empty = pa.array([name == well for name in names])
    columns = {
        name: pc.if_else(empty, pa.scalar(None, column.type), column) if name.startswith(("Cells_", "Cytoplasm_", "Nuclei_")) else column
        for name, column in zip(wells.column_names, wells.columns, strict=True)
    }  # fmt: skip
    return pa.table(columns)


def test_a_well_without_passing_cells_costs_no_picture(wells: pa.Table) -> None:
    first = wells["well_id"][0].as_py()
    some = without_profile(wells, first)
    assert choose_features(some)
    picture = draw_well_pca(some, SETTINGS, "Wells")
    assert isinstance(picture, Picture)
    assert picture.caption.startswith(f"{wells.num_rows - 1} wells (1 without profile)")
    assert isinstance(draw_dose_response(some, SETTINGS, "Dose"), Picture)


def test_a_plate_whose_wells_have_no_profile_says_so(wells: pa.Table) -> None:
    none = wells
    for well in wells["well_id"].to_pylist():
        none = without_profile(none, well)
    page = build_plate_report(PlateTables("screen/P1", SETTINGS, wells=none)).html
    assert f"0 of {wells.num_rows} wells have a profile" in page


def test_headings_stand_over_their_numbers() -> None:
    rows = (("A01", 3, None), ("A02", 4, 0.5))
    table = ReportTable("Wells", ("well", "cells", "dose"), rows)
    page = build_html_report("P", "", [], [], [ReportSection("S", "", (), (table,))]).html
    assert '<th>well</th><th class="number">cells</th><th class="number">dose</th>' in page
