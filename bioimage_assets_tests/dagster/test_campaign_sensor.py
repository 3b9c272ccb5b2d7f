"""The sensor of campaigns: what is registered, what is requested and what is left alone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.definitions import defs
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.campaigns import campaign_rollup_sensor

PILOT = '[campaigns.pilot]\ndatasets = ["a", "b"]\n'
OTHER = '[campaigns.other]\ndatasets = ["c"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "campaign.toml").write_text(PILOT + OTHER)
    return tmp_path / "incoming" / "campaign.toml"


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def report_wells(instance: dg.DagsterInstance, plate_key: str, fingerprint: str) -> None:
    metadata = {"fingerprint": fingerprint}
    instance.report_runless_asset_event(
        dg.AssetMaterialization("pycytominer_profiles", partition=plate_key, metadata=metadata)
    )


def look(instance: dg.DagsterInstance, file: Path, cursor: str | None = None) -> dg.SensorResult:
    project = ProjectResource(data_dir=str(file.parents[1]))
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"project": project})
    result = campaign_rollup_sensor(context)
    for request in result.dynamic_partitions_requests or ():
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return result


def keys(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or ()]


def test_campaigns_are_registered_and_wait_for_their_first_plate(instance, file):
    result = look(instance, file)
    assert keys(result) == []
    assert instance.get_dynamic_partitions("campaigns") == ["campaign:other", "campaign:pilot"]
    report_wells(instance, "a/P1", "f1")
    assert keys(look(instance, file, result.cursor)) == ["campaign:pilot"]


def test_a_campaign_is_requested_for_changed_plates_of_its_datasets_and_for_a_changed_definition(
    instance, file
):
    report_wells(instance, "a/P1", "f1")
    report_wells(instance, "c/P1", "f1")
    first = look(instance, file)
    assert keys(first) == ["campaign:other", "campaign:pilot"]
    assert keys(look(instance, file, first.cursor)) == []
    report_wells(instance, "a/P1", "f1")
    rerun = look(instance, file, first.cursor)
    assert keys(rerun) == []
    report_wells(instance, "b/P2", "f1")
    changed = look(instance, file, rerun.cursor)
    assert keys(changed) == ["campaign:pilot"]
    file.write_text(f"# a remark\n{OTHER}{PILOT}")
    assert keys(look(instance, file, changed.cursor)) == []
    file.write_text(PILOT + OTHER.replace('"c"', '"c", "a"'))
    defined = look(instance, file, changed.cursor)
    assert keys(defined) == ["campaign:other"]
    assert keys(look(instance, file, defined.cursor)) == []


def test_a_campaign_waits_for_plates_that_are_running(instance, file):
    report_wells(instance, "a/P1", "f1")
    run = instance.create_run_for_job(
        defs.resolve_job_def("plate_pipeline"), status=dg.DagsterRunStatus.STARTED, tags={}
    )
    result = look(instance, file)
    assert keys(result) == []
    instance.delete_run(run.run_id)
    assert keys(look(instance, file, result.cursor)) == ["campaign:pilot"]


def test_a_campaign_that_is_defined_no_more_is_requested_no_more(instance, file):
    report_wells(instance, "a/P1", "f1")
    first = look(instance, file)
    file.write_text(OTHER)
    report_wells(instance, "a/P1", "f2")
    assert keys(look(instance, file, first.cursor)) == []


def test_a_file_with_a_mistake_ends_no_look(instance, file):
    report_wells(instance, "a/P1", "f1")
    file.write_text(f"{PILOT}[campaigns.wrong]\n")
    assert keys(look(instance, file)) == ["campaign:pilot"]
