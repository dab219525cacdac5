"""What the distribution offers, asked of this machine's real apt."""

import pytest

from kvmwizard.packages.distributions import families
from kvmwizard.packages.offers import flavour_of, kernel_offer, qemu_offer, release_of
from kvmwizard.packages.versions import compare_debian
from tests.facts_builder import make_facts


def test_the_newest_kernel_is_the_newest_by_number() -> None:
    offer = kernel_offer(make_facts(kernel={"release": "6.1.0-49-amd64"}))
    if offer is None:
        pytest.skip("this machine has no Debian package lists")
    assert offer.package.startswith("linux-image-")
    assert offer.package.endswith("amd64")
    assert "-cloud-" not in offer.package
    assert "-rt-" not in offer.package
    assert compare_debian(offer.version, "6.1") > 0
    assert offer.release is not None
    assert offer.release.endswith("-amd64")


@pytest.mark.parametrize(
    ("record", "release"),
    [
        (
            (
                "Package: linux-image-6.12-amd64\n"
                "Version: 6.12.117-1~deb12u1\n"
                "Depends: linux-image-6.12.117+deb12-amd64 (= 6.12.117-1~deb12u1)\n"
            ),
            "6.12.117+deb12-amd64",
        ),
        (
            "Package: linux-image-6.1.0-49-amd64\nDepends: kmod, linux-base (>= 4.3~)\n",
            "6.1.0-49-amd64",
        ),
        (
            "Package: linux-image-generic\nDepends: linux-image-6.8.0-45-generic, linux-firmware\n",
            "6.8.0-45-generic",
        ),
        ("Package: linux-image-amd64\nDepends: linux-base\n", None),
    ],
)
def test_the_release_that_a_package_brings(record: str, release: str | None) -> None:
    assert release_of(record) == release


def test_a_cloud_kernel_stays_a_cloud_kernel() -> None:
    offer = kernel_offer(make_facts(kernel={"release": "6.1.0-49-cloud-amd64"}))
    if offer is None:
        pytest.skip("this machine has no Debian package lists")
    assert offer.package.endswith("-cloud-amd64")


def test_an_older_kernel_is_not_called_newer() -> None:
    offer = kernel_offer(make_facts(kernel={"release": "999.1.0-amd64"}))
    if offer is None:
        pytest.skip("this machine has no Debian package lists")
    assert not offer.newer_than_running


def test_qemu_for_this_architecture() -> None:
    offer = qemu_offer(make_facts())
    if offer is None:
        pytest.skip("this machine has no Debian package lists")
    assert offer.package == "qemu-system-x86"
    assert compare_debian(offer.version, "1:2") > 0


@pytest.mark.parametrize("ask", [kernel_offer, qemu_offer])
def test_nothing_is_asked_for_a_recorded_machine(ask: object) -> None:
    assert callable(ask)
    assert ask(make_facts(live=False)) is None
    assert ask(make_facts(distribution={"package_manager": None})) is None


@pytest.mark.parametrize(
    ("ids", "release", "search"),
    [
        (("debian",), "6.1.0-49-amd64", "^linux-image-([0-9.]+-)?{architecture}$"),
        (("debian",), "6.1.0-49-cloud-amd64", "^linux-image-([0-9.]+-)?cloud-{architecture}$"),
        (("ubuntu",), "6.8.0-1015-aws", "^linux-image-aws$"),
        (("ubuntu",), "6.8.0-45-generic", "^linux-image-generic(-hwe-[0-9.]+)?$"),
        (("debian",), "6.18.44-fc-v657", "^linux-image-([0-9.]+-)?{architecture}$"),
    ],
)
def test_flavours(ids: tuple[str, ...], release: str, search: str) -> None:
    assert flavour_of(families()["debian"], ids, release, "x86_64").search == search
