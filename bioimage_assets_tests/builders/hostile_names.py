"""Names that some layer could take for a pattern, an escape, an option or markup, each beside one it could hit instead."""

from __future__ import annotations

from hypothesis import strategies as st

# Each character means something to a glob, SQL, URL, shell, TOML, HTML or path-list reader.
SPECIAL = "[]*?{}'\";%#&+$\\`~=,!()@:|<>^-. "
TWINS = ("\u00e9", "e\u0301", "\uff21", "A", "\u0430", "a", "\U0001f9ec")

# What a person may really find on a disk. Never a slash or NUL, never '.' or '..'.
NAMES = (
    "P[1]", "P*", "P?", "P{1,2}", "P\\1[2]", "[!1]", "**", "it's", 'say "no"', "a;--", "100%", "a%20b", "a b", "a#b",
    "a&b=c", "a+b", "$HOME", "$(id)", "`id`", "~", "~root", "a,b", "a@b:c", "file:", "s3:", "a|b", "<b>x</b>", "-rf", ".hidden",
    " lead", "trail ", "two  blanks", "\u00e9", "e\u0301", "\uff30\uff11", "\u0420\u0031", "\U0001f9ec", "unit=5", "c0=7",
    "n" * 255, "\u00e9" * 127 + "[",
)  # fmt: skip


def file_names(max_size: int = 24) -> st.SearchStrategy[str]:
    """One file or folder name: named cases, and mixtures of their characters."""
    letters = st.sampled_from([*SPECIAL, *TWINS, "1", "P"])
    mixed = st.lists(letters, min_size=1, max_size=max_size).map("".join)
    return (st.sampled_from(NAMES) | mixed).filter(lambda name: name.strip(".") != "")
