"""Which versions are tested beside the pinned ones, and that a floor nobody tests is told."""

from __future__ import annotations

import sys

import pytest

from bioimage_assets_tests.supply.test_supply import load_script

versions = load_script("test_versions")


def test_every_python_and_every_set_but_the_pinned_one_has_its_turn():
    turns = [versions.split_combination(name) for name in versions.COMBINATIONS]
    assert {python for _, python in turns} == set(versions.PYTHONS)
    assert {chosen.name for chosen, _ in turns} == versions.SETS.keys() - {"pinned"}


def test_the_core_alone_is_resolved_without_the_extras_that_lift_its_floors():
    names = {versions.read_name(one) for one in versions.list_requirements(versions.SETS["oldest-core"])}
    assert {"tifffile", "pyarrow", "pytest"} <= names
    assert not names & {"cosmicqc", "pycytominer", "ngio", "spatialdata", "ome-arrow"}


def test_extras_that_name_extras_are_followed():
    names = {versions.read_name(one) for one in versions.list_requirements(versions.SETS["oldest"])}
    assert {"cosmicqc", "anndata", "pyspark-client", "psycopg2-binary"} <= names
    assert not any(name.startswith("bioimage") for name in names)


def test_a_floor_of_the_core_that_was_lifted_is_refused_and_one_of_an_extra_is_told(capsys):
    requirements = ["tifffile>=2025.1.10", "zarr>=3.0", "pandas>=2.2,<3"]
    installed = "tifffile==2025.5.21\nzarr==3\npandas==2.2.3\n"
    core, whole = versions.SETS["oldest-core"], versions.SETS["oldest"]
    lifted = versions.find_lifted(requirements, installed, core)
    assert lifted == ["  tifffile>=2025.1.10: 2025.5.21 is the lowest that can be installed"]
    with pytest.raises(versions.VersionsError, match="not tested:\n  tifffile>="):
        versions.tell_lifted(lifted, core)
    versions.tell_lifted(versions.find_lifted(requirements, installed, whole), whole)
    assert "pandas>=2.2: 2.2.3" in capsys.readouterr().out


def test_a_python_that_is_not_there_is_no_failure_but_says_why():
    outcome = versions.try_combination(versions.SETS["newest"], "3.99", "uv", (), 1)
    assert outcome.failed == 0
    assert versions.write_table([outcome])[-1].endswith(
        "skipped: no Python 3.99 with all of its modules among pyenv's, on PATH or in /usr/bin"
    )


def test_without_uv_nothing_fails_and_the_table_says_so(tmp_path, monkeypatch):
    here = "{}.{}".format(*sys.version_info)
    (tmp_path / f"python{here}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = versions.try_combination(versions.SETS["newest"], here, str(tmp_path / "uv"), (), 1)
    assert outcome.failed == 0
    assert f"skipped: no uv at '{tmp_path / 'uv'}'" in versions.write_table([outcome])[-1]


@pytest.mark.parametrize(
    ("said", "is_skipped"),
    [
        (
            "error: Request failed after 3 retries in 5.9s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/zarr/\n"
            "  cause: error sending request for url (http://127.0.0.1:9/simple/zarr/)\n  cause: Connection refused",
            True,
        ),
        (
            "error: Request failed after 3 retries in 9.7s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/zarr/\n"
            "  cause: HTTP status server error (503 Service Unavailable)",
            True,
        ),
        (
            "error: No solution found when resolving dependencies\n  cause: Because only numpy<=2.5.5 is",
            False,
        ),
        ("error: Failed to build `pyproj==3.4.0`\n  cause: The build backend returned an error", False),
    ],
)
def test_an_index_that_does_not_answer_is_no_failure_but_versions_that_contradict_are_one(said, is_skipped):
    error = versions.build_error(f"uv pip compile failed:\n{said}")
    assert isinstance(error, versions.UnansweredError) == is_skipped


def test_tests_that_ended_without_a_report_have_failed(tmp_path):
    outcome = versions.read_outcome("newest", "3.12", tmp_path / "none.xml", -9, 1.0)
    assert (outcome.failed, outcome.reason) == (1, "pytest ended with -9 and no report")
