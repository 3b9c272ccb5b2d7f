"""Plates with nasty names, each beside the plain one that a pattern would hit, go through the whole graph as themselves."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.measurements import csv_staging
from bioimage_assets.core.model.identity import build_plate_key
from bioimage_assets.headless import materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.measurement_plates import (
    FEATURES,
    PlateSpec,
    feature_value,
    write_cellprofiler_folder,
)
from bioimage_assets_tests.builders.tiff_plates import write_plane

pytestmark = pytest.mark.slow

PROJECT = "pro [1]?#%20 'é\","
ROOT = "w[1]*"
NASTY = "-x'\";$(id)&#{1,2}~=,!@:|+\\`[?]"
COLUMN = 'AreaShape_[x]*?{"a"};%é'
COMPOUND = "=cmd'\"<b>[1]*%"
# Dataset and plate, and the number that all its values tell.
PLATES = {("set1", "P1"): 1, ("set[1]", "P1"): 2, ("set[1]", "P[1]*"): 3, ("set[1]", NASTY): 4}


@dataclass
class Spoken:
    code: int
    out: str


def write_plate(incoming: Path, dataset: str, plate: str, seed: int) -> None:
    spec = PlateSpec({1: 6 + seed, 2: 6}, plate, seed=seed, features=(*FEATURES, COLUMN))
    folder = write_cellprofiler_folder(incoming / dataset / "measurements" / plate, spec)
    cells = pd.read_csv(folder / "Cells.csv")
    cells.assign(Location_Center_X=8.0, Location_Center_Y=6.0).to_csv(folder / "Cells.csv", index=False)
    for site, well in enumerate(spec.wells, start=1):
        write_plane(incoming / dataset / plate / f"{well}_s{site}_w1.tif", seed)


def write_platemap(incoming: Path, dataset: str, plates: list[str]) -> None:
    folder = incoming / dataset / "platemaps"
    folder.mkdir(parents=True)
    tables = {
        "barcode_platemap": [
            ["Assay_Plate_Barcode", "Plate_Map_Name"],
            *([name, "map[1]"] for name in plates),
        ],
        "map1": [["well_position", "treatment"], ["A01", "wrong"], ["A02", "wrong"]],
        "map[1]": [["well_position", "treatment"], ["A01", "DMSO"], ["A02", f"{COMPOUND}{dataset}"]],
    }
    for name, rows in tables.items():
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows(rows)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The plates, built in one run; the project's own folder has a nasty name, too, beside one it could be taken for."""
    base = tmp_path_factory.mktemp("lab")
    data = base / PROJECT / "data"
    for (dataset, plate), seed in PLATES.items():
        write_plate(data / "incoming", dataset, plate, seed)
    for dataset in ("set1", "set[1]"):
        write_platemap(data / "incoming", dataset, [plate for owner, plate in PLATES if owner == dataset])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(data))
        patch.setenv("BIOIMAGE_WAREHOUSE", str(data / ROOT))
        patch.setattr(csv_staging, "SMALL_FILE_BYTES", 0)  # tables of every size take the way of big ones
        report = materialize_plates(dg.DagsterInstance.ephemeral(), with_datasets=False)
        yield base, data, ProjectResource(), report


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Spoken:
    capsys.readouterr()
    code = main(list(words))
    return Spoken(code, capsys.readouterr().out)


def key_of(dataset: str, plate: str) -> str:
    return build_plate_key(dataset, plate)


def test_every_plate_is_built_and_nothing_lies_outside_the_project(lab):
    base, data, _, report = lab
    assert {(o.partition, o.status, o.message) for o in report.plates} == {
        (key_of(*plate), "built", "") for plate in PLATES
    }
    assert {path.name for path in base.iterdir()} == {PROJECT}
    assert {path.name for path in data.iterdir()} >= {"catalog", "incoming", "reports", ROOT}
    assert list((data / "catalog" / "tables").rglob("*.parquet"))


@pytest.mark.parametrize("plate", PLATES, ids=range(len(PLATES)))
def test_rows_values_treatments_and_images_of_a_plate_are_its_own(lab, plate):
    _, _, project, _ = lab
    seed, warehouse, key = PLATES[plate], project.warehouse(), key_of(*plate)
    joined = warehouse.read("joined_profiles", plate_keys=[key])
    assert joined.num_rows == 12 + seed
    assert set(joined["plate_id"].to_pylist()) == {plate[1]}
    for name, number in (("AreaShape_Area", 0), (COLUMN, len(FEATURES))):
        values = joined[f"Cells_{name}"].to_pylist()
        assert min(values) == feature_value("Cells", 1, 1, number, seed)
        assert max(values) == feature_value("Cells", 2, 6, number, seed)
    assert {Path(uri).name for uri in joined["uri"].to_pylist()} == {plate[1]}
    assert warehouse.read("cosmicqc_profiles", plate_keys=[key]).num_rows == 12 + seed
    wells = warehouse.read("pycytominer_profiles", plate_keys=[key]).to_pylist()
    assert {well["Metadata_Well"]: well["Metadata_treatment"] for well in wells} == {
        "A01": "DMSO",
        "A02": f"{COMPOUND}{plate[0]}",
    }
    assert [well["Metadata_Object_Count"] for well in wells] == [6 + seed, 6]


def test_pages_name_the_plates_as_text(lab):
    _, data, _, _ = lab
    pages = {
        path.relative_to(data / "reports" / "plates").as_posix(): path.read_text()
        for path in (data / "reports" / "plates").rglob("*.html")
    }
    assert {f"{key_of(*plate)}.html" for plate in PLATES} <= set(pages)
    assert not any("<b>[1]" in page for page in pages.values())


def test_query_locate_and_validate_see_each_plate_as_itself(lab, capsys):
    _, data, project, _ = lab
    asked = ask(capsys, "query", "SELECT plate_key, count(*) AS n FROM joined_profiles GROUP BY 1", "--json")
    assert {row["plate_key"]: row["n"] for row in json.loads(asked.out)} == {
        key_of(*plate): 12 + seed for plate, seed in PLATES.items()
    }
    asked = ask(capsys, "query", "SELECT plate_key, uri FROM catalog.image_assets", "--json")
    assert {(row["plate_key"], Path(row["uri"]).name) for row in json.loads(asked.out)} == {
        (key_of(*plate), plate[1]) for plate in PLATES
    }
    cells = project.warehouse().read("joined_profiles", plate_keys=[key_of("set[1]", NASTY)])
    found = ask(capsys, "locate", "--json", "--", cells["Metadata_ObjectID"][0].as_py())
    assert (found.code, Path(json.loads(found.out)["uri"]).name) == (0, NASTY)
    assert ask(capsys, "validate-warehouse").code == 0
    assert ask(capsys, "validate-warehouse", str(data / ROOT)).code == 0
