"""ExampleHuman: every linking rule that its data offer, and two copies of it that stay two plates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.joins.join import JoinResult, join_plate, join_profiles
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, locate
from bioimage_assets.core.pixels.witness import weigh_links
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets.core.settings.dataset import DatasetSettings

DATA = Path(__file__).resolve().parents[3] / "../shared/data/examplehuman"
PATTERN = r"^(?P<plate>.+)_(?P<well>[A-P]\d{2})f(?P<site>\d{2})d(?P<channel>\d)"
CELLS = 289
IMAGE_ID = "AS_09125_050116030001:D03:0"

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(not DATA.is_dir(), reason="the ExampleHuman files are not there"),
]


def scan(folder: Path, plate_key: str, pattern: str | None = PATTERN) -> pa.Table:
    options = ScanOptions(
        dataset_id="EH", plate_key=plate_key, dataset_root_uri=str(folder.parent), file_pattern=pattern
    )
    return scan_image_assets(str(folder), options=options)


def measure(folder: Path, plate_key: str, pattern: str | None = PATTERN) -> pa.Table:
    settings = DatasetSettings(file_pattern=pattern)
    plate = plate_key.split("/")[1]
    return read_measurements(
        [str(folder)], plate_key=plate_key, dataset_id="EH", plate_name=plate, settings=settings
    ).reader.read_all()


@pytest.fixture(scope="module")
def images() -> pa.Table:
    return scan(DATA, "EH/examplehuman")


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    return measure(DATA, "EH/examplehuman")


def without(cells: pa.Table, *parts: str) -> pa.Table:
    """Cells without the columns whose names contain any of the parts."""
    return cells.drop_columns([name for name in cells.column_names if any(part in name for part in parts)])


def join(images: pa.Table, cells: pa.Table, **settings: object) -> JoinResult:
    return join_plate(
        images, cells, settings=DatasetSettings(**settings), plate_key="EH/examplehuman", dataset_id="EH"
    )


def test_plate_well_and_site_parsed_from_the_file_name_link_every_cell(images, cells) -> None:
    result = join(images, cells)
    assert result.report.count("matched", "plate_well_site") == CELLS
    assert set(result.table()["image_id"].to_pylist()) == {IMAGE_ID}


def test_file_names_alone_link_every_cell_and_the_overlay_is_reported_as_unlinked(images, cells) -> None:
    result = join(images, without(cells, "Metadata_Well", "Metadata_Site", "PathName", "MD5Digest"))
    report = result.report
    assert report.count("matched", "file_name") == CELLS
    (overlay,) = [o for o in report.outcomes if o.outcome == "unlinked-column"]
    assert (overlay.row_count, overlay.sample_keys[0]) == (CELLS, "Image_FileName_OrigOverlay")
    linked = {o.sample_keys[0] for o in report.outcomes if o.outcome == "linked-column"}
    assert linked == {f"Image_FileName_{channel}" for channel in ("DNA", "PH3", "cellbody")}


def test_md5_links_three_of_three_files_when_asked_for(images, cells) -> None:
    columns = without(cells, "Metadata_Well", "Metadata_Site", "PathName", "FileName")
    assert join(images, columns).report.matched_rows == 0
    report = join(images, columns, match_md5=True).report
    assert report.count("matched", "md5") == CELLS
    linked = [
        o.sample_keys[0] for o in report.outcomes if (o.outcome, o.join_rule) == ("linked-column", "md5")
    ]
    assert sorted(linked) == [f"Image_MD5Digest_{channel}" for channel in ("DNA", "PH3", "cellbody")]


def test_paths_link_after_the_declared_rewrite(images, cells) -> None:
    columns = without(cells, "Metadata_Well", "Metadata_Site", "MD5Digest")
    rewrites = (("/usr/local/src/ExampleHuman/images", images["uri"][0].as_py()),)
    assert join(images, columns).report.count("matched", "file_name") == CELLS
    assert join(images, columns, path_rewrites=rewrites).report.count("matched", "path") == CELLS


def test_all_rules_agree(images, cells) -> None:
    rewrites = (("/usr/local/src/ExampleHuman/images", images["uri"][0].as_py()),)
    report = join(images, cells, match_md5=True, path_rewrites=rewrites).report
    assert report.matched_rows == CELLS
    assert report.count("conflicting-rules") == 0
    assert report.findings == ()


def test_two_copies_as_two_plates_give_578_rows_and_no_more(tmp_path) -> None:
    all_images, all_cells, joined_rows = [], [], 0
    for plate in ("copy1", "copy2"):
        shutil.copytree(DATA, tmp_path / plate)
        images, cells = (
            scan(tmp_path / plate, f"EH/{plate}", None),
            measure(tmp_path / plate, f"EH/{plate}", None),
        )
        result = join_plate(images, cells, plate_key=f"EH/{plate}", dataset_id="EH")
        joined_rows += result.table().num_rows
        assert result.report.matched_rows == CELLS
        all_images.append(images)
        all_cells.append(cells)
    assert joined_rows == 2 * CELLS
    together = join_profiles(pa.concat_tables(all_images), pa.concat_tables(all_cells))
    table = together.table()
    assert table.num_rows == 2 * CELLS
    assert together.report.matched_rows == 2 * CELLS
    plates = zip(table["plate_key"].to_pylist(), table["uri"].to_pylist(), strict=True)
    assert {(plate, uri.split(str(tmp_path))[1].split("/")[1]) for plate, uri in plates} == {
        ("EH/copy1", "copy1"), ("EH/copy2", "copy2"),
    }  # fmt: skip


def test_a_cell_is_cut_from_its_own_file(images, cells) -> None:
    import tifffile

    row = join(images, cells).table().slice(100, 1).to_pylist()[0]
    choice = CropChoice(compartment="Nuclei", box_size_px=16, channels=(2,))
    location = locate(row, image_assets=images, choice=choice)
    (file,) = location.files
    page = tifffile.imread(DATA / file.path)
    (y0, y1), (x0, x1) = location.slices[1:]
    assert (read_crop(location)[0] == page[y0:y1, x0:x1]).all()
    assert abs((y0 + y1 - 1) / 2 - row["Nuclei_Location_Center_Y"]) <= 1


def test_pixels_confirm_the_links_without_label_images(images, cells) -> None:
    joined = join(images, cells).table()
    verdict = weigh_links(joined, images)
    assert (verdict.verdict, verdict.cell_count, verdict.field_count) == ("confirmed", 40, 1), (
        verdict.describe()
    )
    turned = joined.rename_columns(
        [f"{n[:-1]}{'XY'['YX'.index(n[-1])]}" if n.endswith(("_X", "_Y")) else n for n in joined.column_names]
    )
    better = weigh_links(turned, images).better
    assert better is not None
    assert better.kind == "swapped-axes"
