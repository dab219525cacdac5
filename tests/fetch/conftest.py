"""Fixtures of the tests of getting sources."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.downloads import Downloads
from tests.fetch.workers import Bench, bench
from tests.mirror.mirror import Mirror


@pytest.fixture
def builder() -> Iterator[Bench]:
    """A builder with a folder of its own."""
    with bench() as made:
        yield made


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """A source tree as small as can be, of 2 MB that do not get smaller."""
    tree = tmp_path / "small"
    tree.joinpath("kernel").mkdir(parents=True)
    tree.joinpath("Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n", encoding="utf-8")
    tree.joinpath("kernel", "data").write_bytes(os.urandom(2_000_000))
    tree.joinpath("kernel", "link").symlink_to("../Makefile")
    return tree


@pytest.fixture
def downloads(mirror: Mirror, small_tree: Path, tmp_path: Path) -> Downloads:
    """Linux 6.1.9 on the mirror, and a way to download it."""
    mirror.layout.add_kernel("6.1.9", small_tree)
    return Downloads(mirror, tmp_path / "downloads")
