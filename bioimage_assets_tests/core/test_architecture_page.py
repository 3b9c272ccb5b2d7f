"""``docs/architecture.md`` shows the rooms as they import each other, and names modules that exist."""

import re

import pytest

from bioimage_assets_tests.core.room_picture import PAGE, PICTURE, ROOT, draw_rooms, find_imports


@pytest.mark.slow
def test_the_picture_shows_the_imports_as_they_are() -> None:
    assert PICTURE.read_text() == draw_rooms(), "python -m bioimage_assets_tests.core.room_picture"
    assert f"](images/{PICTURE.name})" in PAGE.read_text()
    named = re.findall(r"<text [^>]*>(\w+)</text>", PICTURE.read_text())
    assert sorted(named) == sorted(find_imports())


def test_every_module_that_the_page_names_exists() -> None:
    names = re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]*(?:\.py)?)`", PAGE.read_text())
    assert len(names) > 30
    places = (ROOT, ROOT / "bioimage_assets", ROOT / "bioimage_assets" / "core")
    assert not [name for name in names if not any((place / name).exists() for place in places)]


def test_every_room_is_described() -> None:
    page = PAGE.read_text()
    assert not [
        room for room in find_imports() if room not in ("cli", "dagster") and f"`{room}/`" not in page
    ]
