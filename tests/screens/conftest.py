"""A private state directory for each test, and a cache of its own."""

from pathlib import Path

import pytest


@pytest.fixture
def state_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    return directory


@pytest.fixture(autouse=True)
def quick_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan need not lie before one's eyes for a second before it can be agreed to."""
    monkeypatch.setattr("screens.review.REST_SECONDS", 0.05)
