"""Every figure and page is drawn from whatever its tables hold, or says in a sentence why it is not."""

from __future__ import annotations

import base64
import importlib
import inspect
import io
import pkgutil
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from bioimage_assets.core import pictures
from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.image_quality.drift import PlateLevel, build_drift_board
from bioimage_assets.core.pictures import (
    accounting,
    embedding,
    histograms,
    image_quality,
    montage,
    plate_map,
    plate_report,
    quality_board,
    style,
)
from bioimage_assets.core.pictures.campaign_report import CampaignTables, PlateCount, build_campaign_report
from bioimage_assets.core.pictures.channel_colours import Crop
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report, draw_plates
from bioimage_assets.core.pictures.dose_curves import draw_dose_curves
from bioimage_assets.core.pictures.drawing import UNDRAWABLE, NotDrawn, try_to_make
from bioimage_assets.core.pictures.geometry import PlateGeometry
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.page_parts import Report, ReportSection, ReportTable
from bioimage_assets.core.pictures.plate_counts import build_lineage
from bioimage_assets.core.pictures.plate_overview import draw_plate_overview
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.qc_conditions import draw_qc_conditions
from bioimage_assets.core.pictures.replicate_plot import draw_replicates
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.pictures.thumbnails import ThumbnailReader, draw_thumbnails
from bioimage_assets.core.pictures.well_tile import build_well_tile
from bioimage_assets.core.profiling.campaign_replicates import ACROSS_BATCHES, WITHIN_BATCH
from bioimage_assets.core.profiling.cosmicqc import build_cosmicqc_profiles, describe_cosmicqc_profiles
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.pycytominer import OBJECT_COUNT, build_well_profiles
from bioimage_assets.core.profiling.replicates import ReplicateReport, TreatmentReplicates
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import (
    CAMPAIGN_HITS,
    CAMPAIGN_REPLICATES,
    DOSE_RESPONSES,
    IMAGE_QUALITY,
)
from bioimage_assets_tests.core.pictures.broken_tables import BROKEN, HEALTHY, break_table
from bioimage_assets_tests.core.pictures.dataset_hits import with_hits
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate

pytestmark = pytest.mark.slow

