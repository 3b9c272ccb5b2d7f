"""Tables of a dataset are made of stored plates in bounded reads, and short of memory they lose numbers and never rows."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pycytominer import consensus, feature_select

from bioimage_assets.assets.hits import build_hits
from bioimage_assets.assets.rollups import build_selection, build_treatments, find_selected
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.profiling import dataset_wells, selection
from bioimage_assets.core.profiling.dataset import OPERATIONS, build_consensus, build_selected_features
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.resources.project import ProjectResource

SETTINGS = DatasetSettings()
FEATURES = [f"Cells_AreaShape_F{place}" for place in range(12)]


def make_plate(number: int, wells: int = 24) -> pa.Table:
    random = np.random.default_rng(number)
    places = random.permutation(wells)
    names = [f"{chr(65 + p // 12)}{p % 12 + 1:02d}" for p in places]
    is_control = np.arange(wells) < wells // 4
    values = random.normal(size=(wells, len(FEATURES)))
    values[:, 1] = values[:, 0] * 2 + 0.01 * values[:, 1]  # correlated
    values[:, 2] = 1.0  # does not vary
    values[:, 3] *= 1_000  # has outliers
    values[0, 4] = np.nan
    return pa.table(
        {
            "plate_key": [f"screen/P{number}"] * wells,
            "dataset_id": ["screen"] * wells,
            "plate_id": [f"P{number}"] * wells,
            "well_id": names,
            "Metadata_Well": names,
            "Metadata_compound": pa.array(
                [None if c else f"c{i % 5}" for i, c in enumerate(is_control)], pa.string()
            ),
            "Metadata_control_type": pa.array(["negcon" if c else None for c in is_control], pa.string()),
            "Metadata_Object_Count": [0 if i == 5 else 100 + i for i in range(wells)],
            "Metadata_Normalized_To": ["controls"] * wells,
            **{name: pa.array(values[:, place], from_pandas=True) for place, name in enumerate(FEATURES)},
        }
    )


def open_inputs(folder: Path, plates: int = 4) -> StepInputs:
    """A dataset of stored well profiles; nothing else of it is there."""
    project = ProjectResource(data_dir=str(folder))
    sources = tuple(
        PlateSource(f"screen/P{n}", "screen", f"P{n}", str(folder / "incoming" / "screen"), ())
        for n in range(plates)
    )
    return StepInputs(project.tables(), "screen", sources, SETTINGS, folder / "scratch")


def store(inputs: StepInputs, name: str, rows: dict[str, PlateTable]) -> None:
    _, failures = replace_tables(inputs.tables, name, rows, run_id="run", watch=lambda key: nullcontext())
    assert not failures


def store_plates(inputs: StepInputs, wells: int = 24) -> list[pa.Table]:
    plates = [make_plate(number, wells) for number in range(len(inputs.sources))]
    store(
        inputs,
        "pycytominer_profiles",
        {source.plate_key: PlateTable(rows) for source, rows in zip(inputs.sources, plates, strict=True)},
    )
    return plates


@pytest.fixture
def inputs(tmp_path: Path) -> StepInputs:
    return open_inputs(tmp_path)


def test_stored_plates_are_selected_as_pycytominer_does_it(
    inputs: StepInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_BATCH_WELLS", 30)
    plates = store_plates(inputs)
    made = build_selection(inputs)
    assert isinstance(made.data, pa.RecordBatchReader)
    table = made.data.read_all()
    frame = pa.concat_tables(plates).to_pandas()
    frame = frame[frame.Metadata_Object_Count > 0]
    expected = feature_select(frame, features=FEATURES, operation=list(OPERATIONS), na_cutoff=0)
    kept = [name for name in FEATURES if name in expected.columns]
    assert [name for name in table.column_names if name in FEATURES] == kept
    assert 0 < len(kept) < len(FEATURES) - 3
    for name in (*kept, "well_id", "Metadata_compound"):
        assert table[name].to_pylist() == expected[name].where(expected[name].notna(), None).tolist()
    in_memory, report = build_selected_features(plates, SETTINGS)
    assert in_memory.select(table.column_names).to_pydict() == table.to_pydict()
    assert report.to_dict()["selected"] == tuple(kept)


def test_consensus_and_measures_of_stored_wells_are_those_of_wells_in_memory(
    inputs: StepInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_wells, "COLUMN_BLOCK_BYTES", 8 * 96 * 3)  # three columns at a time
    store_plates(inputs)
    store(inputs, "pycytominer_selected_features", {"screen": build_selection(inputs)})
    wells = find_selected(inputs)
    assert wells is not None
    table = inputs.read("pycytominer_selected_features")
    made, _ = build_consensus(wells, SETTINGS)
    assert made.equals(build_consensus(table, SETTINGS)[0])
    frame = table.to_pandas()
    treated = frame[frame.Metadata_compound.notna()]
    features = [name for name in FEATURES if name in table.column_names]
    expected = consensus(
        treated, replicate_columns=["Metadata_compound"], operation="median", features=features
    )
    got = made.to_pandas().query("Metadata_compound.notna()").reset_index(drop=True)
    assert got[features].equals(expected[features])
    assert measure_replicates(wells, SETTINGS, null_size=50) == measure_replicates(
        table, SETTINGS, null_size=50
    )


def test_features_are_read_four_times_by_the_selection_and_once_by_each_later_step(
    inputs: StepInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of plates: each pass over a campaign's files is minutes."""
    store_plates(inputs)
    passes: Counter[str] = Counter()
    for name in ("group", "collect", "products"):
        asked = getattr(PolarsEngine, name)

        def count(
            self: PolarsEngine, rows: object, *given: object, _name: str = name, _do: object = asked
        ) -> object:
            passes[_name] += rows.source.row_count  # type: ignore[attr-defined]
            return _do(self, rows, *given)  # type: ignore[operator]

        monkeypatch.setattr(PolarsEngine, name, count)
    store(inputs, "pycytominer_selected_features", {"screen": build_selection(inputs)})
    # Counts and statistics; references, correlations and the wells themselves.
    assert {name: rows / 96 for name, rows in passes.items()} == {"group": 2, "collect": 3}
    wells = find_selected(inputs)
    assert wells is not None
    read: Counter[str] = Counter()
    counted = dataset_wells.WellColumns(
        wells.schema, wells.row_count, lambda columns: (read.update(columns), wells.read(columns))[1]
    )
    build_consensus(counted, SETTINGS)
    measure_replicates(counted, SETTINGS, null_size=10)
    assert {read[name] for name in wells.schema.names if name in FEATURES} == {2}


