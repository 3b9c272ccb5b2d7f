"""Every store that a test of the truth table scans is read by the independent readers too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets_tests.core.formats.zarr import zarr_witnesses

# Not the hostile stores: the readers follow links, and wait for a pipe for ever.
WITNESSED = ("truth_table", "independent_readers", "reference_models", "odd_stores")
# Tests whose stores zarr-python cannot open, and why; what they say is truth written down by hand.
UNREAD = {
    "test_unknown_v3_data_types_keep_their_row_and_say_so": "zarr-python knows no such data type",
    "test_structured_v2_type_and_nan_fill_value_keep_their_row": "zarr-python takes no NaN as fill value of a struct",
    "test_a_grid_that_is_not_regular_has_no_chunk_shape_but_a_row": "zarr-python knows regular grids only",
}


@pytest.fixture(autouse=True)
def witnessed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Compare what ``scan_store_records`` gives in the test's module; the counts say how much each reader saw."""
    counts: Counter[str] = Counter()
    scan = getattr(request.module, "scan_store_records", None)
    if scan is not None and request.module.__name__.endswith(WITNESSED):

        def scan_with_witnesses(*args: object, **options: object) -> StoreScan:
            found = scan(*args, **options)
            counts["levels"] += sum(len(image.levels) for image in found.images)
            counts.update(zarr_witnesses.check_scan(found))
            return found

        monkeypatch.setattr(request.module, "scan_store_records", scan_with_witnesses)
    yield counts
    is_unread = request.node.originalname in UNREAD
    assert counts["zarr"] == (0 if is_unread else counts["levels"]), "zarr-python cannot open every array"
