"""Codes about objects in measurement files: how compartments become cells, and which field they are of."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import (
    ERROR,
    INFO,
    PATTERN_EXAMPLE,
    WARNING,
    CodeFamily,
    FindingCode,
)

MEASURED_OBJECTS = CodeFamily(
    "measured-objects",
    "Measured objects: cells, their compartments and their images",
    seen_in=(
        "single_cells",
        "measured_images",
        "plate_findings",
    ),
    page="measurement-sources.md",
    codes=(
        FindingCode(
            "missing-compartment",
            ERROR + WARNING,
            means="A table of one kind of objects is missing. An error where other folders of the plate have it or the image table counts its objects; else "
            "a warning.",
            cause="The pipeline does not export it, or a file was not copied (for example `Cytoplasm.csv`).",
            remedy="Copy the table. Where the pipeline has no such objects, name the tables that make up a cell under `[measurements] compartments` in "
            "dataset.toml.",
            setting='[measurements]\ncompartments = ["Cytoplasm", "Cells", "Nuclei"]',
            page="dataset-toml.md#measurements-how-measurement-files-are-read",
        ),
        FindingCode(
            "missing-image-table",
            WARNING,
            means="There is no image table: cells have no file names, and promised counts are not checked.",
            cause="`Image.csv` or the table `Image` was not exported or copied.",
            remedy="Copy it beside the other tables. Without it plate, well and site must stand in the cells' own table.",
        ),
        FindingCode(
            "missing-parent",
            ERROR + WARNING,
            means="Objects have no parent (a cytoplasm without its cell); features that lead from there are null. A warning where not every cell needs one.",
            cause="Rows of one table are missing, or tables of two runs are mixed.",
            remedy="Export all object tables of one run again.",
        ),
        FindingCode(
            "no-parent-column",
            ERROR + WARNING,
            means="No parent column leads from one table to another; they are joined by equal object numbers. An error where a count column says that they "
            "may be other objects.",
            cause="The pipeline did not relate the objects, or the export left out the column `Parent_…`.",
            remedy="Use CellProfiler's RelateObjects and export its Parent column, or leave the table out of `[measurements] compartments`.",
            setting='[measurements]\ncompartments = ["Cells", "Nuclei"]',
            page="dataset-toml.md#measurements-how-measurement-files-are-read",
        ),
        FindingCode(
            "unjoined-objects",
            WARNING,
            means="Objects belong to no cell and are left out.",
            cause="A nucleus without a cell, for example where cells at the border were removed and nuclei were not.",
            remedy="Nothing, if the number is small. Else filter both kinds of objects in the pipeline in the same way.",
        ),
        FindingCode(
            "compartment-not-joined",
            INFO,
            means="A table of objects is not known to have one object per cell and is not part of the cells.",
            cause="Spots or organelles: there may be many in a cell, or none.",
            remedy="Nothing, or name all tables of a cell under `[measurements] compartments` in dataset.toml, if there is one object per cell.",
            setting='[measurements]\ncompartments = ["Cytoplasm", "Cells", "Nuclei", "Mito"]',
            page="dataset-toml.md#measurements-how-measurement-files-are-read",
        ),
        FindingCode(
            "several-objects-per-cell",
            ERROR,
            means="Cells have several objects of a kind where one is expected, so these objects are not joined.",
            cause="A table of spots, organelles or touching nuclei is named under `compartments`.",
            remedy="Leave the table out of `compartments`, or let RelateObjects calculate per-parent means, which become columns of the cells.",
            setting='[measurements]\ncompartments = ["Cytoplasm", "Cells", "Nuclei"]',
            page="dataset-toml.md#measurements-how-measurement-files-are-read",
        ),
        FindingCode(
            "objects-side-by-side",
            ERROR,
            means="Rows of a combined table hold measurements of two different cells.",
            cause="CellProfiler's option to combine measurements puts objects of equal number side by side, related or not.",
            remedy="Export one table per object type (ExportToSpreadsheet without combining).",
        ),
        FindingCode(
            "rows-without-key",
            ERROR + WARNING,
            means="Rows lack what would say which image or object they are. In object tables they are left out (error); in other tables they are "
            "named by their row number, and in a join they stay without image (warnings).",
            cause="ImageNumber or ObjectNumber is empty, or the columns of plate, well, site and file name have names that are not known.",
            remedy="Name the columns under `[microscopy.aliases]` in dataset.toml. Export object tables again, where numbers are empty.",
            setting='[microscopy.aliases]\nwell_id = ["MyWellColumn"]\nsite_id = ["MySiteColumn"]',
            page="joins.md#why-cells-are-missing-the-join-report",
        ),
        FindingCode(
            "duplicate-objects",
            ERROR,
            means="Objects occur more than once; they are kept and told apart by their order.",
            cause="Two runs were written into one file, or a file was appended twice.",
            remedy="Give each run a TableNumber or a folder of its own, or give all rows a well and site, so that `duplicates` in dataset.toml can choose. "
            "Cells count twice until then.",
            setting='[measurements]\nduplicates = "first"',
        ),
        FindingCode(
            "duplicated-image-numbers",
            ERROR,
            means="Image numbers start again inside a file: objects of two images have the same number.",
            cause="Several runs or plates were written into one table.",
            remedy="Give each run a folder or a TableNumber of its own.",
        ),
        FindingCode(
            "field-measured-twice",
            ERROR + WARNING,
            means="A field of view was analysed more than once; its cells would count twice. An error, unless dataset.toml says what to keep.",
            cause="The pipeline was run again into the same folder or database, or a file was copied.",
            remedy='Remove what is there twice, or write `duplicates = "first"` (or `"last"`, `"keep"`) into dataset.toml.',
            setting='[measurements]\nduplicates = "first"',
            page="dataset-toml.md#measurements-how-measurement-files-are-read",
        ),
        FindingCode(
            "several-images-of-a-site",
            WARNING,
            means="One site has several images of different file names; they are kept as images of their own.",
            cause="They are time points or planes that no column names.",
            remedy="Give the measurements a column such as Metadata_T or Metadata_Z, or name the column that tells them apart under `[profiles] group_by`.",
            setting='[profiles]\ngroup_by = ["Metadata_Time"]',
            page="dataset-toml.md#profiles-well-profiles",
        ),
        FindingCode(
            "cells-missing",
            ERROR,
            means="There are fewer objects than the image table promises.",
            cause="A file is cut off or missing, or rows were filtered after the export.",
            remedy="Export or copy the tables again. The message names the first image.",
        ),
        FindingCode(
            "cells-unexpected",
            ERROR,
            means="There are more objects than the image table promises.",
            cause="Tables of two runs are mixed, or objects are there twice.",
            remedy="Export all tables of one run again.",
        ),
        FindingCode(
            "image-not-listed",
            ERROR,
            means="Objects are of images that the image table does not list; these cells have no file names.",
            cause="The image table is of another run, or cut off.",
            remedy="Copy the image table of the same run.",
        ),
        FindingCode(
            "position-from-file-name",
            INFO,
            means="Plate, well or site of images were read from image file names.",
            cause="The measurements have no such columns.",
            remedy="Nothing, if they are right. Write a `file_pattern` into dataset.toml, if they are wrong.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "plate-name-differs",
            INFO,
            means="The measurements call the plate by another name than its folder.",
            cause="A barcode stands in the one and a short name in the other.",
            remedy="Nothing, while cells are linked to images. If they are not, say that it is the same plate with `ignore_profile_plate` in dataset.toml.",
            setting="[join]\nignore_profile_plate = true",
            page="joins.md#which-image-a-row-belongs-to",
        ),
    ),
)
