"""Whatever is done to a table in whatever order, it holds exactly the rows a plain model of it holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

PLATES = ("s/A", "s/B", "s/C", "s/D")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["replace", "append", "overwrite", "remove", "lose manifest", "foreign file", "maintain"]
        ),
        st.lists(st.sampled_from(PLATES), min_size=1, max_size=3, unique=True),
        st.integers(0, 4),
        st.sampled_from([None, "extra_1", "extra_2"]),
    ),
    min_size=1,
    max_size=7,
)


def build(plates, rows, column, serial) -> pa.Table:
    keys = [plate for plate in plates for _ in range(rows)]
    values = {
        "plate_key": pa.array(keys, pa.string()),
        "value": pa.array(range(serial, serial + len(keys)), pa.int64()),
    }
    return pa.table(values | ({column: pa.array([1.5] * len(keys))} if column else {}))


def rows_of(table: pa.Table) -> Counter:
    return Counter(zip(table.column("plate_key").to_pylist(), table.column("value").to_pylist(), strict=True))


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_any_sequence_of_changes_keeps_exactly_the_rows_of_a_model(steps):
    with TemporaryDirectory() as root:
        warehouse = open_warehouse(root)
        model: Counter = Counter()
        for number, (step, plates, rows, column) in enumerate(steps):
            table = build(plates, rows, column, number * 100)
            kept = Counter({row: n for row, n in model.items() if row[0] not in plates})
            if step == "replace":
                warehouse.replace_partitions("cells", table, plates, role="profiles")
                model = kept + rows_of(table)
            elif step == "append":
                warehouse.append("cells", table, role="profiles")
                model += rows_of(table)
            elif step == "overwrite":
                warehouse.overwrite("cells", table, role="profiles")
                model = rows_of(table)
            elif step == "remove":
                warehouse.remove_partitions("cells", plates)
                model = kept
            elif step == "foreign file" and warehouse.has_table("cells"):
                pq.write_table(table, Path(root) / "cells" / f"part-foreign{number}.parquet")
                model += rows_of(table)
            elif step == "lose manifest":
                (Path(root) / "warehouse_manifest.json").unlink(missing_ok=True)
            elif step == "maintain":
                maintain_warehouse(root)
        if not warehouse.has_table("cells"):
            assert not model
            return
        assert rows_of(warehouse.read("cells")) == model
        assert rows_of(pq.read_table(Path(root) / "cells", columns=["plate_key", "value"])) == model
        for plate in PLATES:
            own = Counter({row: n for row, n in model.items() if row[0] == plate})
            assert rows_of(warehouse.read("cells", plate_keys=[plate])) == own
        maintain_warehouse(root)
        result = validate_warehouse_manifest(root)
        assert (result.errors, result.warnings) == ([], [])
        text = (Path(root) / "warehouse_manifest.json").read_text()
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
        assert warehouse.manifest().entry("cells").row_count == model.total()
