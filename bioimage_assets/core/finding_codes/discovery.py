"""Codes about watched roots: what is taken for a plate, and what is taken for nothing."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, INFO, WARNING, CodeFamily, FindingCode

DISCOVERY = CodeFamily(
    "discovery",
    "What lies in the watched roots",
    seen_in=(
        "status",
        "partitions",
        "materialize",
    ),
    page="orchestration.md#what-is-a-plate",
    codes=(
        FindingCode(
            "unreadable-root",
            ERROR,
            means="A watched root cannot be looked at, so its plates are not known.",
            cause="The folder or bucket in BIOIMAGE_INCOMING does not exist, is not mounted, or needs credentials.",
            remedy="Correct BIOIMAGE_INCOMING, mount the disk, or set the credentials (BIOIMAGE_STORAGE_*). Plates that are stored stay stored.",
            page="orchestration.md#from-a-folder-to-tables",
        ),
        FindingCode(
            "no-project",
            ERROR,
            means="Neither the watched folder nor anything that would be stored is there.",
            cause="The command ran in another folder than the project's, or nothing was begun yet.",
            remedy="Go to the folder of the project, or name its data folder in BIOIMAGE_DATA_DIR. To begin, make the folder data/incoming/ and put a "
            "dataset into it; `bioimage-assets example-data data/incoming/example` writes a small one.",
            page="orchestration.md#from-a-folder-to-tables",
        ),
        FindingCode(
            "empty-root",
            WARNING,
            means="A watched root that had plates is empty.",
            cause="The disk is not mounted, or everything was moved.",
            remedy="Mount the disk. No plate is taken for gone while the root is empty.",
            page="orchestration.md#when-a-store-goes-away",
        ),
        FindingCode(
            "unreadable-dataset",
            ERROR,
            means="A folder below a watched root cannot be looked at, so its plates are left out.",
            cause="You may not read it, or its name has no letter or digit that a key could hold. The message says which.",
            remedy="Correct what the message names, then run `bioimage-assets status`.",
        ),
        FindingCode(
            "dataset-file-refused",
            ERROR,
            means="The dataset.toml of a dataset cannot be used, so none of its plates is built. Other datasets go on.",
            cause="A key is misspelt, a value is not one of those that are allowed, the file is no valid TOML, or it cannot be read (no permission, a "
            "link to another place). The message names the key and the nearest one.",
            remedy="Correct the key in the file that the message names, then run `bioimage-assets materialize`; the sensor takes the plates up by itself.",
            page="dataset-toml.md",
        ),
        FindingCode(
            "unreadable-plate",
            ERROR,
            means="The files of a plate cannot be listed.",
            cause="You may not read the folder, or the disk or server failed.",
            remedy="Correct the permissions or mount the disk again; the plate is taken up at the next look.",
        ),
        FindingCode(
            "plate-name-clash",
            ERROR,
            means="Several stores would be the same plate. Of stores of one dataset none is taken; of two roots the first keeps the plate.",
            cause="Two stores have the same name up to the suffix (`P1.zarr`, `P1.ome.zarr`), two roots have a dataset and plate of one name, or images and "
            "measurements of a plate lie in different roots.",
            remedy="Rename all but one store, or the dataset folder in one root. Put measurements into `measurements/` beside the images.",
        ),
        FindingCode(
            "dataset-without-plates",
            WARNING,
            means="No plate is found in a folder at the top of a watched root.",
            cause="The plates lie several folders deeper, are in a format that is not read, or the folder is no dataset.",
            remedy="Put stores (`.ome.zarr`, `.ozx`), folders of TIFFs, or `measurements/<plate>/` right into the folder: `<root>/<dataset>/<plate>`. The "
            "message says what was found there.",
        ),
        FindingCode(
            "not-part-of-a-plate",
            WARNING,
            means="A folder or file in a dataset is part of no plate.",
            cause="It holds no image store, TIFF or measurement table.",
            remedy="Rename it to a plate's name, or move it out of the watched root. Notes and scripts may stay, if you do not mind the finding.",
        ),
        FindingCode(
            "file-outside-dataset",
            WARNING,
            means="Files at the top of a watched root belong to no dataset and are not read.",
            cause="Tables were copied beside the dataset folders in place of into one.",
            remedy="Move them to `<root>/<dataset>/`, or to `<root>/<dataset>/measurements/<plate>/`.",
        ),
        FindingCode(
            "images-outside-dataset",
            WARNING,
            means="Several TIFFs lie at the top of a watched root, where each is a plate of its own.",
            cause="The images of one plate were copied without their folders.",
            remedy="Move them to `<root>/<dataset>/<plate>/`, if they are of one plate.",
        ),
        FindingCode(
            "settings-file-not-read",
            WARNING,
            means="A settings file lies where it is not read.",
            cause="`campaign.toml` lies in a dataset, `dataset.toml` at the top of the root or in the folder of a plate, or the file has another name "
            "(`Dataset.toml`, `dataset.toml.txt`, `campaigns.toml`).",
            remedy="Settings of a dataset belong to `<root>/<dataset>/dataset.toml`, campaigns to `<root>/campaign.toml`. Move or rename the file.",
            page="dataset-toml.md",
        ),
        FindingCode(
            "reserved-folder-holds-stores",
            WARNING + INFO,
            means="Image stores lie in a folder whose name is reserved (`masks`, `profiles`, `metadata`, `load_data`, …); nothing in it is scanned. An info where "
            "TIFFs are expected there.",
            cause="A plate has one of these names, or results were written there.",
            remedy="Rename the folder, if it is a plate. Masks and results may stay.",
        ),
        FindingCode(
            "unusable-name",
            ERROR,
            means="A name has characters that cannot be printed, and is left out.",
            cause="A line break or a control character came into the name.",
            remedy="Rename the file or folder; the finding shows the character.",
        ),
        FindingCode(
            "several-measurements",
            WARNING,
            means="Measurements of a plate lie at several places; the first is used.",
            cause="Results of two pipelines or two exports were kept, for example a folder of CSVs and an SQLite file.",
            remedy="Keep one of them. The message names the one that is used and those that are not.",
            page="measurement-sources.md",
        ),
        FindingCode(
            "measurements-without-images",
            WARNING,
            means="Measurements have a name that no plate of images has, while plates of images have no measurements.",
            cause="The measurement folder or file is spelt otherwise than the plate.",
            remedy="Rename it to the plate's name; the message proposes the one that is most alike. Until then it is a plate of measurements alone, whose "
            "cells have no images.",
        ),
        FindingCode(
            "unclaimed-measurements",
            WARNING,
            means="A folder below `measurements/` is named after no plate and has no table (yet).",
            cause="The results are still being written, or the name is wrong.",
            remedy="Rename the folder to the plate's name, or add the tables.",
        ),
        FindingCode(
            "measurement-not-read",
            WARNING,
            means="Files in `measurements/` are of a kind that is not read.",
            cause="Spreadsheets (`.xlsx`), R or MATLAB files, or archives.",
            remedy="Export the table as CSV, Parquet, SQLite or AnnData (`.h5ad`).",
            page="measurement-sources.md",
        ),
        FindingCode(
            "loose-measurements",
            WARNING,
            means="CellProfiler's tables lie where it is not known of which plate they are, and are not read.",
            cause="`Cells.csv` and others lie right in the dataset or in `measurements/`, and the dataset has several plates.",
            remedy="Move them to `measurements/<plate>/`, or into the folder of the plate's images.",
        ),
        FindingCode(
            "load-data-not-used",
            INFO,
            means="The LoadData table of a plate is not read, since its images are here.",
            cause="Images say themselves what the table would say.",
            remedy="Nothing. To have the table name the files, put it into the folder of the images as `load_data.csv`.",
            page="samplesheets.md",
        ),
    ),
)
