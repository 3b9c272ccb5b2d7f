"""Words that stand for a value that is not there: some in numbers alone, some everywhere."""

from __future__ import annotations

# What spreadsheets write for a formula that failed: never a name of anything. support.microsoft.com, "Excel error values".
SPREADSHEET_ERRORS = frozenset({"#N/A", "#NAME?", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NULL!"})
# How R, pandas, KNIME and spreadsheets write a number that is not there; in a column of text most are values.
MISSING_WORDS = {"", "na", "n/a", "null", "none", "?", "missing"} | {
    word.lower() for word in SPREADSHEET_ERRORS
}


def is_missing(text: str) -> bool:
    """Tell whether a text among numbers stands for one that is not there."""
    return text.strip().lower() in MISSING_WORDS


def is_missing_value(text: str) -> bool:
    """As ``is_missing``, NaN included."""
    return is_missing(text) or text.strip().lower() == "nan"
