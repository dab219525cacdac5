"""The data file: whole, and true of the distribution the tests run on."""

import subprocess

import pytest

from kvmwizard.host.host import command_environment
from kvmwizard.packages.distributions import expected, families, family_of
from kvmwizard.packages.managers import MANAGERS
from tests.facts_builder import make_facts

CHOICES = ("qemu", "image-tools", "uefi-firmware", "libvirt")


@pytest.mark.parametrize("name", sorted(families()))
def test_every_family_names_every_choice(name: str) -> None:
    family = families()[name]
    assert family.manager in MANAGERS
    for architecture in ("x86_64", "aarch64", "ppc64le", "s390x", "riscv64"):
        assert family.package_names("qemu", architecture)
        for choice in CHOICES:
            assert all(
                package == package.strip() != "" for package in family.package_names(choice, architecture)
            )
        assert family.emulator_path(architecture).startswith("/usr/")
    assert family.kernel.flavours[-1].release == ""


def test_every_step_that_costs_is_costed() -> None:
    for step in ("packages.refresh", *(f"packages.{choice}" for choice in CHOICES), "kernel.install"):
        assert expected(step).seconds > 0
        assert expected(step).bytes > 0


@pytest.mark.parametrize(
    ("id_", "like", "manager", "family"),
    [
        ("debian", (), "apt", "debian"),
        ("linuxmint", ("ubuntu", "debian"), "apt", "debian"),
        ("rocky", ("rhel", "centos", "fedora"), "dnf", "rhel"),
        ("nobara", ("fedora",), "dnf", "fedora"),
        ("opensuse-leap", ("suse", "opensuse"), "zypper", "suse"),
        ("unheard-of", (), "apk", "alpine"),
    ],
)
def test_families(id_: str, like: tuple[str, ...], manager: str, family: str) -> None:
    facts = make_facts(distribution={"id": id_, "like": like, "package_manager": manager})
    assert family_of(facts.distribution) is families()[family]


def test_an_unknown_distribution_without_a_known_manager_has_no_family() -> None:
    facts = make_facts(distribution={"id": "gentoo", "like": (), "package_manager": None})
    assert family_of(facts.distribution) is None


@pytest.mark.parametrize("choice", CHOICES)
def test_debian_has_these_packages(choice: str) -> None:
    apt = MANAGERS["apt"]
    names = families()["debian"].package_names(choice, "x86_64")
    answer = subprocess.run(
        apt.candidate_query(names), env=command_environment(), capture_output=True, text=True, check=False
    )
    candidates = apt.parse_candidates(answer.stdout)
    if not candidates:
        pytest.skip("this machine has no Debian package lists")
    assert set(candidates) == set(names)
