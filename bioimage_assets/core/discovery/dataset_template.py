"""The text of a commented ``dataset.toml`` for a dataset's folder; every line is a choice, none a duty."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bioimage_assets.core.errors import ProfilingError, SettingsError, StoreError
from bioimage_assets.core.model.file_kinds import PLATEMAP_SUFFIXES, has_suffix, measurement_kind
from bioimage_assets.core.settings.dataset import DATASET_FILE, DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.toml_keys import TomlKey
from bioimage_assets.core.stores.base import Store
from bioimage_assets.core.stores.open import local_path, open_store
from bioimage_assets.core.text_files.missing_words import is_missing_value
from bioimage_assets.core.text_files.text_table import read_text_table

PLATEMAP_DIRS = ("platemaps", "platemap", "metadata", "metadata/platemaps", "layouts")
WELL_COLUMNS = ("well_position", "Metadata_Well", "well", "Well", "well_id", "Well_ID", "WellPosition")
CONTROL_COLUMNS = ("control_type", "pert_type", "Metadata_control_type", "Metadata_pert_type")
TREATMENT_COLUMNS = ("compound", "broad_sample", "pert_iname", "compound_name", "treatment", "perturbation")
DOSE_COLUMNS = ("concentration_um", "concentration", "dose", "mmoles_per_liter", "mg_per_ml", "pert_dose")
_MAX_DOCUMENT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class DatasetSurvey:
    """What a look at a dataset's folder found: plates, measurements and platemap facts; settings it suggests.

    ``doubtful_words`` stand in the first platemap and may mean "no value" there; they are values unless declared.
    """

    plates: tuple[str, ...]
    measurements: tuple[str, ...]
    platemap_files: tuple[str, ...]
    suggestions: dict[str, object]
    doubtful_words: tuple[str, ...] = ()


def write_dataset_template(dataset_uri: str, *, overwrite: bool = False) -> str:
    """Write ``<dataset_uri>/dataset.toml`` and return its text.

    Reads one listing and one platemap file. What is found (platemap folder, well column, controls) is
    set, everything else stands commented with its default. Written by temp file and rename.

    Raises
    ------
    SettingsError
        The dataset is remote (write the text of ``build_dataset_template`` there yourself), the folder is
        not there or cannot be written, or it has a ``dataset.toml`` already and ``overwrite`` is false.
    """
    folder = local_path(dataset_uri)
    if folder is None:
        raise SettingsError(
            f"{dataset_uri}: a template is written to local folders only; put it there by hand."
        )
    target = Path(folder) / DATASET_FILE
    if not target.parent.is_dir():
        raise SettingsError(f"{dataset_uri}: no such folder, so no {DATASET_FILE} can be written.")
    if target.exists() and not overwrite:
        raise SettingsError(f"{target}: exists already; it was not touched.")
    text = build_dataset_template(survey_dataset(dataset_uri), target.parent.name)
    try:
        _write_by_rename(target, text)
    except OSError as error:
        raise SettingsError(
            f"{target}: cannot be written ({error.strerror or error}); nothing was changed. The folder needs free "
            "space and the right to write."
        ) from error
    return text


def _write_by_rename(target: Path, text: str) -> None:
    """As open to others as the umask says: whoever closes theirs gets a closed file."""
    staged = target.with_name(f".dataset-{uuid4().hex}.toml")
    try:
        with staged.open("x", encoding="utf-8") as file:
            file.write(text)
        os.replace(staged, target)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def survey_dataset(dataset_uri: str) -> DatasetSurvey:
    """Look at the names in a dataset's folder and at the first platemap file; images are not opened."""
    store = open_store(dataset_uri)
    try:
        folders, files = store.list_folders("")
        below = {name.lower(): name for name in folders}
        measured = store.list_folders(below["measurements"]) if "measurements" in below else ([], [])
        platemap_dir, platemaps = _find_platemaps(store, folders)
        suggestions: dict[str, object] = {}
        if platemap_dir is not None and platemap_dir != DatasetSettings().platemap_dir:
            suggestions["platemap_dir"] = platemap_dir
        header = _read_columns(store, platemaps)
    except StoreError as error:
        raise SettingsError(f"{dataset_uri}: the dataset cannot be listed: {error}") from error
    finally:
        store.close()
    suggestions |= _suggest_from_platemap(header)
    reserved = {"measurements", (platemap_dir or "").split("/", 1)[0]}
    plates = [name for name in (*folders, *files) if name not in reserved and not name.startswith(".")]
    plates = [name for name in plates if name != DATASET_FILE]
    tables = [name for name in (*measured[0], *measured[1]) if name in measured[0] or measurement_kind(name)]
    doubtful = {word for values in header.values() for word in values if word and is_missing_value(word)}
    return DatasetSurvey(tuple(plates), tuple(tables), tuple(platemaps), suggestions, tuple(sorted(doubtful)))


