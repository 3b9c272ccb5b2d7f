"""What the classes of errors mean that stop a step or a command: the same records as of findings.

The screen and the message of a failed step end with the code in brackets; Python's traceback names the class.
"""

from __future__ import annotations

from bioimage_assets.core import errors
from bioimage_assets.core.finding_codes.record import ERROR, CodeFamily, FindingCode


def _explain(
    kind: type[errors.BioimageError], means: str, cause: str, remedy: str, setting: str = "", page: str = ""
) -> FindingCode:
    """The record of a class, by the code that the class declares."""
    return FindingCode(kind.code, ERROR, means, cause, remedy, setting, page, error_class=kind.__name__)


ERRORS = CodeFamily(
    "errors",
    "Errors: what stops a step or a command",
    seen_in=("materialize", "status"),
    page="command-line.md#exit-codes",
    codes=(
        _explain(
            errors.UsageError,
            means="An argument or option of a call cannot be used; nothing was written.",
            cause="A name is misspelt, two options contradict each other, or a value is out of range.",
            remedy="Read the message, which says what was expected; `bioimage-assets COMMAND --help` lists the options.",
        ),
        _explain(
            errors.SettingsError,
            means="A settings file or an environment variable cannot be used as it is written.",
            cause="`dataset.toml` or `campaign.toml` has an unknown key, a wrong type or a syntax error, or a BIOIMAGE_ variable has "
            "an impossible value.",
            remedy="Correct the file and line that the message names. `bioimage-assets init-dataset` writes a file with all keys.",
            page="dataset-toml.md",
        ),
        _explain(
            errors.IdentityError,
            means="Two different things would share an id, or no id can be formed.",
            cause="Names of plates, wells or images are empty, equal, or have characters that a key cannot hold.",
            remedy="Rename the store, folder or plate that the message names.",
            page="orchestration.md#what-is-a-plate",
        ),
        _explain(
            errors.MissingExtraError,
            means="A call needs an optional library that is not installed.",
            cause="The package was installed without the extra that the message names.",
            remedy="Install it as the message says, for example `pip install 'bioimage_assets[cytomining]'`.",
            page="deployment.md#what-is-installed",
        ),
        _explain(
            errors.WorkerLostError,
            means="The process that worked on a plate ended without a word in an earlier try; the plate is left out.",
            cause="The system killed it for lack of memory, or a library crashed at a damaged file.",
            remedy="Give the run more memory, or look at the plate's files with `bioimage-assets scan`. Then run `bioimage-assets "
            "materialize --plates PLATE`.",
            page="orchestration.md#a-worker-that-dies-or-never-ends",
        ),
        _explain(
            errors.StoreNotFoundError,
            means="Nothing is at the address of a store.",
            cause="It was moved or deleted, its disk is not mounted, or the address is misspelt.",
            remedy="Correct the address, or mount the disk and run the command again.",
            page="stores.md",
        ),
        _explain(
            errors.KeyMissingError,
            means="A store has no file under a name that it promises.",
            cause="The copy is not complete.",
            remedy="Copy the store again.",
            page="broken-stores.md",
        ),
        _explain(
            errors.UnsupportedStoreError,
            means="Something is there, and it is not of a format that is read.",
            cause="A vendor's file, an HDF5 file, an archive of another kind, or a table where images were expected.",
            remedy="Convert it to OME-Zarr or OME-TIFF, for example with bioformats2raw.",
            page="stores.md#from-which-instrument",
        ),
        _explain(
            errors.CorruptStoreError,
            means="A store's own metadata are broken, so that not even a part of it can be read.",
            cause="A copy or an acquisition stopped, or a file was edited.",
            remedy="Copy the store or file again from where it was written.",
            page="broken-stores.md",
        ),
        _explain(
            errors.StoreAccessError,
            means="A store may not be read, could not be reached, or credentials are missing.",
            cause="Permissions of files, a bucket that needs credentials, or a server that does not answer.",
            remedy="Give the reading user access, or set BIOIMAGE_STORAGE_*. What may pass is tried again by itself.",
            page="storage.md#stores-in-a-bucket-container-or-on-a-web-server",
        ),
        _explain(
            errors.StoreChangedError,
            means="A store changed or went away while it was read; nothing was published of it.",
            cause="It is still being written or copied.",
            remedy="Wait until the copy is done, and run the command again.",
            page="orchestration.md#when-a-plate-is-taken",
        ),
        _explain(
            errors.LimitExceededError,
            means="A store would need more bytes, rows or files than a limit allows.",
            cause="It is very large, or its metadata promise what is not there.",
            remedy="Read the limit in the message. Split the store, or correct its metadata.",
            page="security.md",
        ),
        _explain(
            errors.MissingTableError,
            means="A table that is needed does not exist in the catalog or warehouse.",
            cause="The step that makes it was not run or failed, or BIOIMAGE_WAREHOUSE or BIOIMAGE_CATALOG name another place.",
            remedy="Run `bioimage-assets materialize`; `bioimage-assets tables` lists what is there.",
            page="storage.md",
        ),
        _explain(
            errors.SchemaConflictError,
            means="New rows do not fit the columns that a table already has; nothing was written.",
            cause="The same column is text in one plate and a number in another, or a table was made by another program.",
            remedy="Correct the type in the source, or write to a table of another name.",
            page="storage.md",
        ),
        _explain(
            errors.CommitError,
            means="A change of the catalog did not get through in time; the table is whole, old or new.",
            cause="Other processes write to the same table, or the database is slow or away.",
            remedy="Run the command again: what is stored already is not built again.",
            page="storage.md#what-holds",
        ),
        _explain(
            errors.CatalogError,
            means="The Iceberg catalog cannot be opened, read or written.",
            cause="BIOIMAGE_CATALOG names a catalog that PyIceberg does not know, its database does not answer, or a file is damaged.",
            remedy="Check the catalog's settings, and read the cause in the message.",
            page="storage.md",
        ),
        _explain(
            errors.ManifestError,
            means="`warehouse_manifest.json` is missing where it is needed, or is no manifest.",
            cause="The folder is no warehouse root, or the file was edited or not copied.",
            remedy="Name the right root, or copy the manifest with the root. For the project's own warehouse, `bioimage-assets maintain` writes a new one "
            "from the files.",
            page="storage.md#the-manifest-and-the-entries-of-the-partitions",
        ),
        _explain(
            errors.WarehouseRoleError,
            means="Role, namespace or analysis level of a table contradict the Cytomining warehouse specification.",
            cause="A table is written under a role that has another one stored, or a role that the specification does not know.",
            remedy="Use one of the roles in the message.",
            page="storage.md#roles-of-tables",
        ),
        _explain(
            errors.WarehouseError,
            means="A warehouse root cannot be read or written.",
            cause="The disk is full, you may not write there, or files were changed by hand.",
            remedy="Read the cause in the message. `bioimage-assets validate-warehouse` compares a root with its manifest.",
            page="storage.md",
        ),
        _explain(
            errors.MeasurementError,
            means="Measurement files of a plate cannot be turned into one table of cells; the plate has no cells.",
            cause="The files are damaged, of several layouts, lack a column of keys, or count cells twice.",
            remedy="Do what the end of the message says; findings of the plate with other codes give details.",
            page="measurement-sources.md",
        ),
        _explain(
            errors.ContractError,
            means="A table of profiles lacks columns that a join with images needs.",
            cause="Columns of plate, well, site or image have other names.",
            remedy="Name them under `[microscopy.aliases]`, and test with `bioimage-assets validate-contract`.",
            setting='[microscopy.aliases]\nwell_id = ["MyWellColumn"]',
            page="joins.md#which-image-a-row-belongs-to",
        ),
        _explain(
            errors.ProfilingError,
            means="Quality control or profiles of a plate or dataset cannot be made.",
            cause="There are no cells, no control wells, no features, or a platemap that contradicts itself.",
            remedy="Do what the message says; mostly the platemap or a key of dataset.toml is to be corrected.",
            page="dataset-toml.md#profiles-well-profiles",
        ),
    ),
)
