"""Every accepted kind of profile table gives the same join."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MeasurementError, UsageError
from bioimage_assets.core.joins.join import join_profiles
from bioimage_assets.core.joins.sources import BATCH_BYTES, ParquetSource, open_profiles
from bioimage_assets.core.joins.table_files import read_csv_table
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table

ROWS = [
    {"Metadata_Plate": "007", "Metadata_Well": "A1", "Metadata_Site": "0", "Cells_Area": 1.5},
    {"Metadata_Plate": "007", "Metadata_Well": "B2", "Metadata_Site": "0", "Cells_Area": None},
]
IMAGES = image_table(
    *(
        image_row(f"007:{w}:0", plate_id="007", plate_key="ds/007", well_id=w, site_id="0")
        for w in ("A01", "B02")
    )
)
TABLE = pa.Table.from_pylist(ROWS)


@pytest.fixture
def made(tmp_path):
    """The same two rows in every accepted form."""
    pq.write_table(TABLE, tmp_path / "one.parquet")
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(TABLE.slice(0, 1), folder / "part-0.parquet")
    pq.write_table(TABLE.slice(1, 1), folder / "part-1.parquet")
    pa_csv.write_csv(TABLE, tmp_path / "one.csv")
    with gzip.open(tmp_path / "one.csv.gz", "wb") as stream:
        pa_csv.write_csv(TABLE, stream)
    return {
        "path": tmp_path / "one.parquet",
        "text path": str(tmp_path / "one.parquet"),
        "file URI": (tmp_path / "one.parquet").as_uri(),
        "folder": folder,
        "glob": str(folder / "part-*.parquet"),
        "paths": [folder / "part-0.parquet", str(folder / "part-1.parquet")],
        "csv": tmp_path / "one.csv",
        "csv.gz": tmp_path / "one.csv.gz",
        "table": TABLE,
        "batch": TABLE.to_batches()[0],
        "reader": TABLE.to_reader(),
        "dataset": pa_dataset.dataset(tmp_path / "one.parquet"),
        "pandas": pd.DataFrame(ROWS, index=[5, 9]),
        "polars": pl.DataFrame(ROWS),
        "rows": ROWS,
    }


@pytest.mark.parametrize(
    "kind",
    ["path", "text path", "file URI", "folder", "glob", "paths", "csv", "csv.gz", "table", "batch", "reader",
     "dataset", "pandas", "polars", "rows"],
)  # fmt: skip
def test_every_kind_of_source_links_alike(made, kind: str) -> None:
    joined = join_profiles(IMAGES, made[kind]).table()
    assert joined["image_id"].to_pylist() == ["007:A01:0", "007:B02:0"]
    assert joined["Cells_Area"].cast(pa.float64()).fill_null(-1).to_pylist() == [1.5, -1.0]
    assert not any(name.startswith("__index") for name in joined.column_names)


def test_csv_keys_stay_text_and_keep_their_zeros(made) -> None:
    table = read_csv_table(str(made["csv"]))
    assert table["Metadata_Plate"].to_pylist() == ["007", "007"]
    assert table.schema.field("Cells_Area").type == pa.float64()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffMetadata_Plate,Metadata_Well,Cells_Area\r\n007,A1,1.5\r\n",
        "Metadata_Plate;Metadata_Well;Cells_Area\n007;A1;1,5\n",
        "Metadata_Plate\tMetadata_Well\tCells_Area\n007\tA1\t1.5\n",
        "Metadata_Plate|Metadata_Well|Cells_Area\n007|A1|1.5\n",
        'Metadata_Plate;"Metadata_\nNote, 1,2,3";Metadata_Well;Cells_Area\n007;x;A1;1,5\n',
    ],
    ids=["mark and CRLF", "decimal comma", "tabs", "pipes", "a name in quotes"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_csvs_of_every_dialect_are_the_same_table(tmp_path, text: str, encoding: str) -> None:
    (tmp_path / "cells.csv").write_bytes(
        text.removeprefix("\ufeff" * (encoding == "utf-16")).encode(encoding)
    )
    joined = join_profiles(IMAGES, tmp_path / "cells.csv").table()
    row = joined.select(["image_id", "Metadata_Plate", "Cells_Area"]).to_pylist()[0]
    assert row == {"image_id": "007:A01:0", "Metadata_Plate": "007", "Cells_Area": 1.5}


def test_files_of_one_table_may_differ_in_columns_and_number_types(tmp_path) -> None:
    pq.write_table(pa.table({"Metadata_Well": ["A1"], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [0.5], "y": ["new"], "Metadata_Well": ["B2"]}), tmp_path / "b.parquet")
    table = join_profiles(IMAGES, str(tmp_path)).table()
    assert table.select(["well_id", "x", "y"]).to_pylist() == [
        {"well_id": "A01", "x": 1.0, "y": None}, {"well_id": "B02", "x": 0.5, "y": "new"},
    ]  # fmt: skip


def test_repeated_column_names_in_parquet_keep_their_own_values(tmp_path) -> None:
    table = pa.Table.from_arrays(
        [pa.array([1]), pa.array(["A1"]), pa.array([2])], ["v", "Metadata_Well", "v"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetSource([str(tmp_path / "a.parquet")])
    (batch,) = source.batches([0, 2])
    assert [column.to_pylist() for column in batch.columns] == [[1], [2]]
    joined = join_profiles(IMAGES, source).table()
    assert (joined["v"].to_pylist(), joined["v_2"].to_pylist()) == ([1], [2])


def test_column_names_with_dots_are_plain_names(tmp_path) -> None:
    names = ["a", "a.b", "a.b.c", "Metadata_Well"]
    pq.write_table(pa.table({n: ["A01"] for n in names}), tmp_path / "a.parquet")
    (batch,) = ParquetSource([str(tmp_path / "a.parquet")]).batches([1, 3])
    assert batch.schema.names == ["a.b", "Metadata_Well"]


@pytest.mark.parametrize("source", [3, None, object(), [1, 2], ["/nowhere/x.parquet", {"a": 1}]])
def test_other_kinds_are_refused(source: object) -> None:
    with pytest.raises(UsageError, match="Unsupported profile source type"):
        open_profiles(source)


@pytest.mark.parametrize("name", ["none.parquet", "none/*.parquet", ""])
def test_a_source_without_tables_is_refused(tmp_path, name: str) -> None:
    with pytest.raises(MeasurementError, match="No Parquet or CSV table"):
        open_profiles(str(tmp_path / name))


def test_a_broken_file_is_refused_by_name(tmp_path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(MeasurementError, match=r"bad\.parquet"):
        open_profiles(tmp_path / "bad.parquet")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(MeasurementError, match=r"bad\.csv"):
        open_profiles(tmp_path / "bad.csv")


def test_a_table_in_an_object_store_is_read(tmp_path) -> None:
    import fsspec

    with fsspec.open("memory://joins/p/one.parquet", "wb") as stream:
        pq.write_table(TABLE, stream)
    for location in ("memory://joins/p/one.parquet", "memory://joins/p", "memory://joins/p/*.parquet"):
        assert join_profiles(IMAGES, location).report.matched_rows == 2


def test_rows_that_hold_images_are_read_a_few_at_a_time(tmp_path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.bytes(4 << 20) for _ in range(16)]
    table = pa.table({"Metadata_Well": ["A1"] * 16, "image": pa.array(images, pa.large_binary())})
    pq.write_table(table, tmp_path / "images.parquet")
    source = ParquetSource([str(tmp_path / "images.parquet")])
    sizes = [batch.num_rows for batch in source.batches()]
    assert max(sizes) <= BATCH_BYTES // (4 << 20)
    assert sum(sizes) == 16
    assert [batch.num_rows for batch in source.batches([0])] == [16]


@pytest.mark.parametrize(("delimiter", "number"), [(",", "1.5"), (";", "1,5")])
def test_words_of_text_columns_stay_and_missing_numbers_are_missing(
    tmp_path: Path, delimiter: str, number: str
) -> None:
    words = ["NA", "null", "NaN", "Null", "007", ""]
    rows = [delimiter.join(["A01", word, "NA" if word == "NA" else number]) for word in words]
    path = tmp_path / "cells.csv"
    path.write_text(
        "\n".join([delimiter.join(["Metadata_Well", "Metadata_gene", "Cells_Area"]), *rows]) + "\n"
    )
    table = read_csv_table(str(path))
    written = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False)["Metadata_gene"]
    assert table["Metadata_gene"].to_pylist() == [word or None for word in written]
    assert table["Cells_Area"].to_pylist() == [None, *[1.5] * 5]
