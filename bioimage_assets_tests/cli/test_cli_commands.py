"""The project's own commands: what they print, change and answer to the shell."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from bioimage_assets.core.catalog.browse import catalog_table_to_arrow
from bioimage_assets.core.tables.schemas import PLATE_COMPLETENESS
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.zarr_documents import write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.core.catalog.stores import write_zarr_image


def _uris() -> list[str]:
    return sorted(catalog_table_to_arrow("embedded", "bioimage.cytotable", "image_assets")["uri"].to_pylist())


# ---------------------------------------------------------------- scan


def test_scan_json_is_the_scan_result(stores, run):
    result = run("scan", "data/experiment.zarr", "--json").json
    assert result["source_uri"].endswith("data/experiment.zarr")
    assert [asset["shape"] for asset in result["image_assets"]] == [[2, 8, 8]]


def test_scan_names_the_dataset_it_is_given(stores, run):
    assert "dataset_id: screen" in run("scan", "data/experiment.zarr", "--dataset-id", "screen").out


def test_scan_says_on_standard_error_what_is_odd(stores, run):
    outcome = run("scan", "data/experiment.zarr")
    assert "Warning: unknown-unit" in outcome.err
    assert "unknown-unit" not in outcome.out


def test_summarize_json_has_the_keys_of_the_seeds(stores, run):
    result = run("summarize", "data/experiment.zarr", "--json").json
    assert result["image_asset_count"] == 1
    assert result["storage_variants"] == ["zarr-v2"]


# ---------------------------------------------------------------- catalog


def test_register_without_flags_uses_the_projects_own_catalog(stores, run):
    result = run("register", "data/experiment.zarr").json
    assert (result["catalog"], result["namespace"]) == ("embedded", "bioimage.cytotable")
    assert (stores / "catalog" / "catalog.db").exists()


def test_a_store_of_the_same_name_is_refused_unless_it_replaces(stores, run):
    run("register", "data/experiment.zarr")
    write_zarr_image(stores / "moved" / "experiment.zarr")
    refused = run("register", "data/moved/experiment.zarr")
    assert refused.code == 2
    assert "already is" in refused.err
    assert run("register", "--replace", "data/moved/experiment.zarr").code == 0
    assert _uris() == [str(stores / "moved" / "experiment.zarr")]


def test_ingest_keeps_the_good_stores_and_is_exit_1_for_a_bad_one(stores, run):
    outcome = run("ingest", "data/experiment-a.zarr", "missing.zarr")
    assert outcome.code == 1
    assert outcome.json["dataset_count"] == 1
    assert "missing.zarr" in outcome.err
    assert _uris() == [str(stores / "experiment-a.zarr")]


def test_ingest_can_leave_the_chunks_out(stores, run):
    assert run("ingest", "--skip-chunks", "data/experiment-a.zarr").json["chunk_rows_published"] == 0


def test_register_directory_finds_the_stores_below_a_folder(stores, run):
    outcome = run("register-directory", "data", "--glob", "**/*.zarr")
    assert outcome.code == 0
    assert outcome.json["dataset_count"] == 3


def test_register_directory_without_a_match_is_exit_1(stores, run):
    outcome = run("register-directory", "data", "--glob", "*.none")
    assert outcome.code == 1
    assert "nothing matches" in outcome.err


def test_register_profiles_twice_keeps_the_rows_once(stores, run):
    for _ in range(2):
        assert run("register-profiles", "data/cells.parquet").json["rows_published"] == 4
    assert catalog_table_to_arrow("embedded", "bioimage.cytotable", "profiles").num_rows == 4


def test_deregister_removes_one_store_and_says_how_many_rows(stores, run):
    run("ingest", "data/experiment-a.zarr", "data/experiment-b.zarr")
    outcome = run("deregister", "data/experiment-a.zarr")
    assert outcome.json == {"rows_removed": {"chunk_index": 6, "image_assets": 1}}
    assert _uris() == [str(stores / "experiment-b.zarr")]
    assert run("deregister", "data/experiment-a.zarr").json == {"rows_removed": {}}


def test_deregister_takes_plates_or_a_dataset(stores, run):
    run("ingest", "data/experiment.zarr", "data/experiment-a.zarr", "data/experiment-b.zarr")
    removed = run("deregister", "--plates", "experiment-a/experiment-a").json["rows_removed"]
    assert removed == {"chunk_index": 6, "image_assets": 1}
    assert run("deregister", "--dataset", "experiment-b").json["rows_removed"]["image_assets"] == 1
    assert _uris() == [str(stores / "experiment.zarr")]


# ---------------------------------------------------------------- upkeep


def test_tables_lists_catalog_and_warehouse(stores, run):
    run("ingest", "data/experiment.zarr")
    run("export-cytomining", "--warehouse-root", "wr", "data/experiment-a.zarr")
    rows = run("tables", "--warehouse-root", "wr", "--json").json["tables"]
    assert {(row["where"], row["table"], row["rows"]) for row in rows} == {
        ("catalog", "image_assets", 1),
        ("catalog", "chunk_index", 6),
        ("warehouse", "image_assets", 1),
        ("warehouse", "chunk_index", 6),
    }


def test_tables_of_an_empty_project_creates_nothing(project, run):
    assert run("tables", "--json").json == {"tables": []}
    assert list((project / "data").iterdir()) == []


def test_tag_then_rollback_brings_an_earlier_state_back(stores, run):
    run("register", "data/experiment.zarr")
    assert set(run("tag", "v1", "--json").json["snapshots"]) == {"image_assets"}
    run("register", "data/experiment-a.zarr")
    assert len(_uris()) == 2
    history = run("tables", "--history", "image_assets", "--json").json["snapshots"]
    assert [snapshot["tags"] for snapshot in history] == [["v1"], []]
    assert [snapshot["row_count"] for snapshot in history] == [1, 2]
    assert run("rollback", "image_assets", "v1").code == 0
    assert _uris() == [str(stores / "experiment.zarr")]


@pytest.mark.slow
def test_maintain_dry_run_changes_nothing_and_maintain_does(stores, run):
    for _ in range(3):
        run("register", "data/experiment.zarr", "--replace")
    run("register", "data/experiment-a.zarr")
    flags = ("--keep-snapshots", "1", "--snapshot-age-days", "0", "--only", "catalog")
    planned = run("maintain", "--dry-run", *flags).json["catalog"][0]
    assert planned["is_dry_run"]
    assert planned["expired_snapshots"]
    count = planned["snapshot_count"]
    done = run("maintain", *flags).json["catalog"][0]
    assert done["expired_snapshots"] == planned["expired_snapshots"]
    assert done["snapshot_count"] == count
    assert run("maintain", "--dry-run", *flags).json["catalog"][0]["snapshot_count"] == 1
    assert len(_uris()) == 2


def test_maintain_repairs_a_warehouse_and_reports_what_it_cannot(stores, run):
    run("export-cytomining", "--warehouse-root", "wr", "data/experiment.zarr")
    (stores.parent / "wr" / "warehouse_manifest.json").unlink()
    assert run("maintain", "--only", "warehouse", "--warehouse-root", "wr").code == 0
    assert run("validate-warehouse", "wr").code == 0
    for part in (stores.parent / "wr" / "chunk_index").iterdir():
        part.unlink()
    outcome = run("maintain", "--only", "warehouse", "--warehouse-root", "wr")
    assert outcome.code == 1
    assert "missing" in outcome.err


# ---------------------------------------------------------------- warehouse


def test_export_to_a_namespaced_root_is_valid_by_the_strict_rules(stores, run):
    flags = ("--warehouse-root", "wr", "--layout", "namespaced", "--profile-dataset-id", "experiment")
    written = run(
        "export-cytomining", *flags, "--profiles", "data/profiles.parquet", "data/experiment.zarr"
    ).json
    assert written["tables_written"] == [
        "images.image_assets",
        "images.chunk_index",
        "profiles.joined_profiles",
    ]
    run(
        "export-cytomining-profiles",
        *flags,
        "--table-name",
        "cosmicqc_profiles",
        "data/cosmicqc_output.parquet",
    )
    assert "quality_control.cosmicqc_profiles" in open_warehouse("wr").tables()
    outcome = run("validate-warehouse", "wr", "--strict", "--json")
    assert outcome.json["errors"] == []
    assert outcome.code == 0


def test_a_layout_that_contradicts_the_root_is_refused_with_the_way_out(stores, run):
    run("export-cytomining", "--warehouse-root", "wr", "data/experiment.zarr")
    outcome = run(
        "export-cytomining", "--warehouse-root", "wr", "--layout", "namespaced", "data/experiment.zarr"
    )
    assert outcome.code == 2
    assert "convert-layout" in outcome.err


def test_export_without_a_root_goes_to_the_projects_warehouse(stores, run, monkeypatch):
    monkeypatch.setenv("BIOIMAGE_WAREHOUSE_LAYOUT", "namespaced")
    result = run("export-cytomining", "data/experiment.zarr").json
    assert result["warehouse_root"] == str(stores / "warehouse")
    assert result["tables_written"] == ["images.image_assets", "images.chunk_index"]


def test_overwrite_keeps_the_row_count_and_append_adds(stores, run):
    for mode, rows in (("overwrite", 1), ("overwrite", 1), ("append", 2)):
        run("export-cytomining", "--warehouse-root", "wr", "--mode", mode, "data/experiment.zarr")
        assert open_warehouse("wr").row_count("image_assets") == rows


def test_export_takes_aliases_of_a_toml_file(stores, run):
    flags = ("--warehouse-root", "wr", "--aliases", "aliases.toml")
    run("export-cytomining-profiles", *flags, "--table-name", "custom", "data/custom_profiles.parquet")
    assert open_warehouse("wr").read("custom")["well_id"].to_pylist() == ["A01", "B02"]
    run("export-cytomining", *flags, "--profiles", "data/custom_profiles.parquet", "data/experiment.zarr")
    assert open_warehouse("wr").read("joined_profiles")["image_id"].to_pylist() == ["experiment"] * 2


def test_export_of_a_catalog_without_chunks_says_so(stores, run):
    run("register", "data/experiment.zarr")
    outcome = run("export-cytomining-catalog", "--warehouse-root", "wr")
    assert outcome.code == 0
    assert outcome.json["tables_written"] == ["image_assets"]
    assert "chunk_index was not written" in outcome.err


def test_validate_warehouse_is_exit_1_and_names_what_is_wrong(stores, run):
    run("export-cytomining", "--warehouse-root", "wr", "data/experiment.zarr")
    manifest = stores.parent / "wr" / "warehouse_manifest.json"
    document = json.loads(manifest.read_text())
    document["tables"][0]["row_count"] += 1
    manifest.write_text(json.dumps(document))
    outcome = run("validate-warehouse", "wr")
    assert outcome.code == 1
    assert "not valid" in outcome.out
    assert "error: " in outcome.out


def test_convert_layout_there_and_back(stores, run):
    run("export-cytomining", "--warehouse-root", "wr", "data/experiment.zarr")
    moved = run("convert-layout", "wr", "namespaced", "--json").json["moved"]
    assert moved == {"image_assets": "images.image_assets", "chunk_index": "images.chunk_index"}
    assert run("validate-warehouse", "wr", "--strict").code == 0
    assert "0 tables moved" in run("convert-layout", "wr", "namespaced").out
    run("convert-layout", "wr", "flat")
    assert open_warehouse("wr").row_count("chunk_index") == 6


# ---------------------------------------------------------------- profiles


def test_validate_contract_is_exit_1_when_keys_are_missing(stores, run):
    outcome = run("validate-contract", "data/profiles.parquet", "--json")
    assert outcome.code == 1
    assert outcome.json["missing_required_columns"] == ["dataset_id"]
    assert run("validate-contract", "data/profiles.parquet", "--profile-dataset-id", "experiment").code == 0


def test_validate_contract_takes_aliases(stores, run):
    assert run("validate-contract", "data/custom_profiles.parquet").code == 1
    assert run("validate-contract", "data/custom_profiles.parquet", "--aliases", "aliases.toml").code == 0


def test_join_profiles_inner_drops_rows_without_image_and_chunks_repeat_them(stores, run):
    table = pa.table({"dataset_id": ["experiment"] * 2, "image_id": ["experiment", "other"]})
    pq.write_table(table, stores / "mixed.parquet")
    call = ("join-profiles", "data/experiment.zarr", "data/mixed.parquet", "--output", "joined.parquet")
    assert run(*call).json["rows_written"] == 2
    assert run(*call, "--how", "inner").json["rows_written"] == 1
    assert run(*call, "--how", "inner", "--include-chunks").json["rows_written"] == 4


def test_join_profiles_says_what_was_found_about_the_links(stores, run):
    plate = write_pixel_plate(stores / "plate.ome.zarr", size=16)
    rows = {
        "Metadata_Plate": ["P1"] * 4,
        "Metadata_Well": ["A01", "A01", "A02", "A02"],
        "Metadata_Site": [1, 2] * 2,
    }
    pq.write_table(pa.table(rows), stores / "numbered.parquet")
    call = ("join-profiles", str(plate), "data/numbered.parquet", "--output", "joined.parquet")
    asked = run(*call)
    assert (asked.json["profile_rows"], asked.json["matched_rows"]) == (4, 0)
    assert {found["code"] for found in asked.json["findings"]} == {"nothing-linked", "site-offset"}
    assert "Write [join] profile_site_offset = 1 in" in asked.err
    stated = run(*call, "--profile-site-offset", "1")
    assert (stated.json["matched_rows"], stated.json["findings"], stated.err) == (4, [], "")
    renamed = pa.table({**rows, "Metadata_Plate": ["BR1"] * 4})
    pq.write_table(renamed, stores / "numbered.parquet")
    assert run(*call, "--profile-site-offset", "1").json["matched_rows"] == 0
    ignored = run(*call, "--profile-site-offset", "1", "--ignore-profile-plate")
    assert ignored.json["matched_rows"] == 4


def test_init_dataset_writes_a_template_once(stores, run):
    assert run("init-dataset", "data").code == 0
    text = (stores / "dataset.toml").read_text()
    assert "[microscopy.aliases]" in text
    assert run("init-dataset", "data").code == 2
    assert run("init-dataset", "data", "--overwrite", "--json").json["text"] == text


# ---------------------------------------------------------------- pixels and wells


@pytest.fixture
def located(project, run):
    """A plate in the catalog and one cell of it in the warehouse."""
    store = write_pixel_plate(project / "data" / "plate.ome.zarr", size=16)
    run("register", "--publish-chunks", store)
    cells = {
        "Metadata_ObjectID": ["plate/plate/1/7"],
        "Metadata_Plate": ["P1"],
        "Metadata_Well": ["A02"],
        "Metadata_Site": ["1"],
        "Nuclei_AreaShape_BoundingBoxMinimum_X": [2],
        "Nuclei_AreaShape_BoundingBoxMaximum_X": [6],
        "Nuclei_AreaShape_BoundingBoxMinimum_Y": [9],
        "Nuclei_AreaShape_BoundingBoxMaximum_Y": [12],
    }
    pq.write_table(pa.table(cells), project / "cells.parquet")
    run("export-cytomining-catalog", "--profiles", "cells.parquet")
    return store


@pytest.mark.slow
def test_locate_gives_the_pixels_that_zarr_reads_there(located, run):
    found = run("locate", "plate/plate/1/7", "--json").json
    assert found["uri"] == str(located)
    (y_start, y_stop), (x_start, x_stop) = found["slices"][1:]
    assert (y_start, y_stop, x_start, x_stop) == (9, 12, 2, 6)
    array = zarr.open_array(f"{found['uri']}/{found['array_path']}", mode="r")
    assert array[:, y_start:y_stop, x_start:x_stop].shape == (2, 3, 4)
    assert int(array[0, y_start, x_start]) == int(np.arange(1, 513).reshape(2, 16, 16)[0, 9, 2])
    assert {chunk["chunk_key"] for chunk in found["chunks"]} == {"c/0/1/0", "c/1/1/0"}


def test_locate_in_words_and_by_channel(located, run):
    text = run("locate", "plate/plate/1/7", "--channel", "ER").out
    assert "http://127.0.0.1:8765/go?dataset=plate&plate=plate&cell=plate%2Fplate%2F1%2F7" in text
    assert "c 1:2, y 9:12, x 2:6" in text
    assert "c/1/1/0" in text
    assert "c/0/1/0" not in text


def test_locate_from_files_alone(located, run, project):
    root = project / "data" / "warehouse"
    outcome = run(
        "locate",
        "plate/plate/1/7",
        "--joined",
        root / "joined_profiles",
        "--image-assets",
        root / "image_assets",
    )
    assert outcome.code == 0, outcome.err
    assert "9:12" in outcome.out


def test_locate_refuses_a_channel_that_is_not_there(located, run):
    outcome = run("locate", "plate/plate/1/7", "--channel", "GFP")
    assert outcome.code == 2
    assert "DNA" in outcome.err


def test_completeness_of_a_store_is_exit_1_when_a_field_is_missing(project, run):
    import shutil

    store = write_plate(project / "data" / "P7.zarr", wells={"A/1": ("0", "1"), "B/2": ("0", "1")})
    assert run("completeness", store).code == 0
    shutil.rmtree(store / "B" / "2" / "1")
    outcome = run("completeness", store, "--json")
    assert outcome.code == 1
    assert [(well["well_id"], well["verdict"]) for well in outcome.json["wells"]] == [("B02", "incomplete")]
    assert outcome.json["plates"] == {"P7/P7": {"complete": 1, "incomplete": 1}}
    assert "A01" in run("completeness", store, "--all-wells").out


def test_completeness_of_stored_plates(project, run):
    row = dict.fromkeys(PLATE_COMPLETENESS.names)
    row |= {"plate_key": "s/p1", "dataset_id": "s", "well_id": "A01", "verdict": "complete", "reasons": []}
    row |= {"fields_found": 1}
    bad = row | {"well_id": "A02", "verdict": "missing", "reasons": ["declared, but nothing is on disk"]}
    table = pa.Table.from_pylist([row, bad], schema=PLATE_COMPLETENESS)
    open_warehouse("data/warehouse").replace_partitions("plate_completeness", table, ["s/p1"])
    outcome = run("completeness")
    assert outcome.code == 1
    assert "declared, but nothing is on disk" in outcome.out
    assert "A01" not in outcome.out
    assert run("completeness", "s/p1", "--json").json["plates"] == {"s/p1": {"complete": 1, "missing": 1}}
    assert "Did you mean 's/p1'?" in run("completeness", "s/p11").err
