"""Writes ``docs/command-line.md`` from the parser: ``python -m bioimage_assets.cli.reference > docs/command-line.md``."""

from __future__ import annotations

import argparse
import sys

from bioimage_assets.cli.main import FAMILIES, build_parser

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

Made from the parser by `python -m bioimage_assets.cli.reference > docs/command-line.md`.

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


def build_reference(parser: argparse.ArgumentParser) -> str:
    """The whole page."""
    families = dict.fromkeys(FAMILIES)
    (action,) = _sub_actions(parser)
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    parts = [INTRODUCTION]
    for family in families:
        parts.append(f"## {TITLES[family.rpartition('.')[2]]}\n")
        parts += [
            _describe(name, sub, helps[name])
            for name, sub in action.choices.items()
            if _family(sub) == family
        ]
    return "\n".join(parts)


def _sub_actions(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction]:  # type: ignore[type-arg]
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]


def _family(parser: argparse.ArgumentParser) -> str:
    handler = parser.get_default("handler")
    if handler is None:  # the handlers are those of its actions
        return _family(next(sub for action in _sub_actions(parser) for sub in action.choices.values()))
    return str(handler.__module__)


def _describe(name: str, parser: argparse.ArgumentParser, text: str) -> str:
    said = parser.description or text[:1].upper() + text[1:]
    lines = [f"### {name}\n", f"{said.rstrip('.')}.\n"]
    for action in _sub_actions(parser):
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for sub_name, sub in action.choices.items():
            lines += [f"`{_usage(f'{name} {sub_name}', sub)}`: {helps[sub_name]}.\n"]
        return "\n".join(lines)
    lines.append(f"```text\n{_usage(name, parser)}\n```\n")
    rows = [
        f"| `{_spelling(action)}` | {_escape(action.help or '')} |"
        for action in parser._actions
        if action.dest not in ("help", "json")
    ]
    if rows:
        lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    flags = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    places = [action for action in parser._actions if not action.option_strings]
    words = [f"bioimage-assets {name}"]
    words += [_spelling(action) if action.required else f"[{_spelling(action)}]" for action in flags]
    words += [_place(action) for action in places]
    return " ".join(words)


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    flag = action.option_strings[-1]
    if action.nargs == 0:
        return flag
    return f"{flag} {_value(action)}{' …' if action.nargs == '+' else ''}"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    return str(action.metavar or action.dest.upper())


def _place(action: argparse.Action) -> str:
    value = _value(action)
    if action.nargs == "+":
        return f"{value} [{value} …]"
    if action.nargs == "*":
        return f"[{value} …]"
    return f"[{value}]" if action.nargs == "?" else value


def _escape(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(build_reference(build_parser()))
