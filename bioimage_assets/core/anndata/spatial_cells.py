"""An AnnData file of cells and fields of view in, the cells of these fields as a table and as circles where they lie out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import zarr

from bioimage_assets.core.anndata.library import require_anndata, require_dask_array, require_pandas
from bioimage_assets.core.anndata.open import open_anndata
from bioimage_assets.core.anndata.spatial_fields import Field, name_elements
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

REGION, INSTANCE = "region", "instance_id"
# Places count from the middle of the first pixel, SpatialData from its corner:
# https://spatialdata.scverse.org/en/stable/design_doc.html
_HALF_PIXEL = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FieldCells:
    """Cells of some fields.

    Parameters
    ----------
    table
        Rows of the file, matrices unread; ``obs`` has ``region``, the element of a cell's circle, and ``instance_id``, the number of its
        row in the file, by which the circle goes. None where the fields have no cell.
    places
        x and y of the cells of each image by image id, in pixels of full resolution from the corner of the image, indexed by ``instance_id``.
    """

    table: AnnData | None
    places: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def open_field_cells(
    path: str | Path, plate_key: str, fields: Sequence[Field], regions: Mapping[str, str]
) -> FieldCells:
    """The cells of some fields of a plate; ``regions`` are names of their circles by image id.

    Cells whose place is not known have no circle and are left out, counted; where no cell has a place, all are there and lead nowhere.

    Raises
    ------
    UsageError
        The file has no cells with images.
    """
    data = open_anndata(path)
    lacking = [name for name in ("plate_key", "image_id") if name not in data.obs]
    if lacking:
        raise UsageError(
            f"{path} has no column {lacking[0]} in obs: expected cells with their images, as bioimage-assets export-anndata --level cells "
            "writes them."
        )
    images = data.obs["image_id"].astype(object).to_numpy()
    is_here = (data.obs["plate_key"].astype(object) == plate_key).to_numpy()
    rows = np.flatnonzero(is_here & np.isin(images.astype(str), [one.image_id for one in fields]))
    if not len(rows):
        text = f"{path} has no cell in the {count_words(len(fields), 'image')} of {plate_key} that were opened; there is no table."
        return FieldCells(None, findings=(Finding("no-cells", "warning", plate_key, text),))
    if "spatial" not in data.obsm:
        text = f"{path} says of no cell where it lies; its {len(rows):,} cells are a table without circles."
        table, findings = _take_rows(data, rows)
        return FieldCells(table, findings=(*findings, Finding("no-places", "warning", plate_key, text)))
    places = np.asarray(data.obsm["spatial"], np.float64)[:, :2]
    return _link(data, plate_key, rows, images, places, regions)


def _link(
    data: AnnData,
    plate_key: str,
    rows: np.ndarray,
    images: np.ndarray,
    places: np.ndarray,
    regions: Mapping[str, str],
) -> FieldCells:
    is_placed = np.isfinite(places[rows]).all(axis=1)
    findings: list[Finding] = []
    if not is_placed.all():
        text = f"{int((~is_placed).sum()):,} of {count_words(len(rows), 'cell')} are left out: where they lie is not known."
        findings.append(Finding("cells-without-place", "warning", plate_key, text))
        rows = rows[is_placed]
    if not len(rows):
        return FieldCells(None, findings=tuple(findings))
    table, renamed = _take_rows(data, rows)
    pandas = require_pandas()
    owners = pandas.Series(images[rows], index=rows)
    table.obs[REGION] = pandas.Categorical(owners.map(dict(regions)).to_numpy())
    table.obs[INSTANCE] = rows.astype(np.int64)
    frame = pandas.DataFrame(
        places[rows] + _HALF_PIXEL, index=pandas.Index(rows.astype(np.int64)), columns=["x", "y"]
    )
    found = {str(name): part for name, part in frame.groupby(owners, sort=False)}
    return FieldCells(table, found, (*findings, *renamed))


def _take_rows(data: AnnData, rows: np.ndarray) -> tuple[AnnData, tuple[Finding, ...]]:
    """Some rows, with names of columns that SpatialData allows; those of another name are told."""
    taken = name_elements([REGION, INSTANCE, *(name for name in data.obs if name not in (REGION, INSTANCE))])
    obs = data.obs.iloc[rows].rename(columns=taken).drop(columns=[REGION, INSTANCE], errors="ignore")
    table = require_anndata().AnnData(
        X=None if data.X is None else _take(data.X, rows),
        # anndata 0.13 has X among the layers, under the name None.
        layers={name: _take(layer, rows) for name, layer in data.layers.items() if name is not None},
        obs=obs,
        var=data.var,
        obsm={name: _take(values, rows) for name, values in data.obsm.items()},
        varm=dict(data.varm),
        uns=dict(data.uns),
    )
    changed = [f"{old} is {new}" for old, new in taken.items() if old != new]
    if not changed:
        return table, ()
    text = f"Columns of obs whose names SpatialData does not allow: {', '.join(changed)}."
    return table, (Finding("columns-renamed", "info", "obs", text),)


def _take(values: Any, rows: np.ndarray) -> Any:
    """Rows of a matrix that is in a file, unread; of one in memory, themselves."""
    if isinstance(values, require_pandas().DataFrame):
        return values.iloc[rows]
    if not isinstance(values, h5py.Dataset | zarr.Array):
        return values[rows]
    lazy = require_dask_array().from_array(
        values, chunks=values.chunks or "auto", name=False, lock=isinstance(values, h5py.Dataset)
    )
    return lazy if len(rows) == values.shape[0] else lazy[rows]
