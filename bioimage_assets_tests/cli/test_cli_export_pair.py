"""`export-cytomining` and `validate-warehouse --strict` as the pages show them, and what pycytominer reads of the result."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pycytominer.cyto_utils import load_cytotable_profiles, load_profiles


@pytest.fixture
def plate(ci_screens: Path) -> tuple[str, str]:
    """Store and measurements of one plate."""
    dataset = ci_screens / "screen-a"
    return str(dataset / "SA-P1.ome.zarr"), str(dataset / "measurements" / "SA-P1.parquet")


def test_a_namespaced_root_is_valid_by_the_strict_rules_and_pycytominer_reads_every_cell(run, project, plate):
    store, cells = plate
    exported = run(
        "export-cytomining", "--warehouse-root", "root", "--layout", "namespaced", "--profiles", cells, store
    )
    assert exported.code == 0
    validated = run("validate-warehouse", "root", "--strict")
    assert (validated.code, validated.out.strip().endswith("valid")) == (0, True)
    measured = pd.read_parquet(cells).sort_values(["Metadata_ImageNumber", "Metadata_ObjectNumber"])
    read = load_cytotable_profiles("root", table_name="joined_profiles", namespace="profiles")
    read = read.sort_values(["Metadata_ImageNumber", "Metadata_ObjectNumber"])
    assert read["Cells_AreaShape_Area"].tolist() == measured["Cells_AreaShape_Area"].tolist()
    assert len(load_profiles("root/profiles/joined_profiles")) == len(measured)


def test_a_flat_root_is_valid_and_strictly_not_until_its_layout_is_converted(run, project, plate):
    store, cells = plate
    assert run("export-cytomining", "--warehouse-root", "root", "--profiles", cells, store).code == 0
    assert run("validate-warehouse", "root").code == 0
    strict = run("validate-warehouse", "root", "--strict")
    assert strict.code == 1
    assert "convert-layout" in strict.out + strict.err
    assert run("convert-layout", "root", "namespaced").code == 0
    assert run("validate-warehouse", "root", "--strict").code == 0
