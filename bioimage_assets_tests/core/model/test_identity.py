"""Names from stores and tables become ids that are stable, valid and told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.model.identity import (
    PlateKey,
    build_image_id,
    build_key_part,
    build_plate_key,
    build_seed_image_id,
    build_well_id,
    check_key_part,
    normalize_site,
    normalize_well,
    row_index,
    row_letters,
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
        ("7.00", "7"),
        (1.5, "1.5"),  # a field between two is none of them
        ("1.5", "1.5"),
        ("0", "0"),
        (0, "0"),
        (True, None),
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


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("..a", "%2E%2Ea"),
        ("_a", "%5Fa"),
        ("-rf", "%2Drf"),
        (".hidden", "%2Ehidden"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
    ],
)
def test_a_foreign_letter_becomes_its_bytes_and_no_other_letter_is_lost(name, part):
    assert build_key_part(name) == part


def test_a_name_of_the_longest_length_stays_and_a_longer_one_ends_in_a_hash_of_all_of_it():
    assert build_key_part("x" * 120) == "x" * 120
    long = build_key_part("x" * 121)
    assert (len(long), long[:107], long[107]) == (120, "x" * 107, "-")
    check_key_part("x" * 120)
    with pytest.raises(IdentityError):
        check_key_part("x" * 121)


def test_an_empty_name_is_no_part_of_a_key():
    with pytest.raises(IdentityError, match="empty"):
        build_key_part("")


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (32, 0), (0, -1), (0, 48)])
def test_a_place_beside_a_1536_well_plate_has_no_well_id(row, column):
    with pytest.raises(IdentityError, match="outside 0"):
        build_well_id(row, column)


def test_rows_are_counted_from_a_to_af():
    assert [row_index(letters) for letters in ("A", "z", "AA", "af")] == [0, 25, 26, 31]
    assert [row_index(letters) for letters in ("AG", "BA", "É", "1", "AAA", "", "A1")] == [None] * 7
    assert [row_letters(row) for row in (0, 25, 26, 31)] == ["A", "Z", "AA", "AF"]


def test_a_field_has_its_plate_place_and_acquisition_in_its_id():
    assert build_image_id("P1", "A01", "0") == "P1:A01:0"
    assert build_image_id("P1", "A01", "0", "2") == "P1:A01:0:2"


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
