"""Finds the files that are not code: data tables, the stylesheet, guest images, catalogues."""

from functools import cache
from pathlib import Path


@cache
def assets_directory() -> Path:
    """`kvmwizard/assets` in an installed wheel, `assets` beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"


def asset_path(name: str) -> Path:
    """The path of one asset; `name` is relative to the assets folder."""
    return assets_directory() / name
