"""A plate's tables are the same whoever else shares the root: other datasets, other panels, other projects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.definitions import defs
from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.headless_runs import run_partition
from bioimage_assets.jobs.pipelines import PLATE_ASSETS
from bioimage_assets.partitions import register_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors import requests
from bioimage_assets_tests.builders.every_kind import KINDS, write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# What a run says of itself.
RUN_COLUMNS = {"fingerprint"}
PLATE_TABLES = tuple(name for name in PLATE_ASSETS if name != "plate_report")
SCANNED = (
    "image_assets", "chunk_index", "acquisition_planes", "plate_layout", "scan_findings", "cytomining_warehouse",
)  # fmt: skip
DATASET_TABLES = (
    "pycytominer_selected_features", "pycytominer_consensus", "sphered_profiles", "correction_scores",
)  # fmt: skip
Tables = dict[tuple[str, str], pa.Table]


@dataclass
class Root:
    """A project below a folder of its own, with the instance that builds it."""

    folder: Path
    instance: dg.DagsterInstance

    def build_tables(
        self,
        monkeypatch: pytest.MonkeyPatch,
        datasets: Sequence[str],
        tables: Sequence[str] = PLATE_TABLES,
        *,
        with_datasets: bool = True,
        **settings: str,
    ) -> None:
        """Materialise the plates of some datasets, and their dataset tables, without pages; nothing may fail."""
        plates = self._find_plates(monkeypatch, datasets, settings)
        report = materialize_plates(self.instance, plate_keys=plates, select=tables)
        for dataset in datasets if with_datasets else ():
            outcome = run_partition(
                defs, self.instance, "dataset_pipeline", dataset, DATASET_TABLES, force=True
            )
            report.datasets.append(outcome)
        assert_built(report, plates)

    def build_pages(self, monkeypatch: pytest.MonkeyPatch, datasets: Sequence[str]) -> None:
        """Write the pages of plates and datasets that are built."""
        plates = self._find_plates(monkeypatch, datasets, {})
        report = materialize_plates(self.instance, plate_keys=plates, select=["plate_report"])
        for dataset in datasets:
            outcome = run_partition(defs, self.instance, "dataset_pipeline", dataset, ["dataset_report"])
            report.datasets.append(outcome)
        assert_built(report, plates)

    def _find_plates(
        self, monkeypatch: pytest.MonkeyPatch, datasets: Sequence[str], settings: Mapping[str, str]
    ) -> list[str]:
        for name, value in ({"BIOIMAGE_DATA_DIR": str(self.folder)} | dict(settings)).items():
            monkeypatch.setenv(name, value)
        keys = [source.plate_key for source in ProjectResource().discover()[0]]
        register_plates(self.instance, keys)
        return [key for key in keys if key.split("/")[0] in datasets]

    def tables(self, warehouse_uri: str | None = None) -> Tables:
        """Every partition of every stored table as the package reads it, without what differs between folders."""
        warehouse = open_warehouse(warehouse_uri or self.folder / "warehouse")
        return {
            (name, key): without_paths(warehouse.read(name, plate_keys=[key]), self.folder)
            for name in warehouse.tables()
            for key in warehouse.partitions(name)
            if not key.endswith("_report")  # what pages say of themselves
        }


def assert_built(report: HeadlessReport, plates: Sequence[str]) -> None:
    failed = [(o.partition, o.message) for o in (*report.plates, *report.datasets) if o.status != "built"]
    assert failed == []
    assert not report.unseen
    assert [outcome.partition for outcome in report.plates] == plates


def without_paths(table: pa.Table, folder: Path) -> pa.Table:
    """The table with paths below the folder shortened; columns that name a run or a state of files are left out."""
    table = table.drop_columns([name for name in table.column_names if name in RUN_COLUMNS])
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            short = pc.replace_substring(table[field.name], str(folder), "…")
            table = table.set_column(position, field, short)
        elif pa.types.is_nested(field.type):
            text = [str(value).replace(str(folder), "…") for value in table[field.name].to_pylist()]
            table = table.set_column(position, field.name, pa.array(text))
    return table


def assert_same(found: Tables, alone: Tables, place: str) -> None:
    """Value for value and column for column."""
    assert found.keys() == alone.keys()
    for (name, key), table in found.items():
        own = alone[name, key]
        assert table.column_names == own.column_names, f"{place}: columns of {name} of {key}"
        pd.testing.assert_frame_equal(table.to_pandas(), own.to_pandas(), obj=f"{place}: {name} of {key}")


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """For settings of a root. Several plates are one run, as more than twenty are: half the time of a run for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "SINGLE_RUNS", 1)
        yield patch


@pytest.fixture(scope="module")
def make_root(tmp_path_factory: pytest.TempPathFactory):
    def make(kinds: Sequence[str] = ()) -> Root:
        folder = tmp_path_factory.mktemp("root")
        for kind in kinds:
            write_dataset(folder / "incoming", kind)
        return Root(folder, dg.DagsterInstance.ephemeral())

    return make


