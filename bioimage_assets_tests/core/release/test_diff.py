"""Two states of a project are compared, whatever they are: releases, warehouse roots, projects."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.release.compare.compare_states import DiffOptions, compare_states
from bioimage_assets.core.release.compare.diff_model import RowCounts, StateDiff, TableDiff
from bioimage_assets.core.release.compare.open_state import open_state
from bioimage_assets.core.release.layout import NOW
from bioimage_assets.core.release.make import make_release
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.release_projects import (
    LAYOUT,
    PLATES,
    build_cells,
    build_layout,
    build_wells,
    open_project,
    write_project,
)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a release of what it holds; each test has a copy."""
    data = tmp_path_factory.mktemp("released") / "data"
    write_project(data)
    make_release(open_project(data), data / "releases", "v1")
    return data


@pytest.fixture
def data(released: Path, tmp_path: Path) -> Path:
    """A project whose release is a copy, as on another machine: no file is shared, the catalog is the first project's."""
    shutil.copytree(released / "releases", tmp_path / "releases")
    write_project(tmp_path / "data")
    return tmp_path / "data"


def diff(a: str, b: str, data: Path, options: DiffOptions | None = None) -> StateDiff:
    def open_data(folder: Path | None) -> ProjectTables:
        return open_project(folder or data)

    states = [open_state(word, data.parent / "releases", open_data) for word in (a, b)]
    return compare_states(states[0], states[1], options)


def changed(found: StateDiff) -> dict[str, TableDiff]:
    return {table.name: table for table in found.tables if not table.is_same}


def test_a_release_equals_the_project_it_was_made_of_and_one_made_anew_of_the_same_data(data: Path) -> None:
    assert diff("v1", NOW, data).is_same
    assert diff("v1", str(data), data, DiffOptions(read_all=True)).is_same


def test_plates_that_are_lost_added_and_changed_are_told_in_catalog_and_warehouse(data: Path) -> None:
    tables = open_project(data)
    new = "screen/P9"
    cells = build_cells(PLATES[0], 0).to_pandas()
    cells.loc[[3, 12], "Cells_Feature_2"] += [0.5, -0.25]
    tables.warehouse.replace_partitions("single_cells", pa.Table.from_pandas(cells), [PLATES[0]])
    tables.warehouse.replace_partitions("single_cells", build_cells(new, 9), [new])
    remove_partitions(tables.open_catalog(), LAYOUT, [PLATES[1]])
    layout = build_layout(PLATES[0]).to_pandas()
    layout.at[1, "channel_names"] = ["DNA", "AGP"]
    replace_partitions(
        tables.open_catalog(),
        LAYOUT,
        pa.Table.from_pandas(layout, build_layout(PLATES[0]).schema),
        [PLATES[0]],
    )
    found = changed(diff("v1", NOW, data))
    assert found.keys() == {"single_cells", "plate_layout"}
    assert found["single_cells"].added == (new,)
    (part,) = found["single_cells"].partitions
    assert (part.key, part.rows, part.row_key) == (PLATES[0], RowCounts(changed=2), ("Metadata_ObjectID",))
    assert part.wells == {"A01": RowCounts(changed=1), "A02": RowCounts(changed=1)}
    (column,) = found["single_cells"].columns
    assert (column.name, column.changed, column.max_abs) == ("Cells_Feature_2", 2, 0.5)
    assert found["plate_layout"].lost == (PLATES[1],)
    (list_column,) = found["plate_layout"].columns
    assert (list_column.name, list_column.changed, list_column.max_abs) == ("channel_names", 1, None)
    assert found["plate_layout"].partitions[0].wells == {"A02": RowCounts(changed=1)}


def test_a_table_that_is_new_and_one_that_is_gone_are_told(data: Path) -> None:
    tables = open_project(data)
    tables.warehouse.replace_partitions("of_mine", build_wells(PLATES[0], 0), [PLATES[0]], role="reports")
    shutil.rmtree(data / "catalog")
    found = changed(diff("v1", NOW, data))
    assert {name: table.presence for name, table in found.items()} == {
        "of_mine": "only_b",
        "plate_layout": "only_a",
    }
    assert (found["plate_layout"].rows_a, found["plate_layout"].rows_b) == (12, 0)


