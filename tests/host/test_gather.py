"""The whole machine at once: the live one, and recorded ones with anything in their files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kvmwizard.host.facts import Facts
from kvmwizard.host.gather import default_build_directory, gather
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import GuestRun, OpenOutcome
from tests.host.trees import HOSTS, RECORDED

DESCRIPTIONS = ".kvmwizard"


def test_the_live_machine() -> None:
    facts = gather(Host())
    assert facts.live
    assert facts.host_name == os.uname().nodename
    assert facts.processor.architecture == os.uname().machine
    assert facts.processor.processors == os.sysconf("SC_NPROCESSORS_ONLN")
    assert facts.memory.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts.disk.build_directory == str(default_build_directory())
    if facts.kvm.opened is OpenOutcome.OPENED and facts.processor.architecture == "x86_64":
        assert isinstance(facts.kvm.guest, GuestRun)
        assert facts.kvm.guest.ran, facts.kvm.guest.problem


def test_the_build_directory_is_the_callers_choice(tmp_path: Path) -> None:
    facts = gather(Host(HOSTS / "rhel-7.3"), tmp_path)
    assert facts.disk.build_directory == str(tmp_path)


def test_the_build_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/cache")
    assert default_build_directory() == Path("/var/tmp/cache/kvmwizard")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/alice")
    assert default_build_directory() == Path("/home/alice/.cache/kvmwizard")


def test_an_empty_directory_is_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    facts = gather(Host(tmp_path))
    assert facts.processor.architecture == "unknown"
    assert facts.host_name == tmp_path.name


def test_a_host_is_not_changed_by_being_read(tmp_path: Path) -> None:
    shutil.copytree(HOSTS / "intel-debian-12", tmp_path / "host", symlinks=True)
    before = _tree(tmp_path / "host")
    gather(Host(tmp_path / "host"))
    assert _tree(tmp_path / "host") == before


LINES = some.text(
    some.sampled_from("\t\n :=,.[]()/\\\"'#-_+0123456789abcdefgiklmnoprstvxyKVMNY\0\x7fé٣"), max_size=200
).map(str.encode)


@pytest.mark.parametrize("name", RECORDED)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=some.data())
def test_garbage_in_any_file_never_raises(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: some.DataObject
) -> None:
    root = tmp_path_factory.mktemp("garbage") / "host"
    shutil.copytree(HOSTS / name, root, symlinks=True)
    files = sorted(path for path in root.rglob("*") if _is_data(root, path))
    garbage = some.one_of(some.binary(max_size=300), LINES)
    for path in files:
        original = path.read_bytes()
        path.write_bytes(data.draw(some.one_of(garbage, garbage.map(original.__add__), some.just(original))))
    facts = gather(Host(root))
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"\xff" * 4096, b"9" * 5000, b":\n" * 999, b"=" * 99])
def test_the_same_garbage_in_every_file(tmp_path: Path, content: bytes) -> None:
    for name in RECORDED:
        root = tmp_path / name
        shutil.copytree(HOSTS / name, root, symlinks=True)
        for path in root.rglob("*"):
            if _is_data(root, path):
                path.write_bytes(content)
        assert not gather(Host(root)).live


def test_a_directory_in_place_of_every_file(tmp_path: Path) -> None:
    root = tmp_path / "host"
    shutil.copytree(HOSTS / "intel-debian-12", root, symlinks=True)
    for path in sorted(root.rglob("*")):
        if _is_data(root, path):
            path.unlink()
            path.mkdir()
    assert not gather(Host(root)).live


def test_reading_the_machine_imports_nothing_heavy() -> None:
    program = "import sys, kvmwizard.host.gather; print('\\n'.join(sys.modules))"
    imported = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    assert not {"textual", "rich", "asyncio", "qemu", "screens", "multiprocessing"} & set(imported)


def _is_data(root: Path, path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.relative_to(root).parts[0] != DESCRIPTIONS


def _tree(root: Path) -> dict[str, object]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in root.rglob("*")
    }
