"""Every key of ``dataset.toml``: where it stands, what it sets, what values it takes (https://toml.io/en/v1.0.0)."""

from __future__ import annotations

import posixpath
from typing import get_args

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.settings.dataset import (
    AveragePrecision,
    BatchMethod,
    DuplicateRule,
    FeatureTest,
    HitProfiles,
    MeasurementEngine,
    NormalizationMethod,
    NormalizationSamples,
    OmeZarrVersion,
    SpherizeMethod,
    VirtualPlateFormat,
)
from bioimage_assets.core.settings.toml_keys import TomlKey
from bioimage_assets.core.settings.toml_values import (
    ValueRefusedError,
    parse_above_two,
    parse_above_zero,
    parse_count,
    parse_flag,
    parse_fraction,
    parse_from_zero,
    parse_integer,
    parse_number,
    parse_one_of,
    parse_some_texts,
    parse_text,
    parse_texts,
)
from bioimage_assets.core.user_pattern import find_user_pattern

# scikit-learn's QuantileTransformer looks at so many rows, and refuses more landmarks than rows.
MOST_QUANTILES = 10_000
CANONICAL_KEYS = ("dataset_id", "plate_id", "well_id", "site_id", "image_id")
PATTERN_GROUPS = ("plate", "well", "row", "column", "site", "channel", "z", "t", "acquisition")


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


def _quantiles(value: object) -> int:
    number = parse_integer(value)
    if not 2 <= number <= MOST_QUANTILES:
        raise ValueRefusedError(f"expected 2 to {MOST_QUANTILES}, found {number}")
    return number


def _thresholds(value: object) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not value:
        raise ValueRefusedError(f"expected one table of features per condition, found {value!r}")
    result: dict[str, dict[str, float]] = {}
    for condition, features in value.items():
        if not isinstance(features, dict) or not features:
            raise ValueRefusedError(
                f"condition {condition!r}: expected features with z-scores, found {features!r}"
            )
        result[condition] = {}
        for feature, score in features.items():
            try:
                result[condition][feature] = parse_number(score)
            except ValueRefusedError as error:
                raise ValueRefusedError(f"condition {condition!r}, {feature}: {error}") from error
    return result


def _plates_of_batches(value: object) -> dict[str, tuple[str, ...]]:
    expected = 'plate names or patterns by batch ({ "day 1" = ["plate-1*"] })'
    if not isinstance(value, dict) or not value:
        raise ValueRefusedError(f"expected {expected}, found {value!r}")
    found = {}
    for batch, plates in value.items():
        try:
            found[str(batch)] = parse_some_texts(plates)
        except ValueRefusedError as error:
            raise ValueRefusedError(f"batch {batch!r}: {error}") from error
    return found


ALIAS_KEYS = tuple(
    TomlKey(
        "microscopy.aliases", name, "aliases", parse_some_texts, f'["My{name.title().replace("_", "")}"]',
        f"Profile columns that hold the {name}, tried before the usual ones.",
    )
    for name in CANONICAL_KEYS
)  # fmt: skip

