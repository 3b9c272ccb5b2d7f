"""Writes ``docs/tables.md`` from the specs of the tables: ``python -m bioimage_assets.cli.tables_reference > docs/tables.md``."""

from __future__ import annotations

from bioimage_assets.core.model.step_spec import StepSpec, TableSpec
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS

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

INTRODUCTION = """# Tables

Made from the specs in `bioimage_assets/core/model/table_specs.py` by `python -m bioimage_assets.cli.tables_reference > docs/tables.md`.

Each table is a Dagster asset of the same name, partitioned by plate (`dataset/plate`), by dataset or by campaign (`campaign:name`). It is
built again where its version, one of the tables that it is made from, one of its files, or one of its settings (keys of
[`dataset.toml`](dataset-toml.md), of a campaign those of [`campaign.toml`](campaigns.md)) is another than when it was stored; nothing else
makes it out of date. `bioimage-assets status` compares, `bioimage-assets materialize` builds.
"""


def build_tables_page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for dimension, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [
            _describe(step, table) for step in STEPS if step.dimension == dimension for table in step.tables
        ]
    return "\n".join(parts)


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
        "checks": "; ".join(f"`{check.name}`: {check.summary}" for check in table.checks),
        "version": str(table.version),
    }
    lines = [f"### {table.name}\n", _say(step, table), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in facts.items() if text]
    return "\n".join(lines) + "\n"


def _say(step: StepSpec, table: TableSpec) -> str:
    """The first line of a table; what holds for all tables of its step is said with the first of them."""
    return f"{table.summary} {step.details}".rstrip() if table is step.tables[0] else table.summary


def _list_settings(step: StepSpec) -> list[str]:
    """Keys of ``dataset.toml``, or of ``campaign.toml``, by the fields that they set."""
    keys = CAMPAIGN_KEYS if step.dimension == "campaign" else DATASET_KEYS
    return sorted({f"`{key.path}`" for key in keys if key.field in step.settings})


if __name__ == "__main__":
    print(build_tables_page(), end="")
