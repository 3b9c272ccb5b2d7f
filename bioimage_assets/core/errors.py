"""The project's errors, one tree.

Each class also subclasses the builtin exception it stands for, so callers that know nothing of
this project can still catch it. A message says what happened, where (URI and path inside the
store), what was expected, what was found, and what to do next.

    BioimageError
    ├── UsageError                  (ValueError)
    ├── SettingsError               (ValueError)
    ├── IdentityError               (ValueError)
    ├── MissingExtraError           (RuntimeError, ImportError)
    ├── WorkerLostError             (RuntimeError)
    ├── StoreError                  (OSError)
    │   ├── StoreNotFoundError      (FileNotFoundError)
    │   ├── KeyMissingError         (LookupError)
    │   ├── UnsupportedStoreError   (ValueError)
    │   ├── CorruptStoreError       (ValueError)
    │   ├── StoreAccessError        (PermissionError)
    │   ├── StoreChangedError       (RuntimeError)
    │   └── LimitExceededError      (ValueError)
    ├── CatalogError                (RuntimeError)
    │   ├── MissingTableError       (LookupError)
    │   ├── SchemaConflictError     (ValueError)
    │   └── CommitError
    ├── WarehouseError              (RuntimeError)
    │   ├── ManifestError           (ValueError)
    │   └── WarehouseRoleError      (ValueError)
    ├── MeasurementError            (ValueError)
    ├── ContractError               (ValueError)
    └── ProfilingError              (ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bioimage_assets.core.findings import Finding


class BioimageError(Exception):
    """Root of every error this project raises on purpose.

    ``code`` is what the screen shows of the class in brackets, and ``bioimage-assets explain`` knows; empty for the root and for
    ``StoreError``, which only gather others.
    """

    code: ClassVar[str] = ""


class UsageError(BioimageError, ValueError):
    """Raise when an argument or option of a call is not acceptable."""

    code = "usage-error"


class SettingsError(BioimageError, ValueError):
    """Raise when a settings file or an environment variable cannot be used as written."""

    code = "settings-error"


class IdentityError(BioimageError, ValueError):
    """Raise when two different things would share an id, or an id cannot be formed."""

    code = "identity-error"


class MissingExtraError(BioimageError, RuntimeError, ImportError):
    """Raise when a call needs an optional dependency that is not installed; names the extra."""

    code = "missing-extra"


class WorkerLostError(BioimageError, RuntimeError):
    """Raise for a plate at which the worker of an earlier try ended without a word; other plates are not affected."""

    code = "worker-lost"


class StoreError(BioimageError, OSError):
    """Raise when one image store cannot be read; other stores are not affected."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """Raise when the URI of a store leads to nothing."""

    code = "store-not-found"


class KeyMissingError(StoreError, LookupError):
    """Raise when a store that exists holds no object under one key."""

    code = "key-missing"


class UnsupportedStoreError(StoreError, ValueError):
    """Raise when something exists at the URI but it is not a store format this project reads."""

    code = "unsupported-store"


class CorruptStoreError(StoreError, ValueError):
    """Raise when a store's own metadata is broken beyond a partial result."""

    code = "corrupt-store"


class StoreAccessError(StoreError, PermissionError):
    """Raise when a store exists but may not be read, or credentials are missing."""

    code = "store-access"


class StoreChangedError(StoreError, RuntimeError):
    """Raise when a store changed or vanished while it was scanned; nothing was published."""

    code = "store-changed"


class LimitExceededError(StoreError, ValueError):
    """Raise when a store would need more bytes, rows or files than a stated limit allows."""

    code = "limit-exceeded"


class CatalogError(BioimageError, RuntimeError):
    """Raise when the Iceberg catalog cannot be opened, read or written."""

    code = "catalog-error"


class MissingTableError(CatalogError, LookupError):
    """Raise when a catalog or warehouse table that a call needs does not exist."""

    code = "missing-table"


class SchemaConflictError(CatalogError, ValueError):
    """Raise before writing when new data do not fit the schema already stored."""

    code = "schema-conflict"


class CommitError(CatalogError):
    """Raise when a commit did not land within its deadline, or nobody can tell; the table is whole, old or new."""

    code = "commit-error"


class WarehouseError(BioimageError, RuntimeError):
    """Raise when a Parquet warehouse root cannot be read or written."""

    code = "warehouse-error"


class ManifestError(WarehouseError, ValueError):
    """Raise when ``warehouse_manifest.json`` is missing where needed, or not a manifest."""

    code = "manifest-error"


class WarehouseRoleError(WarehouseError, ValueError):
    """Raise when a table's role, namespace or analysis level contradicts the specification."""

    code = "warehouse-role"


class MeasurementError(BioimageError, ValueError):
    """Raise when measurement files cannot be turned into one single-cell table.

    ``findings`` say why in the form that tables keep, for a plate that fails over its data and not over a setting.
    """

    code = "measurement-error"

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ContractError(BioimageError, ValueError):
    """Raise when a profile table cannot satisfy the microscopy join contract."""

    code = "contract-error"


class ProfilingError(BioimageError, ValueError):
    """Raise when quality control or profiling cannot give a meaningful answer."""

    code = "profiling-error"
