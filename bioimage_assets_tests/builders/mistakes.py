"""Mistakes that people make with the data of a healthy screen: each spoils one dataset on disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from bioimage_assets_tests.builders.small_screen import (
    WELLS,
    rename_wells,
    write_screen,
    write_store,
)

Spoil = Callable[[Path], None]


def _edit(path: Path, pattern: str, text: str) -> None:
    path.write_text(re.sub(pattern, text, path.read_text()))


def shift_sites(dataset: Path) -> None:
    """CellProfiler counts sites from one, the store fields from zero."""
    table = dataset / "measurements" / "P1" / "Image.csv"
    header, *rows = table.read_text().splitlines()
    shifted = [f"{row.rpartition(',')[0]},{int(row.rpartition(',')[2]) + 1}" for row in rows]
    table.write_text("\n".join([header, *shifted]) + "\n")


def name_plate_otherwise(dataset: Path) -> None:
    _edit(dataset / "measurements" / "P1" / "Image.csv", ",P1,", ",BR00117035,")


def copy_half(dataset: Path) -> None:
    shutil.rmtree(dataset / "P1.ome.zarr" / "B")


def cut_off_cells(dataset: Path) -> None:
    table = dataset / "measurements" / "P1" / "Cells.csv"
    written = table.read_bytes()
    table.write_bytes(written[: len(written) // 2])


def remove_platemaps(dataset: Path) -> None:
    shutil.rmtree(dataset / "platemaps")


def name_platemap_otherwise(dataset: Path) -> None:
    _edit(dataset / "platemaps" / "barcode_platemap.csv", "layout1", "layout-1")


def name_folder_otherwise(dataset: Path) -> None:
    (dataset / "measurements" / "P1").rename(dataset / "measurements" / "Plate1")


def spell_wells_otherwise(dataset: Path) -> None:
    """The plate's metadata list ``A/1``, the folder is ``A/01``."""
    rename_wells(
        dataset / "P1.ome.zarr", {f"A/{well[1:]}": f"A/{int(well[1:])}" for well in WELLS}, on_disk=False
    )


def spell_rows_in_small_letters(dataset: Path) -> None:
    rename_wells(dataset / "P1.ome.zarr", {f"A/{well[1:]}": f"a/{well[1:]}" for well in WELLS}, on_disk=False)


def remove_image_table(dataset: Path) -> None:
    (dataset / "measurements" / "P1" / "Image.csv").unlink()


def give_an_image_number_twice(dataset: Path) -> None:
    _edit(dataset / "measurements" / "P1" / "Image.csv", r"(?m)^2,", "1,")


def add_a_store_of_the_same_name(dataset: Path) -> None:
    shutil.copytree(dataset / "P1.ome.zarr", dataset / "P1.zarr")


def take_controls_from_one_plate(dataset: Path) -> None:
    shutil.rmtree(dataset)
    write_screen(dataset, ("P1", "P2"))
    maps = dataset / "platemaps" / "platemap"
    (maps / "layout2.txt").write_text((maps / "layout1.txt").read_text().replace("negcon", ""))
    _edit(dataset / "platemaps" / "barcode_platemap.csv", "P2,layout1", "P2,layout2")


def empty_a_table(dataset: Path) -> None:
    (dataset / "measurements" / "P1" / "Nuclei.csv").write_text("")


def exchange_measurements(dataset: Path) -> None:
    """The folder of P1 holds what was measured on P2, whose images are there."""
    _edit(dataset / "measurements" / "P1" / "Image.csv", ",P1,", ",P2,")
    write_store(dataset / "P2.ome.zarr", "P2")


def lock_a_table(dataset: Path) -> None:
    (dataset / "measurements" / "P1" / "Nuclei.csv").chmod(0)


def lock_a_field(dataset: Path) -> None:
    (dataset / "P1.ome.zarr" / "A" / "01" / "0" / ".zattrs").chmod(0)


def add_wells_to_the_platemap(dataset: Path) -> None:
    with (dataset / "platemaps" / "platemap" / "layout1.txt").open("a") as layout:
        layout.write("C01\tx\t1\t\nnowhere\ty\t1\t\n")


def shrink_the_store(dataset: Path) -> None:
    """The store loses two wells, on disk and in its own metadata; to be done after a scan."""
    store = dataset / "P1.ome.zarr"
    document = json.loads((store / ".zattrs").read_text())
    document["plate"]["wells"] = document["plate"]["wells"][:-2]
    (store / ".zattrs").write_text(json.dumps(document))
    for column in ("03", "04"):
        shutil.rmtree(store / "B" / column)
