"""Adds what a lab keeps in ``bioimage_assets/defs/`` to the project's definitions.

The folder is Dagster's own: ``dg scaffold defs`` writes Python modules and ``defs.yaml`` components into it. An empty one
costs nothing; the first module costs 0.3 s of each loading, for Dagster's component library.
"""

import inspect
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType

import dagster as dg

import bioimage_assets.defs


def add_user_definitions(defs: dg.Definitions, package: ModuleType = bioimage_assets.defs) -> dg.Definitions:
    """The project's definitions and those of the folder; an error names the user's file.

    Raises
    ------
    dagster.DagsterInvalidDefinitionError
        An asset of the folder has the name of one of the project.
    """
    folder = Path(str(package.__file__)).parent
    if not any(path.suffix in (".py", ".yaml") and path.name != "__init__.py" for path in folder.rglob("*")):
        return defs
    with _NamedFile(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # of what Dagster calls in here
        user = dg.ComponentTree.from_module(defs_module=package, project_root=folder.parents[1]).build_defs()
    _refuse_taken_names(defs, user, folder)
    return dg.Definitions.merge(defs, user)


class _NamedFile:
    """An error that leaves the block says which file of the folder raised it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        called = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(trace)]
        if isinstance(error, SyntaxError):
            called.append((error.filename or "", error.lineno))
        for filename, line in reversed(called):
            if Path(filename).is_relative_to(self.folder):
                error.add_note(
                    f"Raised by {filename}, line {line}, which is loaded beside the project's assets."
                )
                return


def _refuse_taken_names(defs: dg.Definitions, user: dg.Definitions, folder: Path) -> None:
    """Dagster's own message has the name alone."""
    taken = {key for asset in defs.assets or () for key in _list_keys(asset)}
    for asset in user.assets or ():
        for key in taken.intersection(_list_keys(asset)):
            raise dg.DagsterInvalidDefinitionError(
                f"The asset {key.to_user_string()} of {_find_file(asset) or folder} has the name of one of the "
                "project; give it another."
            )


def _list_keys(asset: object) -> Iterable[dg.AssetKey]:
    if isinstance(asset, dg.AssetsDefinition):
        return asset.keys
    return [asset.key] if isinstance(asset, dg.AssetSpec) else []


def _find_file(asset: object) -> str | None:
    """File of an asset that is a decorated function."""
    compute = asset.op.compute_fn if isinstance(asset, dg.AssetsDefinition) else None
    function = getattr(compute, "decorated_fn", None)
    return None if function is None else inspect.getsourcefile(function)
