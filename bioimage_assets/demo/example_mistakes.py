"""Spoils the plates of a dataset as first plates are: each of four usual mistakes, all of which can be mended."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bioimage_assets.demo.render import CHANNELS
from bioimage_assets.demo.write_tables import write_parquet

_CHANNEL_FILE = re.compile(r"(?P<plate>.+)_(?P<well>[A-Z]\d\d)_s(?P<site>\d)_w(?P<channel>\d)\.tif")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a plate (or with all), as its owner would say it, and what makes it so on disk."""

    plate: str
    what: str
    spoil: Callable[[Path], None]


def count_sites_from_one(dataset: Path) -> None:
    """All measurements count sites from one, all images from zero; no column names a store that would tell."""
    for plate in ("MY-P1", "MY-P2", "MY-P4"):
        path = dataset / "measurements" / f"{plate}.parquet"
        table = pq.read_table(path)
        names = [name for name in table.column_names if not name.startswith("Image_FileName_")]
        sites = pc.cast(pc.add(pc.cast(table["Metadata_Site"], pa.int64()), 1), pa.string())
        place = names.index("Metadata_Site")
        write_parquet(table.select(names).set_column(place, "Metadata_Site", sites), path)


def leave_out_of_platemap(dataset: Path) -> None:
    """The list of barcodes has no line for the plate."""
    path = dataset / "platemaps" / "barcode_platemap.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("MY-P2,")))


def rename_files(dataset: Path) -> None:
    """Image files are named as no instrument names them, fields from zero; the sidecar is gone."""
    folder = dataset / "MY-P3"
    for path in list(folder.glob("*.tif")):
        path.rename(folder / _spell(path.name))
    for sidecar in folder.glob("*.HTD"):
        sidecar.unlink()
    table_path = dataset / "measurements" / "MY-P3.parquet"
    table = pq.read_table(table_path)
    for place, name in enumerate(table.column_names):
        if name.startswith("Image_FileName_"):
            spelt = pa.array([_spell(value) for value in table[name].to_pylist()])
            table = table.set_column(place, name, spelt)
    write_parquet(table, table_path)


def exchange_images(dataset: Path) -> None:
    """Each of two folders holds the images of the other plate."""
    one, other, aside = (dataset / f"{name}.ome.zarr" for name in ("MY-P2", "MY-P4", ".aside"))
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def _spell(name: str) -> str:
    found = _CHANNEL_FILE.fullmatch(name)
    if found is None:
        return name
    channel = CHANNELS[int(found["channel"]) - 1]
    return f"{channel} field {int(found['site']) - 1} in {found['well']}.tif"


MISTAKEN_PLATES = 4
MISTAKES = (
    Mistake(
        "all plates",
        "the measurements count the sites of a well from 1, the images from 0",
        count_sites_from_one,
    ),
    Mistake("MY-P2", "the plate is missing in platemaps/barcode_platemap.csv", leave_out_of_platemap),
    Mistake("MY-P3", "the image files have names that no instrument gives", rename_files),
    Mistake(
        "MY-P4", "the folder holds the images of MY-P2, and that of MY-P2 those of MY-P4", exchange_images
    ),
)
