"""What a table holds and nobody will profile: numbers without a rule, numbers stored as text or lists, unused settings."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_columns import (
    NO_FEATURE_PREFIXES,
    fits_pattern,
    is_floating,
    is_included,
    is_number,
    is_place,
    list_embeddings,
    list_named_features,
    may_be_feature,
    select_feature_columns,
    split_places,
)

# Text that an object table carries along.
_TEXT_PARTS = ("FileName_", "PathName_", "URL_", "MD5Digest_", "Metadata_")


def list_unused_numbers(schema: pa.Schema, settings: DatasetSettings) -> list[str]:
    """Floating columns that are neither features, places, metadata nor keys: nobody will profile them."""
    found = select_feature_columns(schema, settings)
    used = {*found.profiled, *found.places}
    return [
        field.name
        for field in schema
        if is_floating(field.type)
        and field.name not in used
        and may_be_feature(field.name, settings)
        and not is_place(field.name)
        and not fits_pattern(field.name, settings.feature_exclude)
    ]


def list_number_lists(schema: pa.Schema) -> list[str]:
    """Columns that hold a list of numbers in each row: embeddings that no tool here can profile."""
    return [
        field.name
        for field in schema
        if (
            pa.types.is_list(field.type)
            or pa.types.is_fixed_size_list(field.type)
            or pa.types.is_large_list(field.type)
        )
        and is_floating(field.type.value_type)
        and not field.name.startswith(NO_FEATURE_PREFIXES)
    ]


def list_unused_settings(schema: pa.Schema, settings: DatasetSettings) -> list[str]:
    """Keys of ``[features]`` that fit no column of the table, as they are written in ``dataset.toml``."""
    keys = {
        "include": settings.feature_include,
        "exclude": settings.feature_exclude,
        "compartments": tuple(f"{name}_*" for name in settings.feature_compartments),
    }
    return [
        f"{key} = {pattern.removesuffix('_*') if key == 'compartments' else pattern}"
        for key, patterns in keys.items()
        for pattern in patterns
        if not any(fits_pattern(name, (pattern,)) for name in schema.names)
    ]


def list_measured_text(schema: pa.Schema, settings: DatasetSettings) -> list[str]:
    """Text columns (and empty ones) that would be features or places by their names if they were numbers."""
    text = [field.name for field in schema if is_text(field.type) or pa.types.is_null(field.type)]
    if not text:
        return []
    numeric = [field.name for field in schema if is_number(field.type)]
    floating = [field.name for field in schema if is_floating(field.type)]
    named = {
        *list_named_features([*numeric, *text], settings),
        *list_embeddings([*floating, *text], settings),
        *(name for name in text if is_included(name, settings)),
    }
    return [
        name
        for name in text
        if name in named
        and not fits_pattern(name, settings.feature_exclude)
        and not name.partition("_")[2].startswith(_TEXT_PARTS)
    ]


def list_unnamed_text(schema: pa.Schema, settings: DatasetSettings) -> list[str]:
    """Text columns that may be features in a table without any column that a name makes one."""
    text = [field.name for field in schema if is_text(field.type) and not _is_bytes(field.type)]
    if not text or split_places(list_named_features(schema.names, settings)).profiled:
        return []
    named = set(list_measured_text(schema, settings))
    return [
        name
        for name in text
        if name not in named
        and may_be_feature(name, settings)
        and not is_place(name)
        and not name.startswith(_TEXT_PARTS)
        and not fits_pattern(name, settings.feature_exclude)
    ]


def is_text(kind: pa.DataType) -> bool:
    """Text in any of Arrow's types, bytes included, plain or dictionary-encoded."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