def test_upkeep_that_writes_files_anew_and_another_layout_of_the_root_are_no_change(data: Path) -> None:
    catalog = open_project(data).open_catalog()
    table = catalog.load_table(LAYOUT)
    half = build_layout(PLATES[0]).slice(0, 2)
    replace_partitions(catalog, LAYOUT, half, [PLATES[0]])
    for part in (build_layout(PLATES[0]).slice(2, 1), build_layout(PLATES[0]).slice(3)):
        catalog.load_table(LAYOUT).append(part.cast(table.schema().as_arrow()))
    assert diff("v1", NOW, data).is_same
    report = maintain_table(catalog, LAYOUT, options=MaintenanceOptions(min_small_files=2), dry_run=False)
    assert report.compacted_partitions == (PLATES[0],)
    convert_layout(data / "warehouse", "namespaced")
    assert diff("v1", NOW, data).is_same


def test_a_renamed_plate_is_one_plate_and_not_one_lost_and_one_added(data: Path) -> None:
    tables, new = open_project(data), "screen/Renamed"
    for name, build in (("single_cells", build_cells), ("pycytominer_profiles", build_wells)):
        tables.warehouse.remove_partitions(name, [PLATES[1]])
        shuffled = build(new, 1).take(np.random.default_rng(0).permutation(build(new, 1).num_rows))
        tables.warehouse.replace_partitions(name, shuffled, [new])
    catalog = tables.open_catalog()
    remove_partitions(catalog, LAYOUT, [PLATES[1]])
    replace_partitions(catalog, LAYOUT, build_layout(new), [new])
    found = diff("v1", NOW, data)
    assert not found.is_same
    assert found.renamed == {PLATES[1]: new}
    for table in found.tables:
        assert (table.renamed, table.lost, table.added, table.partitions) == ({PLATES[1]: new}, (), (), ())


def test_a_plate_that_also_has_other_values_is_not_called_renamed(data: Path) -> None:
    tables, new = open_project(data), "screen/Renamed"
    for name, build in (("single_cells", build_cells), ("pycytominer_profiles", build_wells)):
        tables.warehouse.remove_partitions(name, [PLATES[1]])
        seed = 1 if name == "single_cells" else 7
        tables.warehouse.replace_partitions(name, build(new, seed), [new])
    found = changed(diff("v1", NOW, data))
    assert {(table.lost, table.added) for table in found.values()} == {((PLATES[1],), (new,))}


def test_rows_that_nothing_tells_are_paired_by_their_values(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    a = pd.DataFrame(values, columns=["x", "y", "z"])
    b = a.sample(frac=1, random_state=1).reset_index(drop=True)
    b.loc[5, "y"] += 1e-9
    for name, frame in (("a", a), ("b", b)):
        (tmp_path / name / "points").mkdir(parents=True)
        frame.to_parquet(tmp_path / name / "points" / "some.parquet", index=False)
    found = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path)
    (table,) = found.tables
    (part,) = table.partitions
    assert (part.rows, part.row_key) == (RowCounts(lost=1, added=1), ())
    assert "no columns tell its rows" in found.notes[0]
    shuffled = a.sample(frac=1, random_state=2)
    shuffled.to_parquet(tmp_path / "b" / "points" / "some.parquet", index=False)
    assert diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).is_same


def test_zeros_and_nan_are_the_same_where_nothing_but_values_tells_the_rows(tmp_path: Path) -> None:
    other_nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
    values = {"a": [0.0, float("nan"), 2.0], "b": [2.0, other_nan, -0.0]}
    items = {"a": [[0.0], [1.0], None], "b": [None, [1.0], [-0.0]]}
    for name in ("a", "b"):
        (tmp_path / name / "points").mkdir(parents=True)
        x = pa.array(np.array(values[name]))  # not of a list, which would settle NaN
        pq.write_table(pa.table({"x": x, "items": items[name]}), tmp_path / name / "points" / "some.parquet")
    assert diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).is_same


def test_plates_whose_rows_are_all_alike_are_not_called_renamed(tmp_path: Path) -> None:
    for name, plate in (("a", "s/P1"), ("b", "s/P2")):
        rows = pa.table({"plate_key": [plate] * 6, "row": range(6), "background": [1.5] * 6})
        open_warehouse(tmp_path / name).replace_partitions("fields", rows, [plate], role="reports")
    (table,) = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).tables
    assert (table.lost, table.added, table.renamed) == (("s/P1",), ("s/P2",), {})


