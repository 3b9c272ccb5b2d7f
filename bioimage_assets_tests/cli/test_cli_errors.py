"""Bad input is one line on standard error and exit 2, never a traceback, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.finding_codes.catalogue import find_code

# The code at the end of the line of an error.
_CODED = re.compile(r"\(([a-z-]+)\)$")
SQL_ERRORS = [
    "selec 1",
    "select * from no_such_table",
    "select no_such_column from image_assets",
    "select 'word'::integer from image_assets",
    "select 1; select 2",
    "   ",
    "drop table image_assets",
    "insert into image_assets values (1)",
    "copy (select 1) to 'stolen.parquet'",
    "explain analyze copy (select 1) to 'stolen.parquet'",
    "drop table image_assets; pivot image_assets on dataset_id using count(*)",
    "-- nothing but a remark",
    "attach 'other.db'",
    "install httpfs",
    "from read_parquet('missing.parquet')",
    "from 'data/broken.parquet'",
]

BAD_CALLS = [
    # stores
    "scan missing.zarr",
    "scan data/notes.txt",
    "scan data/broken.ome.tiff",
    "summarize missing.ome.tiff",
    "summarize data/broken.zarr",
    "scan s3://",
    "scan nonsense://bucket/store.zarr",
    # catalog
    "register missing.zarr",
    "register data/broken.zarr",
    "register --catalog nowhere data/experiment.zarr",
    "register --namespace a..b data/experiment.zarr",
    "ingest missing-1.zarr missing-2.zarr",
    "publish-chunks missing.zarr",
    "register-directory missing-folder",
    "register-profiles missing.parquet",
    "register-profiles data/broken.parquet",
    "deregister",
    "deregister data/experiment.zarr --dataset experiment",
    "tag v1 --tables missing",
    "tag main",
    "rollback missing v1",
    "rollback image_assets no-such-tag",
    "tables --history missing",
    "tables --warehouse-root missing-root",
    "maintain --keep-snapshots -1",
    "maintain --only warehouse --warehouse-root missing-root",
    # warehouse
    "export-cytomining --warehouse-root wr missing.zarr",
    "export-cytomining --warehouse-root wr --profiles missing.parquet data/experiment.zarr",
    "export-cytomining --warehouse-root wr --profiles data/broken.parquet data/experiment.zarr",
    "export-cytomining --warehouse-root wr --profiles data/nokeys.parquet data/experiment.zarr",
    "export-cytomining --warehouse-root wr --profiles data/cells.parquet --aliases broken.toml data/experiment.zarr",
    "export-cytomining --warehouse-root wr --mode sideways data/experiment.zarr",
    "export-cytomining --warehouse-root aliases.toml data/experiment.zarr",
    "export-cytomining-catalog --catalog default --namespace empty --warehouse-root wr",
    "export-cytomining-profiles --warehouse-root wr missing.parquet",
    "export-cytomining-profiles --warehouse-root wr --table-name a..b data/cells.parquet",
    "export-cytomining-profiles --warehouse-root wr --role quality_control --table-name profiles.x data/cells.parquet",
    "validate-warehouse missing-root",
    "convert-layout missing-root namespaced",
    "convert-layout . sideways",
    "convert-layout data namespaced --table-namespace nonsense",
    # profiles
    "validate-contract missing.parquet",
    "validate-contract data/broken.parquet",
    "validate-contract data/cells.parquet --aliases missing.toml",
    "validate-contract data/cells.parquet --aliases broken.toml",
    "validate-contract data/cells.parquet --aliases wrong.toml",
    "join-profiles data/experiment.zarr missing.parquet --output out.parquet",
    "join-profiles data/experiment.zarr data/broken.parquet --output out.parquet",
    "join-profiles data/experiment.zarr data/nokeys.parquet --output out.parquet",
    "join-profiles data/experiment.zarr data/cells.parquet --output missing-folder/out.parquet",
    "join-profiles data/experiment.zarr data/cells.parquet --output data",
    "locate nobody",
    "locate nobody --joined data/cells.parquet",
    "locate nobody --joined missing.parquet",
    "completeness",
    "completeness screen/plate",
    "completeness data/notes.txt",
    "init-dataset missing-folder",
    "query --output out.txt select",
    "partitions remove",
]


@pytest.fixture
def bad_inputs(stores: Path, run) -> Path:
    (stores / "notes.txt").write_text("no image")
    (stores / "broken.ome.tiff").write_bytes(b"II*\0" + b"\xff" * 40)
    (stores / "broken.parquet").write_bytes(b"PAR1 this is no Parquet PAR1")
    (stores / "broken.zarr").mkdir()
    (stores / "broken.zarr" / "zarr.json").write_text("{")
    pq.write_table(pa.table({"Cells_Area": [1.0]}), stores / "nokeys.parquet")
    (stores.parent / "broken.toml").write_text("[microscopy")
    (stores.parent / "wrong.toml").write_text("[microscopy.aliases]\nimage = 3\n")
    assert run("register", "data/experiment.zarr").code == 0
    return stores.parent


def _assert_one_line(outcome) -> None:
    assert outcome.code == 2, (outcome.out, outcome.err)
    assert "Traceback" not in outcome.err
    said = outcome.err.splitlines()
    named = _CODED.search(next((line for line in said if line.startswith("Error: ")), ""))
    assert outcome.out == ""
    assert said[0].startswith("Usage: ") or (named and find_code(named[1])), outcome.err
    more = [line for line in said if line.startswith("bioimage-assets explain ")]
    is_explained = named is not None and named[1] != "usage-error"
    assert more == ([f"bioimage-assets explain {named[1]} says more."] if is_explained else []), outcome.err


@pytest.mark.slow
def test_every_bad_call_is_one_line_and_exit_2(bad_inputs, run):
    before = _files(bad_inputs)
    for call in BAD_CALLS:
        try:
            _assert_one_line(run(*call.split()))
        except (AssertionError, Exception) as error:
            raise AssertionError(f"{call}: {error}") from error
    assert _files(bad_inputs) == before, "a refused call left files behind"


def _files(folder: Path) -> set[str]:
    """Everything but catalogs, which opening creates, and lock files."""
    skipped = ("data/catalog", "default", ".")
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(skipped) and "_warehouse/lock" not in name}


@pytest.mark.slow
def test_every_bad_statement_is_one_line_and_exit_2(bad_inputs, run):
    for sql in SQL_ERRORS:
        outcome = run("query", sql)
        try:
            _assert_one_line(outcome)
        except AssertionError as error:
            raise AssertionError(f"{sql}: {error}") from error
        assert outcome.err.startswith("Error: "), outcome.err
        assert len(outcome.err.strip().splitlines()) <= 2, (
            outcome.err
        )  # the second says where the code is explained
    assert not (bad_inputs / "stolen.parquet").exists()
    assert not (bad_inputs / "other.db").exists()


def test_a_missing_table_is_answered_with_those_there_are(bad_inputs, run):
    assert "catalog.image_assets" in run("query", "from no_such_table").err


AS_NOBODY = """
import json, os, sys
from bioimage_assets.cli.main import main
import bioimage_assets.api
main(["tables", "--json"])  # loads what is loaded late: nobody may not read root's Python
main(["query", "select 1 as a"])
os.setgid(65534)
os.setuid(65534)
codes = [main(call) for call in json.loads(sys.argv[1])]
sys.exit(0 if set(codes) == {2} else 3)
"""


@pytest.fixture
def guarded_folder(bad_inputs) -> Iterator[Path]:
    """A copy of the working folder that others may read but not change."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        shutil.copytree(bad_inputs, folder)
        for path in [Path(name), folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not read")
def test_what_may_not_be_read_or_written_is_one_line(guarded_folder):
    secret = guarded_folder / "data" / "secret.parquet"
    pq.write_table(pa.table({"a": [1]}), secret)
    secret.chmod(0)
    calls = [
        ["validate-contract", "data/secret.parquet"],
        ["export-cytomining", "--warehouse-root", "denied", "data/experiment.zarr"],
        ["join-profiles", "data/experiment.zarr", "data/cells.parquet", "--output", "denied.parquet"],
        ["query", "select 1 as a", "--output", "denied.parquet"],
        ["register", "data/experiment.zarr"],
        ["init-dataset", "data"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, json.dumps(calls)],
        capture_output=True,
        text=True,
        cwd=guarded_folder,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(re.findall("^Error: .*ermission", done.stderr, re.MULTILINE)) == len(calls), done.stderr


def test_a_full_disk_is_one_line(stores, run, monkeypatch):
    import bioimage_assets.core.scratch as scratch

    def refuse(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(scratch.os, "replace", refuse)
    outcome = run("join-profiles", "data/experiment.zarr", "data/cells.parquet", "--output", "out.parquet")
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert not list(stores.parent.glob("*out.parquet*"))


def test_an_interrupt_is_exit_130(stores, monkeypatch, capsys):
    import bioimage_assets.core.public_api.scan as scan_public

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(scan_public, "scan_store", interrupt)
    assert main(["scan", "data/experiment.zarr"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_setting_that_makes_no_sense_names_its_variable(stores, run, monkeypatch):
    monkeypatch.setenv("BIOIMAGE_WAREHOUSE_LAYOUT", "round")
    outcome = run("tables")
    assert outcome.code == 2
    assert "BIOIMAGE_WAREHOUSE_LAYOUT" in outcome.err


@pytest.mark.slow
def test_damaged_storage_is_one_line(bad_inputs, run):
    run("export-cytomining", "data/experiment.zarr")
    manifest = bad_inputs / "data" / "warehouse" / "warehouse_manifest.json"
    manifest.write_text("{")
    for call in (
        ["tables"],
        ["query", "from warehouse.image_assets"],
        ["export-cytomining", "data/experiment.zarr"],
    ):
        _assert_one_line(run(*call))
    assert run("validate-warehouse").code == 1
    assert run("maintain", "--only", "warehouse").code == 0
    assert run("validate-warehouse").code == 0
    for text in ("{", "{}", None):
        for path in (bad_inputs / "data" / "catalog" / "tables").rglob("*.metadata.json"):
            path.unlink() if text is None else path.write_text(text)
        for call in (["tables"], ["query", "from image_assets"], ["register", "data/experiment.zarr"]):
            _assert_one_line(run(*call))
    (bad_inputs / "data" / "catalog" / "catalog.db").write_text("no database")
    for call in (["tables"], ["register", "data/experiment.zarr"], ["deregister", "data/experiment.zarr"]):
        _assert_one_line(run(*call))


def test_messages_speak_of_what_was_asked_for(stores, run):
    run("register", "data/experiment.zarr")
    folder = run("register-directory", "missing-folder")
    assert "missing-folder is empty or does not exist" in folder.err
    assert "BIOIMAGE_INCOMING" not in folder.err
    table = run("query", "from nowhere_at_all")
    assert "Did you mean" not in table.err
    assert "catalog.image_assets" in table.err
