"""QEMU binaries that are already here."""

import os
import re
from collections.abc import Iterable

from kvmwizard.host.host import Host
from kvmwizard.host.parsing import not_understood, version_number
from kvmwizard.host.reading import CommandOutput, FactModel, Reading, Unknown, UnknownReason
from kvmwizard.host.trust import safe_to_run

USUAL_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/usr/libexec", "/usr/local/libexec", "/bin")
SYSTEM_EMULATOR = re.compile(r"qemu-system-([a-z0-9_]+)")
HOST_EMULATORS = ("qemu-kvm",)
"""Emulators for guests of the host's own architecture (RHEL has no other)."""


_EMULATOR_ARCHITECTURES = {"i686": "i386", "armv7l": "arm", "ppc64le": "ppc64"}
_FURTHER_EMULATORS = {"i386": ("x86_64",)}
"""Emulators that run guests of another architecture's machines with KVM as well."""


def emulator_architecture(machine: str) -> str:
    """QEMU's name for the architecture that `uname -m` names."""
    return _EMULATOR_ARCHITECTURES.get(machine, machine)


class QemuBinary(FactModel):
    """One emulator binary."""

    path: str
    architecture: str
    """Of the guests it runs: x86_64, aarch64, …"""
    version: Reading[str]
    """As 7.2.22."""


class QemuFacts(FactModel):
    """All that were found."""

    binaries: Reading[tuple[QemuBinary, ...]]
    """qemu-system-*, qemu-kvm and /usr/libexec/qemu-kvm (RHEL); one entry a real file."""
    image_tool: Reading[str | None]
    """The path of qemu-img."""


def native_binaries(binaries: Iterable[QemuBinary], machine: str) -> tuple[QemuBinary, ...]:
    """Those that can use KVM on the architecture that `uname -m` names."""
    own = emulator_architecture(machine)
    usable = (own, *_FURTHER_EMULATORS.get(own, ()))
    return tuple(binary for binary in binaries if binary.architecture in usable)


def read_qemu(host: Host, architecture: str) -> QemuFacts:
    """All emulators that are here; `architecture` is the host's."""
    directories = _directories(host)
    found: dict[str, tuple[str, str]] = {}
    for path, guests in _emulators(host, directories, architecture):
        found.setdefault(host.real_path(path), (path, guests))
    return QemuFacts(
        binaries=_with_versions(host, sorted(found.values())),
        image_tool=next((path for each in directories if host.is_program(path := f"{each}/qemu-img")), None),
    )


def _emulators(host: Host, directories: tuple[str, ...], architecture: str) -> list[tuple[str, str]]:
    """Paths and the architecture of their guests, those first whose names say it."""
    found = []
    for directory in directories:
        names = host.list_directory(directory)
        for name in names if isinstance(names, tuple) else ():
            guests = _guests_of(name, architecture) if name.startswith("qemu-") else None
            if guests and host.is_program(f"{directory}/{name}"):
                found.append((f"{directory}/{name}", guests))
    return sorted(found, key=lambda emulator: emulator[0].endswith(HOST_EMULATORS))


def _directories(host: Host) -> tuple[str, ...]:
    searched = os.environ.get("PATH", "").split(":") if host.live else []
    packages = host.list_directory("/opt")
    optional = [f"/opt/{name}/bin" for name in packages] if isinstance(packages, tuple) else []
    wanted = (*USUAL_DIRECTORIES, *optional, *(each for each in searched if each.startswith("/")))
    return tuple(dict.fromkeys(each.rstrip("/") for each in wanted))


def _guests_of(name: str, architecture: str) -> str | None:
    if name in HOST_EMULATORS:
        return architecture
    found = SYSTEM_EMULATOR.fullmatch(name)
    return found[1] if found else None


def _with_versions(host: Host, binaries: list[tuple[str, str]]) -> tuple[QemuBinary, ...]:
    asked = [path for path, _ in binaries if not host.live or safe_to_run(path)]
    outputs = dict(zip(asked, host.run_all([(path, "--version") for path in asked]), strict=True))
    refused = "another account may change it, so root does not run it"
    return tuple(
        QemuBinary(
            path=path,
            architecture=guests,
            version=read_version(outputs[path], path)
            if path in outputs
            else Unknown(unknown=UnknownReason.NOT_PERMITTED, detail=f"{path}: {refused}"),
        )
        for path, guests in binaries
    )


def read_version(output: CommandOutput | Unknown | None, path: str) -> Reading[str]:
    """The version in what a program printed, or why there is none."""
    if isinstance(output, Unknown):
        return output
    if output is None:
        return Unknown(unknown=UnknownReason.NOT_READABLE, detail=f"{path} could not be started")
    return version_number(output.output) or not_understood(output.output, path)
