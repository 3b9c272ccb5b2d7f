"""The resource `project` shows every setting with its meaning; a value given there holds, else the environment's."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.settings.project import SETTINGS, ProjectSettings, read_project_settings
from bioimage_assets.resources.project import ProjectResource

# One value for each field, as the launchpad takes it, and as the settings have it.
VALUES: dict[str, tuple[object, object]] = {
    "data_dir": ("elsewhere", Path("elsewhere")),
    "incoming_uris": (["a", "s3://b/c"], ("a", "s3://b/c")),
    "warehouse_uri": ("s3://b/w", "s3://b/w"),
    "warehouse_layout": ("namespaced", "namespaced"),
    "catalog_name": ("rest", "rest"),
    "catalog_namespace": ("lab.tables", "lab.tables"),
    "iceberg_tables": (["image_assets"], ("image_assets",)),
    "reports_dir": ("pages", Path("pages")),
    "browse_url": ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
    "virtual_plates_uri": ("s3://b/v", "s3://b/v"),
    "quiet_period_s": (2.5, 2.5),
    "max_hold_s": (60.0, 60.0),
    "completion_marker": ("done.txt", "done.txt"),
    "storage_options": ({"endpoint": "http://localhost:9"}, {"endpoint": "http://localhost:9"}),
    "max_head_requests": (8, 8),
    "max_plate_s": (0.0, 0.0),
    "keep_runs_days": (30.0, 30.0),
    "strict": (True, True),
    "follow_symlinks": (True, True),
    "pictures": (False, False),
    "engine": ("spark", "spark"),
    "spark_remote": ("sc://cluster:15002", "sc://cluster:15002"),
    "engine_memory_gb": (2.5, 2.5),
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _ in SETTINGS.values():
        monkeypatch.delenv(variable, raising=False)


def test_every_setting_is_a_field_with_its_meaning_and_its_variable():
    assert set(SETTINGS) == {field.name for field in fields(ProjectSettings)}
    schema = ProjectResource.to_config_schema().as_field().config_type.fields
    assert set(schema) == set(VALUES) == set(SETTINGS) - {"sensors_on"}
    for name, field in schema.items():
        variable, text = SETTINGS[name]
        assert field.description == f"{text} Without a value here: the variable {variable}."
        assert not field.is_required


@pytest.mark.slow
@pytest.mark.parametrize("name", VALUES)
def test_a_value_given_to_a_run_holds_in_it(name, monkeypatch):
    given, expected = VALUES[name]
    seen: list[ProjectSettings] = []

    @dg.op
    def look(project: ProjectResource) -> None:
        seen.append(project.settings)

    @dg.job(resource_defs={"project": ProjectResource()})
    def job() -> None:
        look()

    assert job.execute_in_process(run_config={"resources": {"project": {"config": {name: given}}}}).success
    assert job.execute_in_process().success
    assert getattr(seen[0], name) == expected
    assert getattr(seen[0], name) != getattr(read_project_settings({}), name)
    assert seen[1] == read_project_settings({})


def test_the_environment_is_asked_each_time_and_a_given_value_goes_before_it(monkeypatch):
    project, given = ProjectResource(), ProjectResource(warehouse_uri="mine")
    for root in ("first", "second"):
        monkeypatch.setenv("BIOIMAGE_WAREHOUSE", root)
        monkeypatch.setenv("BIOIMAGE_NAMESPACE", root)
        assert project.settings.warehouse_uri == root
        assert given.settings.warehouse_uri == "mine"
        assert given.settings.catalog_namespace == root


def test_data_dir_moves_everything_below_it_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("BIOIMAGE_WAREHOUSE", "elsewhere")
    monkeypatch.setenv("BIOIMAGE_STORAGE_ENDPOINT", "http://localhost:9")
    moved = ProjectResource(data_dir="here").settings
    assert moved == read_project_settings({"BIOIMAGE_DATA_DIR": "here"})
    assert ProjectResource(data_dir="here", reports_dir="pages").settings.reports_dir == Path("pages")
