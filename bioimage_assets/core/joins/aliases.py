"""Which column of a profile table is which key: built-in aliases, those of a TOML file, and what they hide.

Built-in names are those of pycytominer, coSMicQC and CellProfiler tables (``Metadata_*`` and ``Image_Metadata_*``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.findings import Finding

AliasMap = Mapping[str, tuple[str, ...]]

KEY_NAMES = ("dataset_id", "image_id", "plate_id", "well_id", "site_id", "acquisition_id")

# In many tables these name the laboratory that made the plate (JUMP: ``source_4``), not a dataset.
WEAK_DATASET_ALIASES = ("Metadata_Source", "Metadata_source", "Image_Metadata_Source")


def _with_image_forms(*names: str) -> tuple[str, ...]:
    """Each name, then CellProfiler's ``Image_`` form of each, then the form a pandas merge leaves (``_x``)."""
    image_forms = tuple(f"Image_{name}" for name in names)
    return names + image_forms + tuple(f"{name}_x" for name in image_forms)


BUILT_IN_ALIASES: AliasMap = {
    "dataset_id": _with_image_forms(
        "Metadata_dataset_id", "Metadata_DatasetID", "Metadata_DatasetId", "Metadata_dataset"
    )
    + WEAK_DATASET_ALIASES,
    "image_id": _with_image_forms(
        "Metadata_image_id", "Metadata_ImageID", "Metadata_ImageId", "Metadata_image"
    ),
    "plate_id": _with_image_forms(
        "Metadata_Plate", "Metadata_plate", "Metadata_plate_id", "Metadata_PlateID"
    ),
    "well_id": _with_image_forms("Metadata_Well", "Metadata_well", "Metadata_well_id", "Metadata_WellID"),
    "site_id": _with_image_forms(
        "Metadata_Site",
        "Metadata_SiteNumber",
        "Metadata_Field",
        "Metadata_FOV",
        "Metadata_site",
        "Metadata_site_id",
    ),
    "acquisition_id": _with_image_forms(
        "Metadata_Acquisition", "Metadata_acquisition", "Metadata_acquisition_id"
    ),
}


@dataclass(frozen=True, slots=True)
class ResolvedColumns:
    """Which profile column stands for which key.

    ``columns`` maps key to column name; ``shadowed`` maps key to further columns that also stand for it and
    were not taken, in their order of rank. ``is_dataset_weak`` says that the dataset column is one that often
    means something else (``Metadata_Source``).
    """

    columns: Mapping[str, str]
    shadowed: Mapping[str, tuple[str, ...]]
    is_dataset_weak: bool = False
    findings: tuple[Finding, ...] = ()

    def get(self, key: str) -> str | None:
        """Column that stands for the key, None where there is none."""
        return self.columns.get(key)


def load_profile_column_aliases(toml_path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read ``[microscopy.aliases]`` of a TOML file: key name to the column names that stand for it.

    SettingsError when the file is missing, is not TOML, or an entry is not a name or a list of names. A file
    without the table gives no aliases.

    Examples
    --------
    >>> load_profile_column_aliases("aliases.toml")
    {'image_id': ('ImageKey',), 'well_id': ('WellName',)}
    """
    path = Path(toml_path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"Alias file '{path}' cannot be read: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"Alias file '{path}' is not valid TOML: {error}.") from error
    microscopy = document.get("microscopy", {})
    entries = microscopy.get("aliases", {}) if isinstance(microscopy, dict) else microscopy
    if not isinstance(entries, dict):
        raise SettingsError(f"Alias file '{path}': [microscopy.aliases] must be a table of key = [names].")
    return check_aliases(entries, f"Alias file '{path}'")


def check_aliases(entries: Mapping[str, object], where: str = "alias_map") -> dict[str, tuple[str, ...]]:
    """Turn user-given aliases into tuples; SettingsError names the key that is unknown or malformed."""
    aliases: dict[str, tuple[str, ...]] = {}
    for key, names in entries.items():
        if key not in KEY_NAMES:
            raise SettingsError(f"{where}: unknown key {key!r}; expected one of {', '.join(KEY_NAMES)}.")
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) and name for name in listed):
            raise SettingsError(
                f"{where}: {key} = {names!r}; expected a column name or a list of column names."
            )
        aliases[key] = tuple(listed)
    return aliases


def resolve_profile_columns(
    columns: Iterable[str],
    alias_map: Mapping[str, object] | None = None,
    profile_dataset_id: str | None = None,
) -> ResolvedColumns:
    """Find the column that stands for each key: the exact name, then ``alias_map``, then the built-in aliases.

    A name in another case (``METADATA_WELL``) stands for the key where none is spelled the same.

    With ``profile_dataset_id`` the weak built-in aliases of the dataset (``Metadata_Source``) are not
    considered at all; an alias that the user declared always is. Where several columns stand for one key
    the first is taken and an ``info`` finding ``several-alias-columns`` names the others; whether their
    *values* differ is seen by the join.
    """
    listed = list(columns)
    present = set(listed)
    by_case = {name.lower(): name for name in reversed(listed)}
    custom = check_aliases(alias_map or {})
    chosen: dict[str, str] = {}
    shadowed: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    for key in KEY_NAMES:
        built_in = BUILT_IN_ALIASES[key]
        if key == "dataset_id" and profile_dataset_id is not None:
            built_in = tuple(name for name in built_in if name not in WEAK_DATASET_ALIASES)
        ranked = dict.fromkeys((key, *custom.get(key, ()), *built_in))
        found = [name for name in ranked if name in present]
        # Databases and spreadsheets change the case; the exact spelling goes first.
        found = found or [by_case[name.lower()] for name in ranked if name.lower() in by_case][:1]
        if not found:
            continue
        chosen[key] = found[0]
        if len(found) > 1:
            shadowed[key] = tuple(found[1:])
            findings.append(_several_columns(key, found))
    dataset = chosen.get("dataset_id")
    is_weak = dataset in WEAK_DATASET_ALIASES and dataset not in custom.get("dataset_id", ())
    return ResolvedColumns(chosen, shadowed, is_weak, tuple(findings))


def _several_columns(key: str, found: list[str]) -> Finding:
    message = f"Several columns stand for {key}: {', '.join(found)}; {found[0]} is used."
    return Finding("several-alias-columns", "info", found[0], message)
