"""Every plate is of one batch, and the reference is the one that is asked for, that was, or that comes first."""

from __future__ import annotations

import pandas as pd
import pytest

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.batches import ONE_BATCH, UNNAMED, choose_reference, find_batches
from bioimage_assets.core.settings.dataset import DatasetSettings


def make_wells(batches: dict[str, list[str | None]]) -> pd.DataFrame:
    rows = [(f"screen/{plate}", batch) for plate, found in batches.items() for batch in found]
    return pd.DataFrame(rows, columns=["plate_key", "Metadata_Batch"])


def test_plates_are_of_the_batch_that_their_wells_name() -> None:
    found = find_batches(make_wells({"P1": ["a", "a"], "P2": ["b"], "P3": ["a", None]}), DatasetSettings())
    assert found.of_plates == {"screen/P1": "a", "screen/P2": "b", "screen/P3": "a"}
    assert found.of_wells.tolist() == ["a", "a", "b", "a", "a"]
    assert found.names == ("a", "b")
    assert found.plates_of("a") == ["screen/P1", "screen/P3"]
    assert (found.source, found.findings) == ("Metadata_Batch", ())


def test_without_a_column_all_plates_are_one_batch() -> None:
    wells = make_wells({"P1": ["a"], "P2": ["b"]})
    for given in (wells.drop(columns="Metadata_Batch"), wells.assign(Metadata_Batch=None)):
        found = find_batches(given, DatasetSettings())
        assert found.names == (ONE_BATCH,)
        assert found.findings == ()


def test_another_column_may_name_the_batch_and_patterns_go_before_it() -> None:
    wells = make_wells({"P1": ["a"], "P2": ["b"], "Q1": ["b"]}).assign(Metadata_Day=["x", "x", "y"])
    assert find_batches(wells, DatasetSettings(batch_column="Metadata_Day")).names == ("x", "y")
    settings = DatasetSettings(plate_batches={"one": ("P?",), "two": ("Q1", "R*")})
    found = find_batches(wells, settings)
    assert found.of_plates == {"screen/P1": "one", "screen/P2": "one", "screen/Q1": "two"}
    assert found.source == "[batch_effects] batches"


def test_a_plate_of_several_batches_is_of_the_commonest_and_named() -> None:
    found = find_batches(make_wells({"P1": ["b", "a", "a"], "P2": ["b", "a"]}), DatasetSettings())
    # Of two that are as common, the first by name.
    assert found.of_plates == {"screen/P1": "a", "screen/P2": "a"}
    (finding,) = found.findings
    assert finding.code == "plate-of-two-batches"
    assert "screen/P1, screen/P2" in finding.message


def test_a_plate_that_nobody_names_is_a_batch_of_its_own_and_named() -> None:
    found = find_batches(make_wells({"P1": ["a"], "P2": [None]}), DatasetSettings())
    assert found.of_plates["screen/P2"] == UNNAMED
    settings = DatasetSettings(plate_batches={"one": ("P1",)})
    for one in (found, find_batches(make_wells({"P1": ["a"], "P2": ["a"]}), settings)):
        (finding,) = one.findings
        assert (finding.code, finding.location) == ("plate-without-batch", "screen/P2")


@pytest.mark.parametrize(
    ("asked", "stored", "usable", "expected"),
    [
        (None, None, ("c", "b"), "b"),
        (None, "c", ("b", "c"), "c"),
        (None, "gone", ("b", "c"), "b"),
        (None, "a", ("b", "c"), "b"),  # too few controls by now
        ("c", "b", ("b", "c"), "c"),
    ],
)
def test_the_reference_is_asked_for_or_stored_or_the_first(
    asked: str | None, stored: str | None, usable: tuple[str, ...], expected: str
) -> None:
    settings = DatasetSettings(reference_batch=asked)
    assert choose_reference(("a", "b", "c"), settings, stored, usable) == expected


@pytest.mark.parametrize(("asked", "words"), [("z", "no plate is of"), ("a", "too few control wells")])
def test_a_reference_that_cannot_be_used_is_refused(asked: str, words: str) -> None:
    with pytest.raises(ProfilingError, match=words):
        choose_reference(("a", "b"), DatasetSettings(reference_batch=asked), "b", ("b",))
