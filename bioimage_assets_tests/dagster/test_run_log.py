"""A run of Dagster says what it found: log lines of the right level, one per plate and code, and counts beside the tables."""

import logging
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.dagster.store_ticks import write_plate

pytestmark = pytest.mark.slow  # whole plates


def _lines(instance: dg.DagsterInstance, run_id: str, level: int) -> list[str]:
    logs = instance.all_logs(run_id)
    return [entry.user_message for entry in logs if entry.level == level and entry.dagster_event is None]


def test_each_warning_of_a_plate_is_one_line_of_the_runs_log(built):
    (outcome, *_) = built.report.plates
    lines = _lines(built.instance, outcome.run_id, logging.WARNING)
    (found,) = [line for line in lines if "normalised-to-plate" in line]
    assert found.startswith(f"{outcome.partition}: normalised-to-plate: Normalised to the whole plate")
    key = dg.AssetKey("pycytominer_profiles")
    (record,) = built.instance.fetch_materializations(
        dg.AssetRecordsFilter(key, asset_partitions=[outcome.partition]), limit=1
    ).records
    metadata = record.asset_materialization.metadata
    assert metadata["warnings"].value >= 1
    assert metadata["errors"].value == 0


def test_errors_are_lines_of_level_error_and_are_counted(tmp_path: Path, use_data_dir):
    use_data_dir(tmp_path / "data")
    incoming = tmp_path / "data" / "incoming" / "screen"
    write_plate(incoming / "P1.zarr", name="P1")
    (incoming / "P1.zarr" / "A" / "1" / "0" / "0" / ".zarray").write_text("{")
    instance = dg.DagsterInstance.ephemeral()
    report = materialize_plates(
        instance, select=["image_assets", "chunk_index", "plate_layout", "scan_findings"]
    )
    lines = _lines(instance, report.plates[0].run_id, logging.ERROR)
    assert any(line.startswith("screen/P1: ") for line in lines), lines
    event = instance.get_latest_materialization_event(dg.AssetKey("scan_findings"))
    assert event.asset_materialization.metadata["errors"].value >= 1
