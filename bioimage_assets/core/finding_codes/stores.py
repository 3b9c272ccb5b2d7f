"""Codes about stores as a whole: what could not be opened, which names clash, which images are gone."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import (
    ERROR,
    INFO,
    PATTERN_EXAMPLE,
    WARNING,
    CodeFamily,
    FindingCode,
)

STORES = CodeFamily(
    "stores",
    "Image stores: opening and identity",
    seen_in=(
        "scan",
        "scan_findings",
        "materialize",
        "status",
    ),
    page="stores.md#broken-and-hostile-stores",
    codes=(
        FindingCode(
            "unreadable-store",
            ERROR,
            means="One store of the plate could not be read at all, so none of its images is in the tables.",
            cause="The store's own metadata are broken or missing, a file is cut off, its format is not one that is read, or access is denied. The message "
            "repeats the reader's words. Other stores of the plate are read.",
            remedy="Run `bioimage-assets scan` on the store that the finding names and read the error. Copy the store again where it is damaged, convert it "
            "to OME-Zarr or OME-TIFF where its format is not read, or give the reading user access.",
        ),
        FindingCode(
            "ambiguous-identity",
            ERROR,
            means="A store could not be given a plate or image name that is its own, so it was left out.",
            cause="A name in the store is empty, has characters that a key cannot hold, or two different things of the store would get the same key.",
            remedy="Rename the store or folder that the finding names. Names of plates and datasets need at least one letter or digit and must differ.",
            page="stores.md#folders-with-names-of-their-own",
        ),
        FindingCode(
            "duplicate-image-id",
            ERROR,
            means="Two files or stores would be the same image; only the first is in the tables.",
            cause="In a folder of TIFFs, plate, well, site and acquisition read from two file names are equal: mostly the names differ in a part that no "
            "pattern reads (a time point, a second acquisition). Between stores, two stores of one dataset hold a plate and image of the same name.",
            remedy="In a folder of TIFFs, write the `file_pattern` line that the message proposes into dataset.toml. Between stores, rename the plate of one "
            "store or put the stores into different dataset folders. Remove real copies.",
            setting=PATTERN_EXAMPLE,
            page="dataset-toml.md#images-names-of-one-channel-tiffs",
        ),
        FindingCode(
            "zipped-folder",
            WARNING,
            means="The archive holds the Zarr store in a folder instead of at its root; it was read from there.",
            cause="The folder itself was zipped (`zip -r plate.zip plate.zarr`), not what lies in it.",
            remedy="Zip from within the folder (`cd plate.zarr && zip -0 -r ../plate.ozx .`). Other readers expect the root document at the root of the "
            "archive (RFC-9).",
            page="stores.md#layouts",
        ),
        FindingCode(
            "link-not-followed",
            ERROR + WARNING,
            means="Links that lead out of a store, or links to folders below a watched root, were not followed. An error where images or chunks are missing "
            "for it.",
            cause="The data are in git-annex or DataLad, or plates on another disk are linked into the folder. Links are not followed unless asked for, "
            "since a link may lead anywhere. A link that leads to nothing is counted too: with git-annex the content was not fetched.",
            remedy="Where the links are meant, write `follow_symlinks = true` into dataset.toml, set BIOIMAGE_FOLLOW_SYMLINKS=on, or give "
            "`--follow-symlinks`. For links to whole plates you can also name the real folder in BIOIMAGE_INCOMING. Fetch missing content first (`git "
            "annex get`, `datalad get`).",
            setting="[images]\nfollow_symlinks = true",
            page="stores.md#links",
        ),
        FindingCode(
            "link-refused",
            WARNING,
            means="A document of a store lies behind a link that leads out of the store, and was not read.",
            cause="`zarr.json`, `.zattrs` or another document that is read to recognise a plate is a link into another folder.",
            remedy="Put the file itself in the place of the link, or allow links with `follow_symlinks = true` in dataset.toml or "
            "BIOIMAGE_FOLLOW_SYMLINKS=on.",
            setting="[images]\nfollow_symlinks = true",
            page="stores.md#links",
        ),
        FindingCode(
            "name-not-utf8",
            ERROR,
            means="Files whose names are not UTF-8 text were left out.",
            cause="The names were written by a system with another encoding (Latin-1, Shift-JIS). No table can hold such a name.",
            remedy="Rename the files. `convmv -f latin1 -t utf8 -r --notest FOLDER` does it for a whole tree. Then scan again.",
            page="broken-stores.md",
        ),
        FindingCode(
            "names-differ-in-suffix",
            WARNING,
            means="Two files have the same name up to the suffix (`A01.tif` and `A01.ome.tif`); both are kept, the second with its suffix in its name.",
            cause="One is mostly a copy or an export of the other in a second format.",
            remedy="Remove the copy, or rename one of them if they are different images. Images that are there twice are counted twice.",
            page="orchestration.md#what-is-a-plate",
        ),
        FindingCode(
            "images-not-read",
            WARNING + INFO,
            means="Image files of a kind that is not read lie here; they are counted and left out. Pictures such as PNG and JPEG are an info only.",
            cause="A vendor's format (CZI, LIF, ND2, VSI, …), HDF5 or a movie lies beside or in place of images that are read. The kind is told by the "
            "suffix; the file was not opened.",
            remedy="Convert the files: the message names the way for each kind, mostly bioformats2raw to OME-Zarr. Ignore it where the files are previews or "
            "drawings.",
            page="stores.md#from-which-instrument",
        ),
        FindingCode(
            "images-gone",
            ERROR,
            means="The plate has fewer images than at its last scan.",
            cause="Files were moved, deleted or not copied completely, or a disk was not mounted. The message counts the images and names their wells.",
            remedy="Copy the store again: the finding ends when the images are back. If they are gone on purpose, run `bioimage-assets partitions remove "
            "DATASET/PLATE` and build the plate again.",
            page="orchestration.md#when-a-store-goes-away",
        ),
        FindingCode(
            "plate-of-another-project",
            ERROR,
            means="The stored rows of this plate came from images at another place, which is still there; they are replaced.",
            cause="Two projects write to the same warehouse root and have a dataset and plate of the same name.",
            remedy="Rename the dataset folder of one project, or give one project a warehouse root of its own (BIOIMAGE_WAREHOUSE). Then build both plates "
            "again.",
            page="storage.md#who-may-read-them",
        ),
        FindingCode(
            "channel-names-equal",
            ERROR + WARNING,
            means="Two channels of one image have the same name. An error where two files of a field are read as two channels and are the same one in two "
            "spellings.",
            cause="The metadata repeat a name (two channels called `DAPI`), or file names spell one channel in two ways (`w1` and `w01`, `dapi` and "
            "`DAPI`).",
            remedy="Correct the channel names in the metadata or the sidecar of the plate. For two spellings, remove the copy or write the `file_pattern` "
            "that the message proposes. Until then tell the channels apart by their index.",
            setting=PATTERN_EXAMPLE,
            page="stores.md#what-a-row-holds",
        ),
    ),
)
