"""`samplesheet`: of stored plates and of stores, what it says, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bioimage_assets_tests.builders.small_screen import write_store
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named


@pytest.fixture
def plate(project) -> Path:
    """An ImageXpress plate in the working folder."""
    return write_named(Path("Plate7"), imagexpress_name)


def read(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_stored_plates_are_written_unless_some_are_named(plate, run):
    write_named(Path("Plate8"), imagexpress_name, wells=("A01",))
    for name in ("Plate7", "Plate8"):
        assert run("register", name).code == 0
    outcome = run("samplesheet", "all", "--json")
    assert outcome.code == 0, outcome.err
    assert [(one["plate_key"], one["image_count"]) for one in outcome.json] == [
        ("Plate7/Plate7", 6),
        ("Plate8/Plate8", 2),
    ]
    outcome = run("samplesheet", "some", "--plates", "Plate8/Plate8", "--format", "nf-core")
    assert outcome.code == 0, outcome.err
    assert "Plate7/Plate7" not in outcome.out
    assert len(read("some/samplesheet.csv")) == 6


def test_a_store_is_scanned_and_named_as_the_pipeline_wants_it(plate, run):
    words = ["--plates", "Plate7", "--channel", "w1=OrigDNA", "--batch", "b1", "--illum", "illum"]
    outcome = run("samplesheet", "out", *words, "--path-rewrite", f"{Path.cwd()}=/mnt/lab")
    assert outcome.code == 0, outcome.err
    row = read("out/Plate7/Plate7/load_data_with_illum.csv")[0]
    assert row["PathName_OrigDNA"] == "/mnt/lab/Plate7"
    assert row["PathName_IllumDNA"] == "/mnt/lab/illum/Plate7"
    assert row["Metadata_Batch"] == "b1"


def test_images_that_cannot_be_listed_are_said_and_give_exit_code_1(project, run):
    write_store(Path("P1.ome.zarr"), "P1")
    outcome = run("samplesheet", "out", "--plates", "P1.ome.zarr")
    assert outcome.code == 1
    assert "images in Zarr stores are left out" in outcome.err
    assert not list(Path("out").rglob("*.csv"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plates", "P9/P9"], "neither a store nor a plate with stored images"),
        (["--plates", "Plate7", "--channel", "w1"], "--channel w1: expected OLD=NEW"),
        (["--plates", "Plate7", "--channel", "w1=1 a"], "cannot be named '1 a'"),
        (["--plates", "Plate7", "--format", "nf-core", "--illum", "x"], "LoadData tables only"),
    ],
)
def test_a_call_that_cannot_be_used_is_refused_in_one_line(plate, run, words, said):
    assert run("register", "Plate7").code == 0
    outcome = run("samplesheet", "out", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err
