"""`gallery`: what it says of a copy, its exit codes, and what is no gallery."""

from __future__ import annotations

from pathlib import Path

from bioimage_assets_tests.builders.gallery import image_folder, write_plate


def test_plates_are_listed_with_counts_and_faults_give_exit_code_1(project, run):
    source = Path("cpg0016-jump/source_4")
    write_plate(source, "2021_B1", "BR1")
    outcome = run("gallery", ".")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1].split() == [
        "cpg0016-jump__source_4/BR1", "2021_B1", "8", "8", "0", "BR1.sqlite", "map_BR1.txt",
    ]  # fmt: skip
    next((source / image_folder("2021_B1", "BR1")).rglob("r01c01*")).unlink()
    outcome = run("gallery", "cpg0016-jump")
    assert outcome.code == 1
    assert (
        "error: gallery-images-absent: 1 of 8 images that the LoadData table names are not there"
        in outcome.err
    )
    outcome = run("gallery", source, "--json")
    assert outcome.code == 1
    [plate] = outcome.json["plates"]
    assert (plate["named_count"], plate["absent_count"], plate["batch"]) == (8, 1, "2021_B1")
    assert [finding["code"] for finding in plate["findings"]] == ["gallery-images-absent"]


def test_what_is_no_gallery_is_said_in_one_line(project, run):
    Path("screen").mkdir()
    for place, said in (
        ("screen", "no plate in the layout of the Cell Painting Gallery"),
        ("nowhere", "does not exist"),
    ):
        outcome = run("gallery", place)
        error, *more = outcome.err.splitlines()
        assert (outcome.code, len(more) <= 1) == (2, True)  # the second says where the code is explained
        assert said in error
