"""Cells of a joined plate in CytoDataFrame, with their pixels cut from the original images; no image file is copied.

    python examples/cytodataframe_crops.py data/warehouse crops.html [--cells 10] [--where "well_id = 'B03'"]

CytoDataFrame draws a column whose values are OME-Arrow images. The values are made here, for the rows that are shown and no
others: `locate` says where a cell's pixels are, `read_crop` reads the chunks, tiles or strips that it touches. That works for every store
that is catalogued; a column of file names, which CytoDataFrame opens by itself, works for folders of TIFFs only and reads whole fields.
In a notebook the last line of a cell is `show_crops(...)`. Needs: cytodataframe, ome-arrow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from cytodataframe import CytoDataFrame
from ome_arrow import from_numpy

import bioimage_assets as bia

SHOWN = ("Metadata_ObjectID", "well_id", "site_id")


def cut_cells(rows: pd.DataFrame, images: object) -> dict[str, list[np.ndarray | None]]:
    """Pixels (y, x) of each cell by channel; None where an image has no such channel."""
    crops: list[dict[str, np.ndarray]] = []
    for row in rows.to_dict("records"):
        place = bia.locate(row, image_assets=images, choice=bia.CropChoice(pad_px=8))
        axes = [axis for axis in place.axes if axis != "c"]
        pixels = (
            np.moveaxis(bia.read_crop(place), place.axes.index("c"), 0)
            if "c" in place.axes
            else bia.read_crop(place)[None]
        )
        while len(axes) > 2:  # brightest plane of a stack
            pixels, axes = pixels.max(axis=1), axes[1:]
        crops.append(
            {
                name or f"C{n}": one
                for n, (name, one) in enumerate(zip(place.channel_names, pixels, strict=True))
            }
        )
    channels = dict.fromkeys(name for crop in crops for name in crop)
    return {name: [crop.get(name) for crop in crops] for name in channels}


def to_ome_arrow(crops: list[np.ndarray | None], name: str) -> list[dict[str, object] | None]:
    """OME-Arrow values of 8 bits, all on one scale, so that a dim cell looks dim beside a bright one."""
    brightest = max((float(crop.max()) for crop in crops if crop is not None), default=1.0) or 1.0
    values: list[dict[str, object] | None] = []
    for crop in crops:
        if crop is None:
            values.append(None)
            continue
        scaled = (crop / brightest * 255).astype(np.uint16)
        values.append(from_numpy(scaled, dim_order="YX", name=name, channel_names=[name]).as_py())
    return values


def show_crops(rows: pd.DataFrame, images: object) -> CytoDataFrame:
    """The rows with one column of pictures for each channel."""
    shown = rows[[name for name in SHOWN if name in rows.columns]].copy()
    for name, crops in cut_cells(rows, images).items():
        shown[name] = pd.Series(to_ome_arrow(crops, name), index=shown.index, dtype=object)
    return CytoDataFrame(shown)


def main(argv: list[str] | None = None) -> None:
    """Read some cells of a warehouse root and write what a notebook would show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("warehouse")
    parser.add_argument("output", type=Path)
    parser.add_argument("--cells", type=int, default=10)
    parser.add_argument("--where", default="image_id IS NOT NULL")
    arguments = parser.parse_args(argv)

    warehouse = bia.open_warehouse(arguments.warehouse)
    connection = duckdb.connect()
    connection.register("joined", warehouse.dataset("joined_profiles"))
    order = f"WHERE {arguments.where} ORDER BY Metadata_ObjectID LIMIT {arguments.cells}"
    rows = connection.sql(f"SELECT * FROM joined {order}").df()
    frame = show_crops(rows, warehouse.read("image_assets"))
    arguments.output.write_text(frame._repr_html_(debug=True))
    print(f"{len(frame)} cells, {frame.shape[1] - len(SHOWN)} channels: {arguments.output}")


if __name__ == "__main__":
    main()
