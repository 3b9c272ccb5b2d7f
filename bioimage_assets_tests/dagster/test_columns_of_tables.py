"""Stored tables have the columns that ``docs/tables.md`` describes, with these types, and no others."""

import pytest

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.model.table_specs import DIMENSIONS, TABLES
from bioimage_assets_tests.builders.column_pages import PAGE, list_differences, read_columns
from bioimage_assets_tests.dagster.conftest import BuiltProject

# Made on request, or of campaigns: compared where they are made.
_ELSEWHERE = {"normalized_cells", *(name for name, kind in DIMENSIONS.items() if kind == "campaign")}


def test_every_table_with_rows_has_its_columns_on_the_page() -> None:
    assert not [name for name in TABLES if len(read_columns(name)) < 3]


@pytest.mark.slow
def test_the_stored_columns_are_those_of_the_page(built: BuiltProject) -> None:
    tables = built.project.tables()
    partitions = {
        "plate": [plate.partition for plate in built.report.plates],
        "dataset": [dataset.partition for dataset in built.report.datasets],
    }
    compared, wrong = set(), []
    for name in TABLES:
        for key in partitions.get(DIMENSIONS.get(name, ""), ()):
            try:
                stored = tables.read(name, key)
            except MissingTableError:
                continue
            wrong += list_differences(name, stored.schema)
            compared.add(name)
    for name in ("plate_findings", "built_tables"):
        wrong += list_differences(name, tables.warehouse.read(name).schema)
        compared.add(name)
    assert sorted(set(wrong)) == []
    assert compared >= set(TABLES) - _ELSEWHERE


@pytest.mark.slow
def test_the_copies_in_the_warehouse_have_the_columns_under_the_seeds_names_as_well(
    built: BuiltProject,
) -> None:
    section = PAGE.read_text("utf-8").split("\n## Beside the tables")[1]
    for name in ("image_assets", "chunk_index"):
        others = set(built.project.warehouse().read(name).column_names) - read_columns(name).keys()
        assert others
        assert not [column for column in others if f"| `{column}` |" not in section]
