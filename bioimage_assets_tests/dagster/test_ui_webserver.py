"""The UI: what it is told about assets, checks and plates, and what a browser makes of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.builders.browser import BROWSER
from bioimage_assets_tests.dagster.ui_pages import Webserver, run_webserver

PLATE = "screen-a/SA-P1"
INSTANCE = "telemetry: {enabled: false}\nnux: {enabled: false}\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(screens_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance in which one plate was materialised as far as its well profiles."""
    folder = tmp_path_factory.mktemp("ui")
    shutil.copytree(screens_root, folder / "data" / "incoming")
    (folder / "dagster.yaml").write_text(INSTANCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(folder / "data"))
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            report = materialize_plates(instance, plate_keys=[PLATE], with_datasets=False)
    assert report.is_ok
    return folder


@pytest.fixture(scope="module")
def webserver(home: Path) -> Iterator[Webserver]:
    with run_webserver(home, home / "data") as running:
        yield running


def test_every_asset_says_what_it_is_who_owns_it_and_where_its_code_is(webserver: Webserver) -> None:
    nodes = webserver.query(
        "{assetNodes{assetKey{path} groupName description kinds owners{__typename} isExecutable partitionDefinition{name}"
        " metadataEntries{label}}}"
    )["assetNodes"]
    for node in nodes:
        name = node["assetKey"]["path"][-1]
        assert node["description"], name
        assert node["kinds"], name
        assert node["owners"], name
        assert node["groupName"] != "default", name
        if node["isExecutable"]:
            assert "dagster/code_references" in {entry["label"] for entry in node["metadataEntries"]}, name
    partitioned = {n["assetKey"]["path"][-1]: n["partitionDefinition"] for n in nodes}
    assert partitioned["image_assets"]["name"] == "plates"
    assert partitioned["pycytominer_consensus"]["name"] == "datasets"


def test_a_materialisation_carries_rows_columns_snapshot_and_a_plate_map(webserver: Webserver) -> None:
    nodes = webserver.query(
        "{assetNodes{assetKey{path} assetMaterializations(limit:1){partition runId metadataEntries{label"
        " ... on TableSchemaMetadataEntry{schema{columns{name description}}}"
        " ... on TextMetadataEntry{text} ... on MarkdownMetadataEntry{mdStr}}}}}"
    )["assetNodes"]
    made = {n["assetKey"]["path"][-1]: n["assetMaterializations"] for n in nodes}
    image = {entry["label"]: entry for entry in made["image_assets"][0]["metadataEntries"]}
    assert made["image_assets"][0]["partition"] == PLATE
    assert {"dagster/partition_row_count", "iceberg_snapshot_id", "fingerprint", "findings"} <= set(image)
    columns = image["dagster/column_schema"]["schema"]["columns"]
    assert all(column["description"] for column in columns)
    wells = {entry["label"]: entry for entry in made["pycytominer_profiles"][0]["metadataEntries"]}
    assert wells["cells_per_well"]["mdStr"].startswith("![profiled cells](data:image/svg+xml,")
    assert len(wells["cells_per_well"]["mdStr"]) < 1000


def test_a_run_is_found_from_its_iceberg_snapshot_and_back(webserver: Webserver, home: Path) -> None:
    from bioimage_assets.core.catalog.session import resolve_identifier
    from bioimage_assets.resources.project import ProjectResource

    project = ProjectResource(data_dir=str(home / "data"))
    catalog = project.catalog()
    table = catalog.load_table(
        resolve_identifier(catalog, project.settings.catalog_namespace, "image_assets")
    )
    node = webserver.query(
        '{assetNodes(assetKeys:[{path:["image_assets"]}]){assetMaterializations(limit:1){runId metadataEntries{label'
        " ... on TextMetadataEntry{text}}}}}"
    )["assetNodes"][0]["assetMaterializations"][0]
    told = {entry["label"]: entry.get("text") for entry in node["metadataEntries"]}
    snapshot = table.snapshot_by_id(int(told["iceberg_snapshot_id"]))
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary["dagster.run-id"] == node["runId"]


def test_checks_stand_beside_their_plate(webserver: Webserver) -> None:
    nodes = webserver.query(
        "{assetNodes{assetKey{path} assetChecksOrError{... on AssetChecks{checks{name description"
        " executionForLatestMaterialization{status evaluation{success partition}}}}}}}"
    )["assetNodes"]
    checks = {c["name"]: c for n in nodes for c in n["assetChecksOrError"].get("checks", [])}
    assert len(checks) >= 9
    assert all(check["description"] for check in checks.values())
    evaluation = checks["rows_in_are_rows_out"]["executionForLatestMaterialization"]["evaluation"]
    assert evaluation["success"]
    assert evaluation["partition"] == PLATE


def test_a_read_only_webserver_takes_no_orders(home: Path) -> None:
    with run_webserver(home, home / "data", "--read-only") as webserver:
        answer = webserver.query(
            'mutation{addDynamicPartition(partitionsDefName:"plates",partitionKey:"x/y",'
            'repositorySelector:{repositoryName:"__repository__",repositoryLocationName:"bioimage_assets.definitions"})'
            "{__typename}}"
        )
    assert answer["addDynamicPartition"]["__typename"] == "UnauthorizedError"


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium (apt-get install chromium)")
@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("/asset-groups", ["quality_control", "plate_results", "images"]),
        (
            "/assets/pycytominer_profiles?view=partitions&partition=screen-a%2FSA-P1",
            [PLATE, "cells_per_well", "data:image/svg+xml"],
        ),
        ("/assets/joined_profiles?view=checks", ["rows_in_are_rows_out"]),
        ("/automation", ["image_store_sensor", "dataset_rollup_sensor"]),
    ],
)
def test_a_browser_shows_the_page(webserver: Webserver, tmp_path: Path, page: str, words: list[str]) -> None:
    from PIL import Image

    picture, text = webserver.look(page, tmp_path, words)
    for word in words:
        assert word in text
    with Image.open(picture) as shown:
        pixels = np.asarray(shown.convert("L"))
    assert (pixels < 128).mean() > 0.001, "the page is blank"
