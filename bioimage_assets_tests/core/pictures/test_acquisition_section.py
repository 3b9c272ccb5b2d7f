"""A plate's page says when and with what it was imaged, and shows where the fields of a well lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from bioimage_assets.core.model.acquisition import AcquisitionFacts
from bioimage_assets.core.model.image import ImageRecord
from bioimage_assets.core.pictures.acquisition_section import build_acquisition_section
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets_tests.core.pictures.page_reader import read_page

START = datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def field(well: str, site: int, minutes: float, **changes: object) -> ImageRecord:
    facts = AcquisitionFacts(
        "harmony-index", 100.0 * (site % 2), -50.0 * (site // 2), 8.0, START + timedelta(minutes=minutes), (0.1, 0.02 * site + 0.1),
        (405.0, 488.0), (450.0, None), None, "Plan 20x", 20.0, 0.8, "2x2", "Phenix <1>",
    )  # fmt: skip
    image = ImageRecord(
        "ds/p", "ds", f"p:{well}:{site}", "image", "ome-tiff", "files", f"file:///{well}{site}", (2, 60, 120), "uint8", "f", plate_id="p",
        well_id=well, site_id=str(site), channel_names=("DNA", "ER & more"), axes="cyx", pixel_size_x_um=1.0, pixel_size_y_um=1.0,
        acquisition=facts,
    )  # fmt: skip
    return replace(image, **changes)  # type: ignore[arg-type]


def page_of(images: Sequence[ImageRecord]) -> str:
    return build_plate_report(
        PlateTables("ds/p", DatasetSettings(), image_assets=build_image_assets(images))
    ).html


def test_a_page_says_when_a_plate_was_imaged_and_with_what():
    html = page_of(
        [field("A01", 0, 0), *(field("A02", site, 10 * site) for site in range(4)), field("B01", 0, 41)]
    )
    page = read_page(html)
    assert "Acquisition" in page.headings
    assert (
        "Imaged from 2026-03-01 10:20:30 to 2026-03-01 11:01:30 UTC, first field to last, in 41 minutes."
        in page.text
    )
    for text in (
        "Plan 20x",
        "20x",
        "Phenix <1>",
        "2x2",
        "1 µm",
        "harmony-index",
        "405 nm",
        "ER & more",
        "100 to 160 ms",
    ):
        assert text in page.text
    assert not page.sources or all(source.startswith("data:") for source in page.sources)


def test_fields_of_the_fullest_well_are_drawn_where_they_lie():
    images = [field("A01", 0, 0), *(field("A02", site, site) for site in range(4))]
    (section,) = build_acquisition_section(build_image_assets(images))
    (drawing,) = section.inline
    root = ElementTree.fromstring(drawing.svg)
    boxes = [
        [float(rect.get(name, "")) for name in ("x", "y", "width", "height")]
        for rect in root.iter(f"{SVG}rect")
    ]
    scale = (360 - 16) / 220  # fields of 120 x 60 µm at x 0 and 100, y 0 and -50
    expected = [
        [8 + x * scale, 8 + y * scale, 120 * scale, 60 * scale]
        for x, y in ((0, 0), (100, 0), (0, 50), (100, 50))
    ]
    for box, wanted in zip(boxes, expected, strict=True):
        assert box == pytest.approx(wanted, abs=0.1)
    assert [text.text for text in root.iter(f"{SVG}text")] == ["0", "1", "2", "3"]
    assert drawing.caption.startswith("Where the 4 fields of well A02 lie (220 x 110 µm")
    places = section.tables[-1]
    assert places is not None
    assert places.rows == (("0", 0.0, 0.0), ("1", 100.0, 0.0), ("2", 0.0, -50.0), ("3", 100.0, -50.0))  # type: ignore[union-attr]


def test_fields_of_unknown_size_are_dots_and_one_place_is_not_drawn():
    images = [field("A01", site, 0, pixel_size_x_um=None) for site in range(2)]
    (section,) = build_acquisition_section(build_image_assets(images))
    assert section.inline[0].svg.count("<circle") == 2
    same = [replace(image, acquisition=AcquisitionFacts("x", 1.0, 1.0)) for image in images]
    (section,) = build_acquisition_section(build_image_assets(same))
    assert section.inline == ()
    assert section.text == "When the plate was imaged is not in its metadata."


def test_a_plate_without_facts_and_a_table_of_an_older_version_have_no_such_section():
    plain = build_image_assets([field("A01", 0, 0, acquisition=None)])
    assert build_acquisition_section(plain) == ()
    assert build_acquisition_section(plain.drop_columns(["acquisition"])) == ()
    assert build_acquisition_section(None) == ()
    assert "Acquisition" not in read_page(page_of([field("A01", 0, 0, acquisition=None)])).headings


def test_names_of_sites_and_wells_are_escaped_in_the_drawing():
    images = [field("A01", site, 0, site_id=f"<{site}>&") for site in range(2)]
    html = page_of(images)
    assert "<0>&" not in html
    assert "<0>&" in read_page(html).text


def test_thousands_of_fields_make_a_drawing_of_bounded_size():
    images = [field("A01", site, 0) for site in range(3000)]
    table = build_image_assets(images)
    assert isinstance(table, pa.Table)
    (section,) = build_acquisition_section(table)
    assert len(section.inline[0].svg) < 200_000
    assert "The first 1,000 of 3,000 fields are shown." in section.inline[0].caption


def test_a_table_that_cannot_be_read_is_a_sentence_in_its_place():
    table = build_image_assets([field("A01", 0, 0)])
    odd = table.set_column(table.column_names.index("image_kind"), "image_kind", pa.array([[1]]))
    (section,) = build_acquisition_section(odd)
    (drawing,) = section.pictures
    assert drawing.sentence.startswith("Acquisition: not drawn, because")  # type: ignore[union-attr]
