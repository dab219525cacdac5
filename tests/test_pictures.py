"""The README's pictures show the wizard as it is, and load nothing from anywhere."""

import pytest

from kvmwizard.resources import asset_path
from tests.pictures import PICTURES, picture


@pytest.mark.parametrize("name", PICTURES)
async def test_the_picture_is_what_the_wizard_shows(name: str) -> None:
    stored = asset_path(f"pictures/{name}.svg").read_text(encoding="utf-8")
    assert stored == await picture(name), "the pages have changed: draw them again with make pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_loads_nothing(name: str) -> None:
    stored = asset_path(f"pictures/{name}.svg").read_text(encoding="utf-8")
    assert stored.count("http") == 1, "but for the name of SVG itself"
    assert "url(" not in stored
