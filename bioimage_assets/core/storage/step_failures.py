"""Why a step failed for a plate or dataset, kept among its findings until the step succeeds: it outlives terminal and run history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import pyarrow as pa

from bioimage_assets.core.findings import FindingGroup
from bioimage_assets.core.model.identity import dataset_of, dimension_of
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.storage.step_findings import FAILED, NAME
from bioimage_assets.core.storage.step_keys import build_step_key
from bioimage_assets.core.storage.tables import drop_partitions
from bioimage_assets.core.tables.schemas import PLATE_FINDINGS
from bioimage_assets.core.warehouse.root import Warehouse

CODE = "step-failed"


def store_failures(warehouse: Warehouse, step: str, failures: Mapping[str, str], run_id: str) -> None:
    """Keep why a step failed in a run, by plate or dataset; all of them in one change. What the step found before stays."""
    if not failures:
        return
    rows = {_key(partition, step): _row(partition, step, text) for partition, text in failures.items()}
    warehouse.replace_partitions(
        NAME,
        {key: pa.Table.from_pylist([row], schema=PLATE_FINDINGS) for key, row in rows.items()},
        list(rows),
        source_type="dagster_asset",
        source_ref=step,
        run_id=run_id,
        fingerprint=run_id,  # else the same words of a later run would be no change, and stay the earlier run's
    )


def clear_failures(warehouse: Warehouse, steps: Iterable[str], partitions: Sequence[str]) -> None:
    """Forget failures of steps that have succeeded since, or have nothing to do any more."""
    steps = list(steps)
    wanted = [_key(partition, step) for partition in partitions for step in steps]
    drop_partitions(warehouse, NAME, list(warehouse.listed(NAME, wanted).partitions))


def clear_all_failures(warehouse: Warehouse, partitions: Sequence[str]) -> None:
    """Forget the failures of plates and datasets whose tables are all up to date."""
    clear_failures(warehouse, [step.name for step in STEPS], partitions)


def keep_failure(warehouse: Warehouse, partition: str, message: str, run_id: str) -> None:
    """Keep why a run failed, unless its step did so itself: a worker that died could not.

    ``message`` begins with the step, else the first step of all stands for it.
    """
    steps = [step.name for step in STEPS if step.dimension == dimension_of(partition)]
    kept = warehouse.listed(NAME, [_key(partition, step) for step in steps]).partitions
    if any(part.run_id == run_id for part in kept.values()):
        return
    named, _, text = message.partition(": ")
    step = named if named in steps else steps[0]
    store_failures(warehouse, step, {partition: text if named in steps else message}, run_id)


def list_failed(
    warehouse: Warehouse,
    partitions: Iterable[str] | None = None,
    *,
    run_ids: Collection[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Steps whose failure stands, by plate or dataset, in their order; of some plates and some runs where they are given.

    One look at the manifest, however many failed.
    """
    wanted = None if partitions is None else [_key(key, step.name) for key in partitions for step in STEPS]
    kept = warehouse.listed(NAME, wanted).partitions
    failed: dict[str, list[str]] = {}
    for key, entry in kept.items():
        partition, _, rest = key.partition("#")
        if rest.endswith(FAILED) and (run_ids is None or entry.run_id in run_ids):
            failed.setdefault(partition, []).append(rest.removesuffix(FAILED))
    order = [step.name for step in STEPS]
    return {
        partition: tuple(sorted(steps, key=lambda name: order.index(name) if name in order else len(order)))
        for partition, steps in failed.items()
    }


def read_failures(warehouse: Warehouse, failed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Why plates and datasets failed, in the words of the first of their steps: ``step: reason``. One read."""
    first = {_key(partition, steps[0]): partition for partition, steps in failed.items() if steps}
    if not first:
        return {}
    rows = warehouse.read(NAME, plate_keys=sorted(first), columns=["step_key", "message"]).to_pylist()
    return {first[row["step_key"]]: row["message"] for row in rows if row["step_key"] in first}


def find_failure(groups: Iterable[FindingGroup]) -> FindingGroup | None:
    """The failure that stands among the findings of a plate or dataset."""
    return next((group for group in groups if group.code == CODE), None)


def _key(partition: str, step: str) -> str:
    return build_step_key(partition, f"{step}{FAILED}")


def _row(partition: str, step: str, text: str) -> dict[str, str]:
    return {
        "step_key": _key(partition, step),
        "plate_key": partition,
        "dataset_id": dataset_of(partition),
        "step": step,
        "code": CODE,
        "severity": "error",
        "location": step,
        "message": f"{step}: {text}",
        "store_uri": "",
    }
