"""Every key of ``dataset.toml``: where it stands, what it sets, what values it takes (https://toml.io/en/v1.0.0)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.settings.dataset import (
    DuplicateRule,
    MeasurementEngine,
    NormalizationMethod,
)
from bioimage_assets.core.user_pattern import find_user_pattern

CANONICAL_KEYS = ("dataset_id", "plate_id", "well_id", "site_id", "image_id")
PATTERN_GROUPS = ("plate", "well", "row", "column", "site", "channel", "z", "t", "acquisition")


class ValueRefusedError(Exception):
    """Raised by a value's parser with what was expected; the reader adds file and key."""


@dataclass(frozen=True, slots=True)
class DatasetKey:
    """One key: ``table.name`` in the file sets ``field`` of DatasetSettings; ``example`` is TOML for the template."""

    table: str
    name: str
    field: str
    parse: Callable[[object], object]
    example: str
    meaning: str

    @property
    def path(self) -> str:
        """Dotted path of the key in the file."""
        return f"{self.table}.{self.name}" if self.table else self.name


def parse_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueRefusedError(f"expected a text that is not empty, found {value!r}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (parse_text(value),)
    if not isinstance(value, list):
        raise ValueRefusedError(f"expected a list of texts, found {value!r}")
    return tuple(parse_text(item) for item in value)


def _folder_below(value: object) -> str:
    """A folder below the dataset: whoever wrote the file names nothing else of the reader's disk."""
    text = parse_text(value)
    path = posixpath.normpath(text)
    if path != "." and (not is_safe_path(path) or "://" in text):
        raise ValueRefusedError(
            f"expected a folder below the dataset ('platemaps', 'metadata/platemaps'), found {text!r}; copy the files "
            "into the dataset"
        )
    return path


def parse_some_texts(value: object) -> tuple[str, ...]:
    texts = _texts(value)
    if not texts:
        raise ValueRefusedError("expected at least one text, found an empty list")
    return texts


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueRefusedError(f"expected true or false, found {value!r}")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRefusedError(f"expected a whole number, found {value!r}")
    return value


def _count(value: object) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueRefusedError(f"expected 0 or more, found {number}")
    return number


def parse_fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueRefusedError(f"expected a number from 0 to 1, found {value!r}")
    return float(value)


def parse_one_of(*choices: str) -> Callable[[object], object]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueRefusedError(f"expected one of {', '.join(choices)}, found {value!r}")
        return str(value)

    return parse


def _pattern(value: object) -> str:
    text = parse_text(value)
    try:
        groups = find_user_pattern(text).groups
    except UsageError as error:
        raise ValueRefusedError(f"expected a regular expression, found {text[:200]!r} ({error})") from error
    unknown = [name for name in groups if name not in PATTERN_GROUPS]
    if unknown or not groups:
        raise ValueRefusedError(
            f"expected named groups out of {', '.join(PATTERN_GROUPS)}, found {', '.join(unknown) or 'none'}"
        )
    return text


def _rewrites(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise ValueRefusedError(f"expected a list of [from, to] pairs, found {value!r}")
    pairs = []
    for item in value:
        if (
            not isinstance(item, list)
            or len(item) != 2
            or not all(isinstance(part, str) for part in item)
            or not item[0]
        ):
            raise ValueRefusedError(f"expected a pair of texts [from, to], found {item!r}")
        pairs.append((item[0], item[1]))
    return tuple(pairs)


def _thresholds(value: object) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not value:
        raise ValueRefusedError(f"expected one table of features per condition, found {value!r}")
    result: dict[str, dict[str, float]] = {}
    for condition, features in value.items():
        if not isinstance(features, dict) or not features:
            raise ValueRefusedError(
                f"condition {condition!r}: expected features with z-scores, found {features!r}"
            )
        for feature, score in features.items():
            if isinstance(score, bool) or not isinstance(score, int | float):
                raise ValueRefusedError(
                    f"condition {condition!r}, {feature}: expected a number, found {score!r}"
                )
        result[condition] = {feature: float(score) for feature, score in features.items()}
    return result


ALIAS_KEYS = tuple(
    DatasetKey(
        "microscopy.aliases", name, "aliases", parse_some_texts, f'["My{name.title().replace("_", "")}"]',
        f"Profile columns that hold the {name}, tried before the usual ones.",
    )
    for name in CANONICAL_KEYS
)  # fmt: skip

DATASET_KEYS: tuple[DatasetKey, ...] = (
    *ALIAS_KEYS,
    DatasetKey(
        "images", "file_pattern", "file_pattern", _pattern,
        r"'(?P<plate>.+)_(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)\.tif'",
        "Names of one-channel TIFFs, where the built-in patterns do not know them.",
    ),
    DatasetKey(
        "images", "follow_symlinks", "follow_symlinks", _flag, "true",
        "Follow links that lead out of a store, and links to folders (git-annex, DataLad, plates on another disk). Links that "
        "lead back to where they were met are never followed.",
    ),
    DatasetKey(
        "join", "profile_site_offset", "profile_site_offset", _integer, "0",
        "Site in the profiles minus site of the image: 1 where CellProfiler counts from one, the store from zero; 0 says that "
        "they are the same. Not stated, another numbering is applied only where files or pixels prove it.",
    ),
    DatasetKey(
        "join", "ignore_profile_plate", "ignore_profile_plate", _flag, "false",
        "The plate that the profiles name is another name of the plate whose folder they lie in.",
    ),
    DatasetKey(
        "join", "path_rewrites", "path_rewrites", _rewrites, '[["/home/lab/", "s3://bucket/"]]',
        "[from, to] prefixes applied to the profiles' paths before they are compared with image files.",
    ),
    DatasetKey(
        "join", "match_md5", "match_md5", _flag, "false",
        "Link by the MD5 of the image files; reads every file once.",
    ),
    DatasetKey(
        "measurements", "engine", "measurement_engine", parse_one_of(*get_args(MeasurementEngine)), '"duckdb"',
        "duckdb (built in) or cytotable (needs the extra of that name).",
    ),
    DatasetKey(
        "measurements", "compartments", "compartments", _texts, '["Cytoplasm", "Cells", "Nuclei"]',
        "Object tables that make up one cell, the one-per-cell table first.",
    ),
    DatasetKey(
        "measurements", "duplicates", "duplicate_cells", parse_one_of(*get_args(DuplicateRule)), '"error"',
        "A site that was analysed twice: error, or keep the cells of the first, of the last, or all (keep).",
    ),
    DatasetKey(
        "features", "include", "feature_include", _texts, '["efficientnet_*"]',
        "Patterns (* and ?) of columns that are features besides the recognised ones.",
    ),
    DatasetKey(
        "features", "exclude", "feature_exclude", _texts, '["*_Costes_*"]',
        "Patterns of columns that are no features.",
    ),
    DatasetKey(
        "features", "compartments", "feature_compartments", _texts, '["Soma", "Mito"]',
        "Names that feature columns begin with, besides Cells, Cytoplasm and Nuclei.",
    ),
    DatasetKey(
        "platemaps", "dir", "platemap_dir", _folder_below, '"platemaps"',
        "Folder below the dataset with barcode_platemap.csv and the platemap files.",
    ),
    DatasetKey(
        "platemaps", "well_column", "platemap_well_column", parse_text, '"well_position"',
        "Column of the platemap files that holds the well.",
    ),
    DatasetKey(
        "platemaps", "missing", "missing_words", _texts, '["NA", "n/a"]',
        "Words that mean no value in platemaps and metadata, besides the empty cell.",
    ),
    DatasetKey(
        "controls", "column", "control_column", parse_text, '"Metadata_control_type"',
        "Platemap column that marks controls, with the prefix Metadata_.",
    ),
    DatasetKey(
        "controls", "values", "control_values", parse_some_texts, '["negcon"]', "Its values for negative controls.",
    ),
    DatasetKey(
        "controls", "min_count", "min_controls", _count, "4",
        "With fewer control wells the whole plate is the reference.",
    ),
    DatasetKey(
        "treatments", "columns", "treatment_columns", parse_some_texts,
        '["Metadata_compound", "Metadata_concentration_um"]', "Columns that together name one treatment.",
    ),
    DatasetKey(
        "qc", "max_fail_fraction", "qc_max_fail_fraction", parse_fraction, "0.2",
        "Share of failed cells per plate above which the check warns.",
    ),
    DatasetKey(
        "qc", "thresholds", "qc_thresholds", _thresholds, "{ large_nuclei = { Nuclei_AreaShape_Area = 2.0 } }",
        "coSMicQC conditions with z-scores per feature; the library's own by default.",
    ),
    DatasetKey(
        "profiles", "normalization", "normalization_method", parse_one_of(*get_args(NormalizationMethod)), '"standardize"',
        "standardize, robustize or mad_robustize.",
    ),
    DatasetKey(
        "profiles", "group_by", "profile_group_by", _texts, '["Metadata_Time"]',
        "Columns that tell profiles of one well apart; [] pools on purpose.",
    ),
    DatasetKey(
        "normalization", "center_controls", "center_controls", _flag, "false",
        "Move the median control well to zero after pycytominer's normalisation.",
    ),
    DatasetKey(
        "consensus", "mix_references", "mix_references", _flag, "false",
        "Combine plates normalised to controls and plates normalised to themselves.",
    ),
    DatasetKey(
        "profiles", "min_cells_per_well", "min_cells_per_well", _count, "1", "Wells with fewer cells are flagged.",
    ),
    DatasetKey(
        "pages", "pictures", "pictures", _flag, "false",
        "Pages have pictures, which take half of the time of a small plate.",
    ),
    DatasetKey(
        "checks", "strict", "strict", _flag, "false",
        "Findings of level error make commands end with exit code 1, and their checks blocking.",
    ),
)  # fmt: skip
