"""Pages without pictures: a sentence in the place of each, and no finding."""

import pytest
from matplotlib.figure import Figure

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.pictures.drawing import NotDrawn, build_findings, try_to_make
from bioimage_assets.core.pictures.style import PicturesOffError, new_figure, pictures_wanted
from bioimage_assets.core.settings.project import read_project_settings


def test_no_figure_is_made_where_pictures_are_not_wanted_and_the_page_says_why():
    with pictures_wanted(False):
        drawing = try_to_make("Plate map", lambda: new_figure(1, 1))
        with pytest.raises(PicturesOffError):
            new_figure(1, 1)
    assert isinstance(drawing, NotDrawn)
    assert drawing.sentence.startswith("Plate map: not drawn, because pictures are switched off")
    assert not build_findings([drawing], "screen/P1")
    assert isinstance(try_to_make("Plate map", lambda: new_figure(1, 1)), Figure)


@pytest.mark.parametrize(("text", "expected"), [("", True), ("on", True), ("off", False)])
def test_the_environment_says_whether_pages_have_pictures(text: str, expected: bool):
    assert read_project_settings({"BIOIMAGE_PICTURES": text}).pictures is expected
    with pytest.raises(SettingsError, match="BIOIMAGE_PICTURES is 'none'"):
        read_project_settings({"BIOIMAGE_PICTURES": "none"})
