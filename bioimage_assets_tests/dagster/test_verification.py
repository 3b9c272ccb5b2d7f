"""The nightly verification reads every stored file once in a stated number of nights and fails with the names of bad ones."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from bioimage_assets.assets.verification import stored_files_verified
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.files_of_the_day import choose_share
from bioimage_assets.definitions import defs
from bioimage_assets_tests.core.catalog.plates import build_plates
from bioimage_assets_tests.core.warehouse.tables import cells

KEYS = [f"screen/P{i}" for i in range(5)]
FIRST = date(2026, 5, 1)


def test_every_file_is_read_once_within_the_stated_nights():
    files = {f"single_cells/part-{i}.parquet": 10 + i for i in range(200)}
    shares = [
        choose_share(files, str, files.__getitem__, FIRST + timedelta(days=day), nights=30, max_bytes=1 << 40)
        for day in range(30)
    ]
    read = [name for share in shares for name in share.chosen]
    assert sorted(read) == sorted(files)
    again = choose_share(files, str, files.__getitem__, FIRST, nights=30, max_bytes=1 << 40)
    assert again == shares[0]


def test_a_night_reads_no_more_bytes_than_it_may_and_says_what_it_left_out():
    files = {f"part-{i}": 40 for i in range(9)}
    share = choose_share(files, str, files.__getitem__, FIRST, nights=1, max_bytes=100)
    assert (len(share.chosen), len(share.left_out), share.size_bytes) == (2, 7, 80)
    large = choose_share({"one": 500}, str, lambda name: 500, FIRST, nights=1, max_bytes=100)
    assert large.chosen == ("one",)


@pytest.mark.slow
def test_damage_fails_the_nightly_run_with_the_names_of_the_files(tmp_path: Path, use_data_dir):
    project = use_data_dir(tmp_path)
    project.warehouse().replace_partitions("single_cells", {key: cells(key) for key in KEYS}, KEYS)
    replace_partitions(project.catalog(), "bioimage.cytotable.plate_layout", build_plates(KEYS), KEYS)

    def run() -> dg.ExecuteInProcessResult:
        config = {"ops": {"stored_files_verified": {"config": {"nights": 1, "day": FIRST.isoformat()}}}}
        return dg.materialize(
            [stored_files_verified], resources={"project": project}, run_config=config, raise_on_error=False
        )

    told = run()
    assert told.success
    metadata = told.asset_materializations_for_node("stored_files_verified")[0].metadata
    assert metadata["files_read"].value == 10
    part = sorted((tmp_path / "warehouse" / "single_cells").glob("*.parquet"))[0]
    data = sorted((tmp_path / "catalog").rglob("data/**/*.parquet"))[0]
    for path in (part, data):
        damaged = bytearray(path.read_bytes())
        column = pq.read_metadata(path).row_group(0).column(0)
        damaged[column.data_page_offset + column.total_compressed_size // 3] ^= 1
        path.write_bytes(damaged)
    failed = run()
    words = str(failed.get_step_failure_events()[0].step_failure_data.user_failure_data.description)
    assert not failed.success
    assert part.name in words
    assert data.name in words


def test_the_verification_is_a_nightly_schedule_of_its_own():
    schedule = defs.get_repository_def().get_schedule_def("nightly_verification")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 4 * * *", "verification")


@pytest.mark.parametrize("day", range(3))
def test_a_share_does_not_depend_on_what_other_files_are_there(day: int):
    names = [f"part-{i}" for i in range(60)]
    when = FIRST + timedelta(days=day)
    few = choose_share(names[:30], str, lambda name: 1, when, nights=5, max_bytes=99)
    many = choose_share(names, str, lambda name: 1, when, nights=5, max_bytes=99)
    assert set(few.chosen) == set(many.chosen) & set(names[:30])
