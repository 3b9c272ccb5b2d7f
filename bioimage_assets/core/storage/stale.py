"""Why a plate, dataset or campaign would be built now, as far as fingerprints tell: they are digests, so that causes are tried one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import Dimension, StepSpec
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.storage.fingerprints import compute_fingerprints
from bioimage_assets.core.storage.state import StorageState


def explain_stale(
    state: StorageState,
    dimension: Dimension,
    partition: str,
    sources: Sequence[PlateSource],
    settings: DatasetSettings,
) -> tuple[str, ...]:
    """Causes, of the first steps that would run; those behind them run for what these make. Empty where all is current."""
    steps = tuple(list_buildable(dimension))
    names = [table.name for step in steps for table in step.tables]
    if all(state.fingerprint(name, partition) is None for name in names) and not state.lost(partition):
        return ("new",)
    causes = [f"lost file: {lost}" for lost in state.lost(partition)]
    lost = {one.table for one in state.lost(partition)}
    stale: set[str] = set(lost)
    for step in steps:
        wanted = compute_fingerprints(step, partition, sources, settings, state.fingerprint)
        changed = [name for name, digest in wanted.items() if state.fingerprint(name, partition) != digest]
        if changed and not stale.intersection(step.inputs) and not lost.intersection(changed):
            causes += _explain(state, step, changed, partition, sources, settings)
        stale.update(changed)
    return tuple(dict.fromkeys(causes))


def is_made_of_other_files(
    state: StorageState, name: str, source: PlateSource, settings: DatasetSettings
) -> bool:
    """Whether a stored table of a plate was made of other files or settings than there are now, by whatever version of its code.

    False, too, where nothing says what it was made of: rows that no run stored.
    """
    found = state.fingerprint(name, source.plate_key)
    step = next(step for step in list_steps("plate") if name in step.names)
    digests = (
        compute_fingerprints(one, source.plate_key, [source], settings, state.fingerprint)[name]
        for one in (step, *_list_earlier(step, name))
    )
    return found is not None and found not in digests


def _explain(
    state: StorageState,
    step: StepSpec,
    changed: Sequence[str],
    partition: str,
    sources: Sequence[PlateSource],
    settings: DatasetSettings,
) -> Iterator[str]:
    """One cause of a step: something that is not there yet, another version, another setting, else what is left."""
    name = changed[0]
    found = state.fingerprint(name, partition)
    if found is None:
        yield f"{name} was not built yet"
        return

    def digest(other: StepSpec, given: DatasetSettings) -> str:
        return compute_fingerprints(other, partition, sources, given, state.fingerprint)[name]

    if any(digest(earlier, settings) == found for earlier in _list_earlier(step, name)):
        yield f"code of {name} changed"
        return
    defaults = type(settings)()
    for field in fields(settings):
        if field.name in step.settings:
            before = replace(settings, **{field.name: getattr(defaults, field.name)})
            if digest(step, before) == found:
                yield f"settings changed: {_name_setting(field.name)}"
                return
    yield f"{_list_rest(step)} changed, of which {name} is made"


def _list_earlier(step: StepSpec, name: str) -> Iterator[StepSpec]:
    """The step with the earlier versions of one of its tables, the last one first."""
    version = next(table.version for table in step.tables if table.name == name)
    for earlier in range(version - 1, 0, -1):
        yield replace(step, tables=tuple(replace(table, version=earlier) for table in step.tables))


def _name_setting(field: str) -> str:
    key = next((key for key in (*DATASET_KEYS, *CAMPAIGN_KEYS) if key.field == field), None)
    if key is None:  # what follows from others: datasets that do not agree
        return field
    return f"[{key.table}]{'' if field == 'aliases' else f' {key.name}'}" if key.table else key.name


def _list_rest(step: StepSpec) -> str:
    """What else the table is made of, and cannot be told apart afterwards."""
    files = [kind for kind in step.files if kind != "listing"]
    read = [f"input {name}" for name in step.inputs] + [f"{name} of a plate" for name in step.of_plates]
    settings = ["a setting"] if step.settings else []
    named = [*files, *read, *settings] or ["the files' listing"]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"
