"""A plate with a site that was analysed twice fails alone and says so in a table, until its dataset has a rule."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from bioimage_assets.definitions import defs
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_sqlite
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates, tag_range
from bioimage_assets_tests.dagster.store_ticks import write_plate

KEYS = ["screen/P1", "screen/P2"]
STEP = [dg.AssetKey("single_cells"), dg.AssetKey("measured_images")]


def build(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("plate_pipeline")
    tags = tag_range(KEYS)
    return job.execute_in_process(
        instance=instance, tags=tags, raise_on_error=False, run_config=QUIET, asset_selection=STEP
    )


def stored(data: Path, name: str) -> pd.DataFrame:
    """All stored rows of a table, read by pandas."""
    files = sorted((data / "warehouse" / name).rglob("*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files]) if files else pd.DataFrame()


@pytest.mark.slow
def test_the_finding_of_a_plate_that_fails_is_stored_and_goes_with_the_rule(
    tmp_path: Path, use_data_dir
) -> None:
    data = tmp_path / "data"
    use_data_dir(data)
    dataset = data / "incoming" / "screen"
    for key in KEYS:
        write_plate(data / "incoming" / f"{key}.zarr", name=key[-2:])
    (dataset / "measurements").mkdir()
    once = PlateSpec(cells={1: 3}, plate="P1")
    write_sqlite(
        dataset / "measurements" / "P1.sqlite", {1: once, 2: PlateSpec(cells={1: 4}, plate="P1", seed=1)}
    )
    write_sqlite(dataset / "measurements" / "P2.sqlite", {1: PlateSpec(cells={1: 2}, plate="P2")})
    instance = know_plates(KEYS)

    result = build(instance)
    assert not result.success
    findings = stored(data, "plate_findings")
    found = findings[findings["code"] == "field-measured-twice"]
    assert found[["plate_key", "step", "severity", "location"]].to_numpy().tolist() == [
        ["screen/P1", "single_cells", "error", "A01/1"]
    ]
    assert 'duplicates = "first"' in found["message"].item()
    assert stored(data, "single_cells")["plate_key"].tolist() == ["screen/P2"] * 2

    for rule, cells in {"first": 3, "last": 4, "keep": 7}.items():
        (dataset / "dataset.toml").write_text(f'[measurements]\nduplicates = "{rule}"\n')
        assert build(instance).success
        assert stored(data, "single_cells")["plate_key"].value_counts().to_dict() == {
            KEYS[0]: cells,
            KEYS[1]: 2,
        }
        images = stored(data, "measured_images")
        assert images.loc[images["plate_key"] == KEYS[0], "Image_Count_Cells"].sum() == cells
        findings = stored(data, "plate_findings")
        found = findings[findings["code"] == "field-measured-twice"]
        assert found[["plate_key", "severity"]].to_numpy().tolist() == [["screen/P1", "warning"]]