def _find_platemaps(store: Store, folders: Sequence[str]) -> tuple[str | None, list[str]]:
    """The folder with ``barcode_platemap.csv``, else the usual one, and the platemap files below it."""
    for candidate in PLATEMAP_DIRS:
        if candidate.split("/", 1)[0] not in folders:
            continue
        files = sorted(
            f"{candidate}/{item.key.removeprefix(f'{candidate}/')}" for item in store.list(candidate)
        )
        barcodes = [key for key in files if has_suffix(key, "barcode_platemap.csv")]
        maps = [key for key in files if has_suffix(key, PLATEMAP_SUFFIXES) and key not in barcodes]
        if barcodes or (maps and candidate == DatasetSettings().platemap_dir):
            folder = barcodes[0].rpartition("/")[0] if barcodes else candidate
            return folder, [key for key in maps if "/external_metadata/" not in key]
    return None, []


def _read_columns(store: Store, platemaps: Sequence[str]) -> dict[str, list[str]]:
    """Columns of the first platemap file with their values as text; empty where there is none to be read."""
    if not platemaps:
        return {}
    try:
        table = read_text_table(store, platemaps[0], max_bytes=_MAX_DOCUMENT_BYTES)
    except ProfilingError:  # it is reported where profiles are built; a template is made without it
        return {}
    return {name: [value or "" for value in table.column(i)] for i, name in enumerate(table.names)}


def _suggest_from_platemap(columns: dict[str, list[str]]) -> dict[str, object]:
    suggestions: dict[str, object] = {}
    well = next((name for name in WELL_COLUMNS if name in columns), None)
    if well is not None and well != DatasetSettings().platemap_well_column:
        suggestions["platemap_well_column"] = well
    control = next((name for name in CONTROL_COLUMNS if name in columns), None)
    if control is not None:
        column = control if control.startswith("Metadata_") else f"Metadata_{control}"
        if column != DatasetSettings().control_column:
            suggestions["control_column"] = column
        negatives = sorted(
            {v for v in columns[control] if v.lower() in ("negcon", "dmso", "negative", "control", "trt_ctl")}
        )
        if negatives and tuple(negatives) != DatasetSettings().control_values:
            suggestions["control_values"] = negatives
    treatment = [
        next((name for name in names if name in columns), None) for names in (TREATMENT_COLUMNS, DOSE_COLUMNS)
    ]
    named = tuple(f"Metadata_{name}" for name in treatment if name is not None)
    if treatment[0] is not None and named != DatasetSettings().treatment_columns:
        suggestions["treatment_columns"] = named
    return suggestions


def build_dataset_template(survey: DatasetSurvey, name: str) -> str:
    """The text of a ``dataset.toml`` for a surveyed dataset: found values set, all other keys as comments."""
    lines = [f"# Settings of the dataset {name!r}. Every key has a default; a line without '#' overrides it."]
    lines += _describe("Plates or stores", survey.plates) + _describe("Measurements", survey.measurements)
    lines += _describe("Platemap files", survey.platemap_files)
    for table in dict.fromkeys(key.table for key in DATASET_KEYS):
        lines += ["", f"[{table}]"]
        for key in (key for key in DATASET_KEYS if key.table == table):
            lines += _key_lines(key, survey)
    return "\n".join(lines) + "\n"


def _describe(what: str, names: Sequence[str]) -> list[str]:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [_comment(f"{what} found: {shown or 'none'}.")]


def _comment(text: str) -> str:
    """One comment line; TOML allows no control characters in it."""
    return "# " + "".join(char if char.isprintable() else "?" for char in text)


def _key_lines(key: TomlKey, survey: DatasetSurvey) -> Iterable[str]:
    comment, suggestions = _comment(key.meaning), survey.suggestions
    if key.field != "aliases" and key.field in suggestions:
        return [f"{comment} Found in the platemap files.", f"{key.name} = {_toml(suggestions[key.field])}"]
    if key.field == "missing_words" and survey.doubtful_words:
        note = " Found in the platemap files; values, unless the line below is taken in:"
        return [comment + note, f"# {key.name} = {_toml(survey.doubtful_words)}"]
    return [comment, f"# {key.name} = {key.example}"]


def _toml(value: object) -> str:
    """A text or a list of texts as TOML; TOML's basic strings escape like JSON's."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x20 or char == "\x7f" else char
        for char in str(value).replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
