"""What asks for an extra, names it as pyproject.toml does; groups are extras; a plain installation never waits for a step it leaves out."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bioimage_assets
from bioimage_assets.core.extras import EXTRAS, find_extra_of
from bioimage_assets.core.model.left_out import LeftOut
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.needed_extras import list_needed
from bioimage_assets_tests.builders.plain_installation import read_project

PACKAGE = Path(bioimage_assets.__file__).parent
# For who works on the project: nothing asks a user for them.
OF_DEVELOPERS = {"docs", "test"}
# Not among what the tests are run with: it wants another DuckDB.
NOT_INSTALLED = {"cytotable"}


def _list_distributions(extra: str) -> set[str]:
    """Distributions that an extra names, those of extras within it included."""
    named: set[str] = set()
    for requirement in map(Requirement, read_project()["optional-dependencies"][extra]):
        if requirement.name == "bioimage_assets":
            named.update(*(_list_distributions(inner) for inner in requirement.extras))
        else:
            named.add(canonicalize_name(requirement.name))
    return named


def test_every_extra_of_users_is_known_and_no_other() -> None:
    assert set(EXTRAS) == set(read_project()["optional-dependencies"]) - OF_DEVELOPERS


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - NOT_INSTALLED))
def test_an_extra_brings_the_modules_that_are_looked_for(extra: str) -> None:
    brought = packages_distributions()
    for module in EXTRAS[extra].modules:
        assert {canonicalize_name(name) for name in brought[module]} & _list_distributions(extra), module


def test_groups_are_extras_under_their_usual_names() -> None:
    assert read_project()["groups"] == {
        group: [f"bioimage_assets[{extra}]"]
        for group, extra in {
            "demo": "demo",
            "dev": "test",
            "docs": "docs",
            "duckdb": "duckdb-iceberg",
        }.items()
    }


def test_a_step_that_is_built_reads_no_table_of_one_that_is_left_out() -> None:
    extras = {table: step.extra for step in STEPS for table in step.names}
    for step in STEPS:
        for name in (*step.inputs, *step.of_plates):
            assert extras[name] in ("", step.extra), f"{step.name} reads {name}"


def test_every_message_names_the_package_and_an_extra_that_exists() -> None:
    named = {
        (path, *found)
        for path in PACKAGE.rglob("*.py")
        for found in re.findall(r"(bioimage.assets)\[([a-z0-9,-]+)\]", path.read_text())
    }
    known = set(read_project()["optional-dependencies"])
    assert not [one for one in named if one[1] != "bioimage_assets" or not set(one[2].split(",")) <= known]


def test_a_setting_that_asks_for_an_extra_is_told_with_the_tables_that_want_it(monkeypatch) -> None:
    monkeypatch.delenv("BIOIMAGE_CYTOTABLE_PYTHON", raising=False)
    tables = ("single_cells", "measured_images", "joined_profiles", "join_report")
    asked = list(list_needed(DatasetSettings(measurement_engine="cytotable")))
    assert asked == [('[measurements] engine = "cytotable"', "cytotable", tables)]
    assert not list(list_needed(DatasetSettings()))


def test_the_line_about_what_is_left_out_names_the_tables_of_plates_and_counts_the_others() -> None:
    left = LeftOut("cytomining", ("a", "b"), ("c", "d"), ())
    assert str(left) == (
        "left out, needs the extra: pip install 'bioimage_assets[cytomining]': a, b, the 2 tables of datasets"
    )


def test_an_import_that_fails_leads_to_its_extra() -> None:
    assert (
        find_extra_of(ModuleNotFoundError("No module named 'cosmicqc'", name="cosmicqc.analyze")).name
        == "cytomining"
    )
    assert find_extra_of(ImportError("Install s3fs to access S3")).name == "s3"
    assert find_extra_of(ModuleNotFoundError("No module named 'nonsense'", name="nonsense")) is None
