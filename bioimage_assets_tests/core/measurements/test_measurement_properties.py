"""Properties of reading: rows in = rows out, ids unique, names and values kept, for any keys, nulls and names."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.measurements.columns import resolve_duplicates, storable_type
from bioimage_assets.core.measurements.object_join import plan_windows
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import write_csv

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOSTILE = st.sampled_from(
    ['a"b', "a'b", "select", "a b", "", "µm", "plate_key", "dataset_id", "Metadata_ObjectID", "METADATA_PLATE",
     "Cells_A", "cells_a", "unit", "block", "c0", "file_row_number", "image_id", "Image_FileName_x", "\\", "a\nb", "🔬"]
)  # fmt: skip
KEYS = st.one_of(st.none(), st.integers(0, 3))
SITES = st.one_of(
    st.lists(st.one_of(st.none(), st.sampled_from(["1", "01", "M10", " 2 "])), min_size=6, max_size=6),
    st.lists(st.one_of(st.none(), st.sampled_from([1.0, 2.0, float("nan")])), min_size=6, max_size=6),
    st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=6, max_size=6),
)


def read(path: Path) -> tuple[pa.Table, int | None]:
    result = read_measurements(
        [str(path)], plate_key="s/P", dataset_id="s", plate_name="P", settings=DatasetSettings()
    )
    return result.reader.read_all(), result.row_count


@QUICK
@given(
    images=st.lists(KEYS, min_size=6, max_size=6),
    objects=st.lists(KEYS, min_size=6, max_size=6),
    sites=SITES,
    names=st.lists(HOSTILE, max_size=6),
)
def test_any_flat_table_keeps_its_rows_and_columns_and_gets_unique_ids(
    images: list[int | None], objects: list[int | None], sites: list[object], names: list[str]
) -> None:
    arrays = [pa.array(images, pa.int64()), pa.array(objects, pa.int64()), pa.array(sites)]
    arrays += [pa.array([f"{i}-{row}" for row in range(6)]) for i in range(len(names))]
    columns = ["Metadata_ImageNumber", "Metadata_ObjectNumber", "Metadata_Site", *names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "P.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, names=columns), path)
        table, count = read(path)
    assert table.num_rows == count == 6
    assert len(set(table["Metadata_ObjectID"].to_pylist())) == 6
    lowered = [name.lower() for name in table.schema.names]
    assert len(set(lowered)) == len(lowered)
    kept = [column.to_pylist() for column in table.columns]
    for i in range(len(names)):
        assert [f"{i}-{row}" for row in range(6)] in kept


@pytest.mark.slow
@QUICK
@given(
    folders=st.lists(
        st.lists(
            st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8
        ),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_any_object_tables_give_each_cell_once_with_the_features_of_its_parents_or_nulls(
    folders: list[list[tuple[int, int, int, int]]],
) -> None:
    """Cytoplasm rows (image, object, parent cell, parent nucleus) may repeat, be unsorted and lack parents."""
    with tempfile.TemporaryDirectory() as name:
        for i, rows in enumerate(folders):
            folder = Path(name) / f"s{i}"
            header = ["ImageNumber", "ObjectNumber", "AreaShape_Area", "Parent_Cells", "Parent_Nuclei"]
            write_csv(
                folder / "Cytoplasm.csv", header, [[im, ob, n, c, k] for n, (im, ob, c, k) in enumerate(rows)]
            )
            for compartment in ("Cells", "Nuclei"):
                parents = [[im, ob, i * 1000 + im * 100 + ob] for im in (1, 2, 3) for ob in (1, 2, 3, 4)]
                write_csv(
                    folder / f"{compartment}.csv", ["ImageNumber", "ObjectNumber", "AreaShape_Area"], parents
                )
        table, count = read(Path(name))
    total = sum(len(rows) for rows in folders)
    assert table.num_rows == count == total
    assert len(set(table["Metadata_ObjectID"].to_pylist())) == total
    seen = set()
    for row in table.to_pylist():
        unit = int((row.get("Metadata_TableNumber") or "s0").removeprefix("s"))
        order = int(row["Cytoplasm_AreaShape_Area"])
        image, number, cell, nucleus = folders[unit][order]
        seen.add((unit, order))
        assert (row["Metadata_ImageNumber"], row["Metadata_ObjectNumber"]) == (image, number)
        repeated = "~" in row["Metadata_ObjectID"]
        for parent, value in ((cell, row["Cells_AreaShape_Area"]), (nucleus, row["Nuclei_AreaShape_Area"])):
            expected = unit * 1000 + image * 100 + parent if 1 <= parent <= 4 and not repeated else None
            assert value == expected
    assert len(seen) == total


@given(st.lists(HOSTILE, max_size=12))
def test_names_are_made_unique_once_and_the_first_keep_theirs(names: list[str]) -> None:
    resolved, changed = resolve_duplicates(names)
    assert len({name.lower() for name in resolved}) == len(names)
    assert resolve_duplicates(resolved) == (resolved, ())
    firsts = {}
    for i, name in enumerate(names):
        firsts.setdefault(name.lower(), i)
    assert all(resolved[i] == names[i] for i in firsts.values())
    assert len(changed) == len(names) - len(firsts)


@given(
    counts=st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(-5, 40)), st.integers(1, 50), max_size=60
    ),
    max_rows=st.integers(1, 120),
)
def test_windows_hold_every_image_exactly_once(
    counts: dict[tuple[int, int, int], int], max_rows: int
) -> None:
    windows = plan_windows(counts, max_rows)
    for unit, _, image in counts:
        inside = [
            w
            for w in windows
            if w.first_unit <= unit <= w.last_unit and w.first_image <= image <= w.last_image
        ]
        assert len(inside) == 1


@given(
    st.sampled_from(
        [
            pa.int8(),
            pa.uint64(),
            pa.float16(),
            pa.float32(),
            pa.null(),
            pa.bool_(),
            pa.dictionary(pa.int8(), pa.int32()),
        ]
    ),
    st.sampled_from(["Cells_A", "Metadata_x", "anything"]),
)
def test_stored_types_are_stable(kind: pa.DataType, name: str) -> None:
    stored = storable_type(kind, name)
    assert storable_type(stored, name) == stored
    assert not pa.types.is_null(stored)
    assert stored == pa.float64() or not name.startswith("Cells_")
