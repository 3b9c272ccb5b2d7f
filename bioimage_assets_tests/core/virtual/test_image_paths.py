"""Names of groups in a virtual plate: what OME-Zarr allows, unique, the same for the same rows."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.virtual.image_paths import build_image_paths
from bioimage_assets_tests.core.virtual.shells import make_field, make_rows


def test_fields_are_named_by_row_column_and_site():
    rows = make_rows(make_field("A01", "0"), make_field("AF48", "12"))
    assert build_image_paths(rows) == {"P1:A01:0": "A/1/0", "P1:AF48:12": "AF/48/12"}


def test_a_site_that_is_no_number_keeps_its_letters_and_digits():
    rows = make_rows(make_field("B02", "f 1"), make_field("B02", "f1"), make_field("B02", "F-1"))
    paths = build_image_paths(rows)
    assert paths["P1:B02:f1"] == "B/2/f1"
    assert set(paths.values()) == {"B/2/f1", "B/2/F1n2", "B/2/f1n3"}
    assert all(re.fullmatch(r"B/2/[A-Za-z0-9]+", path) for path in paths.values())


def test_a_plate_of_several_acquisitions_names_the_acquisition_with_the_field():
    rows = make_rows(
        make_field("A01", "1", acquisition_id="day 1"), make_field("A01", "1", acquisition_id="day 2")
    )
    assert set(build_image_paths(rows).values()) == {"A/1/1aday1", "A/1/1aday2"}


def test_images_without_a_well_are_numbered():
    rows = make_rows({"image_id": "b"}, {"image_id": "a"})
    assert build_image_paths(rows) == {"a": "0", "b": "1"}


def test_an_image_without_a_well_stands_apart_from_a_plate():
    rows = make_rows(make_field("A01", "0"), {"image_id": "overview"})
    assert build_image_paths(rows) == {"P1:A01:0": "A/1/0", "overview": "unplaced/0"}


def test_labels_lie_below_their_image_under_the_name_of_the_store():
    label = {"image_kind": "label", "source_image_id": "P1:A01:0"}
    rows = make_rows(
        make_field("A01", "0"),
        {**label, "image_id": "P1:A01:0:labels/nuclei", "array_path": "A/1/0/labels/nuclei/0"},
        {**label, "image_id": "P1:A01:0:cells mask"},
    )
    paths = build_image_paths(rows)
    assert paths["P1:A01:0:labels/nuclei"] == "A/1/0/labels/nuclei"
    assert paths["P1:A01:0:cells mask"] == "A/1/0/labels/cells_mask"


def test_a_label_without_its_image_has_no_path():
    rows = make_rows({"image_id": "mask", "image_kind": "label", "source_image_id": "gone"})
    assert build_image_paths(rows) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(["A01", "P24", None]), st.text(max_size=4) | st.none(), st.sampled_from(["x", "y", None])),
        max_size=12,
        unique=True,
    ),
    st.randoms(),
)  # fmt: skip
def test_any_sites_give_unique_names_whatever_their_order(fields, shuffle: random.Random):
    rows = [
        {"image_id": str(number), "well_id": well, "site_id": site, "acquisition_id": acquisition}
        for number, (well, site, acquisition) in enumerate(fields)
    ]
    paths = build_image_paths(make_rows(*rows))
    assert len({path.casefold() for path in paths.values()}) == len(rows)
    shuffle.shuffle(rows)
    assert build_image_paths(make_rows(*rows)) == paths
