"""`release` and `diff` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from bioimage_assets_tests.builders.release_projects import PLATES, build_cells, open_project, write_project
from bioimage_assets_tests.cli.conftest import Run


def test_a_release_is_made_and_what_changed_since_is_told(project: Path, run: Run) -> None:
    write_project(project / "data")
    made = run("release", "v1", "--json")
    assert made.code == 0
    assert made.json["outcome"] == "made"
    assert made.json["tables"]["warehouse.single_cells"] == 120
    assert (run("release", "v1").code, run("diff", "v1").code) == (0, 0)
    cells = build_cells(PLATES[0], 0).to_pandas()
    cells.loc[0, "Cells_Feature_0"] += 0.125
    open_project(project / "data").warehouse.replace_partitions("single_cells", cells, [PLATES[0]])
    told = run("diff", "v1", "now")
    assert told.code == 1
    assert "2 of 3 tables are the same." in told.out
    assert "screen/P1: 0 lost, 0 added, 1 changed of 40 rows; wells A01" in told.out
    assert "Cells_Feature_0: 1 value changed, by at most 0.125" in told.out
    as_json = run("diff", "v1", "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["is_same"] is False
    assert run("verify-release", "v1").code == 0
    (project / "data/releases/v1/settings/project.json").write_text("{}")
    wrong = run("verify-release", "data/releases/v1")
    assert wrong.code == 1
    assert (
        "project.json is not what was released: its sha256 is another one. (release-file-changed)"
        in wrong.out
    )
    assert "bioimage-assets explain CODE says more." in wrong.err
    (found,) = run("verify-release", "v1", "--json").json["findings"]
    assert (found["code"], found["location"]) == ("release-file-changed", "settings/project.json")
    explained = run("explain", found["code"])
    assert (explained.code, "Restore the file from a copy" in explained.out) == (0, True)
    refused = run("release", "v1")
    assert refused.code == 2
    assert "diff v1 now" in refused.err
    assert run("diff", "v1", "data/warehouse", "--tables", "pycytominer_profiles").code == 0
    assert run("diff", "nothing").code == 2


def test_profiles_that_name_no_plate_are_released_with_the_rest(project: Path, run: Run) -> None:
    write_project(project / "data")
    pq.write_table(build_cells(PLATES[0], 0).drop_columns(["plate_key"]), project / "P1.parquet")
    assert run("register-profiles", "P1.parquet").code == 0
    made = run("release", "v1", "--json")
    assert (made.code, made.json["absences"]) == (0, [])
    assert made.json["tables"]["catalog.profiles"] == 40
    assert (project / "data/releases/v1/settings/screen/dataset.toml").is_file()
    assert (run("verify-release", "v1").code, run("diff", "v1").code) == (0, 0)
    narrowed = run("diff", "v1", "now", "--plates", PLATES[0])
    assert (narrowed.code, narrowed.err) == (0, "")


def test_a_misspelt_plate_or_table_of_a_diff_is_answered_with_the_nearest(project: Path, run: Run) -> None:
    write_project(project / "data")
    assert run("release", "v1").code == 0
    wrong = run("diff", "v1", "--plates", "screen/P9")
    assert wrong.code == 2
    assert "Neither state has a plate, dataset or campaign 'screen/P9'. Did you mean" in wrong.err
    short = run("diff", "v1", "--plates", "P2")
    assert (short.code, "The key of a plate is DATASET/PLATE: screen/P2." in short.err) == (2, True)
    table = run("diff", "v1", "--tables", "single_cell")
    assert (table.code, "Did you mean 'single_cells'?" in table.err) == (2, True)
