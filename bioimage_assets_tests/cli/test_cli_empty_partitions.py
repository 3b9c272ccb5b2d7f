"""A plate whose table was built without a row is not counted as a plate that has this table."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.anndata.choose_plates import PlateChoice, choose_plates
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.resources.project import ProjectResource


def _store(rows: int, key: str) -> None:
    table = pa.table(
        {"plate_key": pa.array([key] * rows, pa.string()), "v": pa.array([1.0] * rows, pa.float64())}
    )
    warehouse = ProjectResource().warehouse()
    for name in ("pycytominer_profiles", "joined_profiles"):
        warehouse.replace_partitions(name, table, [key], source_type="test", source_ref="test")


def test_tables_and_exports_count_plates_with_rows_only(project, run):
    _store(3, "scr/P1")
    _store(0, "scr/P2")
    for step in ("joined_profiles", "image_quality"):
        store_findings(
            ProjectResource().warehouse(), "scr/P1", step, [Finding("odd", "warning", "", "Odd.")], "r"
        )
    found = {table["table"]: table for table in run("tables", "--json").json["tables"]}
    assert found["pycytominer_profiles"]["plates"] == 1
    assert (found["plate_findings"]["rows"], found["plate_findings"]["plates"]) == (2, 1)
    assert choose_plates(ProjectResource().tables(), "wells", PlateChoice()) == ("scr/P1",)
    assert ProjectResource().warehouse().partitions("pycytominer_profiles") == ("scr/P1", "scr/P2")
