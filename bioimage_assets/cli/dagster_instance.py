"""The Dagster instance of this folder, for commands that register plates, build them, or ask what became of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bioimage_assets.core.errors import SettingsError

if TYPE_CHECKING:
    import dagster as dg

# Dagster answers a wrong instance file with all that it might have said.
MAX_INSTANCE_ERROR = 400
# How the folder of an instance begins that goes when its command ends; Dagster's own commands call theirs the same.
TEMPORARY_HOME = ".tmp_dagster_home_"


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that `dagster` commands of this folder use.

    Where neither DAGSTER_HOME nor a dagster.yaml of this folder says which one that is, it is a temporary one in this folder, which
    collects no usage statistics: Dagster would keep an id in ``~/.dagster``.

    Raises
    ------
    SettingsError
        Its folder, its file or its storage cannot be used.
    """
    from dagster import DagsterError
    from dagster._cli.utils import get_possibly_temporary_instance_for_cli
    from dagster._core.instance import InstanceRef
    from sqlalchemy.exc import SQLAlchemyError
    from yaml import YAMLError

    with ExitStack() as opened:
        try:
            ref = None
            if not _is_instance_named():
                home = opened.enter_context(TemporaryDirectory(prefix=TEMPORARY_HOME, dir=os.getcwd()))
                ref = InstanceRef.from_dir(home, overrides={"telemetry": {"enabled": False}})
            instance = opened.enter_context(get_possibly_temporary_instance_for_cli("bioimage-assets", ref))
        except (DagsterError, SQLAlchemyError, YAMLError, OSError) as error:
            raise _refuse_instance(error) from error
        try:
            yield instance
        except SQLAlchemyError as error:  # its storage, which may be full or away by now
            raise _refuse_instance(error) from error


def _is_instance_named() -> bool:
    """Whether the environment, the file .env or an instance file of this folder says what the instance is."""
    from dagster._core.instance.config import is_dagster_home_set
    from dagster._core.secrets.env_file import get_env_var_dict

    folder = os.getcwd()
    is_set = is_dagster_home_set() or "DAGSTER_HOME" in get_env_var_dict(folder)
    return is_set or any(os.path.exists(os.path.join(folder, f"dagster.{end}")) for end in ("yaml", "yml"))


def _refuse_instance(error: Exception) -> SettingsError:
    home = os.environ.get("DAGSTER_HOME", "")
    text = " ".join(str(error).split())[:MAX_INSTANCE_ERROR].rstrip(".")
    return SettingsError(
        f"The Dagster instance of DAGSTER_HOME={home!r} cannot be used: {text}. DAGSTER_HOME names "
        "an absolute folder that exists and may be written; its dagster.yaml says where the history is kept."
    )
