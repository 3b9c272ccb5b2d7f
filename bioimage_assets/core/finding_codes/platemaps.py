"""Codes about platemaps: files that are missing or not read, words that become values, and quantities."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import INFO, WARNING, CodeFamily, FindingCode

PLATEMAPS = CodeFamily(
    "platemaps",
    "Platemaps, treatments and their quantities",
    seen_in=(
        "pycytominer_profiles",
        "plate_findings",
        "status",
    ),
    page="dataset-toml.md#platemaps-where-the-treatments-are-written",
    codes=(
        FindingCode(
            "platemap-missing",
            WARNING,
            means="The plate has no platemap: no well has a treatment, and none is a control.",
            cause="There is no folder `platemaps` in the dataset, or no file in it has the plate's name and there is no `barcode_platemap.csv`.",
            remedy="Put `barcode_platemap.csv` (columns Assay_Plate_Barcode, Plate_Map_Name) and `platemap/*.txt` into the folder, or a table with the "
            "plate's name. Where it is another folder, name it with `dir` in dataset.toml, relative to the dataset.",
            setting='[platemaps]\ndir = "layouts"',
        ),
        FindingCode(
            "platemap-assumed",
            INFO,
            means="The only platemap of the folder is taken for the plate.",
            cause="There is one file, and no `barcode_platemap.csv` that says whose it is.",
            remedy="Nothing, if it is the plate's. Write a `barcode_platemap.csv` as soon as there are several layouts.",
        ),
        FindingCode(
            "platemap-link-refused",
            WARNING,
            means="A link in the platemap folder leads out of it, or to nothing, and was not followed.",
            cause="Platemaps are shared between datasets by links.",
            remedy="Copy the file into the folder.",
            page="stores.md#links",
        ),
        FindingCode(
            "platemap-not-read",
            WARNING,
            means="Files in the platemap folder are no tables of text and are not read.",
            cause="They are spreadsheets (`.xlsx`) or other documents.",
            remedy="Export them as `.csv` or tab-separated `.txt`.",
        ),
        FindingCode(
            "platemap-word-kept",
            INFO,
            means="Words such as `NA` or `None` in the platemap are taken as values.",
            cause="They may be names of genotypes, genes or compounds, so they are kept.",
            remedy="If they mean that there is no value, list them under `missing` in dataset.toml.",
            setting='[platemaps]\nmissing = ["NA", "n/a"]',
            page="dataset-toml.md#what-words-become",
        ),
        FindingCode(
            "plate-not-in-barcodes",
            WARNING,
            means="`barcode_platemap.csv` does not list the plate; its wells have no treatments.",
            cause="The plate has another name there, or a spreadsheet took the leading zeros of the barcode.",
            remedy="Add or correct the plate's line in `barcode_platemap.csv`. The message names the barcode that is the same but for leading zeros, if there is one.",
        ),
        FindingCode(
            "platemap-well-unreadable",
            WARNING,
            means="Rows of the platemap name no well and are left out.",
            cause="Wells are written in an unusual way, rows are notes, or another column holds the well.",
            remedy="Write wells like `A01`, or name the column with `well_column` in dataset.toml.",
            setting='[platemaps]\nwell_column = "MyWellColumn"',
        ),
        FindingCode(
            "external-metadata-unused",
            WARNING,
            means="A table of external metadata has no column in common with the platemap and is not used.",
            cause="The identifier has another name in the two files (`broad_sample`, `compound_id`).",
            remedy="Give the column of the identifier the same name in both.",
        ),
        FindingCode(
            "external-metadata-column",
            INFO,
            means="A column of the external metadata is in the platemap, too; the platemap's values are kept.",
            cause="Both files describe the same thing.",
            remedy="Nothing, or rename one of the columns to have both.",
        ),
        FindingCode(
            "quantity-not-a-number",
            WARNING,
            means="A quantity (concentration, time, volume) has values that are no numbers; they are null and kept as words beside it.",
            cause="Words such as `high` or a number with its unit stand in the column.",
            remedy="Write numbers in the platemap. Where the words mean no value, list them under `missing` in dataset.toml.",
            setting='[platemaps]\nmissing = ["control"]',
            page="dataset-toml.md#what-words-become",
        ),
        FindingCode(
            "quantity-is-text",
            WARNING,
            means="A column that is named like a quantity holds no number at all and is kept as text.",
            cause="It holds words (`low`, `high`) or numbers with units.",
            remedy="Write numbers, or give the column a name without a unit. All plates of the dataset must agree.",
            page="dataset-toml.md#what-words-become",
        ),
        FindingCode(
            "quantity-comma",
            WARNING,
            means="Numbers with a comma are read with a decimal comma (`1,000` as 1), since nothing says that it means thousands.",
            cause="A spreadsheet wrote thousands with commas, or decimals.",
            remedy="Write thousands without commas, if that was meant. Doses are wrong by a factor of 1,000 else.",
            page="dataset-toml.md#what-words-become",
        ),
        FindingCode(
            "column-of-two-types",
            WARNING,
            means="A column holds text on some plates and numbers on others; it is text here.",
            cause="Platemaps of the dataset write different things into one column.",
            remedy="Write the same kind of value in all platemaps.",
            page="dataset-toml.md#what-words-become",
        ),
        FindingCode(
            "well-without-platemap",
            WARNING,
            means="Wells with cells are in no platemap, so they have no treatment.",
            cause="The platemap is of another layout or lacks rows.",
            remedy="Add the wells to the platemap, or correct which platemap the plate has in `barcode_platemap.csv`.",
        ),
        FindingCode(
            "platemap-well-without-cells",
            WARNING,
            means="Wells of the platemap have no cells on this plate.",
            cause="They were not imaged, no cell was left in them (toxic treatments), or the platemap is another plate's.",
            remedy="Look at the wells on the plate's page. Correct `barcode_platemap.csv`, if the platemap is another plate's.",
        ),
    ),
)
