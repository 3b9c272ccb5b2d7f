"""Writes ``docs/tables.md`` from the specs of the tables: ``python -m bioimage_assets.cli.tables_reference > docs/tables.md``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bioimage_assets.cli.column_rows import (
    HEADER,
    list_category_rows,
    list_column_rows,
    list_exported_rows,
)
from bioimage_assets.core.model.step_spec import StepSpec, TableSpec
from bioimage_assets.core.model.table_specs import SHARED_TABLES, STEPS
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.toml_keys import TomlKey

_KEPT = {
    "catalog": "Iceberg catalog",
    "warehouse": "warehouse root",
    "copy": "copied to the warehouse root",
    "page": "HTML page in the folder of reports",
    "files": "file or folder of its own beside the warehouse root",
}
_FILES = {
    "stores": "image stores",
    "measurements": "measurement files",
    "platemaps": "platemaps",
    "listing": "the listing of its dataset",
}

_TITLES = {"plate": "Of each plate", "dataset": "Of each dataset", "campaign": "Of each campaign"}

INTRODUCTION = """# Tables and their columns

Made from the specs in `bioimage_assets/core/model/table_specs.py` and the schemas in `bioimage_assets/core/tables/` by
`python -m bioimage_assets.cli.tables_reference > docs/tables.md`.

Each table is a Dagster asset of the same name, partitioned by plate (`dataset/plate`), by dataset or by campaign (`campaign:name`). It is
built again where its version, one of the tables that it is made from, one of its files, or one of its settings is another than when
it was stored; nothing else makes it out of date. Settings are keys of [`dataset.toml`](dataset-toml.md), of a campaign those of
[`campaign.toml`](campaigns.md). `bioimage-assets status` compares, `bioimage-assets materialize` builds.

How to read the columns:

- **null** says whether a value may be missing. *no*: it is always there.
- **unit** is empty for words, switches, ranks and numbers without one. "0 to 1 of the pixel type": the largest number of the
  pixel type is 1, as in CellProfiler.
- `levels.path` is the field `path` of the records in the column `levels`.
- `<word>` in a name stands for any word: `Image_FileName_<channel>` is one column per channel.
- Features of CellProfiler are named `<Compartment>_<Category>_<feature>`, such as `Nuclei_AreaShape_Area`: [categories](#categories-of-features).
  Which other columns are features is said in [measurement sources](measurement-sources.md).
"""

SHARED = """## Of every step

Two tables that all steps write to.
"""

FEATURES = """## Categories of features

The word after the compartment in the name of a CellProfiler feature. Units are those of the measured tables; in normalised tables a
feature is in deviations of its reference.

| category | what | unit |
|---|---|---|"""

BESIDE = """## Beside the tables

What is stored and is no table of a step:

| what | where | columns or keys |
|---|---|---|
| manifest of the warehouse root | `warehouse_manifest.json`, `_warehouse/` | [storage](storage.md) |
| names and types of all columns of a table, no rows | `<table>/0-columns.parquet` | those of the table |
| views for DuckDB | `views.sql` | a view per table |
| virtual plates | `virtual_plates/<dataset>/<plate>.json`, `.parquet` or `.icechunk` | [virtual plates](virtual-plates.md) |
| pages and their numbers | `reports/` with `<page>.html`, `<page>.json` | [pages](ui.md#report-pages) |
| crops of cells | a folder that you name | [crops](crops.md) |
| AnnData, SpatialData | files that you name | [AnnData](anndata.md) |
| list of all images for BioFile Finder | `biofile_finder.parquet`, `.csv`; `biofile_finder_columns.csv` describes its columns | [storage](storage.md#all-images-in-biofile-finder) |
| samplesheets | a folder that you name | [samplesheets](samplesheets.md) |
| releases | `releases/<name>/` beside the warehouse root | [releases](release.md) |

The copies of `image_assets` and `chunk_index` in the warehouse root have the columns above, and after them these, under the names
that iceberg-bioimage gives them:
"""


def build_tables_page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for dimension, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [
            _describe(step, table) for step in STEPS if step.dimension == dimension for table in step.tables
        ]
    parts.append(SHARED)
    parts += [_describe_shared(table) for table in SHARED_TABLES]
    parts += [FEATURES, *list_category_rows(), ""]
    parts += [BESIDE, HEADER, *list_exported_rows()]
    return "\n".join(parts) + "\n"


def _describe(step: StepSpec, table: TableSpec) -> str:
    of_all = " of all its datasets" if step.dimension == "campaign" else ""
    of_plates = [f"`{name}` of every plate{of_all}" for name in step.of_plates]
    facts = {
        "one row is": table.grain,
        "kept in": _KEPT[table.home],
        "joins by": ", ".join(f"`{key}`" for key in table.join_keys) if table.grain else "",
        "made from": ", ".join([*(f"`{name}`" for name in step.inputs), *of_plates]),
        "reads": ", ".join(_FILES[kind] for kind in step.files),
        "settings": ", ".join(_list_settings(step)),
        "checks": "; ".join(f"`{check.name}`: {check.summary.rstrip('.')}" for check in table.checks),
        "group": f"`{step.group}`",
        "version": str(table.version),
    }
    return _section(table, _say(step, table), facts)


def _describe_shared(table: TableSpec) -> str:
    facts = {
        "one row is": table.grain,
        "kept in": _KEPT[table.home],
        "joins by": ", ".join(f"`{key}`" for key in table.join_keys),
    }
    return _section(table, table.summary, facts)


def _section(table: TableSpec, summary: str, facts: dict[str, str]) -> str:
    rows = [f"| {name} | {text} |" for name, text in facts.items() if text]
    linked = re.sub(r"\bdocs/([a-z-]+)\.md", r"[\1](\1.md)", summary)
    lines = [f"### {table.name}\n", linked, "", rows[0], "|---|---|", *rows[1:]]
    columns = list_column_rows(table.name)
    return "\n".join([*lines, *(["", HEADER, *columns] if columns else [])]) + "\n"


def _say(step: StepSpec, table: TableSpec) -> str:
    """The first line of a table; what holds for all tables of its step is said with the first of them."""
    return f"{table.summary} {step.details}".rstrip() if table is step.tables[0] else table.summary


def _list_settings(step: StepSpec) -> list[str]:
    """Keys of ``dataset.toml``, or of ``campaign.toml``, by the fields that they set; ``[hits]`` for all keys of a table."""
    keys = CAMPAIGN_KEYS if step.dimension == "campaign" else DATASET_KEYS
    read = [key for key in keys if key.field in step.settings]
    return sorted({_say_key(key, keys, read) for key in read})


def _say_key(key: TomlKey, keys: Sequence[TomlKey], read: Sequence[TomlKey]) -> str:
    table = [other for other in keys if other.table == key.table]
    is_whole = bool(key.table) and len(table) > 1 and all(other in read for other in table)
    return f"`[{key.table}]`" if is_whole else f"`{key.path}`"


if __name__ == "__main__":
    print(build_tables_page(), end="")