@pytest.fixture(scope="module")
def alone(make_root, patch) -> Tables:
    """Tables of every kind of dataset in a root of its own."""
    tables: Tables = {}
    for kind in KINDS:
        root = make_root([kind])
        root.build_tables(patch, [kind])
        tables |= root.tables()
    return tables


def test_every_kind_of_measurements_is_profiled(alone):
    for kind in KINDS:
        wells = alone["pycytominer_profiles", f"{kind}/P1"]
        profiled = [n for n in wells.column_names if pa.types.is_floating(wells.schema.field(n).type)]
        assert wells.num_rows == 12
        assert any(wells[name].null_count < 12 for name in profiled if not name.startswith("Metadata_")), kind


@pytest.mark.parametrize(
    ("order", "rebuilt"),
    [
        pytest.param(KINDS, KINDS, id="first to last", marks=pytest.mark.stress),
        pytest.param(KINDS[::-1], KINDS[:-2:-1], id="last to first"),
    ],
)
def test_datasets_that_join_a_root_leave_each_other_alone(make_root, patch, alone, order, rebuilt):
    root = make_root(order[:1])
    root.build_tables(patch, order[:1])
    for kind in order[1:]:
        write_dataset(root.folder / "incoming", kind)
    root.build_tables(patch, order[1:])
    assert_same(root.tables(), alone, "joined")
    root.build_tables(patch, rebuilt)
    assert_same(root.tables(), alone, "built again")
    root.build_pages(patch, [kind for kind in ("embeddings", "in-carta") if kind in rebuilt])
    for name, key in alone:
        (path,) = open_warehouse(root.folder / "warehouse").files(name, [key])
        stored = pq.read_schema(path).names
        assert [n for n in stored if n not in RUN_COLUMNS] == alone[name, key].column_names
    for name in ("joined_profiles", "pycytominer_profiles"):
        folder = root.folder / "warehouse" / name
        rows = pd.read_parquet(folder)
        assert len(rows) == sum(table.num_rows for (one, _), table in alone.items() if one == name)
        assert set(rows.columns) >= {
            c for (one, _), t in alone.items() if one == name for c in t.column_names
        }


def test_tables_in_the_catalog_are_the_same_beside_others(make_root, patch):
    """The same where wide tables are kept in Iceberg."""
    tables = "image_assets,chunk_index,plate_layout,scan_findings,joined_profiles,cosmicqc_profiles,pycytominer_profiles"
    pair, found = ("embeddings", "cellprofiler-csv"), []
    for kinds in (pair[:1], pair):
        root = make_root(kinds)
        root.build_tables(patch, kinds, with_datasets=False, BIOIMAGE_ICEBERG_TABLES=tables)
        if kinds == pair:
            root.build_tables(patch, pair[:1], BIOIMAGE_ICEBERG_TABLES=tables)
        found.append(
            {
                (name, "embeddings/P1"): without_paths(
                    ProjectResource().tables().read(name, "embeddings/P1"), root.folder
                )
                for name in ("joined_profiles", "cosmicqc_profiles", "pycytominer_profiles")
            }
        )
    patch.delenv("BIOIMAGE_ICEBERG_TABLES")
    assert found[0]["pycytominer_profiles", "embeddings/P1"].num_rows == 12
    assert_same(found[1], found[0], "in the catalog")


def test_two_projects_that_share_a_warehouse_root_leave_each_other_alone(make_root, patch, alone, tmp_path):
    shared = str(tmp_path / "shared-warehouse")
    pair = ("embeddings", "cellprofiler-csv")
    roots = [make_root([kind]) for kind in pair]
    for turn in (0, 1, 0):  # the first one again beside the other
        roots[turn].build_tables(patch, [pair[turn]], BIOIMAGE_WAREHOUSE=shared)
    patch.delenv("BIOIMAGE_WAREHOUSE")
    for kind, root in zip(pair, roots, strict=True):
        own = {place: table for place, table in alone.items() if place[1].split("/")[0] == kind}
        tables = root.tables(shared)
        found = {place: table for place, table in tables.items() if place in own}
        assert_same(found, own, f"{kind} in a shared warehouse")


def test_projects_whose_datasets_have_one_name_are_told_that_they_replace_each_other(
    make_root, patch, tmp_path
):
    shared = str(tmp_path / "shared-warehouse")
    roots = [make_root(["embeddings"]) for _ in range(2)]
    for root in roots:
        root.build_tables(patch, ["embeddings"], SCANNED, with_datasets=False, BIOIMAGE_WAREHOUSE=shared)
    (found,) = [
        row
        for row in ProjectResource().tables().read("scan_findings", "embeddings/P1").to_pylist()
        if row["code"] == "plate-of-another-project"
    ]
    patch.delenv("BIOIMAGE_WAREHOUSE")
    assert found["severity"] == "error"
    assert str(roots[0].folder / "incoming" / "embeddings") in found["message"]
    assert "BIOIMAGE_WAREHOUSE" in found["message"]
