"""What stands found about plates is read as the steps stored it, in one list for every reader."""

from pathlib import Path

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.standing_findings import list_standing_findings, read_standing_findings
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.core.tables.findings import build_scan_findings
from bioimage_assets_tests.dagster.step_inputs import store_table


def test_findings_of_scan_and_steps_are_one_list_by_plate_the_worst_first(tmp_path: Path, use_data_dir):
    project = use_data_dir(tmp_path)
    tables = project.tables()
    first, second = "scr/P1", "scr/P2"
    scanned = [Finding("missing-level", "warning", "A01/0", "Level 2 is absent.")]
    rows = build_scan_findings(scanned, plate_key=first, dataset_id="scr")
    store_table(project, "scan_findings", first, PlateTable(rows))
    found = [
        Finding("unknown-plate", "warning", "P9", "Rows name P9."),
        Finding("site-offset", "error", "A01", "By one."),
    ]
    store_findings(tables.warehouse, first, "joined_profiles", found, "run")
    read = read_standing_findings(tables, [first, second, "scr/nowhere"])
    assert [group.code for group in read[first]] == ["site-offset", "missing-level", "unknown-plate"]
    assert read[second] == read["scr/nowhere"] == ()
    assert list_standing_findings(tables, [second, first])[0].partition == first
