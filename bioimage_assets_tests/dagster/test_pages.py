"""Pages of real runs: what cannot be drawn fails no plate, is said on the page, and is kept with the plate's findings."""

import re
from html import unescape
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.assets.pages import build_plate_page
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling.cosmicqc import build_cosmicqc_profiles
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.headless import materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retire import retire_plates
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.core.pictures.page_reader import read_page
from bioimage_assets_tests.core.profiling.plates import FEATURES, make_cells, make_platemap, plan_plate
from bioimage_assets_tests.dagster.step_inputs import store_table

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _with_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOIMAGE_PICTURES", "on")


PLANS = plan_plate(control_count=6, replicates=1)
DESCRIBED = len(PLANS) - 2


def write_screen(incoming: Path) -> Path:
    """One plate of 64 x 64 pixels a field, cells without a value in any nuclear feature, two wells in no platemap."""
    plate = incoming / "screen" / "P1"
    for plan in PLANS:
        write_plane(plate / f"P1_{plan.well}_s1_w1.TIF", 100, (64, 64))
    cells = make_cells(PLANS, cells_per_well=12)
    keep = [
        name
        for name in cells.column_names
        if name.startswith(("Metadata_", "Cells_", "Cytoplasm_", "Nuclei_"))
    ]
    frame = cells.select([name for name in keep if name != "Metadata_ObjectID"]).to_pandas()
    frame["Metadata_Site"] = "1"
    frame["Metadata_ImageNumber"] = frame["Metadata_Well"].map(
        {plan.well: n for n, plan in enumerate(PLANS, 1)}
    )
    frame["Metadata_ObjectNumber"] = frame.groupby("Metadata_Well").cumcount() + 1
    frame["Nuclei_Location_Center_X"] = frame["Nuclei_Location_Center_Y"] = 32.0
    nuclear = [name for name in FEATURES if name.startswith("Nuclei_")]
    frame[nuclear] = np.nan
    measured = incoming / "screen" / "measurements"
    measured.mkdir()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), measured / "P1.parquet")
    platemaps = incoming / "screen" / "platemaps"
    platemaps.mkdir()
    (platemaps / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,layout\n")
    lines = ["well_position\tcompound\tconcentration_um\tcontrol_type"] + [
        f"{plan.well}\t{plan.compound}\t{plan.dose}\t{'negcon' if plan.is_control else ''}"
        for plan in PLANS[:DESCRIBED]
    ]
    (platemaps / "layout.txt").write_text("\n".join(lines) + "\n")
    return plate


def stored_findings(project: ProjectResource) -> pd.DataFrame:
    """All findings of steps, read by pandas from the warehouse's own files."""
    root = Path(project.settings.warehouse_uri)
    return pd.concat(
        [pd.read_parquet(file) for file in root.rglob("*.parquet") if "plate_findings" in str(file)]
    )


def test_pictures_that_cannot_be_drawn_fail_no_plate_and_are_kept_until_they_can(
    tmp_path: Path, use_data_dir, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    plate = write_screen(folder / "incoming")
    project = use_data_dir(folder)
    instance = dg.DagsterInstance.ephemeral()
    assert materialize_plates(instance).is_ok
    page = project.settings.reports_dir / "plates" / "screen" / "P1.html"
    html = page.read_text()
    assert "no condition of quality control could be evaluated on this plate" in html
    assert "Well profiles in deviations of" in html
    assert (page.parent / "P1_pictures" / "qc_montage.png").exists()
    assert "picture-not-drawn" not in html

    dataset = (project.settings.reports_dir / "datasets" / "screen.html").read_text()
    found = {finding.code: finding for finding in read_page(dataset).findings}
    assert found["well-without-treatment"].text.startswith("2 wells ")
    assert re.search(r"<b>2</b><span>wells without treatment</span>", dataset)
    assert found["well-without-platemap"].text.startswith("Plate P1: 2 wells ")
    assert found["well-without-platemap"].places == "plate: P1"
    assert set(stored_findings(project).query("plate_key == 'screen'")["step"]) >= {"pycytominer_consensus"}

    sizes = {file: file.read_bytes() for file in plate.iterdir()}
    for file, payload in sizes.items():
        file.write_bytes(
            b"II*\x00" + bytes(len(payload) - 4)
        )  # the beginning of a TIFF, and nothing after it
    assert materialize_plates(instance, select=["plate_report"], with_datasets=False).is_ok
    html = page.read_text()
    assert "Failed and passed cells: not drawn, because no pixels could be read" in html
    assert not (page.parent / "P1_pictures" / "qc_montage.png").exists()
    kept = stored_findings(project).query("code == 'picture-not-drawn'")
    assert set(kept["step"]) == {"plate_report"}
    assert set(kept["plate_key"]) == {"screen/P1"}
    assert sorted(kept["message"].str.partition(":")[0]) == [
        "A field of each well",
        "Failed and passed cells",
    ]
    assert all(message in unescape(html) for message in kept["message"])

    for file, payload in sizes.items():
        file.write_bytes(payload)
    assert materialize_plates(instance, select=["plate_report"], with_datasets=False).is_ok
    assert "picture-not-drawn" not in page.read_text()
    assert "picture-not-drawn" not in set(stored_findings(project)["code"])

    monkeypatch.setenv("BIOIMAGE_PICTURES", "off")
    assert materialize_plates(instance, select=["plate_report"], with_datasets=False).is_ok
    assert "Failed and passed cells: not drawn, because pictures are switched off" in page.read_text()
    assert not list(page.parent.rglob("*.png"))
    assert "picture-not-drawn" not in page.read_text()


def test_pages_of_a_run_link_to_each_other_and_the_next_run_leaves_them_alone(
    tmp_path: Path, use_data_dir
) -> None:
    folder = tmp_path / "data"
    write_screen(folder / "incoming")
    for plan in PLANS[:2]:
        unmeasured = folder / "incoming" / "screen" / "P 2" / f"P 2_{plan.well}_s1_w1.TIF"
        write_plane(unmeasured, 100, (64, 64))
    (folder / "incoming" / "screen" / "dataset.toml").write_text("[qc]\nmax_fail_fraction = 0.5\n")
    reports = use_data_dir(folder).settings.reports_dir
    instance = dg.DagsterInstance.ephemeral()
    assert materialize_plates(instance).is_ok
    files = {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()}
    pages = {path.stem: read_page(text.decode()) for path, text in files.items() if path.suffix == ".html"}
    assert set(pages) == {"index", "screen", "P1", "P%202"}
    for path in files:
        if path.suffix == ".html":
            assert pages[path.stem].broken_links(path) == []
    assert pages["index"].links == [
        "datasets/screen.html",
        "plates/screen/P%25202.html",
        "plates/screen/P1.html",
    ]
    assert "../plates/screen/P1.html" in pages["screen"].links
    assert {"../../datasets/screen.html", "../../index.html"} <= set(pages["P1"].links)
    assert "http://127.0.0.1:8765/go?dataset=screen&plate=P1" in pages["P1"].links
    assert "http://127.0.0.1:8765/go" in pages["screen"].links
    assert "P1_pictures/plate_overview.png" in pages["P1"].links
    assert pages["P%202"].notices[0][1].startswith("No measurements: ")
    ((tone, text),) = pages["P1"].notices  # every pixel of these images has one value
    assert tone == "warning"
    assert "not proven by pixels" in text
    settings = next(text for title, text in pages["P1"].folded.items() if title.startswith("Settings of"))
    assert settings.split("\n")[2:4] == ["qc.max_fail_fraction", "0.5"]
    made_of = "".join(pages["P1"].folded.values())
    assert all(
        words in made_of for words in ("P1.parquet", "pycytominer", "bioimage_assets", "table join_report")
    )

    assert materialize_plates(instance).is_ok
    assert {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()} == files

    retire_plates(instance, use_data_dir(folder), ["screen/P1"])
    assert read_page((reports / "index.html").read_text()).links == [
        "datasets/screen.html",
        "plates/screen/P%25202.html",
    ]
    assert not list(reports.rglob("P1*"))


def test_a_plate_without_a_linked_cell_is_an_error_in_the_head_of_its_page_and_in_the_index(
    tmp_path: Path, use_data_dir
) -> None:
    folder = tmp_path / "data"
    write_screen(folder / "incoming")
    measured = folder / "incoming" / "screen" / "measurements" / "P1.parquet"
    frame = pd.read_parquet(measured)
    frame["Metadata_Well"] = frame["Metadata_Well"].str.replace("A", "H").str.replace("B", "G")
    frame.to_parquet(measured, index=False)
    reports = use_data_dir(folder).settings.reports_dir
    materialize_plates(dg.DagsterInstance.ephemeral())
    html = (reports / "plates" / "screen" / "P1.html").read_text()
    page, index = read_page(html), read_page((reports / "index.html").read_text())
    tone, text = page.notices[0]
    assert tone == "error"
    assert text.startswith(f"0 of {len(frame)} cells are linked to an image")
    assert "good" not in {tone for tone, _ in page.notices}
    assert page.findings[0].severity == "error"
    assert "Every cell is accounted for" not in html
    assert (index.facts["cells linked to an image"], index.facts["plates with errors"]) == ("0", "1")


@pytest.mark.parametrize("catalog", ["", "none"])
def test_a_plate_of_measurements_alone_has_its_page_before_any_image_was_ever_stored(
    tmp_path: Path, use_data_dir, monkeypatch: pytest.MonkeyPatch, catalog: str
) -> None:
    if catalog:
        monkeypatch.setenv("BIOIMAGE_CATALOG", catalog)
    project = use_data_dir(tmp_path)
    cells = make_cells(PLANS).drop_columns(["image_id"])
    qc = build_cosmicqc_profiles(cells, DatasetSettings())[0]
    wells = build_well_profiles(cells, qc, make_platemap(PLANS), DatasetSettings())[0]
    tables = {"joined_profiles": cells, "cosmicqc_profiles": qc, "pycytominer_profiles": wells}
    for name, table in tables.items():
        project.warehouse().replace_partitions(
            name,
            table,
            ["screen/P1"],
            role="profiles",
            join_keys=["plate_key"],
            source_type="test",
            source_ref="test",
        )
    (tmp_path / "incoming" / "screen").mkdir(parents=True)
    source = PlateSource("screen/P1", "P1", str(tmp_path / "incoming" / "screen"), "screen", ())
    for _ in range(2):
        inputs = StepInputs(project.tables(), "screen/P1", (source,), DatasetSettings(), tmp_path)
        table = build_plate_page(inputs)
        store_table(project, "plate_report", "screen/P1", table)
        metadata = table.metadata
        html = Path(metadata["page"].value).read_text()
        assert re.search(r"<b>0</b><span>images</span>", html)
        assert html.count("has no images") == 1
        assert metadata["pictures_not_drawn"] == 1
        assert metadata["pictures"] == 6
        assert "No measurements" not in html  # its cells are stored