DATASET_KEYS: tuple[TomlKey, ...] = (
    *ALIAS_KEYS,
    TomlKey(
        "images", "file_pattern", "file_pattern", _pattern,
        r"'(?P<plate>.+)_(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)\.tif'",
        "Names of one-channel TIFFs, where the built-in patterns do not know them.",
    ),
    TomlKey(
        "images", "follow_symlinks", "follow_symlinks", parse_flag, "true",
        "Follow links that lead out of a store, and links to folders (git-annex, DataLad, plates on another disk). Links that "
        "lead back to where they were met are never followed.",
    ),
    TomlKey(
        "join", "profile_site_offset", "profile_site_offset", parse_integer, "0",
        "Site in the profiles minus site of the image: 1 where CellProfiler counts from one, the store from zero; 0 says that "
        "they are the same. Not stated, another numbering is applied only where files or pixels prove it.",
    ),
    TomlKey(
        "join", "ignore_profile_plate", "ignore_profile_plate", parse_flag, "false",
        "The plate that the profiles name is another name of the plate whose folder they lie in.",
    ),
    TomlKey(
        "join", "path_rewrites", "path_rewrites", _rewrites, '[["/home/lab/", "s3://bucket/"]]',
        "[from, to] prefixes applied to the profiles' paths before they are compared with image files.",
    ),
    TomlKey(
        "join", "match_md5", "match_md5", parse_flag, "false",
        "Link by the MD5 of the image files; reads every file once.",
    ),
    TomlKey(
        "measurements", "engine", "measurement_engine", parse_one_of(*get_args(MeasurementEngine)), '"duckdb"',
        "duckdb (built in) or cytotable (needs the extra of that name).",
    ),
    TomlKey(
        "measurements", "compartments", "compartments", parse_texts, '["Cytoplasm", "Cells", "Nuclei"]',
        "Object tables that make up one cell, the one-per-cell table first.",
    ),
    TomlKey(
        "measurements", "duplicates", "duplicate_cells", parse_one_of(*get_args(DuplicateRule)), '"error"',
        "A site that was analysed twice: error, or keep the cells of the first, of the last, or all (keep).",
    ),
    TomlKey(
        "features", "include", "feature_include", parse_texts, '["efficientnet_*"]',
        "Patterns (* and ?) of columns that are features besides the recognised ones.",
    ),
    TomlKey(
        "features", "exclude", "feature_exclude", parse_texts, '["*_Costes_*"]',
        "Patterns of columns that are no features.",
    ),
    TomlKey(
        "features", "compartments", "feature_compartments", parse_texts, '["Soma", "Mito"]',
        "Names that feature columns begin with, besides Cells, Cytoplasm and Nuclei.",
    ),
    TomlKey(
        "platemaps", "dir", "platemap_dir", _folder_below, '"platemaps"',
        "Folder below the dataset with barcode_platemap.csv and the platemap files.",
    ),
    TomlKey(
        "platemaps", "well_column", "platemap_well_column", parse_text, '"well_position"',
        "Column of the platemap files that holds the well.",
    ),
    TomlKey(
        "platemaps", "missing", "missing_words", parse_texts, '["NA", "n/a"]',
        "Words that mean no value in platemaps and metadata, besides the empty cell.",
    ),
    TomlKey(
        "controls", "column", "control_column", parse_text, '"Metadata_control_type"',
        "Platemap column that marks controls, with the prefix Metadata_.",
    ),
    TomlKey(
        "controls", "values", "control_values", parse_some_texts, '["negcon"]', "Its values for negative controls.",
    ),
    TomlKey(
        "controls", "min_count", "min_controls", parse_count, "4",
        "With fewer control wells the whole plate is the reference.",
    ),
    TomlKey(
        "treatments", "columns", "treatment_columns", parse_some_texts,
        '["Metadata_compound", "Metadata_concentration_um"]', "Columns that together name one treatment.",
    ),
    TomlKey(
        "qc", "max_fail_fraction", "qc_max_fail_fraction", parse_fraction, "0.2",
        "Share of failed cells per plate above which the check warns.",
    ),
    TomlKey(
        "qc", "thresholds", "qc_thresholds", _thresholds, "{ large_nuclei = { Nuclei_AreaShape_Area = 2.0 } }",
        "coSMicQC conditions with z-scores per feature; the library's own by default.",
    ),
    TomlKey(
        "image_quality", "measure", "measure_image_quality", parse_flag, "false",
        "Read fields and measure their quality; without it only what CellProfiler measured of them is used.",
    ),
    TomlKey(
        "image_quality", "read_budget_mb", "image_read_budget_mb", parse_count, "8000",
        "Megabytes, uncompressed, that are read of a plate; fields beyond it are listed as not read (default 1000).",
    ),
    TomlKey(
        "image_quality", "min_side_px", "image_min_side_px", parse_count, "1024",
        "The coarsest resolution level with so many pixels along its shorter side is read (default 512).",
    ),
    TomlKey(
        "image_quality", "z_limit", "image_z_limit", parse_above_zero, "4.0",
        "Robust z beyond which a field is an outlier of its plate (default 5).",
    ),
    TomlKey(
        "image_quality", "blur_loss", "image_blur_loss", parse_fraction, "0.4",
        "Share of the usual fine detail that a blurred outlier has lost (default 0.3).",
    ),
    TomlKey(
        "image_quality", "min_detail", "image_min_detail", parse_fraction, "0.15",
        "Detail ratio below which any field is blurred (default 0: none).",
    ),
    TomlKey(
        "image_quality", "blur_slope", "image_blur_slope", parse_above_zero, "1.0",
        "Of fields that CellProfiler measured: how much steeper the power spectrum of a blurred outlier is (default 0.5).",
    ),
    TomlKey(
        "image_quality", "saturated_percent", "image_saturated_percent", parse_above_zero, "0.5",
        "Percent of pixels at the brightest value from which a field is saturated (default 0.1).",
    ),
    TomlKey(
        "image_quality", "blank_contrast", "image_blank_contrast", parse_above_zero, "1.5",
        "Contrast up to which a field is blank; noise alone has 1 (default 1.2).",
    ),
    TomlKey(
        "image_quality", "blank_share", "image_blank_share", parse_fraction, "0.1",
        "Share of the usual contrast up to which a field is blank (default 0.05).",
    ),
    TomlKey(
        "image_quality", "debris_prominence", "image_debris_prominence", parse_above_zero, "6.0",
        "Brightness of debris against other fields times that against all else in its field (default 4).",
    ),
    TomlKey(
        "image_quality", "debris_percent", "image_debris_percent", parse_above_zero, "1.0",
        "Percent of the field that debris takes at least (default 0.5).",
    ),
    TomlKey(
        "image_quality", "debris_size", "image_debris_size", parse_above_zero, "2.0",
        "Area of debris against the usual area of the brightest place (default 1.2).",
    ),
    TomlKey(
        "image_quality", "uneven_ratio", "image_uneven_ratio", parse_above_zero, "2.0",
        "Unevenness of the background of an outlier against the usual one (default 1.5).",
    ),
    TomlKey(
        "image_quality", "uneven_slope_share", "image_uneven_slope_share", parse_fraction, "0.9",
        "Share of the unevenness that a slope of light to one side must explain (default 0.8).",
    ),
    TomlKey(
        "image_quality", "max_illumination", "image_max_illumination", parse_above_zero, "8.0",
        "Background of the brightest block over that of the dimmest from which any field is uneven (default 5).",
    ),
    TomlKey(
        "image_quality", "max_flagged_fraction", "image_max_flagged", parse_fraction, "0.2",
        "Share of flagged fields above which the check warns (default 0.1).",
    ),
    TomlKey(
        "image_quality", "drift_limit", "image_drift_limit", parse_above_zero, "2.0",
        "Spreads of fields that a plate is from its batch from which it drifts (default 3).",
    ),
    TomlKey(
        "quality_control", "image_flags", "image_flags", parse_flag, "true",
        "Cells of flagged fields fail quality control.",
    ),
    TomlKey(
        "profiles", "normalization", "normalization_method", parse_one_of(*get_args(NormalizationMethod)), '"standardize"',
        "standardize, robustize, mad_robustize, inverse_normal (cells) or spherize (medians of wells).",
    ),
    TomlKey(
        "profiles", "group_by", "profile_group_by", parse_texts, '["Metadata_Time"]',
        "Columns that tell profiles of one well apart; [] pools on purpose.",
    ),
    TomlKey(
        "normalization", "samples", "normalization_samples", parse_one_of(*get_args(NormalizationSamples)), '"controls"',
        "What zero and unit are of: controls of the plate, or all cells of the plate (plate).",
    ),
    TomlKey(
        "normalization", "mad_epsilon", "mad_epsilon", parse_from_zero, "0.0",
        "Added to what mad_robustize divides by; 0 leaves features without deviation empty, pycytominer's own is 1e-18.",
    ),
    TomlKey(
        "normalization", "quantiles", "normal_quantiles", _quantiles, "1000",
        "Landmarks of inverse_normal, at most 10000.",
    ),
    TomlKey(
        "normalization", "spherize_method", "spherize_method", parse_one_of(*get_args(SpherizeMethod)), '"ZCA-cor"',
        "Which whitening spherize does: ZCA-cor (of correlations) or ZCA (of covariances).",
    ),
    TomlKey(
        "normalization", "spherize_epsilon", "spherize_epsilon", parse_above_zero, "1e-6",
        "Added to the singular values that spherize divides by.",
    ),
    TomlKey(
        "normalization", "center_controls", "center_controls", parse_flag, "false",
        "Move the median control well to zero after pycytominer's normalisation.",
    ),
    TomlKey(
        "consensus", "mix_references", "mix_references", parse_flag, "false",
        "Combine plates normalised to controls and plates normalised to themselves.",
    ),
    TomlKey(
        "batch_effects", "method", "batch_method", parse_one_of(*get_args(BatchMethod)), '"sphere"',
        "sphere (pycytominer's ZCA-cor on the controls of each batch), tvn (typical variation normalisation), harmony (all wells; needs "
        "the extra batch) or none.",
    ),
    TomlKey(
        "batch_effects", "position_regression", "position_regression", parse_flag, "true",
        "Take off row, column and edge effects first, fitted on the controls of each batch.",
    ),
    TomlKey(
        "batch_effects", "position_min_controls", "position_min_controls", parse_count, "2",
        "Controls that a row or column needs over all plates of a batch for an effect of its own.",
    ),
    TomlKey(
        "batch_effects", "position_coverage", "position_coverage", parse_fraction, "0.8",
        "Share of the rows (columns) that need so many controls for an effect along that axis.",
    ),
    TomlKey(
        "batch_effects", "batch_column", "batch_column", parse_text, '"Metadata_Batch"',
        "Column of the well profiles that names the batch; without it all plates are one batch.",
    ),
    TomlKey(
        "batch_effects", "batches", "plate_batches", _plates_of_batches, '{ "day 1" = ["plate-1*"], "day 2" = ["plate-2*"] }',
        "Plates of each batch, by names or patterns (* and ?), before the column.",
    ),
    TomlKey(
        "batch_effects", "reference_batch", "reference_batch", parse_text, '"day 1"',
        "Batch that chooses features and axes; by default that of the stored table, else the first by name.",
    ),
    TomlKey(
        "batch_effects", "epsilon", "batch_epsilon", parse_above_zero, "0.5",
        "Added to the deviation of every direction before it is scaled, in deviations of a feature among controls.",
    ),
    TomlKey(
        "batch_effects", "control_folds", "control_folds", parse_count, "5",
        "Controls are corrected by fits that they are no part of, in so many parts; 1: by the same fit as all wells.",
    ),
    TomlKey(
        "batch_effects", "max_missing", "batch_max_missing", parse_fraction, "0.1",
        "Share of the reference batch's features that a batch may lack; they are zero there.",
    ),
    TomlKey(
        "batch_effects", "controls_per_axis", "controls_per_axis", parse_count, "5",
        "Control wells of the reference batch that tvn needs for each axis; 1 keeps all axes.",
    ),
    TomlKey(
        "batch_effects", "components", "batch_components", parse_count, "50", "Principal components that Harmony moves.",
    ),
    TomlKey(
        "profiles", "min_cells_per_well", "min_cells_per_well", parse_count, "1", "Wells with fewer cells are flagged.",
    ),
    TomlKey(
        "pages", "pictures", "pictures", parse_flag, "false",
        "Pages have pictures, which take half of the time of a small plate.",
    ),
    TomlKey(
        "normalized_cells", "write", "write_normalized_cells", parse_flag, "true",
        "Store the single cells of every plate normalised, too: as large as the measured ones.",
    ),
    TomlKey(
        "virtual_plates", "write", "write_virtual_plate", parse_flag, "true",
        "Make a virtual OME-Zarr plate of every plate: a file of references into its images, which are not copied.",
    ),
    TomlKey(
        "virtual_plates", "format", "virtual_plate_format", parse_one_of(*get_args(VirtualPlateFormat)), '"json"',
        "json (kerchunk references, the default), parquet (the same, read piece by piece; local folders only) or icechunk (needs the extra "
        "virtual).",
    ),
    TomlKey(
        "virtual_plates", "version", "virtual_plate_version", parse_one_of(*get_args(OmeZarrVersion)), '"0.5"',
        "Version of OME-Zarr, 0.5 or 0.4; parquet has 0.4 alone, icechunk 0.5.",
    ),
    TomlKey(
        "hits", "profiles", "hits_profiles", parse_one_of(*get_args(HitProfiles)), '"selected"',
        "Wells that treatments are measured on: selected (pycytominer_selected_features) or sphered (sphered_profiles, without the "
        "effects of position and batch).",
    ),
    TomlKey(
        "hits", "significance", "hits_significance", parse_fraction, "0.05",
        "Treatments, curves and features with a q value below it are called.",
    ),
    TomlKey(
        "hits", "null_size", "hits_null_size", parse_above_two, "10000",
        "Random rankings, and random sets of control wells, behind each p value.",
    ),
    TomlKey(
        "hits", "average_precision", "hits_average_precision", parse_one_of(*get_args(AveragePrecision)), '"auto"',
        "copairs (needs the extra hits), built_in, or auto: copairs where it is installed. The numbers are the same.",
    ),
    TomlKey(
        "hits", "explained_variance", "hits_explained_variance", parse_fraction, "0.95",
        "Share of the variance of all wells that the components hold on which distances from controls are measured.",
    ),
    TomlKey(
        "hits", "min_doses", "hits_min_doses", parse_above_two, "4", "Curves are fitted to compounds with so many doses.",
    ),
    TomlKey(
        "hits", "min_effect", "hits_min_effect", parse_number, "3.0",
        "A curve that rises by less is flat, in robust deviations of control wells.",
    ),
    TomlKey(
        "hits", "test", "hits_test", parse_one_of(*get_args(FeatureTest)), '"welch"',
        "Test of single features against controls of the same plates: welch, student or mann_whitney.",
    ),
    TomlKey(
        "checks", "strict", "strict", parse_flag, "false",
        "Findings of level error make commands end with exit code 1, and their checks blocking.",
    ),
)  # fmt: skip
