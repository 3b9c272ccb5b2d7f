"""The first UI after plates were built headless, as by `make demo`: its daemon looks at everything and starts no run."""

import shutil
import subprocess
import sys

import dagster as dg
import pytest

from bioimage_assets_tests.dagster.deployment import Deployment, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOOKS = {"image_store_sensor": 3, "dataset_rollup_sensor": 2, "campaign_rollup_sensor": 1, "automation": 1}


def _count_looks(instance: dg.DagsterInstance) -> dict[str, int]:
    return {
        state.instigator_name: len(instance.get_ticks(state.instigator_origin_id, state.selector_id))
        for state in instance.all_instigator_state()
    }


def test_the_first_daemon_after_a_headless_build_starts_no_run(tmp_path, screens_root):
    deployment = Deployment(tmp_path)
    here = deployment.incoming / "screen-a"
    shutil.copytree(screens_root / "screen-a", here, ignore=shutil.ignore_patterns("SA-P2*"))
    (deployment.incoming / "campaign.toml").write_text('[campaigns.both]\ndatasets = ["screen-a"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "bioimage_assets.cli.main", "materialize"],
        cwd=deployment.home,
        env=deployment.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with deployment.instance() as instance:
        before = {run.run_id for run in instance.get_runs()}
        assert {"plate_pipeline", "dataset_pipeline", "campaign_pipeline"} <= {
            run.job_name for run in instance.get_runs()
        }
    deployment.start()
    try:

        def has_looked() -> bool:
            with deployment.instance() as instance:
                looks = _count_looks(instance)
            return all(looks.get(name, 0) >= count for name, count in LOOKS.items())

        wait_until(has_looked, 300, "ticks of all sensors")
        with deployment.instance() as instance:
            new = [run.job_name for run in instance.get_runs() if run.run_id not in before]
        assert new == []
    finally:
        deployment.stop()
