"""Names from stores and tables become ids that are stable, valid and told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.model.identity import (
    PlateKey,
    build_key_part,
    build_plate_key,
    build_seed_image_id,
    build_well_id,
    check_key_part,
    normalize_site,
    normalize_well,
    store_stem,
)


@pytest.mark.parametrize(
    "spelling", ["C6", "c06", "C006", "C-6", "C - 06", "C/6", "c_6", "r03c06", "R3C6", "(3,6)", "3, 6"]
)
def test_every_spelling_of_a_well_is_one_well(spelling):
    assert normalize_well(spelling) == "C06"


@pytest.mark.parametrize("spelling", ["AG1", "A0", "A49", "1", "", "A", "well", None, 7, "A1B2", "r33c1"])
def test_what_is_no_well_of_a_1536_well_plate_is_none(spelling):
    assert normalize_well(spelling) is None


def test_all_wells_of_a_1536_well_plate_are_distinct_and_stable():
    wells = [build_well_id(row, column) for row in range(32) for column in range(48)]
    assert len(set(wells)) == 1536
    assert (wells[0], wells[-1]) == ("A01", "AF48")
    assert [normalize_well(well) for well in wells] == wells


@pytest.mark.parametrize(
    ("value", "site"),
    [
        (7, "7"),
        (7.0, "7"),
        ("007", "7"),
        (" 7 ", "7"),
        ("0", "0"),
        ("M10", "M10"),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_sites_are_canonical_text(value, site):
    assert normalize_site(value) == site


@given(st.one_of(st.text(), st.integers(), st.floats(allow_infinity=False)))
def test_site_normalisation_is_idempotent(value):
    once = normalize_site(value)
    assert normalize_site(once) == once


@given(st.text(min_size=1, max_size=300))
def test_any_name_becomes_a_valid_key_part_and_stays_one(name):
    part = build_key_part(name)
    check_key_part(part)
    assert build_key_part(part) == part
    assert PlateKey.parse(f"{part}/{part}").plate == part


def test_valid_names_stay_as_they_are_and_others_are_told_apart():
    assert build_plate_key("cpg0016-jump", "BR00117035") == "cpg0016-jump/BR00117035"
    names = ["a b", "a,b", "a|b", "a[b]", "a/b", "a..b", "..a", "é", "a\nb", "x" * 200, "x" * 201]
    assert len({build_key_part(name) for name in names}) == len(names)


@pytest.mark.parametrize("key", ["a", "a/b/c", "/b", "a/", "a/../b", "a/b,c", "a/[b]"])
def test_a_key_that_dagster_could_misread_is_refused(key):
    with pytest.raises(IdentityError):
        PlateKey.parse(key)


@pytest.mark.parametrize(
    ("uri", "stem"),
    [
        ("s3://bucket/screen/Plate1.OME.Zarr/", "Plate1"),
        ("https://host/a.ome.tiff?sig=1#x", "a"),
        ("/data/my scr #1.zarr", "my scr #1"),
        ("s3://bucket/c0 µ#?.ome.tif", "c0 µ#?"),
        ("img.tif", "img"),
        ("a.ome.zarr.zip", "a"),
        (".zarr", ".zarr"),
        ("plain", "plain"),
    ],
)
def test_a_stem_is_the_name_without_its_format(uri, stem):
    assert store_stem(uri) == stem


def test_the_seeds_image_ids_are_kept():
    assert build_seed_image_id("data/ExampleHuman.zarr", "0") == "ExampleHuman:0"
    assert build_seed_image_id("data/a.ome.tiff", None) == "a"
    assert build_seed_image_id("data/a.ome.tiff", "series/2") == "a:series-2"
