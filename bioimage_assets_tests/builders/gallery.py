"""A small source of the Cell Painting Gallery: images of a Phenix, LoadData tables, backends, platemaps."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_sqlite
from bioimage_assets_tests.builders.tiff_plates import phenix_name, write_named

BUCKET = "s3://cellpainting-gallery"
CHANNELS = ("DNA", "ER")
WELLS = ("A01", "A02", "B01", "B02")
STAMP = "__2021-05-02T16_02_51-Measurement1"


def image_folder(batch: str, plate: str) -> str:
    """Folder of a plate's images below its source."""
    return f"images/{batch}/images/{plate}{STAMP}"


def list_images(location: str, wells: Sequence[str] = WELLS, sites: int = 1) -> list[dict[str, str]]:
    """Rows of a LoadData table as the gallery has them: URLs of the bucket."""
    return [
        {
            **{
                f"URL_Orig{name}": f"{location}/{phenix_name(well, site, number)}"
                for number, name in enumerate(CHANNELS, 1)
            },
            "Metadata_Well": well,
            "Metadata_Site": str(site),
        }
        for well in wells
        for site in range(1, sites + 1)
    ]


def write_rows(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = ()) -> Path:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_plate(
    source: Path,
    batch: str,
    plate: str,
    *,
    wells: Sequence[str] = WELLS,
    images: bool = True,
    cells: int = 6,
    source_path: str = "cpg0016-jump/source_4",
) -> None:
    """One plate with everything that belongs to it; ``images`` False leaves them in the archive."""
    folder = image_folder(batch, plate)
    if images:
        write_named(source / folder, phenix_name, wells=wells, sites=1, channels=len(CHANNELS))
    rows = [
        {**row, "Metadata_Plate": plate} for row in list_images(f"{BUCKET}/{source_path}/{folder}", wells)
    ]
    write_rows(source / "workspace/load_data_csv" / batch / plate / "load_data.csv", rows)
    if cells:
        backend = source / "workspace/backend" / batch / plate
        backend.mkdir(parents=True)
        spec = PlateSpec(dict.fromkeys(range(1, len(wells) + 1), cells), plate, tuple(wells))
        path = write_sqlite(backend / f"{plate}.sqlite", {None: spec})
        with closing(sqlite3.connect(path)) as database:  # one site in each well, as the images have it
            database.execute("UPDATE Image SET Image_Metadata_Site = 1")
            database.commit()
    write_platemap(source, batch, plate, wells)


def write_platemap(source: Path, batch: str, plate: str, wells: Sequence[str] = WELLS) -> None:
    """A platemap of its own for each plate; the batch's list of plates grows."""
    folder = source / "workspace/metadata/platemaps" / batch
    folder.mkdir(parents=True, exist_ok=True)
    barcodes = folder / "barcode_platemap.csv"
    if not barcodes.exists():
        barcodes.write_text("Assay_Plate_Barcode,Plate_Map_Name\n")
    with barcodes.open("a") as file:
        file.write(f"{plate},map_{plate}\n")
    rows = [
        {"plate_map_name": f"map_{plate}", "well_position": well, "compound": "DMSO" if number % 2 else "c1"}
        for number, well in enumerate(wells)
    ]
    path = folder / "platemap" / f"map_{plate}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "\n".join("\t".join(row) for row in [list(rows[0]), *[list(r.values()) for r in rows]]) + "\n"
    )
