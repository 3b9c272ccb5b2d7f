"""Codes about a copy of the Cell Painting Gallery: folders, LoadData tables and platemaps that do not go together."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, INFO, WARNING, CodeFamily, FindingCode

GALLERY = CodeFamily(
    "gallery",
    "Copies of the Cell Painting Gallery",
    seen_in=(
        "gallery",
        "scan_findings",
        "status",
    ),
    page="gallery.md#what-is-missing",
    codes=(
        FindingCode(
            "gallery-images-absent",
            ERROR,
            means="Images that the LoadData table names are not there.",
            cause="The copy is not complete, or the images were never uploaded.",
            remedy="Copy the plate's images again (`aws s3 sync`). Where the gallery itself lacks them, report it there; measurements of these images stay "
            "without image.",
        ),
        FindingCode(
            "gallery-images-elsewhere",
            INFO,
            means="The images of a plate are not here; the LoadData table stands for them.",
            cause="Only tables and measurements were copied.",
            remedy="Nothing, where you need no pixels. Else copy `images/<batch>/images/<plate>`.",
            page="gallery.md",
        ),
        FindingCode(
            "gallery-images-not-listed",
            INFO,
            means="Images of wells in the LoadData table are named by none of its rows.",
            cause="Further channels or sites were imaged and not measured, mostly on purpose.",
            remedy="Nothing.",
        ),
        FindingCode(
            "gallery-wells-not-listed",
            WARNING,
            means="Wells with images, or of the platemap, have no row in the LoadData table; nothing was measured there.",
            cause="The table was made of a part of the plate.",
            remedy="Nothing, where they were left out on purpose. Else make the LoadData table again and measure these wells.",
        ),
        FindingCode(
            "gallery-load-data-empty",
            ERROR,
            means="The LoadData table names no image of a well.",
            cause="It has a header only, or its wells cannot be read.",
            remedy="Copy or make the table again.",
        ),
        FindingCode(
            "gallery-load-data-unreadable",
            ERROR,
            means="A LoadData table cannot be read.",
            cause="It is cut off, no CSV or Parquet, or has no FileName_ columns.",
            remedy="Copy the table again.",
        ),
        FindingCode(
            "gallery-no-load-data",
            WARNING,
            means="A plate has no LoadData table, so it is not known which images should be there.",
            cause="`workspace/load_data_csv/<batch>/<plate>` was not copied or does not exist.",
            remedy="Copy the table; without it images are read by their names.",
        ),
        FindingCode(
            "gallery-other-plate",
            WARNING,
            means="Metadata_Plate in the LoadData table is not the plate of its folder.",
            cause="The plate was renamed after the table was written. Measurements made with the table use its name.",
            remedy="Nothing, if both are the same plate: cells find their images by well and site, whatever plate their rows name. Else move the table to "
            "its plate.",
        ),
        FindingCode(
            "gallery-site-not-a-number",
            ERROR,
            means="Metadata_Site in the LoadData table is no number, so images of one well are told apart by nothing.",
            cause="A word of the file name came into the column when the table was made (for example `IXMtest`).",
            remedy="Correct the column Metadata_Site as the file names say, in the table that the finding names.",
        ),
        FindingCode(
            "gallery-folder-renamed",
            WARNING,
            means="The LoadData table names images in another folder than the one where they lie.",
            cause="The folder of images was renamed after the table was written.",
            remedy="Nothing: they are compared by the rest of their paths. To link cells by path, write how the paths began and how they "
            "begin now under `[join] path_rewrites` in dataset.toml.",
            setting='[join]\npath_rewrites = [["/old/images/OLD_FOLDER/", "/data/images/NEW_FOLDER/"]]',
        ),
        FindingCode(
            "gallery-batch-not-understood",
            WARNING,
            means="A batch has no folder `images`, so no plate is found in it.",
            cause="The copy has another layout than `images/<batch>/images/<plate>`.",
            remedy="Copy the batch as the gallery has it.",
            page="gallery.md",
        ),
        FindingCode(
            "gallery-folder-without-plate",
            WARNING,
            means="Folders of images belong to no plate of `workspace`; each is a plate of images alone.",
            cause="The folder has another name than the plate, or the plate was never measured.",
            remedy="Give folder and plate the same name, where they are the same plate.",
        ),
        FindingCode(
            "gallery-plate-name-differs",
            WARNING,
            means="The images of a plate lie in a folder of another name, as its LoadData table says.",
            cause="The instrument named the folder, and the plate was renamed later.",
            remedy="Nothing: the table is followed. Look whether it is right.",
        ),
        FindingCode(
            "gallery-several-folders",
            WARNING,
            means="A plate has several folders of images; one is used.",
            cause="The plate was imaged twice. The LoadData table says which counts, else the last by name.",
            remedy="Look whether the right one is used (the message names it), and move the others away.",
        ),
        FindingCode(
            "gallery-plate-in-several-batches",
            INFO,
            means="A plate of the same name is in several batches; the later ones have the batch in their name.",
            cause="Names of plates are reused between batches.",
            remedy="Nothing.",
        ),
        FindingCode(
            "gallery-no-cells",
            WARNING,
            means="There are no single cells of a plate, only a table of wells.",
            cause="The backend holds the aggregated profiles; the SQLite or Parquet file of cells was not copied.",
            remedy="Copy `workspace/backend/<batch>/<plate>/<plate>.sqlite` (or `.parquet`).",
        ),
        FindingCode(
            "gallery-no-measurements",
            INFO,
            means="A plate has no measurements.",
            cause="Neither `backend` nor `analysis` of the plate was copied, or it was never measured.",
            remedy="Copy `workspace/backend/<batch>/<plate>`, if you need cells.",
        ),
        FindingCode(
            "gallery-plate-absent",
            WARNING,
            means="Plates in the list of barcodes have neither images nor LoadData table nor measurements.",
            cause="They were planned and not made, or are not part of the copy.",
            remedy="Nothing for a partial copy. Else copy the plates that the message names.",
        ),
        FindingCode(
            "gallery-no-platemap",
            WARNING,
            means="The batch has no folder of platemaps: its wells have no treatments.",
            cause="`workspace/metadata/platemaps/<batch>` was not copied.",
            remedy="Copy that folder.",
        ),
        FindingCode(
            "gallery-platemap-absent",
            ERROR,
            means="The list of barcodes names a platemap that is not there.",
            cause="The file was not copied or is misspelt in `barcode_platemap.csv`.",
            remedy="Put the file into the folder `platemap` beside the list, or correct its name in the list.",
        ),
        FindingCode(
            "gallery-platemap-unreadable",
            ERROR,
            means="A platemap or list of barcodes cannot be read.",
            cause="`barcode_platemap.csv` is not there or lacks a column (Assay_Plate_Barcode, Plate_Map_Name), the platemap has no column well_position, or a "
            "file is no text table. The message says which.",
            remedy="Copy or correct the file that the message names.",
        ),
    ),
)
