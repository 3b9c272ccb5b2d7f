"""The tables of one step for all plates of a run: built in groups while an IO manager stores them, a bad plate failing alone.

A value of Dagster is made before it is stored, and one run may have thousands of plates. So a step's value is this batch:
whoever stores its first table has the plates built, fifty at a time, and stores every table of a group before the next
group is built. A killed run loses no more than one group.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from bioimage_assets.core.error_codes import say_error
from bioimage_assets.core.errors import BioimageError, MeasurementError
from bioimage_assets.core.findings import Finding, group_findings
from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.storage.fingerprints import compute_fingerprints
from bioimage_assets.core.storage.plate_table import PlateTable, StoredTable, Watch
from bioimage_assets.core.storage.standing_findings import (
    SCAN_FINDINGS,
    read_finding_rows,
    read_standing_findings,
)
from bioimage_assets.core.storage.state import StorageState, look_at_tables, release_lost_tables
from bioimage_assets.core.storage.step_failures import clear_failures, find_failure, store_failures
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.upstream import require_inputs, require_plates
from bioimage_assets.core.storage.write import record_tables, replace_tables
from bioimage_assets.io_managers.partition_files import find_files
from bioimage_assets.partitions import list_run_partitions
from bioimage_assets.plate_at_work import StepContext, at_work, find_lost_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retrying import raise_failures
from bioimage_assets.run_progress import count_rows, tell_step

# So many plates of a run are in one commit, and in memory at a time; a killed run loses no more than these.
STORED_TOGETHER = 50
DATA_VERSION_TAG = "dagster/data_version"
# Run tag: plates whose stored tables are current are built again.
FORCE_TAG = "bioimage/force"
UNCHANGED = {"note": "unchanged: made from the same inputs by the same code; not built again"}

Built = dict[str, dict[str, PlateTable]]
"""Tables by name and partition."""


def is_forced(context: StepContext) -> bool:
    """Tell whether the run was asked to build everything."""
    return context.run.tags.get(FORCE_TAG, "") in ("true", "1", "yes")


class PlateBatch:
    """What a step gives for every plate, or dataset, of its run.

    Everything that decides what is current is looked at before the first plate is built.
    """

    def __init__(
        self,
        context: StepContext,
        project: ProjectResource,
        step: StepSpec,
        names: Sequence[str],
        scratch: Path,
    ) -> None:
        self.context, self.step, self.names, self.scratch = context, step, tuple(names), scratch
        tell_step(step.name)
        self.tables = project.tables()
        self.partitions = list_run_partitions(context)
        self.stored: dict[str, dict[str, StoredTable]] = {name: {} for name in names}
        self.failures: dict[str, BioimageError] = {}
        self.inputs: dict[str, StepInputs] = {}
        self.found: dict[str, tuple[Finding, ...]] = {}
        self._is_stored, self._is_forced = False, is_forced(context)
        for lost in release_lost_tables(self.tables, self.names, self.partitions):
            context.log.warning(lost)
        self._open_inputs(project)
        self._require_upstream()
        self.fingerprints = self._compute_fingerprints()

    def data_version(self, name: str) -> dg.DataVersion:
        """Version of one table: the plate's fingerprint; of a batch, that of all its plates."""
        versions = [self.fingerprints[key][name] for key in self.partitions if key in self.fingerprints]
        return dg.DataVersion(versions[0] if len(versions) == 1 else combine_fingerprints(versions))

    def store(self, name: str) -> Mapping[str, StoredTable]:
        """Have every plate built and stored where that was not done yet; what is stored of a table, by plate.

        Raises
        ------
        dagster.Failure, dagster.RetryRequested
            Plates could not be built or stored. All others are stored and recorded as materialised by then.
        """
        if not self._is_stored:
            self._is_stored = True
            self._store_groups()
        return self.stored[name]

    def store_all(self) -> Mapping[str, BioimageError]:
        """Have every plate built, stored and recorded, group by group; why the others failed, which is kept, too.

        Raises
        ------
        dagster.Failure
            Plates failed and that could not be kept: nobody would know any more.
        """
        for group in self._list_groups():
            self._store_group(group, self._build_group(group))
            self._record_group(group)
        if not self._keep_failures():
            raise_failures(self.context, self.failures, len(self.partitions))
        return self.failures

    def record_own(self, asked: Sequence[str]) -> None:
        """Record tables made along with what was asked for, and each plate's own version where the run has several.

        Dagster gives all plates of a run the same version and the same metadata.
        """
        is_batch = len(self.partitions) > 1
        for name in self.names:
            if is_batch or name not in asked:
                self._record(name, self.stored[name])

    def _open_inputs(self, project: ProjectResource) -> None:
        """Files and settings of every partition; one that has none fails alone."""
        for key, found in find_files(project, self.step.dimension, self.partitions).items():
            if isinstance(found, BioimageError):
                self._fail(key, found)
                continue
            self.inputs[key] = StepInputs(
                self.tables, key, found.sources, found.settings, self.scratch, self.names
            )
            self.found[key] = found.findings

    def _require_upstream(self) -> None:
        """What a step reads was built before, in this run or an earlier one; a partition that lacks any of it fails alone."""
        for key, inputs in list(self.inputs.items()):
            try:
                require_inputs(self.step, key, self._state.is_stored, self._has_failed)
                self.found[key] += require_plates(self.step, key, inputs.sources, self._state.is_stored)
            except BioimageError as error:
                self._fail(key, error)
                del self.inputs[key]

    def _has_failed(self, key: str) -> bool:
        return find_failure(read_standing_findings(self.tables, [key])[key]) is not None

    def _compute_fingerprints(self) -> dict[str, dict[str, str]]:
        return {
            key: compute_fingerprints(
                self.step, key, inputs.sources, inputs.settings, self._state.fingerprint
            )
            for key, inputs in self.inputs.items()
        }

    @cached_property
    def _state(self) -> StorageState:
        of_plates = self.step.dimension == "plate"
        return look_at_tables(
            self.tables,
            {*self.names, *self.step.inputs, *self.step.of_plates},
            self.partitions if of_plates else None,
        )

    @cached_property
    def _lost(self) -> Mapping[str, str]:
        return find_lost_plates(self.context)

    def _store_groups(self) -> None:
        groups = self._list_groups()
        for group in groups:
            self._store_group(group, self._build_group(group))
            if group is not groups[-1]:  # what is stored stays done if the run is killed
                self._record_group(group)
        self._keep_failures()
        if self.failures:
            self._record_group(groups[-1] if groups else ())
            raise_failures(self.context, self.failures, len(self.partitions))

    def _list_groups(self) -> list[list[str]]:
        keys = [key for key in self.partitions if key in self.inputs]
        return [keys[start : start + STORED_TOGETHER] for start in range(0, len(keys), STORED_TOGETHER)]

    def _build_group(self, keys: Sequence[str]) -> Built:
        """Tables of a group; plates that are stored as they would be built now are only looked up."""
        built: Built = {name: {} for name in self.names}
        for key in keys:
            if self._take_current(key):
                continue
            try:
                with at_work(self.context, key, self._lost):
                    made = build_step(self.step, self._with_stored_rows(key))
            except BioimageError as error:
                self._fail(key, error)
                continue
            for name, table in made.items():
                data = count_rows(table.data)
                built[name][key] = replace(table, data=data, fingerprint=self.fingerprints[key][name])
        return built

    def _with_stored_rows(self, key: str) -> StepInputs:
        """A scan is told how many rows there are, since it alone replaces what a store may have lost."""
        if not self.step.is_scan:
            return self.inputs[key]
        state = self._state
        rows = {name: state.row_count(name, key) or 0 for name in self.names if state.is_stored(name, key)}
        return replace(self.inputs[key], stored_rows=rows)

    def _take_current(self, key: str) -> bool:
        state, wanted = self._state, self.fingerprints[key]
        if self._is_forced or not all(
            state.is_whole(name, key) and state.fingerprint(name, key) == wanted[name] for name in self.names
        ):
            return False
        for name in self.names:
            rows = state.row_count(name, key)
            self.stored[name][key] = StoredTable(rows, wanted[name], UNCHANGED)
        return True

    def _store_group(self, keys: Sequence[str], built: Built) -> None:
        """Store table after table: one that could not be stored is the last that is tried of its plate."""
        done: dict[str, dict[str, StoredTable]] = {}
        for name in self.names:
            plates = {key: table for key, table in built[name].items() if key not in self.failures}
            stored, failures = replace_tables(
                self.tables, name, plates, run_id=self.context.run.run_id, watch=self._watch(plates)
            )
            for key, error in failures.items():
                self._fail(key, error)
            done[name] = stored
            self.stored[name] |= stored
            for key in stored:
                self._store_findings(key, name, plates[key])
                rows = plates[key].data if name == SCAN_FINDINGS else None
                if isinstance(rows, pa.Table):
                    self._say_findings(key, name, read_finding_rows(rows))
        self._record_built(built, done)
        first = self.names[0]
        for key in keys:
            refusal = self.failures.get(key)
            if isinstance(refusal, MeasurementError) and refusal.findings:
                self._store_findings(key, first, PlateTable(None, findings=refusal.findings))

    def _record_built(self, built: Built, done: Mapping[str, dict[str, StoredTable]]) -> None:
        """A plate of which nothing can be written down has failed; its rows are there, and are built again."""
        try:
            record_tables(self.tables, built, done, self.context.run.run_id)
        except BioimageError as error:
            for key in {key for stored in done.values() for key in stored}:
                self._fail(key, error)

    def _watch(self, plates: Mapping[str, PlateTable]) -> Watch:
        """There is work on a plate while it is written only where its data are read as they are written."""

        def watch(key: str) -> AbstractContextManager[None]:
            return at_work(self.context, key) if plates[key].is_streamed else nullcontext()

        return watch

    def _store_findings(self, key: str, name: str, table: PlateTable) -> None:
        """Keep what was found about a plate; a plate for which that fails has failed."""
        if table.findings is None:
            return
        found = table.findings() if callable(table.findings) else table.findings
        own = self.found[key] if name == self.names[0] else ()
        named = [*own, *map(self.inputs[key].name_file, found)]
        try:
            store_findings(self.tables.warehouse, key, name, named, self.context.run.run_id)
        except BioimageError as error:
            self._fail(key, error)
        self._say_findings(key, name, named)

    def _say_findings(self, key: str, name: str, findings: Sequence[Finding]) -> None:
        """One line of the run's log per code, at its level; how many there are stands beside the stored table."""
        for group in group_findings(key, findings):
            log = {"error": self.context.log.error, "warning": self.context.log.warning}.get(group.severity)
            if log is not None:
                times = f" ({group.count} times)" if group.count > 1 else ""
                log(f"{key}: {group.code}{times}: {group.message}")
        table = self.stored[name].get(key)
        if table is not None:
            levels = Counter(finding.severity for finding in findings)
            counts = {"errors": levels["error"], "warnings": levels["warning"]}
            self.stored[name][key] = replace(table, metadata={**table.metadata, **counts})

    def _keep_failures(self) -> bool:
        """Note why plates failed where their findings are, and forget what was noted of those that did not.

        Tells whether all failures are noted.
        """
        warehouse, step = self.tables.warehouse, self.step.name
        failures = {key: say_error(error) for key, error in self.failures.items()}
        try:
            clear_failures(warehouse, [step], [key for key in self.partitions if key not in failures])
            store_failures(warehouse, step, failures, self.context.run.run_id)
        except (
            BioimageError
        ) as error:  # the root is full or away: the run says why its plates failed all the same
            self.context.log.warning(f"Failures could not be kept among the findings: {error}")
            return not failures
        return True

    def _fail(self, key: str, error: BioimageError) -> None:
        self.context.log.error(f"{key}: {error}")
        self.failures[key] = error

    def _record_group(self, keys: Sequence[str]) -> None:
        for name in self.names:
            good = {key: self.stored[name][key] for key in keys if key in self.stored[name]}
            self._record(name, {key: table for key, table in good.items() if key not in self.failures})

    def _record(self, name: str, plates: Mapping[str, StoredTable]) -> None:
        for key, table in plates.items():
            self.context.log_event(
                dg.AssetMaterialization(
                    asset_key=name,
                    partition=key,
                    metadata=describe_stored(table),
                    tags={DATA_VERSION_TAG: table.fingerprint},
                )
            )


def build_step(step: StepSpec, inputs: StepInputs) -> dict[str, PlateTable]:
    """Call the function of a step for one partition; whatever form its answer has, a table per name is given."""
    module, _, function = step.build.partition(":")
    made = getattr(import_module(module), function)(inputs)
    by_name = made if isinstance(made, Mapping) else {step.names[0]: made}
    return {
        name: table if isinstance(table, PlateTable) else PlateTable(table) for name, table in by_name.items()
    }


def describe_stored(table: StoredTable) -> dict[str, Any]:
    """What a materialisation says about a stored table."""
    metadata: dict[str, Any] = {**table.metadata, "fingerprint": table.fingerprint}
    if table.row_count is not None:
        metadata["dagster/partition_row_count"] = table.row_count
    if table.table_name is not None:
        metadata["dagster/table_name"] = table.table_name
    if table.snapshot_id is not None:
        metadata["iceberg_snapshot_id"] = dg.MetadataValue.text(str(table.snapshot_id))
    if table.uri is not None:
        metadata["dagster/uri"] = dg.MetadataValue.text(table.uri)
    return metadata
