"""The Dagster instance of this folder, for commands that register plates, build them, or ask what became of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bioimage_assets.core.errors import SettingsError

if TYPE_CHECKING:
    import dagster as dg

# Dagster answers a wrong instance file with all that it might have said.
MAX_INSTANCE_ERROR = 400


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that `dagster` commands of this folder use.

    Raises
    ------
    SettingsError
        Its folder, its file or its storage cannot be used.
    """
    from dagster import DagsterError
    from dagster._cli.utils import get_possibly_temporary_instance_for_cli
    from sqlalchemy.exc import SQLAlchemyError
    from yaml import YAMLError

    with ExitStack() as opened:
        try:
            instance = opened.enter_context(get_possibly_temporary_instance_for_cli("bioimage-assets"))
        except (DagsterError, SQLAlchemyError, YAMLError, OSError) as error:
            raise _refuse_instance(error) from error
        try:
            yield instance
        except SQLAlchemyError as error:  # its storage, which may be full or away by now
            raise _refuse_instance(error) from error


def _refuse_instance(error: Exception) -> SettingsError:
    home = os.environ.get("DAGSTER_HOME", "")
    text = " ".join(str(error).split())[:MAX_INSTANCE_ERROR].rstrip(".")
    return SettingsError(
        f"The Dagster instance of DAGSTER_HOME={home!r} cannot be used: {text}. DAGSTER_HOME names "
        "an absolute folder that exists and may be written; its dagster.yaml says where the history is kept."
    )
