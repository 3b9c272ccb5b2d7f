"""The worked example of CONTRIBUTING makes a table that is built, stored, joined to the jobs, and built once."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bioimage_assets
from bioimage_assets.cli.tables_reference import build_tables_page
from bioimage_assets.core.model.table_specs import STEPS

ROOT = Path(bioimage_assets.__file__).parents[1]
PLATE = "screen-b/SB-P2"
RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
import dagster as dg
from bioimage_assets.cli.tables_reference import build_tables_page
from bioimage_assets.headless import materialize_plates
from bioimage_assets.resources.project import ProjectResource

instance = dg.DagsterInstance.local_temp(sys.argv[1])
for expected in ("built", "current"):
    (outcome,) = materialize_plates(instance, plate_keys=[sys.argv[2]], with_datasets=False).plates
    assert outcome.status == expected, outcome
names = {}
exec(Path(sys.argv[3]).read_text(), names)
names["test_the_cells_of_each_field_are_counted"](SimpleNamespace(project=ProjectResource()))
assert instance.get_materialized_partitions(dg.AssetKey("cells_per_field")) == {sys.argv[2]}
assert "cells_per_field" in ProjectResource().warehouse().tables()
assert "How many cells were measured" in build_tables_page()
"""


@pytest.mark.slow
def test_a_new_table_is_one_spec_one_function_and_one_test(ci_screens: Path, tmp_path: Path, monkeypatch):
    spec, function, test = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    package = tmp_path / "code" / "bioimage_assets"
    shutil.copytree(ROOT / "bioimage_assets", package, ignore=shutil.ignore_patterns("__pycache__"))
    specs = package / "core" / "model" / "plate_specs.py"
    before, end, after = specs.read_text().rpartition("\n)\n")
    assert (end, after) == ("\n)\n", "")
    specs.write_text(f"{before}\n{textwrap.indent(spec.rstrip(), '    ')},{end}")
    (package / "core" / "profiling" / "cells_per_field.py").write_text(function)
    (tmp_path / "test.py").write_text(test)
    incoming = tmp_path / "data" / "incoming"
    shutil.copytree(ci_screens, incoming, ignore=shutil.ignore_patterns("screen-a", "SB-P1*"))
    (tmp_path / "instance").mkdir()
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    words = [sys.executable, "-c", RUN, str(tmp_path / "instance"), PLATE, str(tmp_path / "test.py")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_page_of_tables_is_made_from_the_specs():
    assert (ROOT / "docs" / "tables.md").read_text() == build_tables_page()


def test_every_table_of_a_step_is_on_the_page():
    page = build_tables_page()
    for step in STEPS:
        for name in step.names:
            assert f"### {name}\n" in page
