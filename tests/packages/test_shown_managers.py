"""The managers whose commands are shown: their words as documented, their answers parsed."""

import pytest

from kvmwizard.host.distribution import PACKAGE_MANAGERS
from kvmwizard.packages.managers import MANAGERS, package_manager
from tests.facts_builder import make_facts

RPM_ROWS = "kernel\t0:5.14.0-70.el9\nkernel\t0:5.14.0-503.el9\nbash\t0:5.1.8-9.el9\n"

ZYPPER_INFO = """Loading repository data...
Reading installed packages...


Information for package qemu-x86:
---------------------------------
Repository     : Main Repository (OSS)
Name           : qemu-x86
Version        : 8.2.6-150600.3.9.1
Arch           : x86_64
"""

PACMAN_SI = """Repository      : extra
Name            : qemu-base
Version         : 9.1.0-2
Description     : A basic QEMU setup for headless environments

Repository      : core
Name            : linux
Version         : 6.11.5.arch1-1
"""

APK_POLICY = """qemu-system-x86_64 policy:
  8.2.6-r0:
    https://mirror/alpine/v3.20/community
  9.0.2-r0:
    lib/apk/db/installed
linux-lts policy:
  6.6.58-r0:
    https://mirror/alpine/v3.20/main
"""


@pytest.mark.parametrize(
    ("name", "install", "remove"),
    [
        (
            "dnf",
            "/usr/bin/dnf -y --setopt=install_weak_deps=False install qemu-kvm",
            "/usr/bin/rpm --erase qemu-kvm",
        ),
        ("yum", "/usr/bin/yum -y install qemu-kvm", "/usr/bin/rpm --erase qemu-kvm"),
        (
            "zypper",
            "/usr/bin/zypper --non-interactive install --no-recommends -- qemu-kvm",
            "/usr/bin/rpm --erase qemu-kvm",
        ),
        (
            "pacman",
            "/usr/bin/pacman -Syu --noconfirm --needed -- qemu-kvm",
            "/usr/bin/pacman -R --noconfirm -- qemu-kvm",
        ),
        (
            "apk",
            "/sbin/apk --no-interactive --wait 600 add qemu-kvm",
            "/sbin/apk --no-interactive --wait 600 del qemu-kvm",
        ),
    ],
)
def test_commands(name: str, install: str, remove: str) -> None:
    manager = MANAGERS[name]
    assert manager.name == name
    assert not manager.carried_out
    assert [" ".join(command.argv) for command in manager.install(["qemu-kvm"])] == [install]
    assert [" ".join(command.argv) for command in manager.remove(["qemu-kvm"])] == [remove]
    assert all(command.argv[0].startswith("/") for command in manager.refresh())
    assert manager.parse_progress("anything") is None
    assert manager.lock_holder("anything") is None
    assert manager.parse_unfinished("anything") == ()
    assert manager.parse_unpacked("anything") is None


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("dnf", RPM_ROWS, {"kernel": "0:5.14.0-503.el9", "bash": "0:5.1.8-9.el9"}),
        ("zypper", ZYPPER_INFO, {"qemu-x86": "8.2.6-150600.3.9.1"}),
        ("pacman", PACMAN_SI, {"qemu-base": "9.1.0-2", "linux": "6.11.5.arch1-1"}),
        ("apk", APK_POLICY, {"qemu-system-x86_64": "9.0.2-r0", "linux-lts": "6.6.58-r0"}),
    ],
)
def test_candidates(name: str, output: str, expected: dict[str, str]) -> None:
    assert MANAGERS[name].parse_candidates(output) == expected
    assert MANAGERS[name].parse_candidates("") == {}


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("yum", RPM_ROWS, {"kernel": "0:5.14.0-503.el9", "bash": "0:5.1.8-9.el9"}),
        ("zypper", RPM_ROWS, {"kernel": "0:5.14.0-503.el9", "bash": "0:5.1.8-9.el9"}),
        ("pacman", "qemu-base 9.1.0-2\nbash 5.2.037-1\n", {"qemu-base": "9.1.0-2", "bash": "5.2.037-1"}),
        ("apk", "qemu-img-8.2.6-r0 x\nlibaio-0.3.113-r2\n", {"qemu-img": "8.2.6-r0", "libaio": "0.3.113-r2"}),
    ],
)
def test_installed(name: str, output: str, expected: dict[str, str]) -> None:
    assert MANAGERS[name].parse_installed(output) == expected
    assert MANAGERS[name].parse_installed("garbage\n\n") == {}


def test_facts_name_managers_as_we_do() -> None:
    assert set(PACKAGE_MANAGERS) == set(MANAGERS)
    facts = make_facts(distribution={"package_manager": "emerge"})
    assert package_manager(facts.distribution) is None
