"""Every measurement source becomes the well profiles that pycytominer makes of the same files, read without this project."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pycytominer import aggregate, normalize
from pycytominer.cyto_utils import load_npz_features
from scipy import sparse

from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    write_cellprofiler_folder,
    write_csv,
    write_sqlite,
    write_warehouse,
)

WELLS = ("A01", "A02", "B03", "C04")
COUNTS = {1: 6, 2: 5, 3: 7, 4: 9}
SPEC = PlateSpec(cells=COUNTS, wells=WELLS)
MEASURED = tuple(f"{c}_{name}" for c in ("Cytoplasm", "Cells", "Nuclei") for name in SPEC.features)


@dataclass(frozen=True)
class Source:
    """Files of a plate, its cells as another reader sees them (with ``Metadata_Well``), and the features to profile."""

    paths: tuple[Path, ...]
    cells: pd.DataFrame
    features: tuple[str, ...]
    kind: str
    settings: DatasetSettings = field(default_factory=DatasetSettings)


def random_cells(names: Sequence[str], seed: int = 3) -> pd.DataFrame:
    """Cells of four wells, two sites each."""
    rng = np.random.default_rng(seed)
    wells = [well for well, count in zip(WELLS, COUNTS.values(), strict=True) for _ in range(count)]
    frame = pd.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": wells})
    frame["Metadata_Site"] = rng.integers(1, 3, len(frame)).astype(str)
    frame["Metadata_ObjectNumber"] = np.arange(1, len(frame) + 1)
    values = rng.normal(size=(len(frame), len(names))) * rng.uniform(1, 50, len(names))
    return pd.concat([frame, pd.DataFrame(values, columns=list(names))], axis=1)


def merge_compartments(tables: dict[str, pd.DataFrame], driver: str = "Cytoplasm") -> pd.DataFrame:
    """The object tables side by side, each cell with its own parents, by pandas."""
    image = tables.pop("Image")
    keys = [name for name in ("TableNumber", "ImageNumber") if name in image]
    merged = tables[driver].add_prefix(f"{driver}_").rename(columns={f"{driver}_{k}": k for k in keys})
    for name in tables:
        if name == driver:
            continue
        other = tables[name].add_prefix(f"{name}_").rename(columns={f"{name}_{k}": k for k in keys})
        merged = merged.merge(
            other, left_on=[*keys, f"{driver}_Parent_{name}"], right_on=[*keys, f"{name}_ObjectNumber"]
        )
    return merged.merge(image[[*keys, "Metadata_Well"]], on=keys)


def read_csvs(folder: Path, *names: str) -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(folder / f"{name}.csv") for name in (*names, "Image")}


def cellprofiler_csv(folder: Path) -> Source:
    path = write_cellprofiler_folder(folder / "P1", SPEC)
    return Source(
        (path,),
        merge_compartments(read_csvs(path, "Cytoplasm", "Cells", "Nuclei")),
        MEASURED,
        "cellprofiler-csv",
    )


def per_site_folders(folder: Path) -> Source:
    frames = []
    for number, well in enumerate(WELLS, 1):
        spec = PlateSpec(cells={1: COUNTS[number]}, wells=(well,), seed=number)
        path = write_cellprofiler_folder(folder / "P1" / f"P1-{well}-1", spec)
        frames.append(merge_compartments(read_csvs(path, "Cytoplasm", "Cells", "Nuclei")))
    return Source((folder / "P1",), pd.concat(frames), MEASURED, "cellprofiler-csv")


def _read_database(path: Path) -> pd.DataFrame:
    with closing(sqlite3.connect(path)) as database:
        tables = {
            name: pd.read_sql_query(f'SELECT * FROM "{name}"', database).rename(
                columns=lambda column, name=name: column.removeprefix(f"{name}_")
            )
            for name in ("Cytoplasm", "Cells", "Nuclei", "Image")
        }
    return merge_compartments(tables)


def cellprofiler_sqlite(folder: Path) -> Source:
    path = write_sqlite(folder / "P1.sqlite", {None: SPEC})
    return Source((path,), _read_database(path), MEASURED, "cellprofiler-sqlite")


def cytominer_database(folder: Path) -> Source:
    runs = {
        11: PlateSpec(cells={1: 6, 2: 5}, wells=WELLS[:2]),
        22: PlateSpec(cells={1: 7, 2: 9}, wells=WELLS[2:], seed=2),
    }
    path = write_sqlite(folder / "P1.sqlite", runs)  # type: ignore[arg-type]
    return Source((path,), _read_database(path), MEASURED, "cellprofiler-sqlite")


def _joined() -> pd.DataFrame:
    cells = random_cells([*MEASURED, "Nuclei_Location_Center_X", "Cells_AreaShape_BoundingBoxMinimum_X"])
    return cells.assign(Metadata_ImageNumber=1)


def cytotable_parquet(folder: Path) -> Source:
    _joined().to_parquet(folder / "P1.parquet", index=False)
    return Source((folder / "P1.parquet",), pd.read_parquet(folder / "P1.parquet"), MEASURED, "table")


def cytotable_warehouse(folder: Path) -> Source:
    root = write_warehouse(folder / "P1", pa.Table.from_pandas(_joined(), preserve_index=False))
    parts = [pd.read_parquet(path) for path in sorted(root.rglob("*.parquet"))]
    return Source((root,), pd.concat(parts), MEASURED, "cytotable-warehouse")


def cytotable_unjoined(folder: Path) -> Source:
    csvs = write_cellprofiler_folder(folder / "csv", SPEC)
    tables = read_csvs(csvs, "Cytoplasm", "Cells", "Nuclei")
    (folder / "P1").mkdir()
    for name, table in tables.items():
        keys = {"ImageNumber": "Metadata_ImageNumber", "ObjectNumber": "Metadata_ObjectNumber"}
        keys |= {n: f"Metadata_{name}_{n}" for n in table if n.startswith("Parent_")}
        table.rename(columns=lambda n, name=name, keys=keys: keys.get(n, f"{name}_{n}")).to_parquet(
            folder / "P1" / f"{name}.parquet", index=False
        )
    return Source((folder / "P1",), merge_compartments(tables), MEASURED, "cytotable")


def in_carta(folder: Path) -> Source:
    cells = random_cells(
        ["Nuclei Area wv1", "Primary Target Intensity wv2", "Cells cg X wv1", "Acquisition Time Stamp"]
    )
    headings = {
        "Metadata_Plate": "Plate ID",
        "Metadata_Well": "WELL LABEL",
        "Metadata_Site": "FOV",
        "Metadata_ObjectNumber": "OBJECT ID",
    }
    table = cells.rename(columns=headings)
    path = write_csv(folder / "P1.csv", list(table), table.to_numpy().tolist())
    read = pd.read_csv(path).rename(columns={new: old for old, new in headings.items()})
    features = ("Nuclei_Area_wv1", "Primary_Target_Intensity_wv2")
    return Source((path,), read.rename(columns=lambda name: name.replace(" ", "_")), features, "in-carta")


def deepprofiler(folder: Path, model: str | None = "efficientnet", prefix: str = "efficientnet") -> Source:
    rng = np.random.default_rng(4)
    frames = []
    for number, well in enumerate(WELLS, 1):
        path = folder / "P1" / well / "1.npz"
        path.parent.mkdir(parents=True)
        metadata = {"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": 1, "DNA": f"{well}.png"}
        metadata |= {} if model is None else {"Metadata_Model": model}
        np.savez_compressed(
            path, features=rng.normal(size=(COUNTS[number], 5)).astype(np.float32), metadata=metadata,
            locations=rng.uniform(0, 500, (COUNTS[number], 2)),
        )  # fmt: skip
        frames.append(load_npz_features(str(path), fallback_feature_prefix="DeepProfiler"))
    features = tuple(f"{prefix}_{i}" for i in range(5))
    cells = pd.concat(frames, ignore_index=True).astype(dict.fromkeys(features, np.float64))
    return Source((folder / "P1",), cells, features, "deepprofiler")


def deepprofiler_without_model(folder: Path) -> Source:
    return deepprofiler(folder, None, "DeepProfiler")


def plain_csv(folder: Path) -> Source:
    names = ("area", "mean_intensity")
    random_cells([*names, "x", "centroid-0"]).to_csv(folder / "P1.csv", index=False)
    return Source((folder / "P1.csv",), pd.read_csv(folder / "P1.csv"), names, "table")


def plain_embeddings(folder: Path) -> Source:
    names = tuple(f"dino_{i}" for i in range(7))
    random_cells([*names, "Nuclei_Location_Center_X"]).to_parquet(folder / "P1.parquet", index=False)
    return Source((folder / "P1.parquet",), pd.read_parquet(folder / "P1.parquet"), names, "table")


def embeddings_beside_cellprofiler(folder: Path) -> Source:
    names = ("Nuclei_AreaShape_Area", *(f"dino_{i}" for i in range(7)))
    random_cells([*names, "qc_score", "Nuclei_Location_Center_X"]).to_parquet(
        folder / "P1.parquet", index=False
    )
    return Source((folder / "P1.parquet",), pd.read_parquet(folder / "P1.parquet"), names, "table")


def own_compartments(folder: Path) -> Source:
    names = ("Soma_AreaShape_Area", "Soma_Intensity_MeanIntensity_DNA", "Nucleus_AreaShape_BoundingBoxArea")
    random_cells([*names, "Nucleus_Location_Center_X"]).to_parquet(folder / "P1.parquet", index=False)
    return Source((folder / "P1.parquet",), pd.read_parquet(folder / "P1.parquet"), names, "table")


def listed_compartment(folder: Path) -> Source:
    """Mito objects that the cytoplasm names as its parents: joined because they are listed, and profiled."""
    path = write_cellprofiler_folder(folder / "P1", SPEC)
    mito = pd.read_csv(path / "Nuclei.csv")
    mito[list(SPEC.features)] *= 0.25
    mito.to_csv(path / "Mito.csv", index=False)
    cytoplasm = pd.read_csv(path / "Cytoplasm.csv")
    cytoplasm.assign(Parent_Mito=cytoplasm["Parent_Nuclei"]).to_csv(path / "Cytoplasm.csv", index=False)
    compartments = ("Cytoplasm", "Cells", "Nuclei", "Mito")
    features = (*MEASURED, *(f"Mito_{name}" for name in SPEC.features))
    cells = merge_compartments(read_csvs(path, *compartments))
    return Source((path,), cells, features, "cellprofiler-csv", DatasetSettings(compartments=compartments))


def included_and_excluded(folder: Path) -> Source:
    names = ("Cells_AreaShape_Area", "Cells_Correlation_Costes_DNA_ER", "own_score", "other")
    random_cells(names).to_parquet(folder / "P1.parquet", index=False)
    settings = DatasetSettings(feature_include=("own_*",), feature_exclude=("*_Costes_*",))
    cells = pd.read_parquet(folder / "P1.parquet")
    return Source((folder / "P1.parquet",), cells, (names[0], names[2]), "table", settings)


def text_numbers(folder: Path) -> Source:
    cells = random_cells(["Cells_AreaShape_Area", "Nuclei_AreaShape_Area"])
    cells["Nuclei_AreaShape_Area"] = cells["Nuclei_AreaShape_Area"].map(repr)
    cells.to_parquet(folder / "P1.parquet", index=False)
    read = pd.read_parquet(folder / "P1.parquet").astype({"Nuclei_AreaShape_Area": float})
    return Source((folder / "P1.parquet",), read, ("Cells_AreaShape_Area", "Nuclei_AreaShape_Area"), "table")


def _write_anndata(folder: Path, form: Callable[[np.ndarray], object]) -> Source:
    names = tuple(f"f{i}" for i in range(6))
    cells = random_cells(names)
    keys = [name for name in cells if name not in names]
    obs = (
        cells[keys]
        .assign(Metadata_Well=pd.Categorical(cells["Metadata_Well"]))
        .set_index(cells.index.astype(str))
    )
    library = anndata.AnnData(
        form(cells[list(names)].to_numpy()), obs=obs, var=pd.DataFrame(index=list(names))
    )
    library.write_h5ad(folder / "P1.h5ad")
    read = anndata.read_h5ad(folder / "P1.h5ad")
    return Source((folder / "P1.h5ad",), read.obs.join(read.to_df()), names, "anndata")


def anndata_dense(folder: Path) -> Source:
    return _write_anndata(folder, np.asarray)


def anndata_sparse(folder: Path) -> Source:
    return _write_anndata(folder, sparse.csr_matrix)


def well_tables(folder: Path) -> Source:
    """One row per well already: normalised, the median of one row is that row."""
    names = ("Cells_AreaShape_Area", "Nuclei_AreaShape_Area")
    wells = random_cells(names).groupby("Metadata_Well")[list(names)].median().reset_index()
    wells.assign(Metadata_Plate="P1").to_csv(folder / "P1.csv", index=False)
    return Source((folder / "P1.csv",), pd.read_csv(folder / "P1.csv"), names, "table")


SOURCES = (
    cellprofiler_csv, per_site_folders, cellprofiler_sqlite, cytominer_database, cytotable_parquet, cytotable_warehouse,
    cytotable_unjoined, in_carta, deepprofiler, deepprofiler_without_model, plain_csv, plain_embeddings,
    embeddings_beside_cellprofiler, own_compartments, listed_compartment, included_and_excluded, text_numbers,
    anndata_dense, anndata_sparse, well_tables,
)  # fmt: skip


def read_cells(source: Source, folder: Path) -> tuple[pa.Table, str]:
    result = read_measurements(
        [str(path) for path in source.paths],
        plate_key="screen/P1",
        dataset_id="screen",
        plate_name="P1",
        settings=source.settings,
        staging_root=str(folder),
    )
    return result.reader.read_all(), result.kind


@pytest.mark.parametrize("build", SOURCES, ids=lambda build: build.__name__)
def test_profiles_of_every_source_equal_pycytominer_by_hand(
    tmp_path: Path, build: Callable[[Path], Source]
) -> None:
    source = build(tmp_path)
    cells, kind = read_cells(source, tmp_path)
    assert kind == source.kind
    table, report = build_well_profiles(cells, None, None, source.settings)
    features = list(source.features)
    normalized = normalize(
        source.cells.reset_index(drop=True),
        features,
        meta_features=["Metadata_Well"],
        samples="all",
        method="standardize",
    )
    expected = aggregate(normalized, strata=["Metadata_Well"], features=features).set_index("Metadata_Well")
    assert report.reference == "plate"
    assert set(table.column_names) & set(cells.column_names) - {
        "plate_key",
        "dataset_id",
        "Metadata_Plate",
        "Metadata_Well",
    } == set(features)
    assert table["well_id"].to_pylist() == list(WELLS)
    assert (
        table["Metadata_Object_Count"].to_pylist() == source.cells.groupby("Metadata_Well").size().to_list()
    )
    for name in features:
        np.testing.assert_allclose(
            table[name].to_numpy(),
            expected.loc[list(WELLS), name].to_numpy(),
            rtol=1e-9,
            atol=1e-12,
            err_msg=name,
        )


@pytest.mark.parametrize("build", SOURCES, ids=lambda build: build.__name__)
def test_reading_a_source_again_gives_the_same_cells(tmp_path: Path, build: Callable[[Path], Source]) -> None:
    source = build(tmp_path)
    first, _ = read_cells(source, tmp_path)
    assert first.equals(read_cells(source, tmp_path)[0])
    assert len(set(first["Metadata_ObjectID"].to_pylist())) == first.num_rows == len(source.cells)


def test_metadata_of_deepprofiler_name_the_model_of_every_cell(tmp_path: Path) -> None:
    source = deepprofiler(tmp_path)
    cells, _ = read_cells(source, tmp_path)
    assert set(cells["Metadata_Model"].to_pylist()) == {"efficientnet"}
    names = ["Metadata_Well", *source.features]
    pd.testing.assert_frame_equal(cells.select(names).to_pandas(), source.cells[names])
