"""An exported AnnData file holds the stored rows, says what they were made of, and is read by anndata and pycytominer."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pycytominer
import pytest
import zarr
from pycytominer.cyto_utils import load_profiles

from bioimage_assets import open_anndata
from bioimage_assets.cli.main import main
from bioimage_assets.core.anndata.choose_plates import PlateChoice, choose_plates, find_settings
from bioimage_assets.core.anndata.export import AnnDataExport, WrittenAnnData, export_anndata
from bioimage_assets.core.anndata.provenance import KEY
from bioimage_assets.core.errors import StoreNotFoundError, UnsupportedStoreError, UsageError, WarehouseError
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets_tests.builders.stored_project import settings_of
from bioimage_assets_tests.core.anndata.stored_plates import (
    FAILED,
    FEATURES,
    ODD,
    PLATES,
    StoredPlates,
    make_plate,
    store_plates,
)

FEW = list(FEATURES[:-1])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredPlates:
    return store_plates(tmp_path_factory.mktemp("project"))


def export(stored: StoredPlates, target: Path, level: str, **given: Any) -> WrittenAnnData:
    scratch = target.parent / f"{target.name}.scratch"
    scratch.mkdir()
    options = AnnDataExport(level, **given)  # type: ignore[arg-type]
    return export_anndata(
        stored.tables, PLATES, target, scratch, options, {"screen": DatasetSettings(min_controls=5)}
    )


@pytest.fixture(scope="module")
def exported(stored: StoredPlates, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wells and cells in both forms."""
    folder = tmp_path_factory.mktemp("exports")
    places = {
        f"{level}{suffix}": folder / f"{level}{suffix}"
        for level in ("wells", "cells")
        for suffix in (".h5ad", ".zarr")
    }
    for name, place in places.items():
        export(stored, place, name.partition(".")[0])
    return places


