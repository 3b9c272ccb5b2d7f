"""What one finding code means, and a family of codes that are met at the same place."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.findings import Severity

ERROR: tuple[Severity, ...] = ("error",)
WARNING: tuple[Severity, ...] = ("warning",)
INFO: tuple[Severity, ...] = ("info",)
# A line that can be tried: the pattern for other names is written by the scan itself.
PATTERN_EXAMPLE = (
    "[images]\nfile_pattern = '(?P<well>[A-P]\\d{2})_s(?P<site>\\d+)_(?P<channel>[A-Za-z0-9]+)\\.tif'"
)
# Names of the reader's own: what is written without a setting changes nothing.
CONTROLS_EXAMPLE = '[controls]\ncolumn = "Metadata_MyColumn"\nvalues = ["DMSO"]'
TREATMENTS_EXAMPLE = '[treatments]\ncolumns = ["Metadata_MyCompound", "Metadata_MyDose_um"]'


@dataclass(frozen=True, slots=True)
class FindingCode:
    """A code and all that a reader of it needs.

    Parameters
    ----------
    code
        As it stands in tables and on the screen, e.g. ``missing-level``.
    severities
        Those that it occurs with, the worst first.
    means
        What is so, and what becomes of the data.
    cause
        What the data look like when it appears, and why.
    remedy
        What to do: which file, key or command.
    setting
        TOML of the dataset's ``dataset.toml`` that may help, with its table; empty where no setting helps.
    page
        Page below ``docs/`` that says more, with its section; empty for that of the family.
    error_class
        Name of the class in ``core/errors.py`` whose code it is; empty for a code of findings.
    """

    code: str
    severities: tuple[Severity, ...]
    means: str
    cause: str
    remedy: str
    setting: str = ""
    page: str = ""
    error_class: str = ""


@dataclass(frozen=True, slots=True)
class CodeFamily:
    """Codes of one part of the work.

    Parameters
    ----------
    name
        In kebab-case, its anchor in the docs.
    seen_in
        Commands that print them and tables that keep them or whose steps find them.
    page
        Page below ``docs/`` about that part.
    """

    name: str
    title: str
    codes: tuple[FindingCode, ...]
    seen_in: tuple[str, ...]
    page: str

    def page_of(self, code: FindingCode) -> str:
        """Where the docs say more about one of its codes."""
        return code.page or self.page
