"""AnnData files give what the anndata library reads from them: obs as metadata, X as features, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pycytominer.cyto_utils.anndata_utils import write_anndata
from scipy import sparse

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.measurements.conftest import Reader, ReadPlate

ROWS, COLUMNS = 700, 12
VARIABLES = [f"efficientnet_{i}" for i in range(COLUMNS)]


def make_obs(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    obs = pd.DataFrame(
        {
            "Metadata_Plate": "P1",
            "well": rng.choice(["A01", "A02", "B03"], rows),
            "Metadata_Site": rng.integers(1, 4, rows),
            "cell_type": pd.Categorical(rng.choice(["round", "NA", None], rows)),
            "dose": pd.Categorical(rng.choice([0.1, 1.0], rows)),
            "count": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
            "is_edge": rng.random(rows) > 0.5,
            "score": rng.random(rows).astype(np.float32),
        },
        index=[f"cell-{i}" for i in range(rows)],
    )
    obs.loc["cell-3", "count"] = pd.NA
    return obs


def make_matrix(rows: int = ROWS, dtype: type = np.float32) -> np.ndarray:
    rng = np.random.default_rng(2)
    values = np.where(rng.random((rows, COLUMNS)) > 0.7, rng.normal(size=(rows, COLUMNS)) * 9, 0)
    return values.astype(dtype)


def write(path: Path, matrix: object = None, **parts: object) -> Path:
    matrix = make_matrix() if matrix is None else matrix
    variables = pd.DataFrame(index=VARIABLES)
    anndata.AnnData(matrix, obs=make_obs(), var=variables, **parts).write_h5ad(path)
    return path


def assert_equal_to_library(plate: ReadPlate, path: Path) -> None:
    """Every value of X and obs, as anndata reads them from the same file."""
    library = anndata.read_h5ad(path)
    expected = library.to_df()
    assert plate.table.num_rows == len(expected)
    for name in expected:
        np.testing.assert_array_equal(plate.table[name].to_numpy(), expected[name].to_numpy(), err_msg=name)
    assert plate.table["Metadata_ObsName"].to_pylist() == list(library.obs_names)
    for name in library.obs:
        usual = {"well": "Metadata_Well"}.get(
            name, name if name.startswith("Metadata_") else f"Metadata_{name}"
        )
        values = [None if pd.isna(value) else value for value in library.obs[name]]
        values = [str(value) for value in values] if usual == "Metadata_Site" else values
        assert plate.table[usual].to_pylist() == values, name


@pytest.mark.parametrize(
    "form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array, np.asfortranarray]
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_and_sparse_files_equal_what_anndata_reads(
    tmp_path: Path, read_plate: Reader, form: Callable[[np.ndarray], object], dtype: type
) -> None:
    path = write(tmp_path / "P1.h5ad", form(make_matrix(dtype=dtype)))
    plate = read_plate(path)
    assert (plate.result.kind, plate.result.grain) == ("anndata", "cell")
    assert plate.codes() == set()
    assert plate.table.schema.field(VARIABLES[0]).type == pa.from_numpy_dtype(dtype)
    assert len(set(plate.table["Metadata_ObjectID"].to_pylist())) == ROWS
    assert_equal_to_library(plate, path)


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"compression": "lzf"}, {"chunks": (128, 5), "compression": "gzip"}])  # fmt: skip
def test_compressed_and_chunked_files_are_read_alike(
    tmp_path: Path, read_plate: Reader, options: dict[str, object]
) -> None:
    path = write(tmp_path / "P1.h5ad")
    with h5py.File(path, "a") as file:
        attributes, values = dict(file["X"].attrs), file["X"][...]
        del file["X"]
        file.create_dataset("X", data=values, **options).attrs.update(attributes)
    assert_equal_to_library(read_plate(path), path)


def test_many_blocks_give_the_rows_of_one(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "bioimage_assets.core.measurements.anndata_matrix.BLOCK_BYTES"
    monkeypatch.setattr(module, 4 * ROWS * 5)
    monkeypatch.setattr("bioimage_assets.core.measurements.anndata_files.window_rows", lambda count: 97)
    for form in (np.asarray, sparse.csr_matrix, sparse.csc_matrix):
        path = write(tmp_path / f"{form.__name__}.h5ad", form(make_matrix()))
        assert_equal_to_library(read_plate(path), path)


def test_whole_numbers_and_booleans_are_features_as_floats(tmp_path: Path, read_plate: Reader) -> None:
    counts = make_matrix().astype(np.int32)
    path = write(tmp_path / "P1.h5ad", counts)
    table = read_plate(path).table
    assert table.schema.field(VARIABLES[1]).type == pa.float64()
    np.testing.assert_array_equal(table[VARIABLES[1]].to_numpy(), counts[:, 1])


def test_nullable_texts_and_booleans_keep_their_gaps(tmp_path: Path, read_plate: Reader) -> None:
    obs = make_obs(4)
    obs["gene"] = pd.array(["TP53", "", None, "null"], dtype="string")
    obs["is_dead"] = pd.array([True, None, False, None], dtype="boolean")
    library = anndata.AnnData(make_matrix(4), obs=obs, var=pd.DataFrame(index=VARIABLES))
    with anndata.settings.override(allow_write_nullable_strings=True):
        library.write_h5ad(tmp_path / "P1.h5ad", convert_strings_to_categoricals=False)
    table = read_plate(tmp_path / "P1.h5ad").table
    assert table["Metadata_gene"].to_pylist() == ["TP53", "", None, "null"]
    assert table["Metadata_is_dead"].to_pylist() == [True, None, False, None]


@pytest.mark.filterwarnings("ignore:Transforming to str index:anndata.ImplicitModificationWarning")
def test_what_pycytominer_writes_is_read_with_keys_places_and_text_numbers(
    tmp_path: Path, read_plate: Reader
) -> None:
    frame = pd.DataFrame(
        {
            "Metadata_Plate": "P1", "Metadata_Well": ["A01", "A01", "A02"], "Metadata_ImageNumber": [1, 1, 2],
            "Metadata_ObjectNumber": [1, 2, 1], "Image_FileName_DNA": ["a.tif", "a.tif", "b.tif"],
            "Cells_AreaShape_Area": [1.5, 2.5, 3.5], "Cells_AreaShape_Center_X": [1.0, 2.0, 3.0],
            "Nuclei_Intensity_Mean": ["1.5", "NA", "2"],
        }
    )  # fmt: skip
    write_anndata(frame, str(tmp_path / "P1.h5ad"))
    plate = read_plate(tmp_path / "P1.h5ad")
    row = plate.table.to_pylist()[1]
    assert (row["Metadata_ObjectID"], row["Metadata_Well"]) == ("screen/P1/1/2", "A01")
    assert (row["Metadata_ImageNumber"], row["Image_FileName_DNA"]) == (1, "a.tif")
    assert (row["Cells_AreaShape_Area"], row["Cells_AreaShape_Center_X"]) == (2.5, 2.0)
    assert plate.table["Nuclei_Intensity_Mean"].to_pylist() == [1.5, None, 2.0]
    assert plate.finding("text-numbers").location == "Nuclei_Intensity_Mean"


def test_layers_and_other_matrices_are_named_and_not_read(tmp_path: Path, read_plate: Reader) -> None:
    path = write(
        tmp_path / "P1.h5ad", layers={"raw": make_matrix()}, obsm={"X_pca": make_matrix()[:, :3]}
    )  # fmt: skip
    plate = read_plate(path)
    assert "layers/raw, obsm/X_pca" in plate.finding("anndata-not-read").message
    assert_equal_to_library(plate, path)


def test_without_x_the_only_layer_is_read_and_that_is_said(tmp_path: Path, read_plate: Reader) -> None:
    values = make_matrix()
    library = anndata.AnnData(obs=make_obs(), var=pd.DataFrame(index=VARIABLES), layers={"scaled": values})
    library.write_h5ad(tmp_path / "P1.h5ad")
    plate = read_plate(tmp_path / "P1.h5ad")
    assert plate.finding("anndata-without-x").severity == "warning"
    np.testing.assert_array_equal(plate.table[VARIABLES[2]].to_numpy(), values[:, 2])


def test_without_x_and_layers_the_only_embedding_is_read(tmp_path: Path, read_plate: Reader) -> None:
    values = make_matrix()
    parts = {"X_dino": values, "spatial": values[:, :2]}
    anndata.AnnData(obs=make_obs(), obsm=parts).write_h5ad(tmp_path / "P1.h5ad")
    plate = read_plate(tmp_path / "P1.h5ad")
    assert [name for name in plate.table.column_names if name.startswith("X_dino")] == [f"X_dino_{i}" for i in range(COLUMNS)]  # fmt: skip
    np.testing.assert_array_equal(plate.table["X_dino_7"].to_numpy(), values[:, 7])
    assert "obsm/spatial" in plate.finding("anndata-not-read").message


def test_two_layers_without_x_are_refused_with_what_to_write(tmp_path: Path, read_plate: Reader) -> None:
    layers = {"raw": make_matrix(), "scaled": make_matrix()}
    anndata.AnnData(obs=make_obs(), var=pd.DataFrame(index=VARIABLES), layers=layers).write_h5ad(
        tmp_path / "P1.h5ad"
    )
    with pytest.raises(MeasurementError, match=r"layers/raw, layers/scaled.*adata\.X = "):
        read_plate(tmp_path / "P1.h5ad")


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_the_name_of_the_index_and_names_that_occur_twice_are_kept(
    tmp_path: Path, read_plate: Reader
) -> None:
    obs = make_obs().rename_axis("cell_id")
    variables = pd.DataFrame(index=["emb_0", "emb_0", *VARIABLES[2:]])
    anndata.AnnData(make_matrix(), obs=obs, var=variables).write_h5ad(tmp_path / "P1.h5ad")
    plate = read_plate(tmp_path / "P1.h5ad")
    assert plate.table["Metadata_cell_id"].to_pylist() == list(obs.index)
    assert "emb_0_2" in plate.finding("duplicate-columns").message
    np.testing.assert_array_equal(plate.table["emb_0_2"].to_numpy(), make_matrix()[:, 1])


def test_aliases_and_included_columns_of_obs_keep_their_names(tmp_path: Path, read_plate: Reader) -> None:
    settings = DatasetSettings(aliases={"site_id": ("count",)}, feature_include=("score",))
    table = read_plate(write(tmp_path / "P1.h5ad"), settings=settings).table
    assert table["Metadata_Site"].to_pylist()[:4] == [*map(str, make_obs()["count"][:3]), None]
    assert table["score"].to_pylist() == make_obs()["score"].to_list()


def test_several_files_of_a_plate_are_one_table(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1").mkdir()
    for name in ("a", "b"):
        write(tmp_path / "P1" / f"{name}.h5ad")
    assert read_plate(tmp_path / "P1").table.num_rows == 2 * ROWS


def write_old(path: Path, values: np.ndarray) -> Path:
    """A file as anndata 0.6 wrote it: data frames as arrays of records, categories in ``uns``, sparse without encoding."""
    text = h5py.special_dtype(vlen=str)
    records = np.empty(len(values), dtype=[("index", text), ("well", np.int8), ("score", np.float64)])
    records["index"] = [f"c{i}" for i in range(len(values))]
    records["well"] = [i % 2 for i in range(len(values))]
    records["score"] = np.arange(len(values))
    variables = np.empty(values.shape[1], dtype=[("index", text)])
    variables["index"] = VARIABLES[: values.shape[1]]
    packed = sparse.csr_matrix(values)
    with h5py.File(path, "w") as file:
        file["obs"], file["var"] = records, variables
        file.create_dataset("uns/well_categories", data=np.array(["A01", "B02"], dtype=object), dtype=text)
        for name in ("data", "indices", "indptr"):
            file[f"X/{name}"] = getattr(packed, name)
        file["X"].attrs["h5sparse_format"] = "csr"
        file["X"].attrs["h5sparse_shape"] = packed.shape
    return path


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_files_of_old_anndata_equal_what_anndata_reads(tmp_path: Path, read_plate: Reader) -> None:
    path = write_old(tmp_path / "P1.h5ad", make_matrix(40))
    table, library = read_plate(path).table, anndata.read_h5ad(path)
    assert table["Metadata_Well"].to_pylist() == list(library.obs["well"])
    assert table["Metadata_ObsName"].to_pylist() == list(library.obs_names)
    assert table["Metadata_score"].to_pylist() == list(library.obs["score"])
    for name in VARIABLES:
        np.testing.assert_array_equal(table[name].to_numpy(), library.to_df()[name].to_numpy())


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_categories_beside_the_codes_of_anndata_0_7_are_read(tmp_path: Path, read_plate: Reader) -> None:
    path = write(tmp_path / "P1.h5ad")
    with h5py.File(path, "a") as file:
        codes, names = file["obs/cell_type/codes"][...], file["obs/cell_type/categories"][...]
        del file["obs/cell_type"]
        categories = file.create_dataset("obs/__categories/cell_type", data=names)
        categories.attrs["ordered"] = False
        file["obs"].create_dataset("cell_type", data=codes).attrs["categories"] = categories.ref
        file["obs"].attrs["encoding-version"] = "0.1.0"
        for name in ("well", "count", "dose", "Metadata_Plate"):
            del file[f"obs/{name}"]
        file["obs"].attrs["column-order"] = ["cell_type", "score"]
    library = anndata.read_h5ad(path)
    values = [None if pd.isna(value) else value for value in library.obs["cell_type"]]
    assert read_plate(path).table["Metadata_cell_type"].to_pylist() == values


def test_big_endian_numbers_are_the_same_numbers(tmp_path: Path, read_plate: Reader) -> None:
    path = write(tmp_path / "P1.h5ad", make_matrix(dtype=np.float64))
    with h5py.File(path, "a") as file:
        attributes, values = dict(file["X"].attrs), file["X"][...]
        del file["X"]
        file.create_dataset("X", data=values.astype(">f8")).attrs.update(attributes)
    assert_equal_to_library(read_plate(path), path)


def damage_pointer(file: h5py.File) -> None:
    file["X/indptr"][5] = 10**9


def damage_index(file: h5py.File) -> None:
    file["X/indices"][3] = COLUMNS + 7


def damage_code(file: h5py.File) -> None:
    file["obs/cell_type/codes"][3] = 99


def shorten_column(file: h5py.File) -> None:
    del file["obs/score"]
    file["obs/score"] = np.zeros(3)


def lose_column(file: h5py.File) -> None:
    del file["obs/score"]


def lose_variables(file: h5py.File) -> None:
    del file["var"]


def lose_index(file: h5py.File) -> None:
    del file["obs/_index"]


def other_shape(file: h5py.File) -> None:
    file["X"].attrs["shape"] = (ROWS, COLUMNS + 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_pointer, r"X/indptr: expected numbers that rise"),
        (damage_index, r"X/indices: expected numbers from 0 to 11, found .* to 19"),
        (damage_code, r"obs/cell_type: expected codes below 2.*found 99"),
        (shorten_column, r"obs/score: expected 700 values.*found 3"),
        (lose_column, r"lists the column 'score', which is not there"),
        (lose_variables, r"expected a data frame 'var', found .*obs"),
        (lose_index, r"obs has no index: expected '_index'"),
        (other_shape, r"X: expected 12 columns, one for each of var, found 13"),
    ],
)
def test_a_broken_file_says_what_was_expected_and_found(
    tmp_path: Path, read_plate: Reader, damage: Callable[[h5py.File], None], message: str
) -> None:
    path = write(tmp_path / "P1.h5ad", sparse.csr_matrix(make_matrix()))
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(MeasurementError, match=message) as raised:
        read_plate(path)
    assert str(path) in str(raised.value)


def test_a_cut_off_file_and_one_of_another_kind_are_refused_by_name(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = write(tmp_path / "P1.h5ad")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MeasurementError, match=r"P1\.h5ad: expected an AnnData file"):
        read_plate(path)
    path.write_text("no HDF5")
    with pytest.raises(MeasurementError, match=r"P1\.h5ad: expected an AnnData file"):
        read_plate(path)


def test_links_and_values_outside_of_the_file_are_refused(tmp_path: Path, read_plate: Reader) -> None:
    secret = write(tmp_path / "secret.h5ad")
    for number, target in enumerate((h5py.ExternalLink(str(secret), "/X"), h5py.SoftLink("/obs"))):
        path = write(tmp_path / f"{number}.h5ad")
        with h5py.File(path, "a") as file:
            del file["X"]
            file["X"] = target
        with pytest.raises(MeasurementError, match="X is a link"):
            read_plate(path)
    path = write(tmp_path / "outside.h5ad")
    (tmp_path / "raw.bin").write_bytes(bytes(ROWS * COLUMNS * 4))
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_dataset(
            "X", (ROWS, COLUMNS), "f4", external=[(str(tmp_path / "raw.bin"), 0, ROWS * COLUMNS * 4)]
        )
    with pytest.raises(MeasurementError, match="lie in other files"):
        read_plate(path)


def absurd_obs(file: h5py.File) -> None:
    del file["obs/_index"]
    file["obs"].create_dataset("_index", (10**13,), "i8", chunks=(1024,))


def absurd_column(file: h5py.File) -> None:
    del file["obs/score"]
    file["obs"].create_dataset("score", (10**13,), "f8", chunks=(1024,))


def circle(file: h5py.File) -> None:
    file["obsm/again"] = file["obsm"]


@pytest.mark.parametrize("damage", [absurd_obs, absurd_column, circle])
def test_absurd_headers_are_refused_before_anything_is_read(
    tmp_path: Path, read_plate: Reader, damage: Callable[[h5py.File], None]
) -> None:
    path = write(tmp_path / "P1.h5ad", obsm={"X_pca": make_matrix()[:, :2]})
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(MeasurementError, match=r"P1\.h5ad"):
        read_plate(path)


def test_a_pipe_named_h5ad_does_not_block(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1").mkdir()
    os.mkfifo(tmp_path / "P1" / "cells.h5ad")
    with pytest.raises(MeasurementError, match="found a pipe"):
        read_plate(tmp_path / "P1")


def test_reading_leaves_the_file_untouched_and_needs_no_anndata(tmp_path: Path) -> None:
    path = write(tmp_path / "P1.h5ad")
    before = path.read_bytes()
    program = (
        "import sys; from bioimage_assets.core.measurements.read import read_measurements as r; "
        "from bioimage_assets.core.settings.dataset import DatasetSettings as D; "
        "t = r([sys.argv[1]], plate_key='s/P1', dataset_id='s', plate_name='P1', settings=D()).reader.read_all(); "
        "sys.exit(t.num_rows != 700 or 'anndata' in sys.modules or 'scipy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "csc"])
def test_a_big_matrix_is_read_in_bounded_memory(tmp_path: Path, form: str) -> None:
    rows, columns = 32_000, 2_500  # 320 MB of float32, beside 170 MB of modules
    values = np.zeros((rows, columns), np.float32)
    values[::10, ::10] = np.random.default_rng(3).random((rows // 10, columns // 10))
    matrix = values if form == "dense" else sparse.csc_matrix(values)
    obs = pd.DataFrame({"well": "A01"}, index=[str(i) for i in range(rows)])
    anndata.AnnData(matrix, obs=obs).write_h5ad(tmp_path / "P1.h5ad")
    del values, matrix
    program = (
        "import re, sys; from bioimage_assets.core.measurements.read import read_measurements as r; "
        "from bioimage_assets.core.settings.dataset import DatasetSettings as D; "
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) >> 10; before = peak(); "
        "m = r([sys.argv[1]], plate_key='s/P1', dataset_id='s', plate_name='P1', settings=D(), staging_root=sys.argv[2]); "
        "rows = sum(batch.num_rows for batch in m.reader); print(rows, peak() - before)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "P1.h5ad"), str(tmp_path)]
    read, megabytes = map(
        int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    )
    assert read == rows
    assert megabytes < 400
