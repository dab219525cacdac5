"""What a build's packages are called."""

import subprocess

import pytest

from kvmwizard.host.host import command_environment
from kvmwizard.packages.distributions import (
    families,
    release_name,
    release_of,
    releases,
)
from kvmwizard.packages.managers import MANAGERS
from tests.facts_builder import make_facts

BUILDS = [
    ("linux", "4.8.5"),
    ("linux", "6.12.104"),
    ("qemu", "2.7.0"),
    ("qemu", "5.2.0"),
    ("qemu", "10.1.0"),
]


@pytest.mark.parametrize(("project", "version"), BUILDS)
@pytest.mark.parametrize("name", sorted(families()))
def test_every_family_names_them_once(name: str, project: str, version: str) -> None:
    assert project in {"linux", "qemu"}
    names = families()[name].build_packages(
        "linux" if project == "linux" else "qemu", version, ccache=True, debug_info=True
    )
    assert len(names) == len(set(names)) > 5
    assert all(package == package.strip() != "" for package in names)


def test_versions_need_what_they_came_to_need() -> None:
    debian = families()["debian"]
    assert not {"flex", "bison", "pkg-config"} & set(debian.build_packages("linux", "4.8.5"))
    assert {"flex", "bison"} <= set(debian.build_packages("linux", "4.16"))
    assert "libelf-dev" in debian.build_packages("linux", "4.8.5")
    assert "ninja-build" not in debian.build_packages("qemu", "5.1.0")
    assert "ninja-build" in debian.build_packages("qemu", "5.2.0")
    assert "libslirp-dev" not in debian.build_packages("qemu", "7.1.0")
    assert {"libslirp-dev", "python3-venv"} <= set(debian.build_packages("qemu", "8.1.0"))


def test_choices_bring_their_packages() -> None:
    debian = families()["debian"]
    plain = debian.build_packages("linux", "6.1.192")
    assert not {"gcc-11", "ccache", "dwarves"} & set(plain)
    assert set(debian.build_packages("linux", "6.1.192", "gcc-11")) == {*plain, "gcc-11"}
    assert set(debian.build_packages("linux", "6.1.192", ccache=True)) == {*plain, "ccache"}
    assert set(debian.build_packages("linux", "6.1.192", debug_info=True)) == {*plain, "dwarves"}
    assert "dwarves" not in debian.build_packages("qemu", "10.1.0", debug_info=True)


def test_some_releases_need_more() -> None:
    fedora, debian = families()["fedora"], families()["debian"]
    assert "openssl-devel-engine" in fedora.build_packages("linux", "6.1.192", release="fedora 41")
    assert "openssl-devel-engine" not in fedora.build_packages("linux", "6.1.192", release="fedora 40")
    assert "python3-tomli" in debian.build_packages("qemu", "8.2.0", release="ubuntu 22.04")
    assert "python2.7" in debian.build_packages("qemu", "2.7.0", release="debian 11")
    assert "python2.7" not in debian.build_packages("qemu", "2.7.0", release="debian 12")


@pytest.mark.parametrize(("project", "version"), BUILDS)
def test_debian_has_these_packages(project: str, version: str) -> None:
    names = families()["debian"].build_packages(
        "linux" if project == "linux" else "qemu", version, ccache=True, debug_info=True
    )
    apt = MANAGERS["apt"]
    answer = subprocess.run(
        apt.candidate_query(names), env=command_environment(), capture_output=True, text=True, check=False
    )
    candidates = apt.parse_candidates(answer.stdout)
    if not candidates:
        pytest.skip("this machine has no Debian package lists")
    assert set(names) == set(candidates)


@pytest.mark.parametrize(
    ("id_", "version", "release"),
    [
        ("debian", "12", "Debian 12"),
        ("ubuntu", "24.04", "Ubuntu 24.04"),
        ("rocky", "9.4", "RHEL 9"),
        ("rhel", "7.3", "RHEL 7"),
        ("ubuntu", "24.10", None),
        ("arch", "", None),
    ],
)
def test_a_release_is_found_by_id_and_version(id_: str, version: str, release: str | None) -> None:
    facts = make_facts(distribution={"id": id_, "version": version, "like": ()})
    found = release_of(facts.distribution)
    assert (found.name if found else None) == release
    assert release_name(facts.distribution) == f"{id_} {version}".strip()


def test_every_release_belongs_to_a_family_and_says_where_it_is_from() -> None:
    ids = {id_ for family in families().values() for id_ in family.ids}
    for release in releases():
        assert set(release.ids) <= ids
        assert release.source
        assert {"gcc", "binutils", "make", "glibc", "python3", "glib", "default_pie"} <= set(release.tools)
    assert len({(id_, release.version) for release in releases() for id_ in release.ids}) == sum(
        len(release.ids) for release in releases()
    )
