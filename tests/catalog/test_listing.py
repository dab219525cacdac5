"""Lists of releases and tags, asked of real servers on loopback that behave and misbehave."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kvmwizard.answers import SourcesAnswer
from kvmwizard.catalog import listing
from kvmwizard.catalog.catalogue import Catalogue
from kvmwizard.catalog.listing import list_tags, list_versions
from kvmwizard.catalog.shipped import shipped_table
from kvmwizard.catalog.sources import Project, sources_for
from tests.mirror.faults import Fault
from tests.mirror.mirror import Mirror

SERIES = "/pub/linux/kernel/v6.x"
SUMS = f"{SERIES}/sha256sums.asc"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def kernels(mirror: Mirror) -> Mirror:
    """A mirror with two lines of Linux in two directories, and some QEMUs; empty files do for lists."""
    for directory, versions in {
        "v4.x": ("4.8.5", "4.8.15"),
        "v6.x": ("6.12", "6.12.9", "6.12.10", "6.18.1"),
    }.items():
        series = mirror.layout.kernels / directory
        series.mkdir()
        for version in versions:
            (series / f"linux-{version}.tar.xz").touch()
        mirror.layout.sign_sums(series)
    for name in (
        "qemu-2.7.0.tar.bz2",
        "qemu-10.1.0.tar.xz",
        "qemu-10.1.0.tar.xz.sig",
        "qemu-10.2.0-rc1.tar.xz",
    ):
        (mirror.layout.qemus / name).touch()
    mirror.layout.write_releases(stable="6.18.1", longterm=["6.12.10"])
    return mirror


def listed(mirror: Mirror, cache: Path, project: Project = "linux", *, offline: bool = False) -> Catalogue:
    answer = SourcesAnswer(kernel_mirror=mirror.kernel_url, qemu_mirror=mirror.qemu_url)
    return list_versions(project, sources_for(project, answer), cache, offline=offline)


def versions(catalogue: Catalogue) -> list[str]:
    return [entry.version for entry in catalogue.entries]


def notices(catalogue: Catalogue) -> str:
    return " ".join(notice.english for notice in catalogue.notices)


ALL = ["6.18.1", "6.12.10", "6.12.9", "6.12", "4.8.15", "4.8.5"]


def test_all_releases_of_linux(kernels: Mirror, cache: Path) -> None:
    found = listed(kernels, cache)
    assert versions(found) == ALL
    assert {entry.version: entry.marks for entry in found.entries} == {
        "6.18.1": ("newest",),
        "6.12.10": ("longterm",),
        "6.12.9": (),
        "6.12": (),
        "4.8.15": ("end-of-life",),
        "4.8.5": ("end-of-life", "book"),
    }
    assert (found.origin, found.notices) == ("live", ())
    assert found.age_seconds is not None
    assert found.age_seconds < 60
    released = {entry.version: entry.released for entry in found.entries}
    assert (released["6.18.1"], released["4.8.5"], released["6.12"]) == ("2026-11-01", "2016-10-28", None)


def test_all_releases_of_qemu(kernels: Mirror, cache: Path) -> None:
    found = listed(kernels, cache, "qemu")
    assert versions(found) == ["10.2.0-rc1", "10.1.0", "2.7.0"]
    assert [entry.candidate for entry in found.entries] == [True, False, False]
    assert (found.origin, found.notices) == ("live", ())


def test_an_unchanged_list_is_not_sent_again(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    before = len(kernels.requests)
    assert versions(listed(kernels, cache)) == ALL
    again = {request.path: request for request in kernels.requests[before:]}
    assert again[SUMS].status == 304
    assert again[SUMS].if_none_match is not None
    assert again["/releases.json"].status == 304


def test_a_new_release_is_seen(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    (kernels.layout.kernels / "v6.x/linux-6.18.2.tar.xz").touch()
    kernels.layout.sign_sums(kernels.layout.kernels / "v6.x")
    assert versions(listed(kernels, cache))[0] == "6.18.2"


def test_a_directory_newer_than_this_program_is_found(kernels: Mirror, cache: Path) -> None:
    series = kernels.layout.kernels / "v9.x"
    series.mkdir()
    (series / "linux-9.0.tar.xz").touch()
    found = listed(kernels, cache)
    assert versions(found)[0] == "9.0", "by the directory's page, for it has no list of sums"


def test_without_a_server_the_kept_list_is_shown_with_its_age(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    kernels.server.close()
    for path in (cache / "catalog").iterdir():
        os.utime(path, (time.time() - 86400, time.time() - 86400))
    found = listed(kernels, cache)
    assert versions(found) == ALL
    assert found.origin == "cache"
    assert found.age_seconds is not None
    assert 86000 < found.age_seconds < 90000
    assert "127.0.0.1 cannot be reached" in notices(found)
    assert found.entries[1].marks == ("longterm",)


def test_offline_nobody_is_asked(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    before = len(kernels.requests)
    found = listed(kernels, cache, offline=True)
    assert (versions(found), found.origin) == (ALL, "cache")
    assert "Nobody was asked" in notices(found)
    assert len(kernels.requests) == before


def test_offline_and_with_nothing_kept_the_shipped_table_is_shown(cache: Path) -> None:
    for project in ("linux", "qemu"):
        found = list_versions(project, sources_for(project, None), cache, offline=True)
        assert set(versions(found)) == {known.version for known in shipped_table(project).versions}
        assert (found.origin, found.age_seconds) == ("shipped", None)
        assert shipped_table(project).as_of in notices(found)
    assert not cache.exists()


def test_without_a_server_and_with_nothing_kept_it_is_said_why(mirror: Mirror, cache: Path) -> None:
    mirror.server.close()
    found = listed(mirror, cache)
    assert found.origin == "shipped"
    assert "could not be had" in notices(found)
    assert "127.0.0.1 cannot be reached" in notices(found)


def test_a_mirror_that_holds_nothing_is_told(mirror: Mirror, cache: Path) -> None:
    found = listed(mirror, cache, "linux")
    assert found.origin == "shipped"
    assert "has no http://127.0.0.1" in notices(found)


BAD = {
    "error": Fault("status", status=500),
    "closed to us": Fault("status", status=429),
    "redirects for ever": Fault("redirect"),
    "a page to sign in": Fault("html"),
    "nothing but noise": Fault("content", content=bytes(range(256)) * 100),
    "cut short": Fault("truncate", after=20),
}


@pytest.mark.parametrize("fault", BAD.values(), ids=BAD)
def test_one_bad_directory_leaves_the_others(kernels: Mirror, cache: Path, fault: Fault) -> None:
    kernels.fault(SUMS, fault)
    found = listed(kernels, cache)
    assert found.origin == "live"
    assert {"4.8.5", "4.8.15"} <= {*versions(found)}
    assert "6.12.9" not in versions(found)
    assert {"6.12.117"} <= {*versions(found)}, "of the shipped table"
    assert "Of v6.x, only some versions are shown." in notices(found)
    kernels.heal(SUMS)
    assert versions(listed(kernels, cache)) == ALL


def test_one_bad_directory_is_shown_as_it_was_kept(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    kernels.fault(SUMS, Fault("status", status=503))
    found = listed(kernels, cache)
    assert (versions(found), found.origin) == (ALL, "live")
    assert "What is shown of v6.x is of " in notices(found)


def test_a_server_that_says_nothing_is_given_up(
    kernels: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LISTING_SECONDS", 1.0)
    kernels.fault(SUMS, Fault("stall", after=10))
    started = time.monotonic()
    found = listed(kernels, cache)
    assert time.monotonic() - started < 5
    assert "There was no whole answer within 1 seconds." in notices(found)
    assert {"4.8.5", "4.8.15"} <= {*versions(found)}


def test_a_corrupt_cache_is_left_aside(kernels: Mirror, cache: Path) -> None:
    listed(kernels, cache)
    for path in (cache / "catalog").iterdir():
        path.write_bytes(b"{")
    found = listed(kernels, cache)
    assert (versions(found), found.origin) == (ALL, "live")
    assert "could not be used" in notices(found)


def test_a_mirror_in_a_folder(kernels: Mirror, cache: Path) -> None:
    answer = SourcesAnswer(
        kernel_mirror=f"file://{kernels.layout.kernels}", qemu_mirror=f"file://{kernels.layout.qemus}"
    )
    assert versions(list_versions("linux", sources_for("linux", answer), cache)) == ALL
    assert versions(list_versions("qemu", sources_for("qemu", answer), cache)) == [
        "10.2.0-rc1",
        "10.1.0",
        "2.7.0",
    ]


def tags(address: str, cache: Path, *, offline: bool = False) -> Catalogue:
    sources = sources_for("linux", SourcesAnswer(kernel_git=address))
    return list_tags("linux", sources, cache, offline=offline)


@pytest.fixture
def tagged(mirror: Mirror, tmp_path: Path) -> Mirror:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "Makefile").write_text("VERSION = 6\n")
    for tag in ("v6.12", "v6.12.10", "v6.12.9", "v6.13-rc1", "v4.8.5", "latest", "v6.12-custom"):
        mirror.add_kernel_tag(tag, tree, signed=False)
    return mirror


def test_all_tags_that_are_versions(tagged: Mirror, cache: Path, tmp_path: Path) -> None:
    for address in (tagged.kernel_git, f"file://{tmp_path}/mirror/git/linux.git"):
        found = tags(address, cache)
        assert versions(found) == ["6.13-rc1", "6.12.10", "6.12.9", "6.12", "4.8.5"]
        assert [entry.tag for entry in found.entries][:2] == ["v6.13-rc1", "v6.12.10"]
        assert (found.origin, found.notices) == ("live", ())


def test_tags_are_kept_as_well(tagged: Mirror, cache: Path) -> None:
    address = tagged.kernel_git
    tags(address, cache)
    tagged.git_daemon().close()
    found = tags(address, cache)
    assert (found.origin, len(found.entries)) == ("cache", 5)
    assert "git cannot list the tags of git://127.0.0.1" in notices(found)
    assert tags(address, cache, offline=True).origin == "cache"


def test_a_repository_that_is_none_is_told(tmp_path: Path, cache: Path) -> None:
    found = tags(f"file://{tmp_path}/none.git", cache)
    assert found.origin == "shipped"
    assert f"git cannot list the tags of file://{tmp_path}/none.git" in notices(found)


def test_the_second_repository_is_asked_where_the_first_does_not_answer(
    tagged: Mirror, cache: Path, tmp_path: Path
) -> None:
    sources = sources_for("linux", SourcesAnswer(kernel_git=tagged.kernel_git))
    both = replace(sources, git=(f"file://{tmp_path}/none.git", *sources.git))
    found = list_tags("linux", both, cache)
    assert (found.origin, len(found.entries)) == ("live", 5)


def test_a_repository_that_never_answers_is_given_up(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text("#!/bin/sh\nsleep 60 &\nwait\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(listing, "TAGS_SECONDS", 1.0)
    started = time.monotonic()
    found = tags("file:///srv/linux.git", cache)
    assert time.monotonic() - started < 10
    assert "did not list its tags within 1 seconds" in notices(found)


def test_an_address_is_never_an_option(tmp_path: Path, cache: Path) -> None:
    sources = sources_for("linux", None)
    marker = tmp_path / "marker"
    for address in (f"--upload-pack=touch {marker}", f"ext::sh -c touch% {marker}", "-h"):
        one = replace(sources, git=(address,))
        assert list_tags("linux", one, cache).origin == "shipped"
    assert not marker.exists()
