"""Every key of a campaign in ``campaign.toml``: where it stands below ``[campaigns.<name>]``, what it sets, what values it takes."""

from __future__ import annotations

from typing import get_args

from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.settings.campaign import TAKEN_OVER, CellAggregate
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.toml_keys import TomlKey
from bioimage_assets.core.settings.toml_values import (
    ValueRefusedError,
    parse_above_zero,
    parse_fraction,
    parse_one_of,
    parse_some_texts,
    parse_text,
)


def _datasets(value: object) -> tuple[str, ...]:
    names = parse_some_texts(value)
    keys = tuple(build_key_part(name) for name in names)
    twice = sorted({name for name in names if keys.count(build_key_part(name)) > 1})
    if twice:
        raise ValueRefusedError(f"expected every dataset once, found {', '.join(twice)} several times")
    return keys


def _words(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise ValueRefusedError(f"expected one text per dataset, found {value!r}")
    return {build_key_part(parse_text(name)): parse_text(word) for name, word in value.items()}


CAMPAIGN_KEYS: tuple[TomlKey, ...] = (
    TomlKey(
        "", "datasets", "datasets", _datasets, '["screen-a", "screen-b"]',
        "Folders of the datasets, by name; they may lie in any watched root.",
    ),
    TomlKey(
        "", "batch", "batches", _words, '{ screen-a = "day 1", screen-b = "day 2" }',
        "Batch of each dataset; by default every dataset is a batch of its own.",
    ),
    TomlKey(
        "", "source", "dataset_sources", _words, '{ screen-a = "lab 1", screen-b = "lab 2" }',
        "Who measured each dataset (laboratory, instrument); by default nothing is told apart by it.",
    ),
    *(key for key in DATASET_KEYS if key.field in TAKEN_OVER or key.field == "pictures"),
    TomlKey(
        "selection", "correlation_limit", "correlation_limit", parse_fraction, "0.9",
        "Of two features that correlate more than this over all wells, one is removed.",
    ),
    TomlKey(
        "selection", "outlier_limit", "outlier_limit", parse_above_zero, "500.0",
        "Features with a normalised value beyond this in any well are removed.",
    ),
    TomlKey(
        "cells", "aggregate", "cell_aggregate", parse_one_of(*get_args(CellAggregate)), '"median"',
        "Make campaign_cell_profiles: the cells of every well by median or mean, straight from joined_profiles.",
    ),
)  # fmt: skip
