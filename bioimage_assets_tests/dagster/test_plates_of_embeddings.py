"""Plates of embeddings (DeepProfiler, AnnData) go through the whole graph: their wells are those of pycytominer."""

from pathlib import Path

import anndata
import dagster as dg
import numpy as np
import pandas as pd
import pytest
from pycytominer import aggregate, normalize
from pycytominer.cyto_utils import load_npz_features

from bioimage_assets.headless import materialize_plates
from bioimage_assets.summary import summarize_plates
from bioimage_assets_tests.builders.tiff_plates import write_plane

pytestmark = pytest.mark.slow

WELLS = ("A01", "A02", "B03", "C04")
CELLS_PER_WELL = 6


def write_deepprofiler(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The layout of DeepProfiler's outputs, and the cells as pycytominer loads them."""
    rng = np.random.default_rng(5)
    frames = []
    for well in WELLS:
        path = folder / "P1" / well / "1.npz"
        path.parent.mkdir(parents=True)
        metadata = {
            "Metadata_Plate": "P1",
            "Metadata_Well": well,
            "Metadata_Site": 1,
            "Metadata_Model": "efficientnet",
        }
        features = rng.normal(size=(CELLS_PER_WELL, 8)).astype(np.float32)
        np.savez(
            path, features=features, metadata=metadata, locations=rng.uniform(0, 12, (CELLS_PER_WELL, 2))
        )
        frames.append(load_npz_features(str(path)))
    names = [f"efficientnet_{i}" for i in range(8)]
    return pd.concat(frames, ignore_index=True).astype(dict.fromkeys(names, float)), names


def write_anndata(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Cells as scanpy holds them, and as anndata reads them again."""
    rng = np.random.default_rng(6)
    wells = np.repeat(WELLS, CELLS_PER_WELL)
    obs = pd.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": wells, "Metadata_Site": 1})
    obs.index = [f"cell-{i}" for i in range(len(wells))]
    names = [f"dino_{i}" for i in range(8)]
    library = anndata.AnnData(rng.normal(size=(len(wells), 8)), obs=obs, var=pd.DataFrame(index=names))
    folder.mkdir(parents=True)
    library.write_h5ad(folder / "P1.h5ad")
    read = anndata.read_h5ad(folder / "P1.h5ad")
    return read.obs.astype({"Metadata_Well": str}).join(read.to_df()).reset_index(drop=True), names


@pytest.mark.parametrize("write", [write_deepprofiler, write_anndata])
def test_wells_of_an_embedding_plate_equal_pycytominer_by_hand(tmp_path: Path, use_data_dir, write) -> None:
    dataset = tmp_path / "data" / "incoming" / "deep"
    for well in WELLS:
        write_plane(dataset / "P1" / f"P1_{well}_s1_w1.TIF")
    cells, names = write(dataset / "measurements")
    project = use_data_dir(tmp_path / "data")
    (tmp_path / "instance").mkdir()
    report = materialize_plates(dg.DagsterInstance.local_temp(str(tmp_path / "instance")))
    assert report.is_ok, report
    (row,) = summarize_plates(project, ["deep/P1"])
    assert (row.cells, row.matched, row.wells) == (len(cells), len(cells), len(WELLS))
    wells = project.warehouse().read("pycytominer_profiles", plate_keys=["deep/P1"]).to_pandas()
    scaled = normalize(cells, names, meta_features=["Metadata_Well"], samples="all", method="standardize")
    expected = aggregate(scaled, strata=["Metadata_Well"], features=names)
    assert wells["Metadata_Well"].to_list() == expected["Metadata_Well"].to_list()
    np.testing.assert_allclose(wells[names], expected[names], rtol=1e-9, atol=1e-12)
    features = [name for name in wells if name.startswith(("efficientnet_", "dino_", "Nuclei_"))]
    assert features == names
