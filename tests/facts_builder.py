"""Complete Facts for tests: a healthy Intel machine, with whatever a test wants different.

    facts = make_facts(kvm={"guest": NOT_LIVE}, processor={"flags": ()})

Each keyword is a subject of `Facts`; its mapping replaces single fields of the healthy
machine's. Modules are given by state: `modules=module_states(vhost_net=ModuleState.AVAILABLE)`.
"""

from collections.abc import Mapping

from kvmwizard.host.cgroups import CgroupFacts, CgroupLayout
from kvmwizard.host.distribution import DistributionFacts
from kvmwizard.host.environment import EnvironmentFacts
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import FirmwareFacts, FirmwareLock
from kvmwizard.host.iommu import IommuFacts
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.kvm_device import AclEntry, DeviceNode, GuestRun, KvmDeviceFacts, OpenOutcome
from kvmwizard.host.memory import DiskFacts, HugePagePool, MemoryFacts
from kvmwizard.host.modules import ModuleFacts, ModulesFacts, ModuleState
from kvmwizard.host.processor import ProcessorFacts, VirtualizationExtension
from kvmwizard.host.qemu import QemuBinary, QemuFacts
from kvmwizard.host.reading import FactModel, Reading, Unknown, UnknownReason
from kvmwizard.host.security import SecurityFacts, SelinuxMode
from kvmwizard.host.toolchain import Tool, ToolchainFacts
from kvmwizard.host.users import UserFacts, UsersFacts

NOT_LIVE = Unknown(unknown=UnknownReason.NOT_LIVE)
NOT_SHOWN = Unknown(unknown=UnknownReason.NOT_SHOWN)
NOT_PERMITTED = Unknown(unknown=UnknownReason.NOT_PERMITTED, detail="permission denied")

GIB = 1 << 30
KVM_GROUP_ID = 106

ROOT = UserFacts(name="root", id=0, group_id=0, groups=("root",))
ALICE = UserFacts(name="alice", id=1000, group_id=1000, groups=("alice", "sudo", "kvm"))
BOB = UserFacts(name="bob", id=1001, group_id=1001, groups=("bob",))

HEALTHY_MODULES = {
    "kvm": ModuleState.LOADED,
    "kvm_intel": ModuleState.LOADED,
    "kvm_amd": ModuleState.AVAILABLE,
    "kvm_pvm": ModuleState.ABSENT,
    "kvm_hv": ModuleState.ABSENT,
    "vhost_net": ModuleState.LOADED,
    "vhost_vsock": ModuleState.AVAILABLE,
    "tun": ModuleState.LOADED,
    "vfio": ModuleState.AVAILABLE,
    "vfio_pci": ModuleState.AVAILABLE,
    "vboxdrv": ModuleState.ABSENT,
    "vmmon": ModuleState.ABSENT,
    "vmnet": ModuleState.ABSENT,
}


def node(
    mode: int = 0o660,
    owner: tuple[int, str | None] = (0, "root"),
    group: tuple[int, str | None] = (KVM_GROUP_ID, "kvm"),
    acl: Reading[tuple[AclEntry, ...]] = (),
) -> DeviceNode:
    """A device node; by default as Debian makes /dev/kvm."""
    return DeviceNode(
        mode=mode, owner_id=owner[0], owner=owner[1], group_id=group[0], group=group[1], acl=acl
    )


def module_states(
    blacklisted: Mapping[str, str] | None = None,
    parameters: Mapping[str, Mapping[str, str]] | None = None,
    **states: Reading[ModuleState],
) -> dict[str, object]:
    """What to give as `modules`: the healthy machine's, but for the states that are named."""
    stood: dict[str, Reading[ModuleState]] = {**HEALTHY_MODULES, **states}
    modules = {
        name: ModuleFacts(
            name=name,
            state=state,
            blacklisted_by=(blacklisted or {}).get(name),
            parameters=dict((parameters or {}).get(name, {})),
        )
        for name, state in stood.items()
    }
    return {"modules": modules}


def guest_ran() -> GuestRun:
    """Our own guest, as it runs where KVM works."""
    return GuestRun(ran=True, instructions=8, exits=3, output="4\n", milliseconds=0.6, problem=None)


def guest_failed(problem: str = "KVM_RUN: exit reason 17 (internal error)") -> GuestRun:
    """Our own guest, where the device opens and the guest does not run."""
    return GuestRun(ran=False, instructions=8, exits=1, output="", milliseconds=0.4, problem=problem)


def tool(name: str, version: str) -> Tool:
    """A program under /usr/bin."""
    return Tool(name=name, path=f"/usr/bin/{name}", version=version)


def make_facts(*, live: bool = True, host_name: str = "build-01", **subjects: Mapping[str, object]) -> Facts:
    """A healthy Debian 12 machine on Intel, whose user alice may use KVM, but for `subjects`."""
    healthy = healthy_subjects()
    unknown_names = subjects.keys() - healthy.keys()
    if unknown_names:
        raise TypeError(f"not subjects of Facts: {sorted(unknown_names)}")
    changed = {name: with_fields(model, subjects.get(name, {})) for name, model in healthy.items()}
    return Facts.model_validate({"live": live, "host_name": host_name, **changed})


def with_fields(model: FactModel, fields: Mapping[str, object]) -> FactModel:
    """The model with some of its fields replaced, and validated again."""
    present = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model).model_validate({**present, **fields})


