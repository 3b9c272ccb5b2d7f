"""A change of a root on a real S3 server, refused any one of its requests, says so and leaves the old rows or the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse import maintain
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.every_step import Trial
from bioimage_assets_tests.builders.s3_gate import Gate, run_gate
from bioimage_assets_tests.builders.seaweed_server import PLAIN, SeaweedServer
from bioimage_assets_tests.core.warehouse.changes import CHANGES, Change, read

pytestmark = pytest.mark.slow

QUICK = ("first table", "one partition", "several partitions")


@pytest.fixture(scope="module")
def gate(seaweed: SeaweedServer) -> Iterator[Gate]:
    with run_gate(seaweed.s3) as opened:
        yield opened


@pytest.fixture(autouse=True)
def what_is_left_is_old_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintain, "LEFTOVER_AGE_S", 0.0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=change.name, marks=() if change.name in QUICK else pytest.mark.stress)
        for change in CHANGES
    ],
)
def test_a_change_refused_any_request_of_a_real_server_costs_nothing(
    seaweed: SeaweedServer, gate: Gate, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = seaweed.storage_options() | {"endpoint": gate.address}
    for name, value in options.items():  # for what opens a root by its address alone
        monkeypatch.setenv(f"BIOIMAGE_STORAGE_{name.upper()}", value)

    def opened(root: str) -> Warehouse:
        return open_warehouse(root, layout=change.layout, storage_options=options)

    def prepared() -> str:
        gate.watch(lambda number, name: False)
        root = f"s3://{PLAIN}/{uuid4().hex}/root"
        change.before(opened(root))
        return root

    root = prepared()
    old = read(opened(root))
    change.act(opened(root))
    new = read(opened(root))
    number, is_over = 0, False
    while not is_over:
        number += 1
        root, said = prepared(), ""
        warehouse = opened(root)
        gate.watch(lambda count, name, number=number: count == number)
        try:
            change.act(warehouse)
        except WarehouseError as error:
            said = str(error)
        seen = gate.seen
        gate.watch(lambda count, name: False)
        is_over = len(seen) < number
        with Trial(number, list(seen), root, said).told():
            found = read(opened(root))
            assert found == new if not said else found in (old, new)
            assert not said or root in said
            if found == old:
                change.act(opened(root))
            problems = maintain_warehouse(root, storage_options=options).problems
            assert not problems or change.name.startswith("convert")
            assert read(opened(root)) == new
            assert not validate_warehouse_manifest(root, storage_options=options).errors
    assert number >= 3
