"""`export-crops`: which cells a command line chooses, and what it says of those that could not be cut."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.public_api.export_tables import export_table_to_cytomining_warehouse
from bioimage_assets_tests.core.pixels.crop_export.layouts import LAYOUTS, build_cells


@pytest.fixture
def plate(project: Path) -> pa.Table:
    """A warehouse of one plate whose first three cells failed QC; gives its cells."""
    images = LAYOUTS["zarr-v3"](project)
    cells = build_cells(images).sort_by("Metadata_ObjectID")
    cells = cells.append_column("Metadata_dose", pa.array([float(n % 3) for n in range(cells.num_rows)]))
    verdicts = cells.select(["dataset_id", "plate_key", "Metadata_ObjectID"]).append_column(
        "Metadata_cqc_failed", pa.array([n < 3 for n in range(cells.num_rows)])
    )
    for name, table, role in (
        ("image_assets", images, "images"),
        ("joined_profiles", cells, "joined_profiles"),
        ("cosmicqc_profiles", verdicts, "quality_control"),
    ):
        export_table_to_cytomining_warehouse(table, "data/warehouse", table_name=name, role=role)
    return cells


def ids(folder: str) -> set[str]:
    return set(pq.read_table(f"{folder}/crops")["Metadata_ObjectID"].to_pylist())


def test_all_cells_are_exported_with_their_verdict(plate, run):
    outcome = run("export-crops", "out", "--json")
    assert outcome.code == 0
    assert (outcome.json["crop_count"], outcome.json["refused_count"]) == (18, 0)
    table = pq.read_table("out/crops")
    failed = table.filter(pc.invert(table["qc_passed"]))["Metadata_ObjectID"].to_pylist()
    assert sorted(failed) == plate["Metadata_ObjectID"].to_pylist()[:3]


def test_cells_are_chosen_by_condition_plate_verdict_and_query(plate, run):
    given = plate["Metadata_ObjectID"].to_pylist()
    where = "Metadata_dose = 1 AND site_id = '0' -- only these"
    assert run("export-crops", "where", "--where", where, "--plates", "ds/P1").code == 0
    rows = plate.filter((pc.field("Metadata_dose") == 1) & (pc.field("site_id") == "0"))
    assert ids("where") == set(rows["Metadata_ObjectID"].to_pylist())
    assert run("export-crops", "passed", "--only-passed", "--channel", "ER", "--size", "16").code == 0
    assert ids("passed") == set(given[3:])
    sql = "SELECT Metadata_ObjectID, Metadata_dose * 2 AS label FROM joined_profiles WHERE Metadata_dose > 1;"
    assert run("export-crops", "query", "--query", sql, "--carry", "Metadata_dose").code == 0
    table = pq.read_table("query/crops")
    assert table["label"].to_pylist() == [4.0] * 6
    assert table["Metadata_dose"].to_pylist() == [2.0] * 6
    sql = "SELECT Metadata_ObjectID, well_id, -Metadata_dose AS Metadata_dose FROM joined_profiles"
    assert run("export-crops", "own", "--query", sql).code == 0
    own = pq.read_table("own/crops")
    assert set(own["Metadata_dose"].to_pylist()) == {-2.0, -1.0, 0.0}
    assert own.column_names.count("well_id") == 1
    assert ids("query") == set(plate.filter(pc.field("Metadata_dose") > 1)["Metadata_ObjectID"].to_pylist())


def test_the_same_call_goes_on_and_another_is_refused(plate, run):
    assert run("export-crops", "out", "--where", "site_id = '0'").code == 0
    again = run("export-crops", "out", "--where", "site_id = '0'", "--json")
    assert (again.code, again.json["written_part_count"]) == (0, 0)
    other = run("export-crops", "out", "--where", "site_id = '1'")
    assert other.code == 2
    assert "site_id = '0'" in other.err
    assert "Name another folder" in other.err


def test_cells_that_were_not_cut_are_counted_and_the_code_says_so(plate, run):
    chunks = Path(pq.read_table("data/warehouse/image_assets")["uri"][0].as_py()) / "A/1/1/0/c"
    for chunk in [path for path in chunks.rglob("*") if path.is_file()]:
        chunk.write_bytes(b"damaged")
    outcome = run("export-crops", "out")
    assert outcome.code == 1
    assert "unreadable" in outcome.out
    assert "9 cells could not be cut" in outcome.err
    assert pq.read_table("out/refused").num_rows == 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--where", "nothing = 1"), "nothing"),
        (("--where", "site_id = '7'"), "No cell was chosen"),
        (("--where", "true); DROP TABLE x; SELECT (1"), "One statement"),
        (("--query", "SELECT 1 AS one"), "Metadata_ObjectID"),
        (("--query", "SELECT 1", "--where", "true"), "give one of them"),
        (("--carry", "missing"), "no such column"),
        (("--channel", "nope"), ""),
        (("--size", "0"), "expected 1 to"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(plate, run, arguments, words):
    outcome = run("export-crops", "out", *arguments)
    assert outcome.code == (1 if "--channel" in arguments else 2)
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_without_tables_it_is_said_what_is_missing(project, run):
    outcome = run("export-crops", "out")
    assert outcome.code == 2
    assert "joined_profiles" in outcome.err
