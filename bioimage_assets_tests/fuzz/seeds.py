"""What is mutated: one small, good example of every format and kind of measurements, made by the builders of the tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import tifffile

from bioimage_assets_tests.builders import (
    every_kind,
    gallery,
    instrument_plates,
    measurement_plates,
    micro_manager,
    tiff_files,
    tiff_plates,
)
from bioimage_assets_tests.builders.png_files import write_png_plate
from bioimage_assets_tests.builders.spatial_stores import write_spatial_data
from bioimage_assets_tests.builders.zarr_documents import (
    multiscales,
    write_array,
    write_group,
    write_image,
    write_placed_image,
)
from bioimage_assets_tests.builders.zarr_documents import write_plate as write_zarr_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_array, write_pixel_plate


@dataclass(frozen=True)
class Seed:
    """How to build an example in a folder, and which part of the package looks at it (a name of ``targets``)."""

    build: Callable[[Path], object]
    target: str


def _image_of_version(version: str) -> Callable[[Path], object]:
    axes: dict[str, object] = {
        "0.1": None,
        "0.3": ["c", "y", "x"],
    }

    def build(folder: Path) -> None:
        entry = multiscales(version=version, **({"axes": axes[version]} if version in axes else {}))
        if version == "0.1":
            del entry["axes"]
        if version == "0.6":
            entry["coordinateSystems"] = [{"name": "physical", "axes": entry.pop("axes")}]
        zarr_format = 3 if version in ("0.5", "0.6") else 2
        root = write_image(
            folder / "image.zarr", zarr_format=zarr_format, entries=[entry], channels=["DNA", "ER"]
        )
        path = root / ("zarr.json" if zarr_format == 3 else ".zattrs")
        document = json.loads(path.read_text())
        if zarr_format == 3:
            document["attributes"]["ome"]["version"] = version
        path.write_text(json.dumps(document))

    return build


def _zarr_labels(folder: Path) -> None:
    image = write_image(folder / "image.zarr", zarr_format=3, channels=["DNA", "ER"])
    write_group(image, "labels", {"ome": {"labels": ["n"]}}, zarr_format=3)
    write_image(image, "labels/n", zarr_format=3, levels=("0",))


def _zarr_series(folder: Path) -> None:
    write_group(folder / "s.zarr", "", {"bioformats2raw.layout": 3})
    write_group(folder / "s.zarr", "OME", {"series": ["0"]})
    xml = '<OME><Image ID="a"><Pixels SizeC="2"><Channel Name="x"/><Channel Name="y"/></Pixels></Image></OME>'
    (folder / "s.zarr/OME/METADATA.ome.xml").write_text(xml)
    write_image(folder / "s.zarr", "0")


def _zarr_old_series(folder: Path) -> None:
    """As bioformats2raw wrote before its version 0.3: the XML beside the group."""
    write_group(folder / "data.zarr", "", {"bioformats2raw.layout": 1})
    entry = {"version": "0.1", "datasets": [{"path": "0"}]}
    shape = (1, 3, 2, 8, 8)
    write_image(folder / "data.zarr", "0", shape=shape, chunks=shape, levels=("0",), entries=[entry])
    sizes = 'DimensionOrder="XYCZT" Type="uint16" SizeX="8" SizeY="8" SizeZ="3" SizeC="2" SizeT="1"'
    xml = f'<OME><Image ID="a" Name="scan"><Pixels ID="p" {sizes}><Channel ID="c" Name="x"/></Pixels></Image></OME>'
    (folder / "METADATA.ome.xml").write_text(xml)


def _zarr_spatial(folder: Path) -> None:
    write_spatial_data(folder / "s.zarr", images={"he_image": ["a", "b"]}, labels={"he_labels": ["b"]})


def _zarr_bare(folder: Path) -> None:
    write_group(folder / "bare.zarr", "", {"a": 1})
    write_array(folder / "bare.zarr", "x/y", (4, 4), (2, 2))
    write_array(folder / "bare.zarr", "z", (6, 4, 4), (1, 2, 2), separator=".")


def _zarr_sharded(folder: Path) -> None:
    write_pixel_array(folder / "sharded.zarr", shape=(16, 16), chunks=(4, 4), shards=(8, 8))


def _zarr_zip(folder: Path) -> None:
    write_pixel_plate(folder / "plain.zarr", levels=2)
    shutil.make_archive(str(folder / "plate.ozx"), "zip", folder / "plain.zarr")
    (folder / "plate.ozx.zip").rename(folder / "plate.ozx")
    shutil.rmtree(folder / "plain.zarr")


def _tiff_kinds(folder: Path) -> None:
    """One file of each way that TIFFs are laid out: tiles, strips, SubIFDs, planes of colour, BigTIFF, ImageJ."""
    tiff_files.write_ome_tiff(folder / "a.ome.tif", np.zeros((2, 3, 16, 24), "u2"), "CZYX")
    tiff_files.write_pyramid(folder / "pyramid.ome.tif", np.zeros((2, 64, 64), "u2"), "CYX")
    tiff_files.write_pages(folder / "pages.tif", [np.zeros((16, 24), "u1")] * 3)
    tiff_files.write_pages(folder / "big.tif", [np.zeros((16, 24), "u2")] * 2, bigtiff=True)
    tiff_files.write_pages(folder / "motorola.tif", [np.zeros((16, 24), "u2")], byteorder=">")
    tifffile.imwrite(
        folder / "imagej.tif", np.zeros((2, 3, 2, 16, 16), "u2"), imagej=True,
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 2.0}, resolution=(1000, 1000),
    )  # fmt: skip
    tifffile.imwrite(folder / "rgb.tif", np.zeros((32, 32, 3), "u1"), photometric="rgb", tile=(16, 16))
    tifffile.imwrite(
        folder / "planar.tif", np.zeros((3, 32, 32), "u1"), photometric="rgb", planarconfig="separate"
    )


def _tiff_plate(folder: Path) -> None:
    """OME-TIFF of two files that name each other, with a plate and its acquisitions."""
    blocks = tiff_files.build_block(0) + tiff_files.build_block(1, c=1)
    other = tiff_files.build_block(0, file="b.ome.tif", uuid=tiff_files.UUIDS[1])
    sizes = 'PhysicalSizeX="0.5" PhysicalSizeY="0.5" TimeIncrement="2" TimeIncrementUnit="min"'
    images = [
        tiff_files.build_ome_image(
            0, x=24, y=16, c=2, channels=["a", "b"], blocks=blocks, pixel_attributes=sizes
        ),
        tiff_files.build_ome_image(1, x=24, y=16, blocks=other),
    ]
    plates = tiff_files.build_plate_xml([(0, 0, [(0, 0), (1, 1)])], runs=[["WellSample:0"], ["WellSample:1"]])
    for number, name in enumerate(("a", "b")):
        xml = tiff_files.build_ome_xml(images, plates=plates, uuid=tiff_files.UUIDS[number])
        tiff_files.write_pages(folder / f"{name}.ome.tif", [np.zeros((16, 24), "u2")] * 2, xml)


def _tiff_companion(folder: Path) -> None:
    file = tiff_files.build_block(0, file="a.tif", uuid=tiff_files.UUIDS[1])
    image = tiff_files.build_ome_image(0, x=24, y=16, channels=["a"], blocks=file)
    (folder / "plate.companion.ome").write_text(tiff_files.build_ome_xml([image], uuid=tiff_files.UUIDS[0]))
    binary = '<BinaryOnly MetadataFile="plate.companion.ome" UUID="urn:uuid:00000000-0000-4000-8000-000000000000"/>'
    xml = tiff_files.build_ome_xml([binary], uuid=tiff_files.UUIDS[1])
    tiff_files.write_pages(folder / "a.tif", [np.zeros((16, 24), "u2")], xml)


def _ndtiff(folder: Path) -> None:
    micro_manager.write_ndtiff(folder / "run", channels=2, planes=2, shape=(12, 16))


def _plate_folder(name: Callable[[str, int, int], str], sidecar: Callable[[Path], object]) -> Callable:
    def build(folder: Path) -> None:
        tiff_plates.write_named(folder, name, sites=2, channels=2)
        sidecar(folder)

    return build


def _load_data(folder: Path) -> None:
    tiff_plates.write_named(folder, tiff_plates.imagexpress_name, sites=1, channels=1)
    rows: list[list[object]] = [
        [tiff_plates.imagexpress_name(well, 1, 1), str(folder), well, 1, "P1"] for well in tiff_plates.WELLS
    ]
    header = ["FileName_DNA", "PathName_DNA", "Metadata_Well", "Metadata_Site", "Metadata_Plate"]
    measurement_plates.write_csv(folder / "load_data.csv", header, rows)


def _load_data_parquet(folder: Path) -> None:
    _load_data(folder)
    table = pa_csv.read_csv(folder / "load_data.csv")
    (folder / "load_data.csv").unlink()
    pq.write_table(table, folder / "load_data.parquet")


def _gallery(folder: Path) -> None:
    """A source of the Cell Painting Gallery, whose plate has its images, its table and its platemap."""
    source = folder / "cpg0016-jump" / "source_4"
    gallery.write_plate(source, "2021_B1", "BR1", wells=gallery.WELLS[:2])
    inside = source / gallery.image_folder("2021_B1", "BR1")
    inside.rename(inside.with_name("other"))  # the folder is found by the table


def _measured(kind: str) -> Callable[[Path], object]:
    """The measurements of ``every_kind`` alone, of which the images would only cost time."""

    def build(folder: Path) -> None:
        every_kind.write_dataset(folder.parent / f"{folder.name}-whole", kind)
        whole = folder.parent / f"{folder.name}-whole"
        shutil.copytree(whole / kind / "measurements", folder, dirs_exist_ok=True)
        shutil.rmtree(whole)

    return build


def _cytominer(folder: Path) -> None:
    wells = {11: ("A01", "B02"), 12: ("C03", "D04")}
    specs = {
        number: measurement_plates.PlateSpec({1: 2, 2: 3}, wells=own, seed=number)
        for number, own in wells.items()
    }
    measurement_plates.write_sqlite(folder / "P1.sqlite", dict(specs))


def _cytotable_warehouse(folder: Path) -> None:
    table = pa.table(
        {
            "Metadata_Plate": ["P1"] * 4,
            "Metadata_Well": ["A01", "A01", "B02", "B02"],
            "Metadata_ImageNumber": [1, 1, 2, 2],
            "Metadata_ObjectNumber": [1, 2, 1, 2],
            "Cells_AreaShape_Area": [1.0, 2.0, 3.0, 4.0],
        }
    )
    measurement_plates.write_warehouse(folder, table)


def _csv_table(folder: Path) -> None:
    rows: list[list[object]] = [["P1", w, 1, n, n / 7] for w in ("A01", "B02") for n in (1, 2, 3)]
    header = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber", "Cells_Area"]
    measurement_plates.write_csv(folder / "P1.csv", header, rows)


def _anndata(folder: Path) -> None:
    import anndata  # heavy, and needed here alone
    import pandas as pd
    from scipy import sparse

    obs = pd.DataFrame(
        {
            "Metadata_Plate": "P1",
            "well": ["A01", "A02", "B03", "B03"],
            "Metadata_Site": [1, 2, 1, 2],
            "cell_type": pd.Categorical(["round", None, "flat", "flat"]),
            "count": pd.array([1, None, 3, 4], dtype="Int64"),
        },
        index=[f"cell-{number}" for number in range(4)],
    )
    variables = pd.DataFrame(index=[f"efficientnet_{number}" for number in range(3)])
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    for name, matrix in (("dense", values), ("sparse", sparse.csr_matrix(values))):
        (folder / name).mkdir()
        anndata.AnnData(matrix, obs=obs, var=variables).write_h5ad(folder / name / "P1.h5ad")


def _platemaps(folder: Path) -> None:
    maps = folder / "platemaps"
    measurement_plates.write_csv(
        maps / "barcode_platemap.csv", ["Assay_Plate_Barcode", "Plate_Map_Name"], [["P1", "m1"], ["P2", "m2"]]
    )
    (maps / "platemap").mkdir()
    lines = ["well_position\tbroad_sample\tmmoles_per_liter\tcontrol_type"]
    lines += [f"{row}{column:02d}\tBRD-{column}\t{column / 3}\ttrt" for row in "AB" for column in range(1, 5)]
    (maps / "platemap/m1.txt").write_text("\n".join(lines) + "\n")
    (maps / "external_metadata").mkdir()
    external = [[f"BRD-{column}", f"name {column}"] for column in range(1, 5)]
    measurement_plates.write_csv(
        maps / "external_metadata/external_metadata.tsv", ["broad_sample", "pert_iname"], external
    )


def _settings(folder: Path) -> None:
    from bioimage_assets.core.discovery.dataset_file import write_dataset_template

    write_dataset_template(str(folder))
    path = folder / "dataset.toml"
    # every key as if the user had taken its comment sign away
    lines = [line.removeprefix("# ") if " = " in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    tiff_plates.write_named(folder / "P1", tiff_plates.imagexpress_name, sites=1, channels=1)
    _csv_table(folder / "measurements")


def _dataset(folder: Path) -> None:
    every_kind.write_dataset(folder, "embeddings")


def _warehouse(folder: Path) -> None:
    from bioimage_assets.core.warehouse.root import open_warehouse
    from bioimage_assets_tests.core.warehouse.tables import cells

    for plate in ("s/A", "s/B"):
        open_warehouse(folder / "root").replace_partitions("joined_profiles", cells(plate), [plate])
    journal = folder / "root/_warehouse/journal.json"
    journal.parent.mkdir(exist_ok=True)
    work = f"commit-{'0' * 32}"
    record = {"work": work, "folder": "joined_profiles", "puts": [], "drops": [], "table": "joined_profiles"}
    journal.write_text(json.dumps(record))


_FOLDERS = {
    "folder-imagexpress": _plate_folder(
        tiff_plates.imagexpress_name, lambda f: tiff_plates.write_htd(f / "Plate7.HTD", ["DAPI", "GFP"])
    ),
    "folder-phenix": _plate_folder(
        tiff_plates.phenix_name,
        lambda f: tiff_plates.write_phenix_index(f / "Images/Index.idx.xml", ["DAPI", "GFP"]),
    ),
    "folder-operetta": _plate_folder(
        tiff_plates.old_operetta_name,
        lambda f: tiff_plates.write_maps_index(
            f / "Images/Index.idx.xml", ["DAPI", "GFP"], tiff_plates.old_operetta_name, version=6
        ),
    ),
    "folder-cellvoyager": _plate_folder(
        tiff_plates.cellvoyager_name,
        lambda f: tiff_plates.write_bts(f, ["DAPI", "GFP"], tiff_plates.cellvoyager_name),
    ),
    "folder-incell": _plate_folder(
        tiff_plates.incell_name, lambda f: tiff_plates.write_xdce(f / "p.xdce", ["DAPI", "GFP"])
    ),
    "folder-acquire": _plate_folder(
        instrument_plates.metaxpress_acquire_name,
        lambda f: instrument_plates.write_jdce(f, ["DAPI", "GFP"], instrument_plates.metaxpress_acquire_name),
    ),
    "folder-scanr": lambda f: instrument_plates.write_scanr(f, sites=1),
    "folder-columbus": lambda f: instrument_plates.write_columbus(f, [(1, 1), (2, 1), (1, 2), (2, 2)]),
    "folder-png": lambda f: write_png_plate(f, sites=1, channels=2),
}

SEEDS: dict[str, Seed] = {
    **{f"ome-zarr-{v}": Seed(_image_of_version(v), "images") for v in ("0.1", "0.3", "0.4", "0.5", "0.6")},
    "zarr-plate-v2": Seed(lambda f: write_zarr_plate(f / "p.zarr"), "images"),
    "zarr-plate-v3": Seed(
        lambda f: write_zarr_plate(f / "p.zarr", zarr_format=3, acquisitions=(0, 1)), "images"
    ),
    "zarr-labels": Seed(_zarr_labels, "images"),
    "zarr-series": Seed(_zarr_series, "images"),
    "zarr-old-series": Seed(_zarr_old_series, "images"),
    "zarr-placed": Seed(lambda f: write_placed_image(f / "i.zarr"), "images"),
    "zarr-spatial": Seed(_zarr_spatial, "images"),
    "zarr-bare": Seed(_zarr_bare, "images"),
    "zarr-sharded": Seed(_zarr_sharded, "images"),
    "zarr-zip": Seed(_zarr_zip, "images"),
    "tiff-kinds": Seed(_tiff_kinds, "images"),
    "tiff-plate": Seed(_tiff_plate, "images"),
    "tiff-companion": Seed(_tiff_companion, "images"),
    "ndtiff": Seed(_ndtiff, "images"),
    **{name: Seed(build, "images") for name, build in _FOLDERS.items()},
    "load-data": Seed(_load_data, "images"),
    "load-data-parquet": Seed(_load_data_parquet, "images"),
    **{
        kind: Seed(_measured(kind), "measurements")
        for kind in every_kind.KINDS
        if kind not in ("panels", "own-compartments")
    },
    "cytominer-database": Seed(_cytominer, "measurements"),
    "cytotable-warehouse": Seed(_cytotable_warehouse, "measurements"),
    "csv-table": Seed(_csv_table, "measurements"),
    "anndata": Seed(_anndata, "measurements"),
    "platemap": Seed(_platemaps, "platemap"),
    "dataset-toml": Seed(_settings, "settings"),
    "dataset": Seed(_dataset, "discovery"),
    "gallery": Seed(_gallery, "gallery"),
    "warehouse-root": Seed(_warehouse, "warehouse"),
}


def build_seed(kind: str, root: Path) -> Path:
    """The example of a kind below ``root``, built once."""
    folder = root / kind
    if not folder.exists():
        new = root / f"new-{kind}"
        new.mkdir(parents=True)
        SEEDS[kind].build(new)
        new.rename(folder)
    return folder
