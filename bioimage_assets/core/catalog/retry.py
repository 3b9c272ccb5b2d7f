"""Which catalog failures are worth another attempt, and what the others are called in this project.

Measured causes: lost commit races, several processes creating the same catalog, namespace or table,
a busy SQLite file, a restarted database server, a catalog server that answers 500 for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa
import requests
import sqlalchemy.exc
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    ServerError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    ValidationError,
    ValidationException,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from bioimage_assets.core.errors import BioimageError, CatalogError, CommitError, MissingTableError

# After these a commit may have landed or not: its id in the table's snapshots tells.
UNKNOWN_OUTCOMES = (CommitStateUnknownException, requests.ConnectionError, requests.Timeout)
COMMIT_DEADLINE_S = 300.0  # a queue of writers must not fail a plate that is computed already
# A server that answers 500 may be in the middle of something: SeaweedFS 4.48 does while another writer makes the
# namespace. One that still does after this long is broken.
SERVER_ERROR_DEADLINE_S = 20.0

# Lost races, and servers that are busy for a moment.
_PASSING = (
    CommitFailedException,
    ValidationException,
    TableAlreadyExistsError,
    NamespaceAlreadyExistsError,
    ServiceUnavailableError,
    ServerError,  # PyIceberg calls a 500 to a commit an unknown outcome: this one came from a call that can be made again
    sqlalchemy.exc.IntegrityError,
)
# Of SQLite and PostgreSQL: SQLAlchemy's OperationalError stands for passing and lasting failures alike.
_TRANSIENT_TEXTS = (
    "locked",
    "busy",
    "already exists",
    "deadlock",
    "could not serialize",
    "connection",
    "duplicate key",
)

T = TypeVar("T")


def is_retryable(error: BaseException) -> bool:
    """Tell whether the same call may succeed when made again; an unknown commit outcome is not."""
    if isinstance(error, CommitStateUnknownException):
        return False
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return any(text in str(error).lower() for text in _TRANSIENT_TEXTS)
    # A schema change that lost its race fails like this inside PyIceberg 0.12.
    return isinstance(error, ValueError) and "no schema has been added" in str(error)


def call_with_retry(
    call: Callable[[], T],
    *,
    deadline_s: float = COMMIT_DEADLINE_S,
    retryable: Callable[[BaseException], bool] = is_retryable,
) -> T:
    """Call until it succeeds, waiting a random, growing time between attempts; the last error is raised."""

    def is_too_late(attempts: RetryCallState) -> bool:
        error = attempts.outcome.exception() if attempts.outcome else None
        allowed = min(deadline_s, SERVER_ERROR_DEADLINE_S) if isinstance(error, ServerError) else deadline_s
        return (attempts.seconds_since_start or 0.0) >= allowed

    return Retrying(
        retry=retry_if_exception(retryable),
        stop=is_too_late,
        # Short at first, since a commit is, and random, so that writers that met once part.
        wait=wait_random_exponential(multiplier=0.05, max=3),
        reraise=True,
    )(call)


@contextmanager
def catalog_errors(what: str) -> Iterator[None]:
    """Turn the libraries' exceptions into this project's, with ``what`` was being done to which table."""
    try:
        yield
    except BioimageError:
        raise
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise MissingTableError(f"{what}: the table does not exist ({error}).") from error
    except UNKNOWN_OUTCOMES as error:
        raise CommitError(
            f"{what}: the catalog's server did not answer ({_first_line(error)}). What was being committed may have "
            "landed or not, whole in either case: run it again once the server is there, which is safe."
        ) from error
    except (CommitFailedException, ValidationException) as error:
        raise CommitError(
            f"{what}: the commit did not land within {COMMIT_DEADLINE_S:.0f} s ({error}). "
            "The table is unchanged; run it again, with fewer concurrent writers if it keeps failing."
        ) from error
    except ValidationError as error:
        raise CatalogError(
            f"{what}: a metadata file of the table is damaged ({' '.join(str(error).split())[:200]}). "
            "Bring it back from a copy, or drop the table and register its stores again."
        ) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise CatalogError(
            f"{what}: the catalog database refused ({_first_line(error)}). {_hint(error)}"
        ) from error
    except (OSError, RESTError, pa.ArrowException, ValueError, TypeError, NotImplementedError) as error:
        raise CatalogError(f"{what}: {type(error).__name__}: {_first_line(error)}. {_hint(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")


def _hint(error: BaseException) -> str:
    if isinstance(error, ServerError):
        return (
            "Nothing was committed: see the log of the catalog's server, and run it again once that is well."
        )
    text = str(error).lower()
    if "no space" in text or "disk is full" in text or "errno 28" in text:
        return "The disk is full: nothing was committed; free some space and run it again."
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return "The catalog cannot be written here: check permissions, or point the settings elsewhere."
    if isinstance(error, FileNotFoundError):
        return "A file of the table is missing: write its plate again, or roll the table back."
    if "file too large" in text:
        return "The file system takes no larger files: nothing was committed."
    if "unable to open database" in text:
        return "The folder of the SQLite catalog is missing or cannot be written."
    return "Nothing was committed."
