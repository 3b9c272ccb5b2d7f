"""The short text that a layout looks for before its expression is in every name that the expression reads."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.formats.plate_folders.patterns import PATTERNS

# Names drawn from such expressions take seconds; the example of each layout is read in every run.
pytestmark = pytest.mark.stress

WITH_HINT = [pattern for pattern in PATTERNS if pattern.hint]


@pytest.mark.parametrize("number", range(len(WITH_HINT)))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_name_of_a_layout_has_the_text_that_is_looked_for_first(number: int, data: st.DataObject):
    pattern = WITH_HINT[number]
    name = data.draw(st.from_regex(pattern.regex, fullmatch=True))
    assume(name.isascii())  # a long s is an s of expressions without case
    assert pattern.hint in name.lower()
    assert pattern.hint == pattern.hint.lower()
