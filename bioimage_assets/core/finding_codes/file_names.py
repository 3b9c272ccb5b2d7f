"""Codes about names of image files: patterns that fit nothing, planes that are there twice, wells that are none."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import (
    ERROR,
    INFO,
    PATTERN_EXAMPLE,
    WARNING,
    CodeFamily,
    FindingCode,
)

FILE_NAMES = CodeFamily(
    "file-names",
    "Plate folders: what names of image files say",
    seen_in=(
        "scan",
        "scan_findings",
    ),
    page="dataset-toml.md#images-names-of-one-channel-tiffs",
    codes=(
        FindingCode(
            "names-not-understood",
            WARNING + INFO,
            means="No file name says a place on a plate, so the images are rows by path, without well and site.",
            cause="The names are of an instrument or a lab whose pattern is not built in. An info where the files are OME-TIFFs or there is only one.",
            remedy="If they are of a plate, write the `file_pattern` line that the message proposes into dataset.toml; it was made from your file names. "
            "Change the groups where it guesses wrong, then run `bioimage-assets materialize`; `bioimage-assets scan` alone reads no dataset.toml.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "file-not-matched",
            ERROR + WARNING + INFO,
            means="The name of a file carries no plate position. An error where `file_pattern` fits no file at all, so that no image is read; a warning "
            "where it leaves out some files, or does not fit an OME-TIFF, whose metadata are then followed; an info where built-in patterns leave out some.",
            cause="`file_pattern` is not written for these names (a missing group, another separator), or further files lie in the folder.",
            remedy="Correct `file_pattern` in dataset.toml. Where it fits no file, the message proposes a line that does. Move files that do not belong to the plate out of its "
            "folder.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "several-layouts",
            WARNING,
            means="The file names of one folder follow several patterns.",
            cause="Images of two instruments or exports lie in one folder, or some names look like another instrument's.",
            remedy="Write one `file_pattern` for all names into dataset.toml (the message proposes it), or give each export a folder of its own.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "several-plates",
            ERROR + WARNING,
            means="One folder, or the measurements of one plate, name several plates. A warning for a folder of images, an error for measurements.",
            cause="The plates of a run were exported into one folder or one database, or plate names differ in spelling.",
            remedy="Give each plate a folder (`<dataset>/<plate>/`) and a measurement file or folder of its own (`<dataset>/measurements/<plate>/`).",
            page="orchestration.md#what-is-a-plate",
        ),
        FindingCode(
            "duplicate-plane",
            ERROR,
            means="Two files would be the same plane of one field; the second is left out.",
            cause="The names differ in a part that no pattern reads: an acquisition, a time point, a copy `(1)`.",
            remedy="Remove copies. Where they are different images, write the `file_pattern` line that the message proposes. In a LoadData table, correct the "
            "site or channel of one row.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "names-span-too-much",
            WARNING,
            means="The names span far more planes than there are files; missing ones are not listed one by one.",
            cause="A number in the names is read as z or time and is something else (a date, a running number).",
            remedy="Write a `file_pattern` that names the groups as they are meant, into dataset.toml.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "channels-count-planes",
            ERROR + WARNING,
            means="The channels read from the names count z steps or time points (`DAPI_z01`, `DAPI_z02`): each plane would be a channel.",
            cause="The number of the plane stands in the part of the name that is read as the channel.",
            remedy="Write the `file_pattern` line that the message proposes: with a group `z` or `t` for the number.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "axis-in-names-and-files",
            ERROR,
            means="The file names count an axis, and each file has that axis, too, so planes would collide.",
            cause="Files are stacks, and their names count z, t or the channel as well.",
            remedy="Write one file per plane, or write a `file_pattern` that makes files of their own field out of it (group `site` or `acquisition`).",
        ),
        FindingCode(
            "counted-images-are-time",
            INFO,
            means="Numbers in the names are read as time points, since no `.xyz` file says how many z steps were taken.",
            cause="A BD Pathway export without its `.xyz` file.",
            remedy="Copy the `.xyz` file into the folder if there were z steps.",
            page="stores.md#from-which-instrument",
        ),
        FindingCode(
            "plane-or-time-point",
            WARNING,
            means="Columbus names do not say which number is the plane and which the time point; the first is read as the plane.",
            cause="`Index.xml` or `ImageIndex.ColumbusIDX.xml` is not beside the images.",
            remedy="Copy the index into the folder. Or write the pattern below into dataset.toml, where the first number is the time point.",
            setting="[images]"
            "\n"
            r"file_pattern = '(?P<row>\d{3})(?P<column>\d{3})-(?P<site>\d+)-(?P<t>\d{3})(?P<z>\d{3})(?P<channel>\d{3})'",
        ),
        FindingCode(
            "series-not-wells",
            WARNING,
            means="Names that look like wells of one row only (`T01`, `T02`, …) are not taken for wells.",
            cause="Mostly they count time points, z steps or scenes. Row letters beyond P exist on 1536-well plates only.",
            remedy="If they are wells, write the `file_pattern` line that the message proposes.",
            setting=PATTERN_EXAMPLE,
        ),
        FindingCode(
            "well-number-without-plate",
            WARNING,
            means="File names give the well as a number, and nothing says which well it is.",
            cause="A scanR export without `experiment_descriptor.xml`, which lies beside the folder `data`.",
            remedy="Copy `experiment_descriptor.xml` into the folder of the images and scan again.",
            page="stores.md#from-which-instrument",
        ),
        FindingCode(
            "well-differs",
            WARNING,
            means="The well of a file's name and that of its OME-XML differ; the OME-XML is followed.",
            cause="Files were renamed after the acquisition, or the plate was turned.",
            remedy="Look which is right. Write a `file_pattern` into dataset.toml to have the names followed.",
            page="stores.md#layouts",
        ),
        FindingCode(
            "sites-by-order",
            WARNING,
            means="Sites of a well are numbered by the order of the files, since their own numbers say nothing.",
            cause="Each OME-TIFF declares only itself, and its WellSample index goes on from well to well.",
            remedy="Write a `file_pattern` with a group `site`, if the names say the site.",
            page="stores.md#layouts",
        ),
        FindingCode(
            "position-names-repeat",
            WARNING,
            means="Several images are named with the same well and site, so no position is taken from these names.",
            cause="Names of positions were reused for time points or rounds.",
            remedy="Write a `file_pattern` into dataset.toml, if the names of the files tell the images apart.",
            page="stores.md#acquisition-facts",
        ),
        FindingCode(
            "site-of-several-images",
            WARNING,
            means="`file_pattern` gives one site to several images of one file; they have no site.",
            cause="A file of several series has one name.",
            remedy="Leave the group `site` out of the pattern, so that the file's own sites count, or write one file per site.",
        ),
        FindingCode(
            "pattern-splits-image",
            ERROR,
            means="`file_pattern` puts files at different places that their OME-XML makes one image; the OME-XML is followed.",
            cause="The pattern reads a channel or plane number as the site or well.",
            remedy="Correct `file_pattern` in dataset.toml; the message shows both places.",
        ),
        FindingCode(
            "pattern-over-metadata",
            WARNING + INFO,
            means="`file_pattern` puts images at other places than their metadata; the pattern is followed. An info where only the site differs.",
            cause="That is what `file_pattern` is for, or the pattern is wrong.",
            remedy="Remove `file_pattern` from dataset.toml if the metadata are right.",
        ),
    ),
)
