"""Which Dagster instance a command opens, and that a temporary one leaves nothing behind and tells nobody anything."""

from __future__ import annotations

from pathlib import Path

from bioimage_assets.cli.dagster_instance import open_instance


def test_a_temporary_instance_lies_in_this_folder_without_usage_statistics_and_is_removed(
    project, monkeypatch
):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with open_instance() as instance:
        home = Path(instance.root_directory)
        assert home.parent == project
        assert not instance.telemetry_enabled
        assert instance.get_runs_count() == 0
    assert not home.exists()


def test_an_instance_file_of_this_folder_is_what_counts(project, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (project / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    with open_instance() as instance:
        assert instance.telemetry_enabled


def test_a_home_named_in_the_file_of_variables_is_what_counts(project, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (project / "home").mkdir()
    (project / ".env").write_text(f"DAGSTER_HOME={project / 'home'}\n")
    with open_instance() as instance:
        assert Path(instance.root_directory) == project / "home"