def test_equal_rows_that_stand_several_times_are_counted_and_changed_ones_of_one_key_paired(
    tmp_path: Path,
) -> None:
    base = pa.table(
        {
            "plate_key": ["s/P1"] * 8,
            "well_id": ["A01"] * 4 + ["A02"] * 4,
            "value": [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, float("nan")],
            "items": [[1.0], [1.0], [1.0], None, [2.0], [2.0], [-0.0], [0.0]],
        }
    )
    b = base.take([7, 6, 5, 4, 3, 1, 0])  # one of three equal rows is gone
    b = b.set_column(2, "value", pa.array([float("nan"), 5.0, 4.5, 3.0, 2.0, 1.0, 1.0]))
    for name, rows in (("a", base), ("b", b)):
        open_warehouse(tmp_path / name).replace_partitions("points", rows, ["s/P1"], role="reports")
    (table,) = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).tables
    (part,), (column,) = table.partitions, table.columns
    assert part.rows == RowCounts(lost=1, changed=1)
    assert (column.name, column.max_abs) == ("value", 0.5)
    assert part.wells == {"A01": RowCounts(lost=1), "A02": RowCounts(changed=1)}


def test_only_what_is_asked_for_is_compared(data: Path) -> None:
    tables = open_project(data)
    for plate in PLATES[:2]:
        tables.warehouse.replace_partitions("single_cells", build_cells(plate, 50), [plate])
    tables.warehouse.replace_partitions("pycytominer_profiles", build_wells(PLATES[0], 50), [PLATES[0]])
    one = diff("v1", NOW, data, DiffOptions(tables=["single_cells"], partitions=[PLATES[1]]))
    (table,) = one.tables
    assert [part.key for part in table.partitions] == [PLATES[1]]
    with pytest.raises(MissingTableError, match="nonsense"):
        diff("v1", NOW, data, DiffOptions(tables=["nonsense"]))


def test_what_steps_wrote_about_a_plate_is_compared_with_it(data: Path) -> None:
    warehouse = open_project(data).warehouse
    for plate in PLATES[:2]:
        store_findings(warehouse, plate, "joined_profiles", [Finding("odd", "warning", "", "Odd.")], "r")
    shutil.copytree(data / "warehouse", data.parent / "before")
    store_findings(warehouse, PLATES[0], "joined_profiles", [Finding("odd", "warning", "", "Other.")], "r")
    before, options = str(data.parent / "before"), [DiffOptions(partitions=[plate]) for plate in PLATES[:2]]
    assert [diff(before, str(data / "warehouse"), data, one).is_same for one in options] == [False, True]


def test_a_partition_without_a_row_is_no_plate_that_one_state_lacks(data: Path) -> None:
    none = build_cells("screen/P9", 50).slice(0, 0)
    open_project(data).warehouse.replace_partitions("single_cells", none, ["screen/P9"])
    assert diff("v1", NOW, data).is_same
    assert diff(NOW, "v1", data).is_same
    open_project(data).warehouse.replace_partitions(
        "single_cells", build_cells("screen/P9", 50), ["screen/P9"]
    )
    (added,) = [table.added for table in diff("v1", NOW, data).tables if table.name == "single_cells"]
    assert added == ("screen/P9",)


def test_columns_that_do_not_matter_are_left_out_with_their_values_types_and_presence(data: Path) -> None:
    tables = open_project(data)
    cells = build_cells(PLATES[0], 0).drop_columns(["Cells_Feature_1"])
    cells = cells.set_column(6, "Cells_Feature_0", pa.array([0.5] * 40))
    tables.warehouse.replace_partitions("single_cells", cells, [PLATES[0]])
    ignored = ["Cells_Feature_0", "Cells_Feature_1"]
    assert not diff("v1", NOW, data).is_same
    assert diff("v1", NOW, data, DiffOptions(ignored=ignored)).is_same
    assert not diff("v1", NOW, data, DiffOptions(ignored=ignored[:1])).is_same


def test_two_releases_say_what_differs_in_settings_and_versions(data: Path) -> None:
    (data / "incoming" / "screen" / "dataset.toml").write_text("[checks]\nstrict = false\n")
    make_release(open_project(data), data.parent / "releases", "v2")
    found = diff("v1", "v2", data)
    assert found.is_same
    assert found.recorded == ("settings/screen/dataset.toml: in both, with other text",)


def test_a_word_that_means_nothing_is_refused_with_what_there_is(data: Path) -> None:
    with pytest.raises(UsageError, match="there are: v1"):
        diff("v7", NOW, data)


def test_a_release_whose_record_names_files_elsewhere_or_lost_ones_is_refused(data: Path) -> None:
    record = data.parent / "releases" / "v1" / "release.json"
    text = record.read_text()
    (name, *_) = sorted(path.name for path in (record.parent / "catalog" / "plate_layout").iterdir())
    record.write_text(text.replace(name, "../../../elsewhere.parquet"))
    with pytest.raises(UsageError, match="outside of the release"):
        diff("v1", NOW, data)
    record.write_text(text)
    (record.parent / "catalog" / "plate_layout" / name).unlink()
    with pytest.raises(UsageError, match="missing, which the release names"):
        diff("v1", NOW, data)
