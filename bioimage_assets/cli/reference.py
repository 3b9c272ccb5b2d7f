"""Writes ``docs/command-line.md`` from the commands: ``python -m bioimage_assets.cli.reference > docs/command-line.md``."""

from __future__ import annotations

import inspect
import sys

import click

from bioimage_assets.cli.main import FAMILIES, PROGRAM, program

TITLES = {
    "scan_commands": "Look at stores",
    "catalog_commands": "Put stores into the catalog, and take them out",
    "upkeep_commands": "Keep catalog and warehouse in order",
    "warehouse_commands": "Write, check and convert a warehouse root",
    "profile_commands": "Profiles and their images",
    "query_commands": "Ask questions in SQL",
    "plate_commands": "Plates as Dagster partitions",
    "completion": "Shell completion",
}

INTRODUCTION = """# Command line

Made from the commands by `python -m bioimage_assets.cli.reference > docs/command-line.md`.

`bioimage-assets COMMAND --help` says the same. Results go to standard output, progress and warnings to standard
error. Every command takes `--json`; those that the seeds show with a JSON result print JSON in any case.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | done, and something is wrong with the data: a contract, a warehouse root, a plate or one of several stores |
| 2 | the call or its input cannot be used; one line on standard error says why, nothing was written |
| 130 | interrupted; what was stored before is complete |

`--catalog`, `--namespace` and `--warehouse-root` may be left out: the settings of the project (`BIOIMAGE_CATALOG`,
`BIOIMAGE_NAMESPACE`, `BIOIMAGE_WAREHOUSE`) hold then, else the catalog `embedded` (SQLite) and the root
`data/warehouse` below `BIOIMAGE_DATA_DIR`. Any other catalog name is one that PyIceberg knows.

```bash
bioimage-assets scan data/experiment.zarr
bioimage-assets register --publish-chunks data/experiment.zarr
bioimage-assets query "SELECT image_id, count(*) AS chunks FROM chunk_index GROUP BY ALL"
bioimage-assets export-cytomining --warehouse-root warehouse-root --profiles data/profiles.parquet data/experiment.zarr
bioimage-assets validate-warehouse warehouse-root --strict
bioimage-assets validate-warehouse warehouse-root --deep   # every byte
source <(bioimage-assets completion bash)
```
"""


def build_reference() -> str:
    """The whole page."""
    context = program.make_context(PROGRAM, ["completion"])
    parts = [INTRODUCTION]
    for family, names in FAMILIES.items():
        parts.append(f"## {TITLES[family]}\n")
        for name in names.split():
            command = program.get_command(context, name)
            assert command is not None
            parts += _describe(f"{PROGRAM} {name}", command, f"### {name}\n")
    return "\n".join(parts)


def _describe(path: str, command: click.Command, heading: str) -> list[str]:
    lines = [heading, f"{inspect.cleandoc(command.help or '')}\n"]
    if isinstance(command, click.Group):
        for name, action in command.commands.items():
            lines += _describe(f"{path} {name}", action, f"#### {command.name} {name}\n")
        return lines
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines.append(f"```text\n{usage}\n```\n")
    shown = [param for param in command.params if "--json" not in param.opts or param.name != "json"]
    rows = [param.get_help_record(context) for param in shown]
    if rows:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{_escape(row[0])}` | {_escape(row[1])} |" for row in rows if row is not None]
        lines.append("")
    return lines


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(build_reference())
