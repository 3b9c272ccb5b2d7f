"""Ticks of the store sensor as the daemon makes them, with a clock of their own and tiny stores."""

import json
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.discovery import survey
from bioimage_assets.core.discovery.survey import Budget
from bioimage_assets.jobs.plate_lists import TAKE_OP
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors import stores
from bioimage_assets.sensors.stores import image_store_sensor


def write_plate(store: Path, wells: tuple[str, ...] = ("A/1",), fields: int = 1, *, name: str = "P") -> Path:
    """An HCS store of OME-Zarr 0.4 with metadata only: no chunk, every value is the fill value."""
    plate = {"name": name, "wells": [{"path": well} for well in wells], "version": "0.4"}
    _write(store / ".zattrs", {"plate": plate})
    _write(store / ".zgroup", {"zarr_format": 2})
    for well in wells:
        _write(store / well / ".zattrs", {"well": {"images": [{"path": str(i)} for i in range(fields)]}})
        _write(store / well / ".zgroup", {"zarr_format": 2})
        for number in range(fields):
            write_field(store / well / str(number))
    return store


def list_plates(request: dg.RunRequest) -> list[str]:
    """Plates that a run is asked for: its partition, or those of its list."""
    if request.partition_key:
        return [request.partition_key]
    return request.run_config.get("ops", {}).get(TAKE_OP, {}).get("config", {}).get("plates", [])


def write_field(folder: Path) -> None:
    """One image of one level."""
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    level = {"path": "0", "coordinateTransformations": scale}
    _write(folder / ".zattrs", {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [level]}]})
    _write(folder / ".zgroup", {"zarr_format": 2})
    array = {"zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "dtype": "<u2", "compressor": None}
    _write(folder / "0" / ".zarray", {**array, "fill_value": 0, "filters": None, "order": "C"})


def _write(path: Path, document: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


# Looks of a test see all there is, however slow the machine; what a look leaves for the next is tested with the survey.
UNHURRIED = Budget(layout_s=inf, deep_s=inf, shallow_s=inf, recheck_s=inf, single_s=inf)


@dataclass
class Ticker:
    """Evaluates the sensor, and stores what it asks for as the daemon would.

    Its clock goes as told, and is never behind the one that dates files: else those would look younger than they are.
    """

    project: ProjectResource
    instance: dg.DagsterInstance
    cursor: str | None = None
    now_s: float = field(default_factory=time.time)
    results: list[dg.SensorResult] = field(default_factory=list)
    # Keep what the process remembers between looks, as a code server does; else every look is the first of its process.
    is_warm: bool = False

    def tick(self, seconds: float = 0.0) -> dg.SensorResult:
        """One evaluation, at least so many seconds after the last."""
        self.now_s = max(self.now_s, time.time()) + seconds
        if not self.is_warm:
            stores._memory.cache_clear()
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stores, "now_s", lambda: self.now_s)
            patch.setattr(stores, "JUDGING_S", inf)
            patch.setattr(survey, "Budget", lambda: UNHURRIED)
            result = image_store_sensor(context, project=self.project)
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for event in result.asset_events or ():
            self.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        self.results.append(result)
        return result

    def requested(self) -> list[str]:
        """Plates of the last tick's requests, those of lists, too."""
        return sorted(key for request in self.results[-1].run_requests or () for key in list_plates(request))

    def events(self, kind: type) -> list:
        """Events of one kind of the last tick."""
        return [event for event in self.results[-1].asset_events or () if isinstance(event, kind)]
