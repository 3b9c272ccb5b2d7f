"""Files of plates beside the warehouse, as virtual plates are: a file or folder each, and a marker that says what it was made of.

Below one folder or prefix, ``<dataset>/<plate><suffix>`` and beside it ``<dataset>/<plate><suffix>.made-<fingerprint>``, written last: what a
killed run left has no marker and is made again. One listing of a dataset tells of all its plates.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from bioimage_assets.core.errors import BioimageError, MissingTableError, StoreError
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.storage.plate_table import Metadata, PlateFiles
from bioimage_assets.core.storage.replace_whole import replace_file
from bioimage_assets.core.stores.clients import as_access_error, open_client
from bioimage_assets.core.stores.open import local_path

_MADE = ".made-"
SUFFIXES = (".json", ".parquet", ".icechunk")


def locate_files(root_uri: str, partition: str, suffix: str) -> str:
    """Where the file or folder of a plate is."""
    return f"{root_uri.rstrip('/')}/{partition}{suffix}"


def find_files(root_uri: str, partition: str, storage_options: Mapping[str, object] | None = None) -> str:
    """URI of the files that a plate has; MissingTableError where it has none that are whole."""
    made = list_made(root_uri, [dataset_of(partition)], storage_options).get(partition)
    if made is None:
        raise MissingTableError(
            f"{partition} has no virtual plate in {root_uri}. Write [virtual_plates] write = true in the dataset's dataset.toml and "
            "materialize virtual_plates, or run 'bioimage-assets virtual-plate'."
        )
    return locate_files(root_uri, partition, made[0])


def list_made(
    root_uri: str, datasets: Collection[str], storage_options: Mapping[str, object] | None = None
) -> dict[str, tuple[str, str]]:
    """Suffix and fingerprint of every plate of these datasets whose files are there whole; one listing for each dataset."""
    found: dict[str, tuple[str, str]] = {}
    for dataset in sorted(set(datasets)):
        names = set(_list_names(root_uri, dataset, storage_options))
        for name in sorted(names):
            file, made, fingerprint = name.rpartition(_MADE)
            suffix = next((end for end in SUFFIXES if file.endswith(end)), "")
            if made and suffix and file in names:
                found[f"{dataset}/{file.removesuffix(suffix)}"] = (suffix, fingerprint)
    return found


def write_plate_files(
    root_uri: str,
    partition: str,
    files: PlateFiles,
    fingerprint: str,
    storage_options: Mapping[str, object] | None = None,
) -> tuple[str, Metadata]:
    """Have the files of a plate written, and mark them; gives their URI and what their writer says of them.

    Files of another form that the plate had before are removed afterwards.

    Raises
    ------
    BioimageError
        They cannot be written; those of before are still there, and made again by the next run.
    """
    uri = locate_files(root_uri, partition, files.suffix)
    before = _list_own(root_uri, partition, storage_options)
    _remove_names(root_uri, partition, [name for name in before if _MADE in name], storage_options)
    metadata = files.write(uri)
    replace_file(f"{uri}{_MADE}{fingerprint}", b"", storage_options)
    own = uri.rpartition("/")[2]
    old = [name for name in before if _MADE not in name and name != own]
    _remove_names(root_uri, partition, old, storage_options)
    return uri, metadata


def remove_plate_files(
    root_uri: str, partition: str, storage_options: Mapping[str, object] | None = None
) -> None:
    """Remove the files of a plate in all their forms; what is not there is no error."""
    names = _list_own(root_uri, partition, storage_options)
    markers_first = sorted(names, key=lambda name: _MADE not in name)
    _remove_names(root_uri, partition, markers_first, storage_options)


def _list_own(root_uri: str, partition: str, options: Mapping[str, object] | None) -> list[str]:
    """Names of a plate's files and markers in the folder of its dataset."""
    own = [f"{partition.rpartition('/')[2]}{suffix}" for suffix in SUFFIXES]
    names = _list_names(root_uri, dataset_of(partition), options)
    return [name for name in names if any(name == file or name.startswith(file + _MADE) for file in own)]


def _list_names(root_uri: str, dataset: str, options: Mapping[str, object] | None) -> list[str]:
    """Files and folders directly in the folder of a dataset."""
    place = f"{root_uri.rstrip('/')}/{dataset}"
    path = local_path(place)
    if path is not None:
        try:
            return os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            return []
    with _bucket_errors(place):
        listed = obstore.list_with_delimiter(open_client(place, options or {}))
    paths = [*listed["common_prefixes"], *(found["path"] for found in listed["objects"])]
    return [found.rstrip("/").rpartition("/")[2] for found in paths]


def _remove_names(
    root_uri: str, partition: str, names: Sequence[str], options: Mapping[str, object] | None
) -> None:
    folder = f"{root_uri.rstrip('/')}/{dataset_of(partition)}"
    path = local_path(folder)
    for name in names:
        if path is not None:
            _remove_local(Path(path) / name)
        else:
            _remove_objects(folder, name, options)


def _remove_local(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BioimageError(f"{path} cannot be removed: {error.strerror or error}.") from error


def _remove_objects(folder: str, name: str, options: Mapping[str, object] | None) -> None:
    """An object, or everything below it where it is the prefix of a repository: a listing of a prefix holds what is below it alone."""
    client = open_client(folder, options or {})
    with _bucket_errors(f"{folder}/{name}"):
        below = [found["path"] for batch in obstore.list(client, prefix=name) for found in batch]
        if below:
            obstore.delete(client, below)
        else:
            with suppress(FileNotFoundError):  # some services say so of what is gone
                obstore.delete(client, name)


@contextmanager
def _bucket_errors(place: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (BaseError, OSError) as error:
        raise as_access_error(error, place) from error