def read(place: Path) -> anndata.AnnData:
    return anndata.read_h5ad(place) if place.suffix == ".h5ad" else anndata.read_zarr(place)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_wells_are_the_stored_profiles_with_the_medians_behind_them(
    stored: StoredPlates, exported: dict[str, Path], suffix: str
) -> None:
    data = read(exported[f"wells{suffix}"])
    assert data.var_names.tolist() == list(FEATURES)
    np.testing.assert_array_equal(data.X, stored.wells[list(FEATURES)].to_numpy())
    assert np.isnan(data.X[len(data) // 2 :, -1]).all()  # of the plate that lacks the feature
    passed = stored.cells[~stored.flags[FAILED].to_numpy()]
    medians = passed.groupby(["plate_key", "well_id"])[list(FEATURES)].median()
    keys = pd.MultiIndex.from_frame(stored.wells[["plate_key", "well_id"]])
    np.testing.assert_array_equal(data.layers["raw"], medians.reindex(keys).to_numpy())
    for name in ("well_id", "Metadata_compound", "Metadata_Object_Count", "Metadata_concentration_um"):
        assert data.obs[name].tolist() == stored.wells[name].tolist(), name
    assert data.var.loc["Nuclei_Intensity_MeanIntensity_ER", "channel"] == "ER"


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_cells_are_the_joined_rows_with_flags_treatments_and_places(
    stored: StoredPlates, exported: dict[str, Path], suffix: str
) -> None:
    data = read(exported[f"cells{suffix}"])
    np.testing.assert_array_equal(data.X, stored.cells[list(FEATURES)].to_numpy())
    assert data.obs["Metadata_ObjectID"].tolist() == stored.cells["Metadata_ObjectID"].tolist()
    assert data.obs[FAILED].tolist() == stored.flags[FAILED].tolist()
    of_well = stored.wells.drop_duplicates("well_id").set_index("well_id")["Metadata_compound"]
    assert data.obs["Metadata_compound"].tolist() == stored.cells["well_id"].map(of_well).tolist()
    places = stored.cells[["Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"]].to_numpy()
    np.testing.assert_array_equal(data.obsm["spatial"], places)
    np.testing.assert_array_equal(data.obs["Metadata_Nuclei_Location_Center_X"], places[:, 0])


def test_gaps_stay_gaps_and_lists_are_text(exported: dict[str, Path]) -> None:
    data = read(exported["cells.h5ad"])
    half = len(data) // 2
    tracks = data.obs["Metadata_Track"]
    assert str(tracks.dtype) == "Int64"
    assert tracks.isna().sum() == half + 1
    assert tracks.iloc[half + 1 :].tolist() == list(range(1, half))
    assert data.obs["channel_names"].iloc[half] == "DNA, ER"
    renamed = ODD.replace("/", "_")
    assert data.obs[renamed].iloc[0] == "here"
    assert data.obs[renamed].iloc[half:].isna().all()
    assert dict(data.uns[KEY]["renamed_columns"]) == {"Metadata_path_of": ODD}


def test_provenance_names_parts_calls_versions_and_settings(
    stored: StoredPlates, exported: dict[str, Path]
) -> None:
    told = read(exported["wells.h5ad"]).uns[KEY]
    parts = told["tables"].set_index(["table", "plate_key"])
    for number, key in enumerate(PLATES, 1):
        assert parts.loc[("pycytominer_profiles", key), "fingerprint"] == f"pycytominer_profiles-{number}"
        assert parts.loc[("joined_profiles", key), "run_id"] == f"run-{number}"
        assert parts.loc[("joined_profiles", key), "row_count"] == str(len(stored.cells) // 2)
    calls = json.loads(told["calls"])["pycytominer_profiles screen/P1"]
    assert [call["call"] for call in calls][-1] == "pycytominer.annotate"
    assert json.loads(told["settings"])["screen"]["min_controls"] == 5
    assert told["packages"]["anndata"] == version("anndata")
    assert (told["level"], told["matrix"], told["plates"].tolist()) == ("wells", "normalized", list(PLATES))


def test_what_a_file_is_not_is_said(stored: StoredPlates, tmp_path: Path) -> None:
    written = export(stored, tmp_path / "cells.h5ad", "cells")
    codes = [finding.code for finding in written.findings]
    assert (written.matrix, written.layers, codes) == ("raw", (), ["cells-not-normalised", "features-differ"])
    assert read(tmp_path / "cells.h5ad").uns[KEY]["findings"].tolist() == [
        finding.message for finding in written.findings
    ]


def test_float32_is_asked_for_and_raw_may_be_left_out(stored: StoredPlates, tmp_path: Path) -> None:
    export(stored, tmp_path / "small.h5ad", "wells", with_raw=False, is_float32=True)
    data = read(tmp_path / "small.h5ad")
    assert data.X.dtype == np.float32
    assert not data.layers
    np.testing.assert_array_equal(data.X, stored.wells[list(FEATURES)].to_numpy(np.float32))


@pytest.mark.parametrize(("suffix", "kind"), [(".h5ad", h5py.Dataset), (".zarr", zarr.Array)])
def test_an_opened_file_gives_the_rows_that_are_asked_for(
    exported: dict[str, Path], suffix: str, kind: type
) -> None:
    opened, whole = open_anndata(exported[f"wells{suffix}"]), read(exported[f"wells{suffix}"])
    assert isinstance(opened.X, kind)
    assert isinstance(opened.layers["raw"], kind)
    part = opened[opened.obs["Metadata_compound"] == "active", FEW[2:5]].to_memory()
    expected = whole[whole.obs["Metadata_compound"] == "active", FEW[2:5]]
    np.testing.assert_array_equal(part.X, expected.X)
    np.testing.assert_array_equal(part.layers["raw"], expected.layers["raw"])
    assert opened.uns[KEY]["level"] == "wells"


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_pycytominer_reads_an_exported_file_as_it_reads_a_frame(
    stored: StoredPlates, exported: dict[str, Path], suffix: str
) -> None:
    """Features are inferred: places that are called like features would be among them."""
    normalized = pycytominer.normalize(str(exported[f"cells{suffix}"]), samples="Metadata_compound == 'DMSO'")
    of_well = stored.wells.drop_duplicates("well_id").set_index("well_id")["Metadata_compound"]
    frame = stored.cells.assign(Metadata_compound=stored.cells["well_id"].map(of_well))
    expected = pycytominer.normalize(
        frame, features=list(FEATURES), meta_features=["Metadata_Well"], samples="Metadata_compound == 'DMSO'"
    )
    found = [name for name in normalized.columns if not name.startswith("Metadata_")]
    assert found == list(FEATURES)
    pd.testing.assert_frame_equal(normalized[found], expected[found], check_exact=True)
    loaded = load_profiles(str(exported[f"cells{suffix}"]))
    wells = pycytominer.aggregate(loaded, features=list(FEATURES), strata=["Metadata_Plate", "Metadata_Well"])
    medians = stored.cells.groupby(["Metadata_Plate", "Metadata_Well"])[list(FEATURES)].median().reset_index()
    np.testing.assert_array_equal(wells[list(FEATURES)].to_numpy(), medians[list(FEATURES)].to_numpy())
    selected = pycytominer.feature_select(str(exported[f"wells{suffix}"]), operation=["drop_na_columns"])
    assert not {FEATURES[-1]} & set(selected.columns)
    assert set(FEW) <= set(selected.columns)


def test_the_same_rows_give_the_same_bytes(
    stored: StoredPlates, exported: dict[str, Path], tmp_path: Path
) -> None:
    export(stored, tmp_path / "again.h5ad", "cells")
    assert (tmp_path / "again.h5ad").read_bytes() == exported["cells.h5ad"].read_bytes()


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_failed_export_leaves_what_was_there(stored: StoredPlates, tmp_path: Path, suffix: str) -> None:
    own = store_plates(tmp_path / "own")
    target = tmp_path / f"wells{suffix}"
    export(own, target, "wells")
    before = read(target)
    cells = own.tables.warehouse.read("joined_profiles", plate_keys=[PLATES[1]])
    own.tables.warehouse.remove_partitions("joined_profiles", [PLATES[1]])
    (tmp_path / "scratch").mkdir()
    with pytest.raises(UsageError, match="--no-raw"):
        export_anndata(own.tables, PLATES, target, tmp_path / "scratch", AnnDataExport("wells"))
    np.testing.assert_array_equal(read(target).X, before.X)
    own.tables.warehouse.replace_partitions("joined_profiles", cells, [PLATES[1]])
    export_anndata(own.tables, PLATES, target, tmp_path / "scratch", AnnDataExport("wells"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_normalised_cells_of_other_cells_are_refused(tmp_path: Path) -> None:
    own = store_plates(tmp_path / "own")
    other = make_plate(1).slice(0, 40)
    own.tables.warehouse.replace_partitions("normalized_cells", other, [PLATES[0]])
    with pytest.raises(WarehouseError, match="materialize normalized_cells again"):
        export(own, tmp_path / "cells.h5ad", "cells")


@pytest.mark.parametrize("name", ["cells.csv", "nowhere/cells.h5ad", "folder.zarr", "folder.h5ad"])
def test_a_place_where_nothing_can_be_written_is_refused(
    stored: StoredPlates, tmp_path: Path, name: str
) -> None:
    for folder in ("folder.zarr", "folder.h5ad"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=name.partition("/")[0]):
        export_anndata(stored.tables, PLATES, tmp_path / name, tmp_path)
    assert (tmp_path / "folder.zarr" / "mine.txt").read_text() == "mine"


def test_plates_are_chosen_by_key_dataset_or_all(stored: StoredPlates, tmp_path: Path) -> None:
    assert choose_plates(stored.tables, "cells", PlateChoice()) == PLATES
    assert choose_plates(stored.tables, "wells", PlateChoice(datasets=("screen",))) == PLATES
    assert choose_plates(stored.tables, "wells", PlateChoice(plates=(PLATES[1],))) == PLATES[1:]
    with pytest.raises(UsageError, match="datasets with cells: screen"):
        choose_plates(stored.tables, "cells", PlateChoice(datasets=("scren",)))
    assert find_settings(stored.tables, PLATES) == {}
    empty = open_project_tables(settings_of(tmp_path / "empty"))
    assert choose_plates(empty, "cells", PlateChoice()) == ()
    with pytest.raises(UsageError, match="No joined_profiles are stored of 0 plates"):
        export_anndata(empty, (), tmp_path / "x.h5ad", tmp_path, AnnDataExport("cells"))


def test_the_command_exports_the_plates_of_a_campaign_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = store_plates(tmp_path / "data")
    wells = own.tables.warehouse.read("pycytominer_profiles", plate_keys=[PLATES[0]])
    for name in ("dataset_id", "plate_key"):
        value = {"dataset_id": "other", "plate_key": "other/P1"}[name]
        place = wells.column_names.index(name)
        wells = wells.set_column(place, name, pa.array([value] * wells.num_rows))
    own.tables.warehouse.replace_partitions("pycytominer_profiles", wells, ["other/P1"])
    (tmp_path / "data" / "incoming").mkdir()
    (tmp_path / "data" / "incoming" / "campaign.toml").write_text('[campaigns.pair]\ndatasets = ["screen"]\n')
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BIOIMAGE_CATALOG", "none")
    target = tmp_path / "pair.h5ad"
    command = ["export-anndata", str(target), "--no-raw", "--json", "--campaign"]
    assert main([*command, "pair"]) == 0
    assert json.loads(capsys.readouterr().out)["plate_count"] == 2
    data = read(target)
    assert data.obs["plate_key"].tolist() == own.wells["plate_key"].tolist()
    np.testing.assert_array_equal(data.X, own.wells[list(FEATURES)].to_numpy())
    assert main([*command, "pairs"]) != 0
    assert "pairs" in capsys.readouterr().err


def test_what_is_no_anndata_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5ad").write_text("text")
    with h5py.File(tmp_path / "plain.h5ad", "w") as file:
        file["X"] = np.zeros(3)
    with pytest.raises(StoreNotFoundError, match=r"nothing\.h5ad"):
        open_anndata(tmp_path / "nothing.h5ad")
    with pytest.raises(UnsupportedStoreError, match=r"text\.h5ad"):
        open_anndata(tmp_path / "text.h5ad")
    with pytest.raises(UnsupportedStoreError, match="encoding-type is None"):
        open_anndata(tmp_path / "plain.h5ad")
