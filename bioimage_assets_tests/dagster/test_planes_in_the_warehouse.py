"""The copy of a plate in the warehouse root has the planes whose metadata say how they were taken."""

from contextlib import nullcontext

from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.core.tables.schemas import ACQUISITION_PLANES
from bioimage_assets_tests.builders.tiff_files import write_taken

KEY = "screen/P1"


def test_planes_are_copied_with_their_plate_and_leave_with_it(tmp_path, use_data_dir):
    project = use_data_dir(tmp_path)
    folder = tmp_path / "incoming/screen/P1"
    for site in (1, 2):
        write_taken(folder / f"P1_A01_s{site}.ome.tif", x_mm=site)
    source = PlateSource(KEY, "screen", "P1", str(folder.parent), (str(folder),))
    scan = scan_plate_source(source, with_chunks=True)
    tables = {"image_assets": scan.images, "chunk_index": scan.chunks, "acquisition_planes": scan.planes}

    def copy(fingerprint: str) -> dict[str, int]:
        table = PlateTable(None, {}, fingerprint=fingerprint)
        _, failures = replace_tables(
            project.tables(),
            "cytomining_warehouse",
            {KEY: table},
            run_id="r",
            watch=lambda key: nullcontext(),
        )
        assert not failures
        return {name: project.warehouse().row_count(name) for name in project.warehouse().tables()}

    for name, rows in tables.items():
        replace_partitions(project.catalog(), f"bioimage.cytotable.{name}", rows, [KEY])
    assert copy("one") == {"acquisition_planes": 4, "chunk_index": 4, "image_assets": 2}
    assert (
        project.warehouse()
        .read("acquisition_planes")
        .equals(project.tables().read("acquisition_planes", KEY))
    )
    replace_partitions(
        project.catalog(), "bioimage.cytotable.acquisition_planes", ACQUISITION_PLANES.empty_table(), [KEY]
    )
    assert copy("two").get("acquisition_planes", 0) == 0
