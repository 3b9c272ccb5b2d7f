"""In which datasets of a watched root links to folders are followed: the dataset's own file decides, else the settings."""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.storage_options import follows_symlinks
from bioimage_assets.core.stores.tree import Tree, open_tree


class FollowedDatasets:
    """Called with the path of a link. A ``dataset.toml`` is read when the first link of its dataset is met, once for a look."""

    def __init__(self, root_uri: str, storage_options: Mapping[str, object] | None) -> None:
        self._root_uri = root_uri.rstrip("/")
        self._storage_options = storage_options
        self._default = follows_symlinks(storage_options)
        self._known: dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        dataset, slash, _ = path.partition("/")
        if (
            not slash
        ):  # a dataset, or a store at the top, that is a link itself: no file of its own was found yet
            return self._default
        if dataset not in self._known:
            self._known[dataset] = self._ask(dataset)
        return self._known[dataset]

    def _ask(self, dataset: str) -> bool:
        try:
            settings = read_dataset_settings(
                f"{self._root_uri}/{dataset}", storage_options=self._storage_options
            )
        except BioimageError:  # said by whoever needs the settings
            return self._default
        return self._default if settings.follow_symlinks is None else settings.follow_symlinks


def open_watched_root(root_uri: str, storage_options: Mapping[str, object] | None = None) -> Tree:
    """Open a watched root; links to folders are followed where dataset or settings say so."""
    return open_tree(root_uri, storage_options, FollowedDatasets(root_uri, storage_options))