SETTINGS = DatasetSettings()
# Written only by the guard around figures: a figure that needs it does not look after its own input.
GUARDED = "its numbers cannot be drawn"
NUMBERS = {"empty": (), "one row": (1.0,), "all null": (None, None), "null type": (None,), "all infinite": (np.inf,),
           "partly infinite": (np.inf, -np.inf, np.nan, None, 3.0), "constant": (7.0, 7.0),
           "huge": (-1e308, 1e308), "tiny": (0.0, 5e-324), "text": (None,), HEALTHY: (0.2, 0.5, 0.9)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a good plate and of its dataset."""

    cells: pa.Table
    qc: pa.Table
    wells: pa.Table
    selected: pa.Table
    consensus: pa.Table
    completeness: pa.Table
    joins: pa.Table


@cache
def good() -> Tables:
    plans = plan_plate(control_count=8)
    cells = make_cells(plans)
    qc = build_cosmicqc_profiles(cells, SETTINGS)[0]
    wells = build_well_profiles(cells, None, make_platemap(plans), SETTINGS)[0]
    if "Metadata_Normalized_To" not in wells.column_names:
        wells = wells.append_column("Metadata_Normalized_To", pa.array(["controls"] * wells.num_rows))
    selected = build_selected_features([wells], SETTINGS)[0]
    count = wells.num_rows
    completeness = pa.table({
        "well_id": wells["well_id"], "fields_declared": pa.array([2] * count, pa.int32()),
        "fields_found": pa.array([2] * (count - 1) + [1], pa.int32()),
        "verdict": ["complete"] * (count - 1) + ["partial"],
        "reasons": pa.array([[]] * count, pa.list_(pa.string())),
    })  # fmt: skip
    joins = pa.table(
        {"outcome": ["matched", "ambiguous"], "join_rule": ["plate_well_site", None], "row_count": [390, 10]}
    )
    return Tables(cells, qc, wells, selected, build_consensus(selected, SETTINGS)[0], completeness, joins)


def broken(how: str) -> Tables:
    tables = good()
    return Tables(*(break_table(getattr(tables, name), how) for name in Tables.__slots__))


def crop(how: str) -> montage.CropReader:
    """Reads pixels that are broken in the same way as the tables."""

    def read(row: pa.Table, *, size_px: int) -> Crop | None:
        if how == "empty":
            return Crop(np.zeros((0, size_px, size_px)))
        if how == "one row":
            return Crop(np.zeros((1, 1, 1), np.uint8))
        if how in ("all null", "null type"):
            return None
        if how == "text":
            raise StoreNotFoundError("The store is gone.")
        values = [np.nan if value is None else value for value in NUMBERS[how]]
        pixels = np.resize(np.asarray(values, np.float64), (2, size_px, size_px))
        return Crop(pixels, ("DNA", "ER"), values[0])

    return read


# The fields of two wells; a label image is none of them.
IMAGES = pa.table({
    "well_id": ["A01", "A01", "B02", "B02"], "site_id": ["2", "1", "1", "1"], "image_id": ["a2", "a1", "b1", "b1-label"],
    "image_kind": ["field", "field", "field", "label"], "scan_status": ["complete"] * 4,
})  # fmt: skip


def thumbnails(how: str) -> ThumbnailReader:
    """Reads fields that are broken in the same way as the tables."""
    read_one = crop(how)

    def read(fields: Sequence[Mapping[str, object]], *, size_px: int) -> list[Crop | NotDrawn]:
        row = pa.table({})
        made = (try_to_make("pixels", lambda: read_one(row, size_px=size_px)) for _ in fields)
        return [NotDrawn("pixels", "it is not there") if field is None else field for field in made]

    return read


def quality_rows(how: str) -> pa.Table:
    """Fields of four wells in two channels, whose measures are broken."""
    values = [np.nan if value is None else value for value in NUMBERS[how]]
    count = 8 * bool(values)
    measures = np.resize(np.asarray(values or [np.nan], np.float64), count)
    columns = {
        "plate_key": ["screen/P1"] * count, "dataset_id": ["screen"] * count, "source": ["pixels"] * count,
        "well_id": np.resize(["A01", "A02", "B01", "B02"], count).tolist(), "channel": (["DNA"] * 4 + ["ER"] * 4)[:count],
        "is_flagged": [number == 1 for number in range(count)], "flag_blurred": [number == 1 for number in range(count)],
        "reasons": [["blurred"] if number == 1 else [] for number in range(count)],
    }  # fmt: skip
    nothing = pa.nulls(count)
    return pa.table(
        {
            field.name: pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.array(measures, field.type)
            if field.type == pa.float64()
            else nothing.cast(field.type)
            for field in IMAGE_QUALITY
        },
        schema=IMAGE_QUALITY,
    )


def quality_levels(how: str) -> tuple[PlateLevel, ...]:
    """Levels of four plates, each with broken fields, the last far from the others."""
    rows = quality_rows(how)
    plates = []
    for number in range(4):
        key = pa.array([f"screen/P{number}"] * rows.num_rows, pa.string())
        plates.append(rows.set_column(0, rows.schema.field(0), key))
    return build_drift_board(plates, {f"screen/P{number}": "day 1" for number in range(4)}, 3.0)


def plate_tables(how: str) -> PlateTables:
    tables = broken(how)
    return PlateTables(
        "screen/P1", SETTINGS, tables.cells, tables.qc, tables.wells, IMAGES, tables.completeness, tables.joins, (), None,
        crop(how), read_thumbnails=thumbnails(how), image_quality=quality_rows(how),
    )  # fmt: skip


def dataset_tables(how: str) -> DatasetTables:
    tables = broken(how)
    found = DatasetTables(
        "screen", SETTINGS, (tables.wells, good().wells.slice(0, 0)), tables.selected, tables.consensus,
        quality=quality_levels(how),
    )  # fmt: skip
    return with_hits(found) if how == HEALTHY else replace(found, dose_responses=dose_curves_of(how))


def dose_curves_of(how: str) -> pa.Table:
    """Two compounds, one with a curve, whose numbers are broken in the same way as the tables."""
    numbers = [None if value is None else float(value) for value in NUMBERS[how]]
    words = {
        "dataset_id": "screen",
        "dose_column": "Metadata_concentration_um",
        "dose_count": 4,
        "well_count": 9,
    }
    some = numbers[0] if numbers else None
    broken_numbers = {field.name: some for field in DOSE_RESPONSES if field.type == pa.float64()} | {
        "doses": numbers,
        "responses": numbers,
    }
    rows = [
        {**words, "control_well_count": 4, "compound": name, "status": status, **broken_numbers}
        for name, status in (("a", "fitted"), ("b", "flat"))
    ]
    return pa.Table.from_pylist(rows, schema=DOSE_RESPONSES)


def replicate_report(how: str) -> ReplicateReport:
    values = NUMBERS[how]
    rows = tuple(
        TreatmentReplicates(f"t{n}", 2, v, v, False, v, v, v, v, False) for n, v in enumerate(values)
    )
    pairs = tuple(np.nan if value is None else value for value in values)
    some = values[0] if values else None
    return ReplicateReport(rows, some, some, some, 1, pairs, pairs)


def one_panel(how: str, kind: plate_map.ValueKind) -> Picture | NotDrawn:
    values = {f"A{number + 1:02d}": value for number, value in enumerate(NUMBERS[how])}
    panels = [
        plate_map.WellValues("Values", values, kind),
        plate_map.WellValues("Nothing", {"B02": None}, kind),
    ]
    return plate_map.draw_plate_heatmaps(
        "name", "Title", "", panels, geometry=PlateGeometry(1, 2), is_one_scale=True
    )


def qc_histograms(how: str) -> Picture | NotDrawn:
    cells = break_table(good().cells, how)
    thresholds = describe_cosmicqc_profiles(good().qc, good().cells, SETTINGS)
    return histograms.draw_qc_histograms(cells, thresholds, "QC")


def qc_conditions(how: str) -> Picture | NotDrawn:
    report = describe_cosmicqc_profiles(good().qc, good().cells, SETTINGS)
    return draw_qc_conditions(broken(how).qc, report, "Conditions")


def montage_of(how: str) -> Picture | NotDrawn:
    tables = broken(how)
    report = describe_cosmicqc_profiles(good().qc, good().cells, SETTINGS)
    return montage.draw_qc_montage(tables.cells, tables.qc, report, crop(how), "Cells", per_row=3, size_px=24)


def empty_plate(how: str) -> Picture | NotDrawn:
    with style.style():
        figure = style.new_figure(4, 3)
        plate_map.draw_empty_plate(figure.add_subplot(), PlateGeometry(8, len(NUMBERS[how]) or 1))
        return style.finish(figure, "plate", "Plate", "")


def thumbnail(how: str) -> Picture | NotDrawn:
    side = {"empty": (1, 1), "one row": (1, 3000), "huge": (3000, 1)}.get(how, (40, 60))
    buffer = io.BytesIO()
    Image.fromarray(np.zeros(side, np.uint8)).save(buffer, format="png")
    return Picture("small", "Small", "", style.build_thumbnail(buffer.getvalue()))


def well_tile(how: str) -> Picture | NotDrawn:
    values = {f"A{number + 1:02d}": value for number, value in enumerate(NUMBERS[how])}
    found = re.search(r"data:image/png;base64,([^']+)'", build_well_tile(PlateGeometry(8, 12), values))
    assert found is not None
    return Picture("tile", "Tile", "", base64.b64decode(found[1]))


def only_page(how: str) -> Report:
    rows = tuple((f"A{number:02d}", value) for number, value in enumerate(NUMBERS[how]))
    sections = [ReportSection("Wells", "", (), (ReportTable("Wells", ("well", "value"), rows), None))]
    return build_html_report("P1", "", [("value", value) for value in NUMBERS[how]], (), sections)


def campaign_page(how: str) -> Report:
    """A campaign of two batches whose replicate correlations are the numbers."""
    numbers = [None if value is None else float(value) for value in NUMBERS[how]]
    rows = [
        {
            "treatment": f"c{place}",
            "pairs": kind,
            "batch": batch,
            "replicate_correlation": value,
            "is_replicating": None,
        }
        for kind, batch in ((WITHIN_BATCH, "b1"), (ACROSS_BATCHES, None))
        for place, value in enumerate(numbers)
    ]
    columns = ("treatment", "pairs", "batch", "replicate_correlation", "is_replicating")
    fields = pa.schema([CAMPAIGN_REPLICATES.field(name) for name in columns])
    counts = tuple(PlateCount(f"b1/P{place}", len(numbers), place, 0) for place in range(len(numbers)))
    campaign = CampaignSettings(name="c", datasets=("b1", "b2"))
    plates = tuple(count.plate_key for count in counts)
    tables = CampaignTables(campaign, plates, counts, replicates=pa.Table.from_pylist(rows, schema=fields))
    hits = [
        {
            "treatment": f"c{place}",
            "replicate_count": 2,
            "strength": value,
            "distance": value,
            "rank": place + 1,
        }
        for place, value in enumerate(numbers)
    ]
    wanted = pa.schema([field.with_nullable(True) for field in CAMPAIGN_HITS])
    return build_campaign_report(replace(tables, hits=pa.Table.from_pylist(hits, schema=wanted)))


@cache
def draw(figure: str, how: str) -> Picture | NotDrawn | Report:
    """A figure or page of tables that are broken in some way; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Temporary folders that tests before this one left to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        return FIGURES[figure](how)


def plate_page(how: str) -> Report:
    """The page of a broken plate. What it draws of tables as they are is drawn once, for the figure's own case."""
    if how == HEALTHY:
        return build_plate_report(plate_tables(how))
    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWN_OF_PLATE_TABLES:
            module, function = name.split(".")
            assert getattr(plate_report, function) is getattr(
                importlib.import_module(f"{pictures.__name__}.{module}"), function
            )
            patch.setattr(plate_report, function, lambda *given, name=name, **words: draw(name, how))
        return build_plate_report(plate_tables(how))


# Of these the page of a plate gives the tables on; of the others what it made of them.
DRAWN_OF_PLATE_TABLES = (
    "accounting.draw_completeness", "accounting.draw_join_report", "embedding.draw_dose_response",
    "embedding.draw_well_pca", "plate_overview.draw_plate_overview", "thumbnails.draw_thumbnails",
)  # fmt: skip
FIGURES: dict[str, Callable[[str], Picture | NotDrawn | Report]] = {
    "accounting.draw_completeness": lambda how: accounting.draw_completeness(broken(how).completeness, "Completeness"),
    "accounting.draw_join_report": lambda how: accounting.draw_join_report(broken(how).joins, "Join"),
    "accounting.draw_lineage": lambda how: accounting.draw_lineage(build_lineage(plate_tables(how), None), "Cells"),
    "campaign_report.build_campaign_report": campaign_page,
    "dataset_report.build_dataset_report": lambda how: build_dataset_report(dataset_tables(how)),
    "dataset_report.draw_plates": lambda how: draw_plates(dataset_tables(how).wells, "fraction"),
    "dataset_report.draw_plates, cells": lambda how: draw_plates(dataset_tables(how).wells, "count"),
    "dose_curves.draw_dose_curves": lambda how: draw_dose_curves(dose_curves_of(how), "Doses"),
    "embedding.draw_dose_response": lambda how: embedding.draw_dose_response(broken(how).wells, SETTINGS, "Doses"),
    "embedding.draw_well_pca": lambda how: embedding.draw_well_pca(broken(how).wells, SETTINGS, "Wells"),
    "histograms.draw_qc_histograms": qc_histograms,
    "html.build_html_report": only_page,
    "image_quality.draw_image_quality": lambda how: image_quality.draw_image_quality(quality_rows(how), "Image quality"),
    "quality_board.draw_quality_drift": lambda how: quality_board.draw_quality_drift(quality_levels(how), "Drift"),
    "montage.draw_qc_montage": montage_of,
    "plate_map.draw_empty_plate": empty_plate,
    "plate_map.draw_plate_heatmaps": lambda how: one_panel(how, "count"),
    "plate_map.draw_plate_heatmaps, fraction": lambda how: one_panel(how, "fraction"),
    "plate_map.draw_plate_heatmaps, signed": lambda how: one_panel(how, "signed"),
    "plate_overview.draw_plate_overview": lambda how: draw_plate_overview(plate_tables(how)),
    "plate_report.build_plate_report": plate_page,
    "qc_conditions.draw_qc_conditions": qc_conditions,
    "replicate_plot.draw_replicates": lambda how: draw_replicates(replicate_report(how), "Replicates"),
    "style.build_thumbnail": thumbnail,
    "style.finish": lambda how: draw("plate_map.draw_empty_plate", how),
    "style.new_figure": lambda how: draw("plate_map.draw_empty_plate", how),
    "thumbnails.draw_thumbnails": lambda how: draw_thumbnails(IMAGES, thumbnails(how), "Fields"),
    "well_tile.build_well_tile": well_tile,
}  # fmt: skip
# Public functions that give words, numbers and tables; what they give is drawn above.
NO_FIGURES = {
    "acquisition_section.build_acquisition_section", "correction_section.build_correction_section", "dose_curves.build_curve_table", "dose_curves.name_dose",
    "dose_curves.sort_curves", "embedding.choose_dose_rows", "replicate_terms.activity_terms", "replicate_terms.campaign_terms", "replicate_terms.dose_terms",
    "replicate_terms.feature_terms", "replicate_terms.replicate_terms", "hit_tables.build_campaign_table", "hit_tables.build_feature_table",
    "hit_tables.build_treatment_table", "field_layout.build_field_layout",
    "image_quality.build_flagged_table", "image_quality.build_quality_section", "image_quality.describe_quality",
    "quality_board.build_board_section", "quality_board.build_level_table",
    "channel_colours.compose", "channel_colours.find_limits", "channel_colours.name_colours", "drawing.build_findings",
    "channel_colours.share_limits", "qc_conditions.build_worst_cells_table", "worst_cells.find_worst_cells", "worst_cells.list_worst_cells",
    "qc_conditions.build_well_flags_table", "qc_conditions.count_flags", "thumbnails.choose_fields", "drawing.try_to_make", "geometry.choose_geometry", "geometry.well_place",
    "plate_counts.build_condition_table", "plate_counts.build_facts", "plate_counts.build_incomplete_table",
    "plate_counts.build_lineage", "plate_counts.build_well_table", "plate_map.build_layout", "plate_map.label_wells", "plate_overview.choose_features",
    "reference.build_reference_facts", "reference.build_reference_table", "reference.count_references",
    "reference.describe_reference", "reference.describe_references", "reference.find_reference",
    "style.build_label", "style.categories_of", "style.pictures_wanted", "style.style", "well_numbers.clip_numbers", "well_numbers.count_wells",
    "well_numbers.drop_infinite", "well_numbers.fail_fractions", "well_numbers.find_strata", "well_numbers.list_features", "well_numbers.median_per_well",
    "well_numbers.read_column", "well_numbers.read_counts", "well_numbers.read_numbers", "well_numbers.read_well_names",
    "well_numbers.sum_cells", "well_numbers.sum_per_well",
    "findings_box.build_findings_box", "made_of.build_made_of", "notices.build_notices", "table_html.build_sentence", "table_html.build_table",
    "table_html.build_text",
}  # fmt: skip
_PICTURE_WORDS = re.compile(r"\b(?:Picture|Drawing|Report|Figure|bytes)\b")


def public_functions() -> dict[str, str]:
    """Every public function of the room with what it gives."""
    found = {}
    for info in pkgutil.iter_modules(pictures.__path__):
        module = importlib.import_module(f"{pictures.__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = inspect.unwrap(function)
            if own.__module__ == module.__name__ and not name.startswith("_"):
                found[f"{info.name}.{name}"] = str(inspect.signature(own).return_annotation)
    return found


def test_every_figure_has_a_test_here() -> None:
    known, public = {name.split(",")[0] for name in FIGURES}, public_functions()
    assert set(public) == known | NO_FIGURES, "sort a new function into FIGURES, with a case, or NO_FIGURES"
    drawn = {name for name, gives in public.items() if ".draw_" in name or _PICTURE_WORDS.search(gives)}
    assert drawn <= known


def check_drawing(drawing: Picture | NotDrawn) -> None:
    if isinstance(drawing, Picture):
        with Image.open(io.BytesIO(drawing.png)) as image:
            image.load()
            assert image.format == "PNG"
        assert "nan" not in f"{drawing.title} {drawing.caption}".lower().split()
    else:
        assert re.fullmatch(r".+: not drawn, because .+\.", drawing.sentence)
        assert GUARDED not in drawing.sentence, drawing.sentence


def check_page(report: Report) -> None:
    assert report.html.startswith("<!doctype html>")
    assert report.html.count("<img ") == len(report.pictures)
    assert ">nan<" not in report.html
    for picture in report.pictures:
        check_drawing(picture)
    for missing in report.not_drawn:
        check_drawing(missing)
        assert escape(missing.sentence) in report.html
        found = any(f.code == "picture-not-drawn" and missing.sentence == f.message for f in report.findings)
        assert found == missing.is_odd


@pytest.mark.parametrize("how", [HEALTHY, *BROKEN])
@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_drawn_or_its_sentence_stands_in_its_place(figure: str, how: str) -> None:
    made = draw(figure, how)
    check_page(made) if isinstance(made, Report) else check_drawing(made)
    if how == HEALTHY:
        assert not isinstance(made, NotDrawn)
        missing = made.not_drawn if isinstance(made, Report) else ()
        # The tables here have no scores of a correction.
        assert {one.title for one in missing} <= {"Position and batch"}


def test_pages_have_all_pictures_that_are_known_by_name() -> None:
    pages = [
        draw(name, HEALTHY)
        for name in ("plate_report.build_plate_report", "dataset_report.build_dataset_report")
    ]
    drawn = [picture for page in pages if isinstance(page, Report) for picture in page.pictures]
    assert {picture.name for picture in drawn} == style.PICTURE_NAMES


ODD_NAMES = {
    "signs": "_a$b_{c$ <b>&amp; 100 % \\frac{1}{2}\nbreak\ttab",
    "nothing": "",
    "very long": "x" * 3000,
    "a space": " ",
}


@pytest.mark.parametrize(
    "name",
    [
        # Each draws two whole pages, which takes seconds: two of the four are drawn in every run.
        pytest.param(name, id=kind, marks=() if kind in ("signs", "nothing") else pytest.mark.stress)
        for kind, name in ODD_NAMES.items()
    ],
)
def test_names_of_all_kinds_are_shown_as_they_are(name: str) -> None:
    tables = good()
    wells, selected = (rename(table, name) for table in (tables.wells, tables.selected))
    plate = replace(plate_tables(HEALTHY), plate_key=f"screen/{name}", wells=wells)
    plate = replace(plate, settings=replace(SETTINGS, control_values=(name,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_page(build_plate_report(plate))
        report = build_dataset_report(with_hits(DatasetTables(name, plate.settings, (wells,), selected)))
    check_page(report)
    assert report.picture("well_pca") is not None


def rename(table: pa.Table, name: str) -> pa.Table:
    """The table with odd names of plate, controls, compounds and a feature."""
    columns = {
        "plate_id": [name] * table.num_rows,
        "Metadata_compound": [f"{name}{value}" for value in table["Metadata_compound"].to_pylist()],
        "Metadata_control_type": [value and name for value in table["Metadata_control_type"].to_pylist()],
    }
    for column, values in columns.items():
        table = table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
    return table.rename_columns(
        {
            feature: f"Cells_{number}_{name}"
            for number, feature in enumerate(FEATURES)
            if feature in table.column_names
        }
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"), IndexError("index -1"), KeyError("a"), TypeError("no"), OverflowError(), ZeroDivisionError("x"),
        FloatingPointError("nan"), np.linalg.LinAlgError("SVD did not converge"), pa.ArrowInvalid("cast"),
        pa.ArrowNotImplementedError("sum"), OSError(5, "Input/output error"), MemoryError(), RuntimeError("codec"),
        zlib.error("header"), struct.error("unpack"), Image.DecompressionBombError("large"), StoreNotFoundError("Gone."),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_inside_a_figure_becomes_its_sentence_and_a_finding(error: Exception) -> None:
    def fail() -> Picture:
        raise error

    assert isinstance(error, UNDRAWABLE)
    missing = try_to_make("Plate maps", fail)
    report = build_html_report("P1", "", (), (), [ReportSection("Plate", "", (missing,))])
    assert escape(missing.sentence) in report.html
    assert [(f.code, f.severity, f.location) for f in report.findings] == [
        ("picture-not-drawn", "warning", "P1")
    ]
    assert report.pictures == ()


def test_a_fault_of_the_code_is_not_taken_for_one_of_the_data() -> None:
    def fail() -> Picture:
        raise AttributeError("a misspelt name")

    with pytest.raises(AttributeError):
        try_to_make("Plate maps", fail)


def test_a_plate_whose_threshold_features_are_all_null_has_its_page() -> None:
    tables = good()
    nuclei = [name for name in tables.cells.column_names if name.startswith("Nuclei_")]
    cells = tables.cells
    for name in nuclei:
        cells = cells.set_column(cells.column_names.index(name), name, pa.nulls(cells.num_rows, pa.float64()))
    report = build_plate_report(
        replace(plate_tables(HEALTHY), joined=cells, wells=None, read_thumbnails=None)
    )
    assert "no cell has a value in all of its columns" in report.html
    assert {picture.name for picture in report.pictures} >= {"qc_montage", "lineage", "completeness"}
    check_page(report)


def test_cells_whose_files_are_gone_or_no_parquet_leave_the_rest_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 this is no table")
    for name in ("broken.parquet", "gone.parquet"):
        tables = replace(plate_tables(HEALTHY), joined=[str(tmp_path / name)])
        with style.pictures_wanted(name == "broken.parquet"):
            report = build_plate_report(tables)
        missing = [one for one in report.not_drawn if one.title == "Quality control"]
        assert [one.is_odd for one in missing] == [True]
        assert "cannot be read" in missing[0].reason
        if name == "broken.parquet":
            assert missing == list(report.not_drawn)
            assert report.picture("plate_overview") is not None
            assert report.picture("well_pca") is not None


def test_a_condition_without_thresholds_in_the_settings_leaves_the_rest_of_the_page() -> None:
    settings = DatasetSettings(qc_thresholds={"nothing": {}})
    tables = replace(plate_tables(HEALTHY), settings=settings, completeness=None, read_thumbnails=None)
    report = build_plate_report(tables)
    assert [missing.title for missing in report.not_drawn] == ["Quality control"]
    assert report.picture("plate_overview") is not None


def dataset_without(how: str) -> DatasetTables:
    tables, wells, selected = good(), good().wells, good().selected
    features = [name for name in tables.consensus.column_names if name in FEATURES]
    if how == "consensus of nulls":
        consensus = tables.consensus
        for name in features:
            consensus = consensus.set_column(
                consensus.column_names.index(name), name, pa.nulls(consensus.num_rows, pa.float64())
            )
        return DatasetTables("screen", SETTINGS, (wells,), selected, consensus)
    if how == "one well":
        return DatasetTables(
            "screen", SETTINGS, (wells.slice(0, 1),), selected.slice(0, 1), tables.consensus.slice(0, 1)
        )
    if how == "no control":
        treated = pc.is_null(selected["Metadata_control_type"])
        return DatasetTables(
            "screen", SETTINGS, (wells.filter(treated),), selected.filter(treated), tables.consensus
        )
    if how == "no treatment":
        bare = [name for name in selected.column_names if name not in SETTINGS.treatment_columns]
        bare.remove("Metadata_control_type")
        return DatasetTables("screen", SETTINGS, (wells.select([*bare]),), selected.select(bare), None)
    if how == "no feature":
        keys = [name for name in selected.column_names if name not in FEATURES]
        return DatasetTables("screen", SETTINGS, (wells.select(keys),), selected.select(keys), None)
    if how == "no counts":
        return DatasetTables("screen", SETTINGS, (wells.drop_columns([OBJECT_COUNT]),), selected, None)
    return DatasetTables("screen", SETTINGS)


@pytest.mark.parametrize(
    "how",
    ["consensus of nulls", "one well", "no control", "no treatment", "no feature", "no counts", "no table"],
)
def test_a_dataset_that_lacks_something_has_its_page(how: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = build_dataset_report(with_hits(dataset_without(how)))
    check_page(report)


def test_all_plates_of_one_scale_are_drawn_where_one_of_them_is_empty() -> None:
    wells = good().wells
    other = wells.set_column(
        wells.column_names.index(OBJECT_COUNT), OBJECT_COUNT, pa.nulls(wells.num_rows, pa.int64())
    )
    assert isinstance(draw_plates((wells, other, wells.slice(0, 0)), "count"), Picture)
    assert isinstance(draw_plates((other,), "count"), NotDrawn)


def test_a_stored_qc_table_that_lacks_columns_or_rows_has_its_report() -> None:
    tables = good()
    whole = describe_cosmicqc_profiles(tables.qc, tables.cells, SETTINGS)
    assert whole.failed_count == tables.qc["Metadata_cqc_failed"].to_pandas().sum()
    assert [limit.cutoff for limit in whole.conditions[0].thresholds] == pytest.approx(
        [
            tables.cells[limit.feature]
            .to_pandas()
            .agg(lambda x, z=limit.zscore: x.mean() + z * x.std(ddof=0))
            for limit in whole.conditions[0].thresholds
        ]
    )
    keys = ["Metadata_ObjectID", "plate_key"]
    for qc, cells in (
        (tables.qc.select(keys), tables.cells),
        (tables.qc, tables.cells.select(keys)),
        (tables.qc.slice(0, 0), tables.cells.slice(0, 0)),
        (tables.qc.slice(0, 1), tables.cells.slice(0, 1)),
    ):
        report = describe_cosmicqc_profiles(qc, cells, SETTINGS)
        assert (report.cell_count, report.conditions) == (qc.num_rows, ())
        assert {skipped.name for skipped in report.skipped} == {
            condition.name for condition in whole.conditions
        }
        assert 0.0 <= report.fail_fraction <= 1.0
