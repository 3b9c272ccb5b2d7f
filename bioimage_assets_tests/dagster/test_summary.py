"""What a run says at its end is read from what is stored, in as many reads for many plates as for one."""

from collections import Counter

import pyarrow as pa
import pytest

from bioimage_assets.cli.run_report import summarize_run
from bioimage_assets.core.storage import plate_counts
from bioimage_assets.core.warehouse.root import Warehouse
from bioimage_assets.headless import materialize_plates
from bioimage_assets.summary import summarize_plates, summarize_stored

pytestmark = pytest.mark.slow  # four whole plates

KEYS = ["screen-a/SA-P1", "screen-a/SA-P2", "screen-b/SB-P1", "screen-b/SB-P2"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often rows were asked for, by table."""
    asked: Counter[str] = Counter()
    for name in ("read", "batches"):
        whole = getattr(Warehouse, name)
        monkeypatch.setattr(Warehouse, name, _counted(whole, asked, at=1))
    monkeypatch.setattr(plate_counts, "read_batches", _counted(plate_counts.read_batches, asked, at=1))
    return asked


def _counted(whole, asked, *, at):
    def read(*words, **named):
        name = words[at]
        asked[name if isinstance(name, str) else name[-1]] += 1
        return whole(*words, **named)

    return read


def test_four_plates_cost_as_many_reads_as_one(built, reads):
    project = built.project
    summarize_stored(project, KEYS[:1], ["screen-a"])
    one = dict(reads)
    reads.clear()
    summary = summarize_stored(project, KEYS, ["screen-a", "screen-b"])
    assert dict(reads) == one
    assert set(one) >= {"image_assets", "join_report", "cosmicqc_profiles"}
    assert "pycytominer_profiles" not in one  # thousands of features: the footers of many plates cost minutes
    assert max(one.values()) == 1
    assert [row.plate for row in summary.plates] == KEYS
    assert set(summary.pages) == {*KEYS, "screen-a", "screen-b"}


def test_the_numbers_are_those_of_the_rows_that_are_stored(built):
    warehouse = built.project.warehouse()
    for row in summarize_plates(built.project, KEYS):
        joined = warehouse.read("joined_profiles", plate_keys=[row.plate], columns=["join_rule"])["join_rule"]
        assert (row.cells, row.matched) == (len(joined), len(joined) - joined.null_count)
        failed = warehouse.read("cosmicqc_profiles", plate_keys=[row.plate])["Metadata_cqc_failed"]
        assert row.qc_failed == sum(failed.to_pylist())
        wells = warehouse.read("pycytominer_profiles", plate_keys=[row.plate])["well_id"]
        assert row.wells == len(set(wells.to_pylist()))
        images = warehouse.read("image_assets", plate_keys=[row.plate])["image_kind"].to_pylist()
        assert (row.images + row.labels, row.labels) == (len(images), images.count("label"))


def test_several_profiles_of_one_well_are_one_well(built, tmp_path, use_data_dir):
    project = use_data_dir(tmp_path)
    rows = pa.table({"well_id": ["A01", "A01", "A02", None], "Metadata_Time": [1, 2, 1, 1]})
    strata = [{"call": "pycytominer.aggregate", "arguments": {"strata": ["Metadata_Well", "Metadata_Time"]}}]
    for steps in (strata, []):
        project.warehouse().replace_partitions(
            "pycytominer_profiles", rows, ["scr/P1"], source_type="test", source_ref="test", steps=steps
        )
        (row,) = summarize_plates(project, ["scr/P1"])
        assert row.wells == 3


def test_a_plate_of_which_nothing_is_stored_has_no_numbers(built):
    (row,) = summarize_plates(built.project, ["screen-a/nowhere"])
    assert (row.images, row.chunks) == (0, 0)
    assert row.cells is row.matched is row.qc_failed is row.wells is None


def test_what_stands_found_is_said_of_plates_that_are_up_to_date(built, use_data_dir):
    project = use_data_dir(built.data_dir)
    report = materialize_plates(built.instance, plate_keys=KEYS[:1])
    assert {outcome.status for outcome in report.plates + report.datasets} == {"current"}
    summary = summarize_run(project, report)
    found = {(group.partition, group.code) for group in summary.findings}
    assert (KEYS[0], "normalised-to-plate") in found
    assert {partition for partition, _ in found} <= {KEYS[0], "screen-a"}
