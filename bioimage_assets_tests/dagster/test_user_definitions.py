"""What a lab keeps in ``bioimage_assets/defs/`` is loaded beside the project's assets, from an installed copy, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

import bioimage_assets
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.user_definitions import add_user_definitions

# As `dg scaffold defs dagster.asset my_asset.py` writes it, with an input.
DOCS = Path(__file__).resolve().parents[2] / "docs"
MODULE = """import dagster as dg


@dg.asset(deps=["{upstream}"])
def {name}(context: dg.AssetExecutionContext) -> dg.MaterializeResult: ...
"""


@dg.asset
def image_assets() -> None:
    """Stands for the project's own."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package in the place of ``bioimage_assets.defs``."""
    package = tmp_path / "lab" / "lab_defs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "lab_defs"]:
        del sys.modules[name]


def _load() -> dg.Definitions:
    return add_user_definitions(dg.Definitions(assets=[image_assets]), import_module("lab_defs"))


def test_an_empty_folder_changes_nothing():
    ours = dg.Definitions(assets=[image_assets])
    assert add_user_definitions(ours) is ours


def test_assets_checks_and_schedules_of_a_lab_are_loaded_in_folders_too(folder):
    (folder / "my_asset.py").write_text(MODULE.format(name="my_asset", upstream="image_assets"))
    (folder / "screen").mkdir()
    (folder / "screen" / "counts.py").write_text(
        MODULE.format(name="cell_counts", upstream="my_asset")
        + '\n\n@dg.schedule(cron_schedule="@daily", target=cell_counts)\ndef nightly(): ...\n'
    )
    defs = _load()
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        "image_assets",
        "my_asset",
        "cell_counts",
    }
    assert graph.get(dg.AssetKey("my_asset")).parent_keys == {dg.AssetKey("image_assets")}
    assert [schedule.name for schedule in defs.schedules or ()] == ["nightly"]


@pytest.mark.parametrize(
    ("text", "line"), [("import dagster\n\n1 / 0\n", 3), ("import no_such_module\n", 1), ("def f(:\n", 1)]
)
def test_an_error_names_the_file_and_the_line(folder, text, line):
    (folder / "broken.py").write_text(text)
    with pytest.raises((ZeroDivisionError, ImportError, SyntaxError)) as caught:
        _load()
    said = "".join(traceback.format_exception_only(caught.value))
    assert f"Raised by {folder / 'broken.py'}, line {line}," in said


def test_an_asset_with_the_name_of_one_of_the_project_is_refused_with_its_file(folder):
    (folder / "mine.py").write_text(MODULE.format(name="image_assets", upstream="x"))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"image_assets of .*mine\.py has the name"):
        _load()


INSTALLED = """
from pathlib import Path
import dagster as dg
import bioimage_assets
from bioimage_assets.definitions import defs
dg.Definitions.validate_loadable(defs)
(parent,) = defs.resolve_asset_graph().get(dg.AssetKey("wells_per_plate")).parent_keys
print(Path(bioimage_assets.__file__).parent, parent.to_user_string())
"""


@pytest.fixture(scope="module")
def documented() -> str:
    """The module that docs/your-assets.md shows."""
    return (DOCS / "your-assets.md").read_text().split("```python\n")[1].split("```")[0]


@pytest.mark.slow
def test_an_installed_copy_without_a_project_file_loads_them_too(tmp_path, documented):
    package = tmp_path / "site" / "bioimage_assets"
    shutil.copytree(
        Path(bioimage_assets.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "defs" / "wells.py").write_text(documented)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INSTALLED],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
    )
    assert done.stdout == f"{package} pycytominer_profiles\n", done.stderr


def test_the_documented_asset_reads_a_table_of_the_project(folder, documented, tmp_path):
    (folder / "wells.py").write_text(documented)
    project = ProjectResource(data_dir=str(tmp_path / "data"))
    rows = pa.table({"plate_key": ["s/p1"] * 3, "Metadata_Well": ["A01", "A02", "A03"]})
    project.warehouse().replace_partitions("pycytominer_profiles", rows, ["s/p1"])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("plates", ["s/p1"])
        done = dg.materialize(
            [import_module("lab_defs.wells").wells_per_plate],
            partition_key="s/p1",
            resources={"project": project},
            instance=instance,
        )
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["wells"].value == 3
