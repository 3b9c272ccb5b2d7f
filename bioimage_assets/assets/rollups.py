"""Tables over all plates of a dataset, read from and handed back to storage."""

from dataclasses import replace
from functools import partial

import pyarrow as pa

from bioimage_assets.assets.profile_metadata import describe_consensus, describe_selection
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.engines.open_source import project_source
from bioimage_assets.core.profiling.consensus import build_consensus
from bioimage_assets.core.profiling.dataset_wells import StoredWells, WellColumns, find_plates, list_filled
from bioimage_assets.core.profiling.engine_groups import EngineWells
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.selection import find_features, select_stored_features
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs

SELECTED = "pycytominer_selected_features"


def build_selection(inputs: StepInputs) -> PlateTable:
    """Select features over the plates of a dataset; absent where no plate has well profiles."""
    plates = find_plates(inputs.tables, inputs.sources)
    if plates is None:
        return PlateTable.absent("no plate of this dataset has well profiles")
    engine = open_project_engine(inputs.project)
    features = find_features(engine, plates)
    if not (features.shared or features.partial):
        return PlateTable.absent("no well of this dataset has a value in any feature")
    selected, report = select_stored_features(engine, plates, inputs.settings, features)
    metadata = describe_selection(report, selected.schema)
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(selected.reader(), metadata, findings=report.findings, steps=steps)


def build_treatments(inputs: StepInputs) -> PlateTable:
    """Combine a dataset's replicate wells."""
    wells = find_selected(inputs)
    if wells is None:
        return PlateTable.absent("no selected features of this dataset")
    settings = inputs.settings
    stored = project_source(inputs.tables, SELECTED, [inputs.partition])
    engine_wells = EngineWells(open_project_engine(inputs.project), stored)
    table, report = build_consensus(wells, settings, engine_wells=engine_wells)
    metadata = describe_consensus(report, table.schema)
    steps = [call.to_dict() for call in report.calls]
    return PlateTable(table, metadata, findings=report.findings, steps=steps)


def find_selected(inputs: StepInputs) -> StoredWells | None:
    """Selected features of a dataset, read by columns; None where there are none."""
    return find_wells(inputs, SELECTED)


def find_wells(inputs: StepInputs, name: str) -> StoredWells | None:
    """Wells of a dataset in one of its tables, read by columns; None where there are none."""
    count = inputs.tables.count(name, inputs.partition)
    if not count:
        return None
    wells = WellColumns(inputs.stream(name).schema, count, partial(inputs.read, name))
    if not inputs.tables.is_in_catalog(name):
        return wells
    # One table of all datasets: features of the others are empty columns here.
    empty = set(list_profile_features(wells.schema)) - set(list_filled(wells))
    return replace(wells, schema=pa.schema([field for field in wells.schema if field.name not in empty]))
