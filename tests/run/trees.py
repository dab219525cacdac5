"""Small trees, packed, and a throwaway machine in which the root helper's code installs them."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvmwizard.build.payload import write_payload
from kvmwizard.plan.build_model import InstallTree, RemoveTree
from kvmwizard.plan.model import Action
from kvmwizard.run.root_start import HELPER_PROGRAM
from tests.machine.machine import ThrowawayMachine

DRIVER = Path(__file__).with_name("root_driver.py")
RELEASE = "6.1.192-kvmwizard"
KERNEL_NAME = f"linux-image-{RELEASE}"
PREFIX = "/opt/kvmwizard/qemu-10.1.0"
QEMU_NAME = "qemu-10.1.0"
IDENTITY = "a" * 64

KERNEL = {
    f"boot/System.map-{RELEASE}": b"ffffffff81000000 T _text\n",
    f"boot/config-{RELEASE}": b"CONFIG_KVM=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_GZIP=y\n",
    f"boot/vmlinuz-{RELEASE}": b"MZ" + b"kernel" * 1000,
    f"lib/modules/{RELEASE}/kernel/drivers/net/tun.ko": b"\x7fELF a module",
    f"lib/modules/{RELEASE}/modules.builtin": b"kernel/arch/x86/kvm/kvm.ko\n",
    f"lib/modules/{RELEASE}/modules.order": b"kernel/drivers/net/tun.ko\n",
}
QEMU = {
    f"{PREFIX[1:]}/bin/qemu-system-x86_64": b"#!/bin/sh\necho QEMU emulator version 10.1.0\n",
    f"{PREFIX[1:]}/share/qemu/bios-256k.bin": b"\xea" * 5000,
    f"{PREFIX[1:]}/share/qemu/keymaps/en-us": b"map 0x409\n",
}


def install_kernel(*, as_package: bool = False, identity: str = IDENTITY) -> InstallTree:
    return InstallTree(
        name=KERNEL_NAME,
        tree="kernel",
        release=RELEASE,
        prefix="/",
        as_package=as_package,
        payload="/tmp/payload",
        identity=identity,
    )


def install_qemu(*, as_package: bool = False, prefix: str = PREFIX) -> InstallTree:
    return InstallTree(
        name=QEMU_NAME,
        tree="qemu",
        release=None,
        prefix=prefix,
        as_package=as_package,
        payload="/tmp/payload",
        identity=IDENTITY,
    )


def packed(folder: Path, files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """The payload of these files, and its digest."""
    stage = folder / "stage"
    for name, content in files.items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if "/bin/" in name:
            path.chmod(0o755)
    digest = write_payload(stage, folder / "payload").digest
    return (folder / "payload").read_bytes(), digest


def forged(entries: Any, contents: bytes = b"") -> tuple[bytes, str]:
    """A payload with this head, and the digest that makes it seem the right one."""
    head = json.dumps(entries).encode() + b"\n"
    return head + contents, hashlib.sha256(head).hexdigest()


def entry(path: str, content: bytes = b"evil", mode: Any = 0o644) -> list[Any]:
    """One line of a head."""
    return [path, mode, len(content), hashlib.sha256(content).hexdigest()]


def refusal(outcome: Any) -> str | None:
    """Why an action was not done; None where it was."""
    code: str | None = outcome["code"]
    returned: int = outcome["returncode"]
    return code or (f"returned {returned}" if returned else None)


class Root:
    """The helper's hands in a machine."""

    def __init__(self, machine: ThrowawayMachine) -> None:
        self.machine = machine
        machine.path("/opt/driver.py").write_bytes(DRIVER.read_bytes())
        machine.path("/opt/root_helper.py").write_bytes(HELPER_PROGRAM.read_bytes())

    def ask(self, verb: str, payload: bytes, digest: str, *actions: Action, timeout: float = 120) -> Any:
        """What the driver prints."""
        self.machine.path("/tmp/payload").write_bytes(payload)
        argv = ["/usr/bin/python3", "-I", "/opt/driver.py", "/opt/root_helper.py", verb]
        argv += ["/tmp/payload" if payload else "", digest, *(action.model_dump_json() for action in actions)]
        return json.loads(self.machine.do(argv, timeout=timeout))

    def install(self, action: InstallTree, payload: tuple[bytes, str]) -> str | None:
        """The code with which it was refused; None where it was installed."""
        return refusal(self.ask("do", *payload, action))

    def install_each(
        self, action: InstallTree, payloads: Mapping[str, tuple[bytes, str]]
    ) -> dict[str, str | None]:
        """As `install`, one after the other, by their names."""
        encoded = {
            name: (base64.b64encode(text).decode(), digest) for name, (text, digest) in payloads.items()
        }
        outcomes = self.ask("each", json.dumps(encoded).encode(), "", action)
        return {name: refusal(outcome) for name, outcome in outcomes.items()}

    def remove(self, name: str) -> str | None:
        return self.do(RemoveTree(name=name))

    def do(self, action: Action) -> str | None:
        """The code with which any action without a payload was refused; None where it was done."""
        return refusal(self.ask("do", b"", "", action))

    def log(self) -> str:
        return self.machine.path("/tmp/log").read_text(encoding="utf-8")

    def world(self) -> str:
        """Everything that installing and removing could change, with modes, owners and contents."""
        places = "/boot /opt/kvmwizard /usr/lib/modules /var/lib/kvmwizard /etc/default /etc/kernel"
        look = f"find {places} -printf '%M %u %g %p\\n' 2>/dev/null | sort; "
        look += f"find {places} -type f -exec sha256sum '{{}}' + 2>/dev/null | sort; dpkg-query -W"
        return self.machine.do(["/bin/sh", "-c", look])
