"""Writes ``docs/command-line.md`` from the commands: ``python -m bioimage_assets.cli.reference > docs/command-line.md``."""

from __future__ import annotations

import inspect
import sys

import click

from bioimage_assets.cli.main import FAMILIES, PROGRAM, program
from bioimage_assets.cli.output import EXIT_CODES, FAILED

TITLES = {
    "scan_commands": "Look at stores",
    "catalog_commands": "Put stores into the catalog, and take them out",
    "upkeep_commands": "Keep catalog and warehouse in order",
    "warehouse_commands": "Write, check and convert a warehouse root",
    "profile_commands": "Profiles and their images",
    "query_commands": "Ask questions in SQL",
    "browse_command": "Look at plates, fields and cells",
    "virtual_plate_command": "One OME-Zarr plate of references",
    "samplesheet_command": "Samplesheets for CellProfiler and nf-core",
    "gallery_command": "Check a copy of the Cell Painting Gallery",
    "crop_commands": "Write the pixels of cells",
    "anndata_command": "AnnData files for scanpy, squidpy and pycytominer",
    "biofile_command": "List all images for BioFile Finder",
    "release_commands": "Releases, and what differs between them",
    "partition_commands": "Plates as Dagster partitions",
    "materialize_command": "Build tables",
    "status_command": "What is there, and what is stored of it",
    "example_command": "A small dataset to try things on",
    "explain_command": "What a code of a finding means",
    "completion": "Shell completion",
}

INTRODUCTION = """# Command line

Made from the commands by `python -m bioimage_assets.cli.reference > docs/command-line.md`.

`bioimage-assets COMMAND --help` says the same. Results go to standard output, progress and warnings to standard
error. Every command takes `--json`; those that iceberg-bioimage documents with a JSON result print JSON in any case.

## Exit codes

EXIT_CODES

Findings of level error are printed, and are no failure by themselves: a screen is seldom without any. `--strict`, `BIOIMAGE_STRICT=on`
or `[checks] strict = true` in a [dataset.toml](dataset-toml.md) makes them one, for `materialize` and `status`.

The line of an error ends with a code in brackets. `bioimage-assets explain CODE` says what it means, why it appears and what to do,
and so does [the page of codes](finding-codes.md). With `--json`, failed plates have it as `code`.

```text
Error: data/incoming/screen-a/SA-P9.ome.zarr: nothing is there. (store-not-found)
bioimage-assets explain store-not-found says more.
```

## Settings and examples

`--catalog`, `--namespace` and `--warehouse-root` may be left out: the settings of the project (`BIOIMAGE_CATALOG`,
`BIOIMAGE_NAMESPACE`, `BIOIMAGE_WAREHOUSE`) hold then, else the catalog `embedded` (SQLite) and the root
`data/warehouse` below `BIOIMAGE_DATA_DIR`. Any other catalog name is one that PyIceberg knows. Commands that read take a root that is not the
project's without the project's catalog, unless `--catalog` names it: a plate of the same key there may have other images.

```sh
bioimage-assets scan data/incoming/screen-a/SA-P1.ome.zarr
bioimage-assets register --publish-chunks --namespace tried data/incoming/screen-a/SA-P1.ome.zarr
bioimage-assets query "SELECT image_id, count(*) AS chunks FROM chunk_index GROUP BY ALL"
bioimage-assets export-cytomining --warehouse-root warehouse-root --layout namespaced \\
    --profiles data/incoming/screen-a/measurements/SA-P1.parquet data/incoming/screen-a/SA-P1.ome.zarr
bioimage-assets validate-warehouse warehouse-root --strict
bioimage-assets validate-warehouse warehouse-root --deep   # every byte
source <(bioimage-assets completion bash)
```
"""


def build_reference() -> str:
    """The whole page."""
    context = program.make_context(PROGRAM, ["completion"])
    parts = [INTRODUCTION.replace("EXIT_CODES", _list_exit_codes(context))]
    for family, names in FAMILIES.items():
        parts.append(f"## {TITLES[family]}\n")
        for name in names.split():
            command = program.get_command(context, name)
            assert command is not None
            parts += _describe(f"{PROGRAM} {name}", command, f"### {name}\n")
    return "\n".join(parts)


def _list_exit_codes(context: click.Context) -> str:
    """What each code means, and when each command ends with 1, as its help says."""
    lines = ["| exit code | command | meaning |", "|---|---|---|"]
    for code, meaning in EXIT_CODES.items():
        lines.append(f"| {code} | any | {meaning} |")
        if code != FAILED:
            continue
        for name in (name for names in FAMILIES.values() for name in names.split()):
            command = program.get_command(context, name)
            assert command is not None
            _, _, when = " ".join((command.help or "").split()).partition(f"Exit code {code}: ")
            if when:
                lines.append(f"| {code} | `{name}` | {when.partition('. ')[0].removesuffix('.')} |")
    return "\n".join(lines)


def _describe(path: str, command: click.Command, heading: str) -> list[str]:
    lines = [heading, f"{inspect.cleandoc(command.help or '')}\n"]
    if isinstance(command, click.Group):
        lines += _describe_call(path, command) if command.invoke_without_command else []
        for name, action in command.commands.items():
            lines += _describe(f"{path} {name}", action, f"#### {command.name} {name}\n")
        return lines
    return [*lines, *_describe_call(path, command)]


def _describe_call(path: str, command: click.Command) -> list[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"```text\n{usage}\n```\n"]
    shown = [param for param in command.params if "--json" not in param.opts or param.name != "json"]
    rows = [param.get_help_record(context) for param in shown]
    if rows:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{_escape(row[0])}` | {_escape(row[1])} |" for row in rows if row is not None]
        lines.append("")
    if examples := getattr(command, "examples", ()):
        # The tests of the pages type every block that has no such line above it.
        reason = ["<!-- not run: needs the network -->"] if "://" in "".join(examples) else []
        lines += [*reason, "```sh", *examples, "```", ""]
    return lines


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(build_reference())
