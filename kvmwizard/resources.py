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
    return (_used_instead or assets_directory()) / name


def use_assets_of(folder: Path) -> None:
    """Have assets of this process found below another folder from now on."""
    global _used_instead  # noqa: PLW0603  -- a process has one place for its assets, as it has one umask
    _used_instead = folder


_used_instead: Path | None = None
