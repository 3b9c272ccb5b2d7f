"""Groups of assets are few, small, and of one kind of partition; each asset says what it is in one line."""

from collections import defaultdict

import dagster as dg
import pytest

from bioimage_assets.definitions import ASSETS

# What fits one screen of the UI beside the names of what it is made from.
MAX_ASSETS = 6
MAX_LINE = 100

SPECS = [
    (spec, definition.partitions_def if isinstance(definition, dg.AssetsDefinition) else spec.partitions_def)
    for definition in ASSETS
    for spec in (definition.specs if isinstance(definition, dg.AssetsDefinition) else [definition])
]
GROUPS = defaultdict(list)
for asset, partitions in SPECS:
    GROUPS[asset.group_name].append((asset, partitions))


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_fits_one_screen(group: str) -> None:
    assert len(GROUPS[group]) <= MAX_ASSETS


@pytest.mark.parametrize("group", sorted(set(GROUPS) - {"sources"}))
def test_a_group_can_be_built_with_one_partition(group: str) -> None:
    """``--select group:… --partition …`` and *Materialize all* refuse assets of several kinds of partition."""
    assert len({getattr(partitions, "name", None) for _, partitions in GROUPS[group]}) == 1


@pytest.mark.parametrize("spec", [spec for spec, _ in SPECS], ids=lambda spec: spec.key.path[-1])
def test_the_first_line_of_an_asset_is_one_short_sentence(spec: dg.AssetSpec) -> None:
    first = spec.description.splitlines()[0]
    assert first.endswith(".")
    assert len(first) <= MAX_LINE
