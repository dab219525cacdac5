"""Machines with one fault each, and what must be said of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from kvmwizard.checks.results import Cause
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareLock
from kvmwizard.host.kvm_device import AclEntry, OpenOutcome
from kvmwizard.host.modules import ModuleState
from kvmwizard.host.processor import VirtualizationExtension
from kvmwizard.host.reading import Unknown, UnknownReason
from tests.facts_builder import (
    ALICE,
    AN_AMD_PROCESSOR,
    BOB,
    NO_EXTENSION,
    NOT_LIVE,
    NOT_PERMITTED,
    NOT_SHOWN,
    ROOT,
    guest_failed,
    make_facts,
    module_states,
    node,
)

NO_GUEST: Mapping[str, object] = {"api_version": NOT_SHOWN, "guest": NOT_SHOWN}
NO_DEVICE: Mapping[str, object] = {**NO_GUEST, "node": None, "opened": OpenOutcome.ABSENT}
REFUSED: Mapping[str, object] = {
    **NO_GUEST,
    "opened": OpenOutcome.NOT_PERMITTED,
    "open_error": "Permission denied",
}
ROOTS_OWN_NODE = node(mode=0o600, group=(0, "root"))
NOT_LOADED = module_states(kvm=ModuleState.AVAILABLE, kvm_intel=ModuleState.AVAILABLE)
LOADED_NOWHERE = module_states(
    kvm=ModuleState.ABSENT, kvm_intel=ModuleState.ABSENT, kvm_amd=ModuleState.ABSENT
)
PVM = module_states(
    kvm=ModuleState.BUILT_IN,
    kvm_intel=ModuleState.ABSENT,
    kvm_amd=ModuleState.ABSENT,
    kvm_pvm=ModuleState.BUILT_IN,
)
BY_BOB: Mapping[str, object] = {"caller": "bob", "effective_groups": (1001,)}
UNKNOWN_FIRMWARE: Mapping[str, object] = {"virtualization": NOT_PERMITTED, "virtualization_source": None}
LOCKED_BY_FIRMWARE: Mapping[str, object] = {
    "virtualization": FirmwareLock.DISABLED,
    "virtualization_source": "msr",
    "registers": ("0x1",) * 4,
}


@dataclass(frozen=True)
class Faulty:
    """A machine, and the one check that must fail on it."""

    facts: Facts
    id: str
    cause: Cause | None
    said: str
    """Words of what was found or of the remedy."""


FAULTY = {
    "processor without virtualization": Faulty(
        make_facts(
            processor=NO_EXTENSION,
            kvm=NO_DEVICE,
            modules=NOT_LOADED,
            firmware={"virtualization": FirmwareLock.ENABLED},
        ),
        "processor.virtualization",
        Cause.NO_PROCESSOR_SUPPORT,
        "has no virtualization extension",
    ),
    "no flag, and the firmware not readable": Faulty(
        make_facts(processor=NO_EXTENSION, kvm=NO_DEVICE, modules=NOT_LOADED, firmware=UNKNOWN_FIRMWARE),
        "processor.virtualization",
        Cause.NO_PROCESSOR_SUPPORT,
        "or the firmware has switched it off",
    ),
    "flag on some processors only": Faulty(
        make_facts(processor={**NO_EXTENSION, "flags_of_some": ("vmx",)}, kvm=NO_DEVICE, modules=NOT_LOADED),
        "processor.virtualization",
        Cause.FIRMWARE,
        "Only some of the processors",
    ),
    "guest without nesting": Faulty(
        make_facts(
            processor=NO_EXTENSION,
            environment={"hypervisor": "kvm"},
            kvm=NO_DEVICE,
            modules=NOT_LOADED,
            firmware=UNKNOWN_FIRMWARE,
        ),
        "processor.virtualization",
        Cause.NO_NESTING,
        "nested=1",
    ),
    "guest of an unnamed hypervisor without nesting": Faulty(
        make_facts(
            processor={**NO_EXTENSION, "flags": ("fpu", "hypervisor", "lm")},
            kvm=NO_DEVICE,
            modules=NOT_LOADED,
            environment={"hypervisor": NOT_SHOWN},
        ),
        "processor.virtualization",
        Cause.NO_NESTING,
        "does not pass",
    ),
    "locked off by the firmware, flag shown (Linux before 5.6)": Faulty(
        make_facts(kvm=NO_DEVICE, modules=NOT_LOADED, firmware=LOCKED_BY_FIRMWARE),
        "firmware.virtualization",
        Cause.FIRMWARE,
        "VT-x",
    ),
    "locked off by the firmware, flag hidden (Linux 5.6 on)": Faulty(
        make_facts(processor=NO_EXTENSION, kvm=NO_DEVICE, modules=NOT_LOADED, firmware=LOCKED_BY_FIRMWARE),
        "firmware.virtualization",
        Cause.FIRMWARE,
        "VT-x",
    ),
    "locked off by AMD firmware": Faulty(
        make_facts(
            processor=AN_AMD_PROCESSOR,
            kvm=NO_DEVICE,
            modules=module_states(kvm_intel=ModuleState.ABSENT),
            firmware={**LOCKED_BY_FIRMWARE, "virtualization_source": "kernel-log"},
        ),
        "firmware.virtualization",
        Cause.FIRMWARE,
        "SVM Mode",
    ),
    "locked off by the virtual firmware": Faulty(
        make_facts(
            kvm=NO_DEVICE,
            modules=NOT_LOADED,
            firmware=LOCKED_BY_FIRMWARE,
            environment={"hypervisor": "vmware"},
        ),
        "firmware.virtualization",
        Cause.NO_NESTING,
        "Virtualize Intel VT-x",
    ),
    "module not loaded": Faulty(
        make_facts(kvm=NO_DEVICE, modules=NOT_LOADED),
        "kvm.module",
        Cause.MODULE_NOT_LOADED,
        "modprobe kvm_intel",
    ),
    "module not loaded, behind a static node": Faulty(
        make_facts(kvm={**NO_GUEST, "opened": OpenOutcome.NO_DEVICE}, modules=NOT_LOADED),
        "kvm.module",
        Cause.MODULE_NOT_LOADED,
        "modprobe kvm_intel",
    ),
    "module not loaded, behind a static node that the caller may not open": Faulty(
        make_facts(kvm=REFUSED, modules=NOT_LOADED, users=BY_BOB),
        "kvm.module",
        Cause.MODULE_NOT_LOADED,
        "modprobe kvm_intel",
    ),
    "module loaded, and nothing answers": Faulty(
        make_facts(kvm={**NO_GUEST, "opened": OpenOutcome.NO_DEVICE}),
        "kvm.module",
        Cause.MODULE_REFUSED,
        "refused to start",
    ),
    "module blacklisted": Faulty(
        make_facts(
            kvm=NO_DEVICE,
            modules=module_states(
                kvm_intel=ModuleState.AVAILABLE, blacklisted={"kvm_intel": "/etc/modprobe.d/vbox.conf"}
            ),
        ),
        "kvm.module",
        Cause.MODULE_BLACKLISTED,
        "/etc/modprobe.d/vbox.conf",
    ),
    "module refused": Faulty(
        make_facts(
            kvm=NO_DEVICE,
            modules=NOT_LOADED,
            firmware=UNKNOWN_FIRMWARE,
            kernel={"log_lines": ("kvm: disable TXT in the BIOS or activate TXT before enabling KVM",)},
        ),
        "kvm.module",
        Cause.MODULE_REFUSED,
        "disable TXT in the BIOS",
    ),
    "modules locked": Faulty(
        make_facts(kvm=NO_DEVICE, modules={**NOT_LOADED, "loadable": False}),
        "kvm.module",
        Cause.MODULE_REFUSED,
        "takes no modules",
    ),
    "kernel without KVM": Faulty(
        make_facts(kvm=NO_DEVICE, modules=LOADED_NOWHERE, kernel={"options": {"KVM": "n"}}),
        "kvm.module",
        Cause.NO_MODULE,
        "has no kvm_intel",
    ),
    "built in and no device": Faulty(
        make_facts(
            kvm=NO_DEVICE, modules=module_states(kvm=ModuleState.BUILT_IN, kvm_intel=ModuleState.BUILT_IN)
        ),
        "kvm.module",
        Cause.MODULE_REFUSED,
        "refused to start",
    ),
    "ARM without hypervisor mode": Faulty(
        make_facts(
            processor={
                "architecture": "aarch64",
                "vendor": NOT_SHOWN,
                "extension": NOT_SHOWN,
                "flags": ("fp",),
            },
            kvm=NO_DEVICE,
            modules=LOADED_NOWHERE,
            firmware={"virtualization": NOT_SHOWN},
            kernel={"options": {"KVM": "y"}, "log_lines": ("kvm [1]: HYP mode not available",)},
        ),
        "kvm.module",
        Cause.MODULE_REFUSED,
        "HYP mode not available",
    ),
    "no node for a loaded module": Faulty(
        make_facts(kvm=NO_DEVICE, distribution={"udev_running": False}),
        "kvm.device.exists",
        Cause.NO_DEVICE,
        "mknod /dev/kvm c 10 232",
    ),
    "container without the device": Faulty(
        make_facts(kvm=NO_DEVICE, modules=LOADED_NOWHERE, environment={"container": "docker"}),
        "kvm.device.exists",
        Cause.CONTAINER,
        "--device /dev/kvm",
    ),
    "container that refuses the device to root": Faulty(
        make_facts(
            kvm=REFUSED,
            environment={"container": "lxc"},
            users={"caller": "root", "effective_groups": (0,)},
        ),
        "kvm.device.opens",
        Cause.CONTAINER,
        "the container (lxc) refuses",
    ),
    "device refused to a member of its group": Faulty(
        make_facts(kvm=REFUSED),
        "kvm.device.opens",
        Cause.PERMISSION,
        "SELinux or AppArmor",
    ),
    "device with an error of its own": Faulty(
        make_facts(kvm={**NO_GUEST, "opened": OpenOutcome.FAILED, "open_error": "Input/output error"}),
        "kvm.device.opens",
        None,
        "Input/output error",
    ),
    "VirtualBox holds VT-x": Faulty(
        make_facts(
            kvm={"guest": guest_failed("KVM_CREATE_VM: Device or resource busy")},
            modules=module_states(vboxdrv=ModuleState.LOADED),
        ),
        "other_hypervisor",
        Cause.OTHER_HYPERVISOR,
        "VirtualBox",
    ),
    "something unnamed holds VT-x": Faulty(
        make_facts(kvm={**NO_GUEST, "opened": OpenOutcome.BUSY, "open_error": "Device or resource busy"}),
        "other_hypervisor",
        Cause.OTHER_HYPERVISOR,
        "busy",
    ),
    "ordinary user before mode 0600": Faulty(
        make_facts(kvm={**REFUSED, "node": ROOTS_OWN_NODE}, users=BY_BOB),
        "access.user",
        Cause.PERMISSION,
        "bob may not open it: mode 0600, owner root, group root",
    ),
    "ordinary user before mode 0600 of kvm_pvm": Faulty(
        make_facts(
            processor=NO_EXTENSION,
            environment={"hypervisor": "firecracker"},
            modules=PVM,
            firmware={"virtualization": NOT_SHOWN},
            kvm={**REFUSED, "node": ROOTS_OWN_NODE},
            users=BY_BOB,
        ),
        "access.user",
        Cause.PERMISSION,
        "setfacl -m u:bob:rw /dev/kvm",
    ),
    "ordinary user outside of the group": Faulty(
        make_facts(kvm=REFUSED, users=BY_BOB),
        "access.user",
        Cause.PERMISSION,
        "usermod -aG kvm bob",
    ),
    "member shut out by the device's list": Faulty(
        make_facts(
            kvm={**REFUSED, "node": node(acl=(AclEntry(kind="user", id=ALICE.id, permissions="---"),))}
        ),
        "access.user",
        Cause.PERMISSION,
        "setfacl -m u:alice:rw /dev/kvm",
    ),
    "member whose session is older": Faulty(
        make_facts(kvm=REFUSED, users={"effective_groups": (27, 1000)}),
        "access.user",
        Cause.PERMISSION,
        "newgrp kvm",
    ),
    "root asks for bob": Faulty(
        make_facts(users={"caller": "root", "effective_groups": (0,), "sudo_caller": "bob"}),
        "access.user",
        Cause.PERMISSION,
        "usermod -aG kvm bob",
    ),
    "recorded machine, bob outside of the group": Faulty(
        make_facts(
            live=False,
            kvm={"guest": NOT_LIVE, "api_version": NOT_LIVE, "opened": NOT_LIVE},
            users={**BY_BOB, "effective_groups": NOT_LIVE},
        ),
        "access.user",
        Cause.PERMISSION,
        "usermod -aG kvm bob",
    ),
    "older interface": Faulty(
        make_facts(kvm={"api_version": 11, "guest": NOT_SHOWN}),
        "kvm.api",
        Cause.NO_MODULE,
        "version 11",
    ),
    "guest fails": Faulty(
        make_facts(kvm={"guest": guest_failed("KVM_RUN: exit reason 17")}),
        "kvm.guest",
        Cause.GUEST_FAILED,
        "exit reason 17",
    ),
    "guest never ends": Faulty(
        make_facts(
            kvm={"guest": Unknown(unknown=UnknownReason.TIMED_OUT)}, environment={"hypervisor": "kvm"}
        ),
        "kvm.guest",
        Cause.GUEST_FAILED,
        "did not end in time",
    ),
}

SOUND = {
    "healthy": make_facts(),
    "healthy, as root": make_facts(users={"caller": "root", "effective_groups": (0,)}),
    "kvm_pvm: a guest runs without vmx or svm": make_facts(
        processor=NO_EXTENSION,
        environment={"hypervisor": "firecracker"},
        modules=PVM,
        firmware={"virtualization": NOT_SHOWN},
        kvm={"node": ROOTS_OWN_NODE},
        users={"caller": "root", "effective_groups": (0,), "accounts": (ROOT,)},
    ),
    "a guest runs, whatever firmware, flags and modules say": make_facts(
        processor=NO_EXTENSION,
        firmware=LOCKED_BY_FIRMWARE,
        modules=LOADED_NOWHERE,
        kernel={"options": {"KVM": "n"}},
    ),
    "a guest ran, and nothing else speaks for it": make_facts(
        processor={"extension": NOT_SHOWN},
        kvm={"node": NOT_SHOWN, "opened": NOT_SHOWN, "api_version": NOT_SHOWN},
        modules=NOT_LOADED,
    ),
    "no QEMU, IOMMU, control groups, tap devices, memory or space": make_facts(
        qemu={"binaries": (), "image_tool": None},
        iommu={"tables": (), "groups": 0, "units": (), "parameters": ()},
        cgroups={"controllers": ()},
        kvm={"vhost_net": None, "tun": None},
        memory={"available": 1 << 20},
        disk={"root_free": 1 << 20, "boot_free": 1 << 20},
    ),
    "VirtualBox loaded, and a guest runs": make_facts(modules=module_states(vboxdrv=ModuleState.LOADED)),
    "recorded": make_facts(live=False, kvm={"guest": NOT_LIVE, "api_version": NOT_LIVE, "opened": NOT_LIVE}),
    "ARM": make_facts(
        processor={"architecture": "aarch64", "vendor": NOT_SHOWN, "extension": NOT_SHOWN, "flags": ("fp",)},
        modules=LOADED_NOWHERE,
        firmware={"virtualization": NOT_SHOWN},
        iommu={"tables": ("IORT",), "groups": 0, "units": ()},
        kvm={"guest": NOT_SHOWN},
    ),
    "IBM Z": make_facts(
        processor={
            "architecture": "s390x",
            "vendor": "IBM/S390",
            "extension": VirtualizationExtension.SIE,
            "flags": ("158", "sie"),
        },
        kernel={"command_line": ("prot_virt=1",)},
        firmware={"virtualization": NOT_SHOWN},
        iommu={"tables": (), "groups": 0, "units": (), "pci_devices": 0},
        kvm={"guest": NOT_SHOWN},
    ),
    "POWER": make_facts(
        processor={
            "architecture": "ppc64le",
            "vendor": NOT_SHOWN,
            "extension": NOT_SHOWN,
            "flags": NOT_SHOWN,
        },
        modules=module_states(kvm_hv=ModuleState.LOADED),
        firmware={"virtualization": NOT_SHOWN},
        kvm={"guest": NOT_SHOWN},
    ),
    "EPYC": make_facts(
        processor={**AN_AMD_PROCESSOR, "flags": ("sev", "sev_es", "svm")},
        modules=module_states(
            kvm_intel=ModuleState.ABSENT, kvm_amd=ModuleState.LOADED, parameters={"kvm_amd": {"sev": "Y"}}
        ),
        iommu={"tables": ("IVRS",), "parameters": ()},
        kvm={"sev": True},
    ),
    "bob by the device's list": make_facts(
        kvm={"node": node(acl=(AclEntry(kind="user", id=BOB.id, permissions="rw-"),))},
        users=BY_BOB,
    ),
    "alice, whose groups nobody could read": make_facts(users={"accounts": NOT_PERMITTED}),
    "a caller who is not among the accounts": make_facts(
        users={"caller": "www-data", "accounts": (ROOT, ALICE)}
    ),
}
