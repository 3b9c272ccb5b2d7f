"""Writes ``docs/settings.md`` from the settings: ``python -m bioimage_assets.cli.settings_reference > docs/settings.md``."""

from __future__ import annotations

from bioimage_assets.core.settings.project import SETTINGS, ProjectSettings, read_project_settings

INTRODUCTION = """# Settings of the project

Made from the settings by `python -m bioimage_assets.cli.settings_reference > docs/settings.md`.

What holds for all datasets is an environment variable. None is needed: the defaults put everything below the folder `data`.
In Dagster's configuration the same settings are fields of the resource `project`; a field that is given counts more than the
variable. `bioimage-assets status` and every run say which variable they cannot use, and why.

<!-- not run: places on a machine of your own -->
```sh
export BIOIMAGE_DATA_DIR=/data/profiling
export BIOIMAGE_INCOMING=/data/plates,s3://screens/2026
```

What holds for one dataset stands in its [`dataset.toml`](dataset-toml.md), what holds for several that are compared in
[`campaign.toml`](campaigns.md).

| variable | field | default | what it says |
|---|---|---|---|"""

OTHERS = """
## Other variables

| variable | what it says |
|---|---|
| `DAGSTER_HOME` | absolute folder of Dagster's history of runs. `make demo` and `make ui` set it to the repository. A command without it keeps no history; the tables are stored all the same |
| `BIOIMAGE_EXECUTOR` | `multiprocess`: each step of a plate in a process of its own, for Dagster runs. By default the steps of a plate share one process |
| `BIOIMAGE_CYTOTABLE_PYTHON` | the Python of another environment, in which CytoTable is installed: `[measurements] engine = "cytotable"` |
| `PYICEBERG_HOME`, `PYICEBERG_CATALOG__<NAME>__<PROPERTY>` | where PyIceberg finds the catalog that `BIOIMAGE_CATALOG` names |
| `AWS_*`, `GOOGLE_*`, `AZURE_*` | credentials of object stores ([which ones](storage.md#stores-in-a-bucket-container-or-on-a-web-server)) |
"""


def build_settings_page() -> str:
    """The whole page."""
    defaults = read_project_settings({})
    return "\n".join([INTRODUCTION, *(_row(name, defaults) for name in SETTINGS), OTHERS])


def _row(name: str, defaults: ProjectSettings) -> str:
    variable, text = SETTINGS[name]
    field = f"`{name}`" if name != "sensors_on" else "none"  # settled when the code is loaded
    return f"| `{variable}` | {field} | {_say(getattr(defaults, name))} | {_escape(text)} |"


def _say(value: object) -> str:
    """A default as the variable would have it."""
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value not in ("", {}) else "none"


def _escape(text: str) -> str:
    """Text as Markdown shows it as it is: ``<name>`` is no tag, a star no emphasis."""
    return text.replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    print(build_settings_page(), end="")
