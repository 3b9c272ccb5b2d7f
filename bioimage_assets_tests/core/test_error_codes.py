"""An error is said with its code at the end, which can be told from the message again."""

from __future__ import annotations

from bioimage_assets.core.error_codes import add_codes, say_error, split_code
from bioimage_assets.core.errors import BioimageError, CorruptStoreError, ManifestError


class OwnError(ManifestError):
    """A class that an installation adds."""


def test_an_error_is_said_with_the_code_of_its_class_or_of_the_class_that_it_is_made_from():
    assert say_error(CorruptStoreError("a.zarr is broken.")) == "a.zarr is broken. (corrupt-store)"
    assert say_error(OwnError("no manifest")) == "no manifest (manifest-error)"


def test_what_has_no_code_is_said_as_it_is():
    assert say_error(BioimageError("odd (corrupt)")) == "odd (corrupt)"
    assert say_error(PermissionError(13, "Permission denied", "a")) == "[Errno 13] Permission denied: 'a'"


def test_a_code_at_the_end_is_told_from_words_in_brackets():
    assert split_code("cut off. (measurement-error)") == ("cut off.", "measurement-error")
    assert split_code("not importable (well-known)") == ("not importable (well-known)", "")
    assert split_code("(corrupt-store) at its start") == ("(corrupt-store) at its start", "")


def test_codes_share_one_pair_of_brackets_and_none_stands_twice():
    assert (
        add_codes("cut off (measurement-error)", "step-failed") == "cut off (measurement-error, step-failed)"
    )
    assert add_codes("cut off (worker-lost)", "worker-lost") == "cut off (worker-lost)"
    assert add_codes("cut off", "", "step-failed") == "cut off (step-failed)"
    assert add_codes("cut off") == "cut off"
