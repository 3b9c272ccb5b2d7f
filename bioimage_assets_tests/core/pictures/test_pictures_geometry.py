"""Wells land on the right place of the right plate format."""

from __future__ import annotations

import numpy as np
import pytest

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.pictures.geometry import PlateGeometry, choose_geometry, well_place


@pytest.mark.parametrize(
    ("wells", "size"),
    [
        (["A01"], (1, 1)),
        (["A1", "B3"], (2, 3)),
        (["A01", "D04"], (4, 4)),
        (["A01", "D06"], (4, 6)),
        (["B02", "G11"], (8, 12)),
        (["A01", "H12"], (8, 12)),
        (["A01", "P24"], (16, 24)),
        (["A01", "AF48"], (32, 48)),
        (["I01"], (16, 24)),
        ([], (1, 1)),
        ([None, "blank"], (1, 1)),
    ],
)
def test_the_smallest_common_plate_that_holds_all_wells_is_chosen(
    wells: list[object], size: tuple[int, int]
) -> None:
    geometry = choose_geometry(wells)
    assert (geometry.row_count, geometry.column_count) == size


def test_a_declared_size_is_kept_unless_a_well_lies_outside() -> None:
    assert choose_geometry(["A01"], row_count=8, column_count=2) == PlateGeometry(8, 2)
    assert choose_geometry(["A03"], row_count=8, column_count=2) == PlateGeometry(8, 3)


def test_values_lie_where_their_wells_are() -> None:
    grid = PlateGeometry(32, 48).grid({"A01": 1.0, "AF48": 2.0, "AA01": 3.0, "B2": 4.0, "C03": None, "": 9.0})
    assert grid[0, 0] == 1.0
    assert grid[31, 47] == 2.0
    assert grid[26, 0] == 3.0
    assert grid[1, 1] == 4.0
    assert np.isfinite(grid).sum() == 4


def test_a_well_outside_the_plate_is_an_error_instead_of_a_wrong_place() -> None:
    with pytest.raises(UsageError, match="I01"):
        PlateGeometry(8, 12).grid({"I01": 1.0})


def test_rows_are_lettered_to_af() -> None:
    labels = PlateGeometry(32, 48).row_labels
    assert (labels[0], labels[15], labels[25], labels[26], labels[31]) == ("A", "P", "Z", "AA", "AF")
    assert PlateGeometry(16, 24).column_labels[-1] == "24"


def test_names_that_are_no_well_have_no_place() -> None:
    assert well_place("M99") is None
    assert well_place(None) is None
    assert well_place("P24") == (15, 23)
