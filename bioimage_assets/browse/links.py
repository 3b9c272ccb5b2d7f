"""Where else a plate or an image can be looked at: its report, and viewers that read OME-Zarr over HTTP.

Forms of the addresses: https://github.com/hms-dbmi/vizarr (``source``), https://github.com/hms-dbmi/viv (``image_url``),
https://github.com/google/neuroglancer/tree/master/src/datasource/zarr (a state as JSON behind ``#!``),
https://github.com/ome/napari-ome-zarr.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

ZarrFormat = Literal[2, 3]
VIZARR = "https://hms-dbmi.github.io/vizarr/"
AVIVATOR = "https://avivator.gehlenborglab.org/"
NEUROGLANCER = "https://neuroglancer-demo.appspot.com/"


@dataclass(frozen=True, slots=True)
class ViewerLinks:
    """Addresses, None where there is none. ``zarr`` is that of the OME-Zarr itself; ``napari`` is a line to type."""

    report: str | None
    zarr: str
    napari: str
    vizarr: str
    avivator: str | None
    neuroglancer: str | None


def build_links(
    zarr_url: str, *, report: str | None, is_image: bool, zarr_format: ZarrFormat = 3
) -> ViewerLinks:
    """Links of a plate or of one image; Avivator and neuroglancer open single images only."""
    quoted = quote(zarr_url, safe=":/")
    return ViewerLinks(
        report,
        zarr_url,
        f"napari --plugin napari-ome-zarr {shlex.quote(zarr_url)}",
        f"{VIZARR}?source={quoted}",
        f"{AVIVATOR}?image_url={quoted}" if is_image else None,
        f"{NEUROGLANCER}#!{quote(_state(zarr_url, zarr_format))}" if is_image else None,
    )


def _state(zarr_url: str, zarr_format: ZarrFormat) -> str:
    layer = {
        "type": "image",
        "source": f"{zarr_url}/|zarr{zarr_format}:",
        "name": zarr_url.rpartition("/")[2],
        "tab": "rendering",
    }
    return json.dumps(
        {"layers": [layer], "selectedLayer": {"visible": True, "layer": layer["name"]}, "layout": "xy"}
    )
