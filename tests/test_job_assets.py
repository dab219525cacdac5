import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmwizard import job_assets, resources
from kvmwizard.job_assets import share_assets

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of root's that everybody may look into, instead of the machine's."""
    monkeypatch.setattr(resources, "_used_instead", None)
    with tempfile.TemporaryDirectory(prefix="kvmwizard-shared-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(job_assets, "SHARED", Path(folder))
        yield Path(folder)


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Assets as in root's own checkout: nobody else may look into the folder above them."""
    assets = tmp_path / "closed" / "assets"
    assets.joinpath("keys").mkdir(parents=True)
    assets.parent.chmod(0o700)
    assets.joinpath("keys/one.asc").write_text("a key", encoding="utf-8")
    assets.joinpath("keys/one.asc").chmod(0o600)
    assets.joinpath("pictures").mkdir()
    assets.joinpath("pictures/page.svg").write_text("a picture", encoding="utf-8")
    monkeypatch.setattr(job_assets, "assets_directory", lambda: assets)
    return assets


def as_nobody(*argv: str) -> str:
    ran = subprocess.run(
        argv, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=False
    )
    return ran.stdout


@as_root
def test_a_builder_reads_copies_of_what_is_roots_alone(shared: Path, closed: Path) -> None:
    share_assets(NOBODY, NOBODY)
    key = resources.asset_path("keys/one.asc")
    assert as_nobody("cat", str(key)) == "a key"
    assert key.is_relative_to(shared)
    assert not resources.asset_path("pictures").exists()
    assert as_nobody("cat", str(closed / "keys/one.asc")) == ""
    assert as_nobody("find", str(shared), "-writable") == ""


@as_root
def test_one_copy_serves_all_and_a_change_is_copied_anew(shared: Path, closed: Path) -> None:
    for _ in range(2):
        share_assets(NOBODY, NOBODY)
    assert len(list(shared.iterdir())) == 1
    closed.joinpath("keys/one.asc").write_text("another key", encoding="utf-8")
    share_assets(NOBODY, NOBODY)
    assert as_nobody("cat", str(resources.asset_path("keys/one.asc"))) == "another key"


@as_root
def test_what_everybody_reads_is_not_copied(shared: Path) -> None:
    share_assets(os.geteuid(), os.getegid())
    assert not list(shared.iterdir())
    assert resources.asset_path("keys").parent == resources.assets_directory()
