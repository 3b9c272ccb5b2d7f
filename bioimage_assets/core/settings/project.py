"""Settings of the whole project, read from ``BIOIMAGE_*`` environment variables when asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.model.table_specs import CATALOG_TABLES
from bioimage_assets.core.storage_options import FOLLOW_VARIABLE, read_storage_options

DEFAULT_NAMESPACE = "bioimage.cytotable"
EMBEDDED_CATALOG = "embedded"
NO_CATALOG = "none"
DEFAULT_MAX_HOLD_S = 24 * 3600.0  # a plate that still lacks something after a day is built as it is
# A plate of 384 wells and a million cells takes minutes; one on a slow bucket an hour or two.
DEFAULT_KEEP_RUNS_DAYS = 180.0
DEFAULT_MAX_PLATE_S = 6 * 3600.0

DEFAULT_BROWSE_URL = "http://127.0.0.1:8765"
ENGINES = ("polars", "spark")
DEFAULT_ENGINE = "polars"
DEFAULT_SPARK_REMOTE = "sc://localhost:15002"
DEFAULT_ENGINE_MEMORY_GB = 1.0

WarehouseLayout = Literal["flat", "namespaced"]
_SWITCH = {
    "on": True,
    "1": True,
    "true": True,
    "yes": True,
    "off": False,
    "0": False,
    "false": False,
    "no": False,
}


# What each setting means, and its environment variable; the resource of the Dagster layer shows them, too.
SETTINGS: dict[str, tuple[str, str]] = {
    "data_dir": ("BIOIMAGE_DATA_DIR", "Parent of everything that is not set otherwise; default: data."),
    "incoming_uris": (
        "BIOIMAGE_INCOMING",
        "Watched roots, local folders or object-store prefixes; the variable separates them by commas.",
    ),
    "warehouse_uri": ("BIOIMAGE_WAREHOUSE", "The Cytomining-compatible Parquet warehouse root."),
    "warehouse_layout": (
        "BIOIMAGE_WAREHOUSE_LAYOUT",
        "flat (default) or namespaced; an existing root keeps the layout it has.",
    ),
    "catalog_name": (
        "BIOIMAGE_CATALOG",
        "embedded (default: SQLite below the data folder), none, or the name of a catalog that PyIceberg knows from "
        ".pyiceberg.yaml or PYICEBERG_CATALOG__*.",
    ),
    "catalog_namespace": (
        "BIOIMAGE_NAMESPACE",
        f"Namespace of the catalog's tables; default: {DEFAULT_NAMESPACE}.",
    ),
    "iceberg_tables": (
        "BIOIMAGE_ICEBERG_TABLES",
        "Tables kept in the catalog, all others lie in the warehouse root; the variable separates them by commas. "
        "Default: what a scan makes. Without effect where the catalog is none.",
    ),
    "reports_dir": ("BIOIMAGE_REPORTS", "Local folder of HTML reports and pictures."),
    "browse_url": (
        "BIOIMAGE_BROWSE_URL",
        f"Where links to pixels lead: the address of `bioimage-assets browse`, whose port it takes; default: {DEFAULT_BROWSE_URL}.",
    ),
    "virtual_plates_uri": (
        "BIOIMAGE_VIRTUAL_PLATES",
        "Folder or object-store prefix of virtual plates; default: virtual_plates beside the warehouse root.",
    ),
    "quiet_period_s": (
        "BIOIMAGE_QUIET_SECONDS",
        "A store is taken when nothing in it changed for this long; default: 10.",
    ),
    "max_hold_s": (
        "BIOIMAGE_MAX_HOLD_SECONDS",
        "A plate that lacks something it promises is quarantined after so long; default: a day.",
    ),
    "completion_marker": (
        "BIOIMAGE_COMPLETION_MARKER",
        "Name of a file in a store, or beside it as <store>.<name>, that says that the store is complete; none by "
        "default. A plate with it does not wait for the quiet period.",
    ),
    "sensors_on": ("BIOIMAGE_SENSORS", "on: sensors and schedules start switched on."),
    "storage_options": (
        "BIOIMAGE_STORAGE_*",
        "Passed to the object-store client: skip_signature, endpoint … Secrets belong into the environment.",
    ),
    "follow_symlinks": (
        "BIOIMAGE_FOLLOW_SYMLINKS",
        "on: links that lead out of a store, and links to folders, are followed; off by default. `[images] follow_symlinks` "
        "in dataset.toml says so for one dataset.",
    ),
    "pictures": (
        "BIOIMAGE_PICTURES",
        "off: pages are made without pictures, which take half of the time of a small plate; on by default. `[pages] pictures` in "
        "dataset.toml says so for one dataset.",
    ),
    "max_head_requests": (
        "BIOIMAGE_MAX_HEAD_REQUESTS",
        "A web server cannot list, so it is asked for each chunk of a Zarr store of at most so many; 0 (default) "
        "asks for none.",
    ),
    "max_plate_s": (
        "BIOIMAGE_MAX_PLATE_SECONDS",
        "One step of one plate that takes longer is ended, and the plate has failed; default: six hours, 0 for no "
        "limit.",
    ),
    "keep_runs_days": (
        "BIOIMAGE_KEEP_RUNS_DAYS",
        "Days that every run stays in Dagster's history; older ones go at night where all that they made was made again since. "
        "Default: 180; 0 removes nothing.",
    ),
    "strict": (
        "BIOIMAGE_STRICT",
        "on: findings of level error make commands end with exit code 1, and the checks that report them blocking; off by "
        "default. `[checks] strict = true` in dataset.toml says so for one dataset.",
    ),
    "engine": (
        "BIOIMAGE_ENGINE",
        "polars (default: on this machine, streaming) or spark: what reduces tables over many plates.",
    ),
    "spark_remote": (
        "BIOIMAGE_SPARK_REMOTE",
        "Address of the Spark Connect server for the engine spark; default: sc://localhost:15002. A token belongs into "
        "the environment.",
    ),
    "engine_memory_gb": (
        "BIOIMAGE_ENGINE_MEMORY_GB",
        "Gigabytes of values that an engine may hold at once, for medians; it needs two to three times as much. Default: 1.",
    ),
}


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """Where everything is, as ``SETTINGS`` describes; the defaults are safe for a laptop, below ``data/``."""

    data_dir: Path
    incoming_uris: tuple[str, ...]
    warehouse_uri: str
    warehouse_layout: WarehouseLayout
    catalog_name: str
    catalog_namespace: str
    reports_dir: Path
    quiet_period_s: float
    sensors_on: bool
    iceberg_tables: tuple[str, ...] = CATALOG_TABLES
    storage_options: Mapping[str, str] = field(default_factory=dict)
    max_hold_s: float = DEFAULT_MAX_HOLD_S
    completion_marker: str = ""
    max_head_requests: int = 0
    max_plate_s: float = DEFAULT_MAX_PLATE_S
    keep_runs_days: float = DEFAULT_KEEP_RUNS_DAYS
    strict: bool = False
    follow_symlinks: bool = False
    pictures: bool = True
    engine: str = DEFAULT_ENGINE
    spark_remote: str = field(default=DEFAULT_SPARK_REMOTE, repr=False)
    engine_memory_gb: float = DEFAULT_ENGINE_MEMORY_GB
    browse_url: str = DEFAULT_BROWSE_URL
    virtual_plates_uri: str = "data/virtual_plates"

    def is_in_catalog(self, table_name: str) -> bool:
        """Tell whether a table is kept in the Iceberg catalog rather than in the warehouse root."""
        return self.catalog_name != NO_CATALOG and table_name in self.iceberg_tables

    def at_root(self, warehouse_uri: str) -> ProjectSettings:
        """The same for a reader of this root: without the catalog, where the root is not the project's own.

        The catalog may have a plate of the same key, and other images.
        """
        is_own = is_same_place(warehouse_uri, self.warehouse_uri)
        return replace(
            self, warehouse_uri=warehouse_uri, catalog_name=self.catalog_name if is_own else NO_CATALOG
        )

    @property
    def catalog_dir(self) -> Path:
        """Folder of the embedded catalog."""
        return self.data_dir / "catalog"

    @property
    def catalog_properties(self) -> dict[str, str]:
        """PyIceberg properties of the embedded catalog; empty where another catalog is configured."""
        if self.catalog_name != EMBEDDED_CATALOG:
            return {}
        folder = self.catalog_dir.absolute()
        return {
            "type": "sql",
            "uri": _sqlite_url(folder / "catalog.db"),
            "warehouse": _location(folder / "tables"),
        }


def is_same_place(one: str, other: str) -> bool:
    """Whether two paths or URIs name one folder, however they are written.

    >>> is_same_place("data/warehouse", "./data//warehouse/"), is_same_place("s3://lab/root", "s3://lab/root/")
    (True, True)
    """
    if "://" in one or "://" in other:
        return one.rstrip("/") == other.rstrip("/")
    return Path(one).resolve() == Path(other).resolve()


def read_project_settings(environ: Mapping[str, str] | None = None) -> ProjectSettings:
    """Read the settings from the environment; SettingsError names the variable that cannot be used."""
    env = os.environ if environ is None else environ
    data_dir = Path(env.get("BIOIMAGE_DATA_DIR") or "data")
    layout = env.get("BIOIMAGE_WAREHOUSE_LAYOUT") or "flat"
    if layout not in ("flat", "namespaced"):
        raise SettingsError(f"BIOIMAGE_WAREHOUSE_LAYOUT is {layout!r}; expected 'flat' or 'namespaced'.")
    engine = (env.get("BIOIMAGE_ENGINE") or DEFAULT_ENGINE).strip().lower()
    if engine not in ENGINES:
        raise SettingsError(f"BIOIMAGE_ENGINE is {engine!r}; expected {' or '.join(ENGINES)}.")
    incoming = env.get("BIOIMAGE_INCOMING")
    warehouse_uri = env.get("BIOIMAGE_WAREHOUSE") or str(data_dir / "warehouse")
    tables = env.get("BIOIMAGE_ICEBERG_TABLES")
    return ProjectSettings(
        data_dir=data_dir,
        incoming_uris=_names(incoming) if incoming else (str(data_dir / "incoming"),),
        warehouse_uri=warehouse_uri,
        warehouse_layout="namespaced" if layout == "namespaced" else "flat",
        catalog_name=env.get("BIOIMAGE_CATALOG") or EMBEDDED_CATALOG,
        catalog_namespace=env.get("BIOIMAGE_NAMESPACE") or DEFAULT_NAMESPACE,
        reports_dir=Path(env.get("BIOIMAGE_REPORTS") or data_dir / "reports"),
        virtual_plates_uri=env.get("BIOIMAGE_VIRTUAL_PLATES") or _beside(warehouse_uri, data_dir),
        quiet_period_s=_read_seconds(env, "BIOIMAGE_QUIET_SECONDS", 10.0),
        sensors_on=(env.get("BIOIMAGE_SENSORS") or "off").lower() in ("on", "1", "true", "yes"),
        iceberg_tables=CATALOG_TABLES if tables is None else _names(tables),
        storage_options=read_storage_options(env),
        max_hold_s=_read_seconds(env, "BIOIMAGE_MAX_HOLD_SECONDS", DEFAULT_MAX_HOLD_S),
        completion_marker=env.get("BIOIMAGE_COMPLETION_MARKER") or "",
        max_head_requests=_read_count(env, "BIOIMAGE_MAX_HEAD_REQUESTS"),
        max_plate_s=_read_seconds(env, "BIOIMAGE_MAX_PLATE_SECONDS", DEFAULT_MAX_PLATE_S),
        keep_runs_days=_read_number(env, "BIOIMAGE_KEEP_RUNS_DAYS", DEFAULT_KEEP_RUNS_DAYS, "days"),
        strict=_read_switch(env, "BIOIMAGE_STRICT"),
        follow_symlinks=_read_switch(env, FOLLOW_VARIABLE),
        pictures=_read_switch(env, "BIOIMAGE_PICTURES", default="on"),
        engine=engine,
        spark_remote=env.get("BIOIMAGE_SPARK_REMOTE") or DEFAULT_SPARK_REMOTE,
        engine_memory_gb=_read_gigabytes(env, "BIOIMAGE_ENGINE_MEMORY_GB", DEFAULT_ENGINE_MEMORY_GB),
        browse_url=_read_address(env, "BIOIMAGE_BROWSE_URL", DEFAULT_BROWSE_URL),
    )


def _beside(warehouse_uri: str, data_dir: Path) -> str:
    """The folder of virtual plates beside a warehouse root; below the data where the root is a whole bucket."""
    parent, _, name = warehouse_uri.rstrip("/").rpartition("/")
    if not name or parent.endswith(("/", ":")):
        return str(data_dir / "virtual_plates")
    return f"{parent}/virtual_plates" if parent or warehouse_uri.startswith("/") else "virtual_plates"


def _read_seconds(env: Mapping[str, str], name: str, default: float) -> float:
    return _read_number(env, name, default, "seconds")


def _read_number(env: Mapping[str, str], name: str, default: float, unit: str) -> float:
    text = env.get(name)
    try:
        return float(text) if text else default
    except ValueError as error:
        raise SettingsError(f"{name} is {text!r}; expected a number of {unit}.") from error


def _read_gigabytes(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    try:
        found = float(text) if text else default
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise SettingsError(f"{name} is {text!r}; expected a number of gigabytes above 0.")
    return found


def _read_address(env: Mapping[str, str], name: str, default: str) -> str:
    """An http(s) address without a slash at its end."""
    text = (env.get(name) or default).strip().rstrip("/")
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address or parts.query or parts.fragment or parts.username:
        raise SettingsError(f"{name} is {text!r}; expected an address such as {default}.")
    return text


def _read_count(env: Mapping[str, str], name: str) -> int:
    text = (env.get(name) or "0").strip()
    if not text.isdecimal():
        raise SettingsError(f"{name} is {text!r}; expected a whole number, 0 or more.")
    return int(text)


def _read_switch(env: Mapping[str, str], name: str, *, default: str = "off") -> bool:
    text = (env.get(name) or default).strip()
    if text.lower() not in _SWITCH:
        raise SettingsError(f"{name} is {text!r}; expected on or off.")
    return _SWITCH[text.lower()]


def _sqlite_url(database: Path) -> str:
    """URL of a SQLite file; SQLAlchemy decodes its path since 2.1, and takes a question mark for the end of it."""
    from importlib.metadata import version  # 20 ms, which commands without a catalog need not wait for

    path = str(database)
    decodes = tuple(map(int, version("sqlalchemy").split(".")[:2])) >= (2, 1)
    if decodes:
        path = path.replace("%", "%25").replace("?", "%3F")
    elif "?" in path:
        raise SettingsError(
            f"BIOIMAGE_DATA_DIR is {database.parent.parent}, found a question mark in the path: SQLAlchemy before 2.1 "
            "takes it for the end of the catalog's name. Install SQLAlchemy 2.1, or rename the folder."
        )
    return f"sqlite:///{path}"


def _location(folder: Path) -> str:
    """Where PyIceberg puts tables: it takes the path of a URI as it stands, so one that would be quoted is given bare."""
    uri = folder.as_uri()
    return uri if uri == f"file://{folder}" else str(folder)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