def healthy_subjects() -> dict[str, FactModel]:
    """Every subject of the healthy machine."""
    return {
        "processor": healthy_processor(),
        "environment": EnvironmentFacts(
            hypervisor=None, container=None, boot_id="6c1d8f1e-41cd-4a51-9c9d-2c5a8f6f0a11"
        ),
        "firmware": FirmwareFacts(
            virtualization=FirmwareLock.ENABLED,
            virtualization_source="msr",
            registers=("0x5", "0x5", "0x5", "0x5"),
            uefi=True,
            secure_boot=False,
            lockdown="none",
        ),
        "kernel": healthy_kernel(),
        "modules": ModulesFacts.model_validate(
            {
                **module_states(parameters={"kvm_intel": {"nested": "Y", "ept": "Y"}}),
                "nested": True,
                "ept": True,
                "enable_virt_at_load": NOT_SHOWN,
                "loadable": True,
            }
        ),
        "kvm": KvmDeviceFacts(
            node=node(),
            opened=OpenOutcome.OPENED,
            open_error=None,
            api_version=12,
            guest=guest_ran(),
            vhost_net=node(),
            vhost_vsock=None,
            tun=node(mode=0o666, group=(0, "root")),
            sev=False,
        ),
        "iommu": IommuFacts(
            tables=("DMAR",),
            groups=14,
            units=("dmar0", "dmar1"),
            parameters=("intel_iommu=on",),
            pci_devices=38,
        ),
        "cgroups": CgroupFacts(
            layout=CgroupLayout.V2,
            controllers=("blkio", "cpu", "cpuacct", "cpuset", "devices", "memory", "pids"),
        ),
        "memory": MemoryFacts(
            total=16 * GIB,
            available=12 * GIB,
            swap=2 * GIB,
            huge_pages=(HugePagePool(kilobytes=2048, total=0, free=0),),
            transparent_huge_pages="madvise",
            same_page_merging=False,
        ),
        "disk": DiskFacts(
            build_directory="/home/alice/.cache/kvmwizard",
            build_free=80 * GIB,
            root_free=40 * GIB,
            boot_free=40 * GIB,
        ),
        "distribution": DistributionFacts(
            id="debian",
            like=(),
            version="12",
            name="Debian GNU/Linux 12 (bookworm)",
            package_manager="apt",
            init="systemd",
            udev_running=True,
            boot_loader="grub",
            grub_storage="plain",
        ),
        "qemu": QemuFacts(
            binaries=(
                QemuBinary(path="/usr/bin/qemu-system-x86_64", architecture="x86_64", version="7.2.22"),
            ),
            image_tool="/usr/bin/qemu-img",
        ),
        "toolchain": ToolchainFacts(
            tools={
                "gcc": tool("gcc", "12.2.0"),
                "make": tool("make", "4.3"),
                "ld": tool("ld", "2.40"),
                "python3": tool("python3", "3.11.2"),
                "git": tool("git", "2.39.5"),
                "flex": Tool(name="flex", path=None, version=None),
                "bison": Tool(name="bison", path=None, version=None),
                "ninja": Tool(name="ninja", path=None, version=None),
                "meson": Tool(name="meson", path=None, version=None),
            }
        ),
        "security": SecurityFacts(selinux=SelinuxMode.DISABLED, apparmor=True),
        "users": UsersFacts(
            caller="alice",
            effective_groups=(27, KVM_GROUP_ID, 1000),
            sudo_caller=None,
            accounts=(ROOT, ALICE, BOB),
            kvm_group="kvm",
            kvm_group_id=KVM_GROUP_ID,
            sudo="/usr/bin/sudo",
        ),
    }


def healthy_processor() -> ProcessorFacts:
    """Four processors of a Xeon with VT-x."""
    return ProcessorFacts(
        architecture="x86_64",
        vendor="GenuineIntel",
        model_name="Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz",
        processors=4,
        flags=("avx", "avx2", "ept", "fpu", "lm", "smap", "smep", "vmx", "vpid"),
        flags_of_some=(),
        extension=VirtualizationExtension.VMX,
        second_level_paging=True,
        tagged_tlb=True,
        avx=True,
        avx2=True,
        avx512=False,
        smep=True,
        smap=True,
    )


def healthy_kernel() -> KernelFacts:
    """Debian 12's kernel with its KVM options."""
    return KernelFacts(
        release="6.1.0-49-amd64",
        command_line=("BOOT_IMAGE=/boot/vmlinuz-6.1.0-49-amd64", "ro", "quiet", "intel_iommu=on"),
        configuration_source="/boot/config-6.1.0-49-amd64",
        options={
            "VIRTUALIZATION": "y",
            "KVM": "m",
            "KVM_INTEL": "m",
            "KVM_AMD": "m",
            "VHOST_NET": "m",
            "TUN": "m",
            "MODULES": "y",
        },
        log_lines=(),
        taints=0,
        installed_releases=("6.1.0-49-amd64",),
    )


AN_AMD_PROCESSOR: Mapping[str, object] = {
    "vendor": "AuthenticAMD",
    "model_name": "AMD EPYC 7302 16-Core Processor",
    "flags": ("avx", "avx2", "fpu", "lm", "npt", "smap", "smep", "svm"),
    "extension": VirtualizationExtension.SVM,
}

NO_EXTENSION: Mapping[str, object] = {
    "flags": ("avx", "avx2", "fpu", "lm", "smap", "smep"),
    "extension": VirtualizationExtension.NONE,
    "second_level_paging": False,
    "tagged_tlb": False,
}

AN_UNREADABLE_GUEST: Mapping[str, object] = {"guest": NOT_LIVE, "api_version": NOT_LIVE, "opened": NOT_LIVE}
