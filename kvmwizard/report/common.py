"""Words that stand in every report, so that their being there names nobody. Pure but for the catalogue."""

import re
from collections.abc import Iterable
from functools import cache

from kvmwizard.resources import asset_path

SHORTEST_NAME = 3
"""A shorter name is found in too many other words."""
SYSTEM_WORDS = frozenset(
    """
    root daemon bin sys adm sync games man mail news proxy backup list nobody kvm libvirt libvirtd qemu
    sudo wheel staff operator admin administrator user users guest test tester demo host hostname local
    localhost localdomain machine server client vm virtual linux debian ubuntu fedora centos redhat alpine
    arch suse opensuse kernel boot home tmp var etc usr lib lib64 opt dev proc run srv mnt media lost sbin
    share include src build make gcc clang python python3 bash dash zsh git apt dpkg dnf rpm pacman apk
    intel amd arm arm64 x86 x86_64 amd64 aarch64 cpu gpu pci usb net eth bridge tap vhost vfio iommu module
    modules modprobe initrd initramfs vmlinuz grub efi uefi bios config default release version main master
    stable new old auto yes no true false none null data cache state log logs start stop status name value
    type file files path text json xml html http https ftp ssh gpg key keys mirror source sources package
    packages install update upgrade remove download unpack compile configure stage access group member rule
    device prove fault error warning failed done step steps plan facts checks answers journal report
    drivers arch block crypto init kernel mm scripts security sound tools virt ppc s390 mips riscv
    """.split()  # noqa: SIM905  -- a hundred quoted words are hard to read
)


@cache
def common_words() -> frozenset[str]:
    """Every word of our own sentences, and those of every Linux."""
    try:
        catalogue = asset_path("locale/kvmwizard.pot").read_text(encoding="utf-8")
    except OSError:
        catalogue = ""
    lines = (line for line in catalogue.splitlines() if not line.startswith("#"))
    return SYSTEM_WORDS | words_of(lines)


@cache
def shipped_hosts() -> frozenset[str]:
    """The servers that everybody's kvmwizard knows of."""
    try:
        sources = asset_path("sources.toml").read_text(encoding="utf-8")
    except OSError:
        sources = ""
    return frozenset(re.findall(r"\bhttps?://([A-Za-z0-9.-]+)", sources))


def words_of(lines: Iterable[str]) -> frozenset[str]:
    """The words, in lower case."""
    return frozenset(re.findall(rf"[a-z]{{{SHORTEST_NAME},}}", "\n".join(lines).casefold()))


def is_common(name: str, words: frozenset[str]) -> bool:
    """Whether the name is to be found in reports of machines that have nothing to do with it."""
    return len(name) < SHORTEST_NAME or name.casefold() in words or not any(map(str.isalpha, name))
