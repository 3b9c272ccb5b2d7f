"""Archives of arrays made to hurt: each costs itself, and what numpy really writes is read as it was written."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.deepprofiler import inspect_npz
from bioimage_assets.core.measurements.limits import MeasurementLimits
from bioimage_assets.core.measurements.pickled_text import read_pickled_dictionary
from bioimage_assets_tests.builders import hostile_arrays
from bioimage_assets_tests.builders.hostile_arrays import (
    REFUSED,
    array_bytes,
    packed_zeros,
    pickled_member,
    saved,
    write_members,
    wrong_checksum,
)
from bioimage_assets_tests.builders.measurement_plates import write_npz
from bioimage_assets_tests.core.measurements.conftest import Reader

_READ_IN_CHILD = """
import resource, sys
from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.deepprofiler import inspect_npz
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        inspect_npz(path, "P1")
        sys.exit(f"{path} was read")
    except MeasurementError as error:
        assert path in str(error), error
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10, f"{path} took {grown >> 10} MB"
"""


@pytest.mark.slow
def test_no_hostile_archive_ends_the_process_or_takes_memory(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / f"{i}" / "A01_1.npz")) for i, write in enumerate(REFUSED.values())]
    done = subprocess.run(
        [sys.executable, "-c", _READ_IN_CHILD, *paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_archive_is_a_finding_that_names_it_and_the_others_are_read(
    tmp_path: Path, read_plate: Reader, kind: str
) -> None:
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=2)
    bad = REFUSED[kind](tmp_path / "P1" / "A01_2.npz")
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 2
    finding = plate.finding("unreadable-file")
    assert (finding.severity, finding.location) == ("error", "A01_2.npz")
    assert finding.message.startswith(f"{bad}: ")
    assert "expected an .npz of DeepProfiler, found" in finding.message


def test_features_whose_checksum_is_wrong_are_an_error_that_names_the_file(
    tmp_path: Path, read_plate: Reader
) -> None:
    path = wrong_checksum(tmp_path / "P1" / "A01_1.npz")
    with pytest.raises(MeasurementError, match=str(path)):
        read_plate(tmp_path / "P1")


def test_features_of_any_real_type_and_order_are_the_numbers_that_were_written(
    tmp_path: Path, read_plate: Reader
) -> None:
    values = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    for i, kind in enumerate(("<f2", "<f4", ">f8", ">i2", "|u1", "<u8", "|b1"), 1):
        for order in "CF":
            array = np.asarray(values.astype(kind), order=order)
            folder = tmp_path / f"{i}{order}" / "P1"
            write_members(folder / "A01_1.npz", {"features": saved(array)}, zipfile.ZIP_DEFLATED)
            table = read_plate(folder).table
            assert np.array_equal(
                np.column_stack([table[f"DeepProfiler_{j}"].to_numpy() for j in range(4)]), values
            ), (kind, order)


def test_a_field_of_many_cells_is_read_in_blocks_with_numbers_that_go_on(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioimage_assets.core.measurements.deepprofiler.window_rows", lambda columns: 3)
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=8)
    table = read_plate(tmp_path / "P1").table
    assert [len(chunk) for chunk in table["DeepProfiler_0"].chunks] == [3, 3, 2]
    assert table["Metadata_ObjectNumber"].to_pylist() == list(range(1, 9))
    assert table["Metadata_ObjectID"].to_pylist()[-1] == "screen/P1/A01_1/8"
    assert table["DeepProfiler_1"].to_pylist() == [10.0 * i + 1 for i in range(8)]
    assert table["Nuclei_Location_Center_Y"].to_pylist() == [20.0 + i for i in range(8)]


@pytest.mark.slow
def test_packed_zeros_are_read_in_little_memory_up_to_the_limit(tmp_path: Path, read_plate: Reader) -> None:
    path = packed_zeros(tmp_path / "P1" / "A01_1.npz", 20_000, 5_000)  # 400 MB
    assert path.stat().st_size < 1 << 20
    program = (
        "import resource, sys\nfrom bioimage_assets.core.measurements.read import read_measurements\n"
        "from bioimage_assets.core.settings.dataset import DatasetSettings\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "plate = read_measurements([sys.argv[1]], plate_key='s/P1', dataset_id='s', plate_name='P1', settings=DatasetSettings())\n"
        "print(sum(batch.num_rows for batch in plate.reader))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    rows, grown_mb = map(int, done.stdout.split())
    assert rows == 20_000
    assert grown_mb < 600
    with pytest.raises(MeasurementError, match="expected at most 300000000 bytes of features"):
        inspect_npz(str(path), "A01_1.npz", MeasurementLimits(max_array_bytes=300_000_000))


def test_a_limit_can_be_raised_by_who_asks_for_it(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=3)
    with pytest.raises(MeasurementError, match="expected at most 2 cells in one field of view, found 3"):
        read_plate(tmp_path / "P1", limits=MeasurementLimits(max_cells_per_field=2))
    assert read_plate(tmp_path / "P1").table.num_rows == 3


WRITTEN = {
    "Metadata_Plate": "P1", "Metadata_Well": np.str_("Ä01"), "Metadata_Site": np.int64(5), "Dose": 0.1,
    "Half": np.float16(0.5), "Single": np.float32(0.1), "Double": np.float64(2.5), "Big": np.array(7, ">i4")[()],
    "Batch": 2**70, "Minus": -3, "Flag": np.bool_(True), "Own": False, "Nothing": None, "Empty": "", "Gap": float("nan"),
    "Gap32": np.float32("nan"), "List": ["a", 1, ("b", None)], 7: "number",
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("numpy_version", [1, 2])
def test_every_protocol_of_both_numpys_gives_the_text_of_the_values(
    protocol: int, numpy_version: int
) -> None:
    raw = pickle.dumps(np.array(WRITTEN, dtype=object), protocol)
    if numpy_version == 1:
        raw = raw.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
        raw = raw.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
        if protocol >= 4:  # frames are counted in bytes
            raw = b"\x80" + bytes([protocol]) + raw[11:]
        assert b"_core" not in raw
    else:
        assert b"numpy._core" in raw
    expected = {
        str(key): None if value is None or value == "" or value != value else str(value)
        for key, value in WRITTEN.items()
    }
    assert read_pickled_dictionary(raw) == expected


def test_half_a_surrogate_pair_in_the_metadata_is_replaced_and_stored(
    tmp_path: Path, read_plate: Reader
) -> None:
    named = {"Metadata_Well": "A01", "Compound": "a\ud800b", "Key\udfff": "c"}
    write_members(tmp_path / "P1" / "A01_1.npz", {"metadata": pickled_member(np.array(named, dtype=object))})
    (row, _) = read_plate(tmp_path / "P1").table.to_pylist()
    assert row["Metadata_Compound"] == "a\ufffd\ufffd\ufffdb"
    assert row["Metadata_Key\ufffd\ufffd\ufffd"] == "c"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"metadata": saved(np.array("plate P1"))}, "metadata, which are no dictionary"),
        (
            {"metadata": pickled_member(np.array(["P1", "A01"], dtype=object))},
            "metadata, which are no dictionary",
        ),
        ({"locations": saved(np.zeros((2, 3)))}, "locations, which are 2 × 3 values of type '<f8'"),
        ({"locations": array_bytes("'|O'", "(2, 2)")}, "locations, which are 2 × 2 values of type '|O'"),
    ],
)
def test_parts_that_are_not_read_are_named_and_the_features_are_kept(
    tmp_path: Path, read_plate: Reader, members: dict[str, bytes], words: str
) -> None:
    write_members(tmp_path / "P1" / "B03_7.npz", members)
    plate = read_plate(tmp_path / "P1")
    assert words in plate.finding("npz-not-read").message
    assert plate.table["Metadata_Well"].to_pylist() == ["B03", "B03"]
    assert plate.table["DeepProfiler_3"].to_pylist() == [3.0, 7.0]


def test_colliding_keys_of_a_pickle_cost_no_time() -> None:
    """Numbers that all have one hash: as keys of a dictionary they took time that grows with their square."""
    prime = 2**61 - 1
    keys = b"".join(
        b"\x8a\x0a" + (i * prime).to_bytes(10, "little", signed=True) + b"N" for i in range(60_000)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = read_pickled_dictionary(b"\x80\x04}(" + keys + b"u.")
    assert found is not None
    assert len(found) == 60_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 10


def test_the_builders_are_what_they_say(tmp_path: Path) -> None:
    """The archive with the hidden object uses only names that numpy's own pickles use."""
    raw = zipfile.ZipFile(hostile_arrays.hidden_object(tmp_path / "a.npz")).read("metadata.npy")
    assert b"multiarray" in raw
    assert (tmp_path / "a.npz").stat().st_size < 2_000