_SHORT_OF_MEMORY = """
import json, re, resource, sys
from pathlib import Path
from bioimage_assets.assets.pages import read_well_counts
from bioimage_assets.assets.hits import build_hits
from bioimage_assets.assets.rollups import build_treatments, find_selected
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets_tests.dagster.test_dataset_memory import open_inputs
inputs = open_inputs(Path(sys.argv[1]))
# Everything is loaded, and every thread started, before memory is taken away.
tables = DatasetTables("screen", inputs.settings, read_well_counts(inputs), find_selected(inputs))
build_treatments(inputs), build_hits(inputs), build_dataset_report(tables)
in_use = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (in_use + (12 << 20), resource.RLIM_INFINITY))
made, hits, page = build_treatments(inputs), build_hits(inputs), build_dataset_report(tables)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps({
    "rows": made.data.num_rows, "measured": [name for name, table in hits.items() if table.data is not None],
    "found": [[f.code, f.severity, f.message] for f in hits["hits"].findings],
    "page": [[f.code, f.message] for f in page.findings], "html": len(page.html),
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the limit is set from what Linux says is in use"
)
def test_short_of_memory_the_consensus_and_the_page_are_made_without_the_measures(inputs: StepInputs) -> None:
    store_plates(inputs, wells=288)
    store(inputs, "pycytominer_selected_features", {"screen": build_selection(inputs)})
    whole = build_treatments(inputs)
    store(inputs, "pycytominer_consensus", {"screen": whole})
    # Freed memory goes back to the system at once, so that the limit means what it says.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", _SHORT_OF_MEMORY, str(inputs.scratch.parent)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(whole.data, pa.Table)
    assert "percent_active" in build_hits(inputs)["hits"].metadata
    assert (got["rows"], got["measured"]) == (whole.data.num_rows, [])
    (found,) = (finding for finding in got["found"] if finding[0] == "replicates-not-measured")
    assert found[1] == "warning"
    assert f"{288 * 4 - 4:,} wells x " in found[2]
    assert "more memory" in found[2]
    assert not any("Replicates" in message for _, message in got["page"])  # it reads hits, which are absent
    assert got["html"] > 5_000
