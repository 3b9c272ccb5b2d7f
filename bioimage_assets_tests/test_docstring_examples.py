"""Every example of a docstring runs and gives what stands there."""

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

import bioimage_assets
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.locate import locate
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.tiff_files import write_ome_tiff
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.cli.conftest import write_profiles
from bioimage_assets_tests.core.catalog.stores import write_zarr_image
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, write_small_plate

PACKAGE = Path(bioimage_assets.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)
ALIASES = """[microscopy.aliases]
image_id = ["ImageKey"]
well_id = ["WellName"]
"""
# build_screens takes a minute; the tests of the demo run it.
SKIPPED = {"bioimage_assets.demo.screens": 2}


@pytest.fixture(scope="module")
def example_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A folder of what the examples name, and a few variables."""
    root = tmp_path_factory.mktemp("examples")
    (root / "data" / "incoming" / "screen").mkdir(parents=True)
    write_zarr_image(root / "data/experiment.zarr")
    write_pixel_plate(root / "data/screen/P1.ome.zarr")
    write_ome_tiff(root / "image.ome.tiff", np.zeros((5, 64, 64), np.uint16), "CYX")
    for name in ("cells", "profiles"):
        write_profiles(root / f"data/{name}.parquet", "experiment", with_dataset=True)
    (root / "aliases.toml").write_text(ALIASES)
    plate = write_small_plate(root)
    joined = join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()
    pq.write_table(plate.cells, root / "P1.parquet")
    for name, table in {"joined_profiles": joined, "image_assets": plate.images}.items():
        (root / name).mkdir()
        pq.write_table(table, root / name / "part.parquet")
    rows = image_table(image_row(plate_key="screen/BR001", dataset_id="screen"))
    open_warehouse(root / "warehouse-root").overwrite("image_assets", rows, role="image_assets")
    return root, {"images": plate.images, "row": joined.to_pylist()[0], "locate": locate}


@pytest.fixture
def variables(
    example_data: tuple[Path, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """Variables of an example, which may change the files of its working folder."""
    shutil.copytree(example_data[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return {**example_data[1], "connection": duckdb.connect()}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name: str, variables: dict[str, object]) -> None:
    module = import_module(name)
    skipped = Path(str(module.__file__)).read_text().count("+SKIP")
    assert skipped == SKIPPED.get(name, 0)
    found = doctest.testmod(module, extraglobs=variables, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted or name in SKIPPED
    assert not found.failed
