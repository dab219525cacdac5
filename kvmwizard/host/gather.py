"""Reads every subject at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kvmwizard.host.accounts import Accounts
from kvmwizard.host.cgroups import read_cgroups
from kvmwizard.host.distribution import read_distribution
from kvmwizard.host.environment import read_environment
from kvmwizard.host.facts import Facts
from kvmwizard.host.firmware import read_firmware
from kvmwizard.host.guest import run_guest
from kvmwizard.host.host import Host
from kvmwizard.host.iommu import read_iommu
from kvmwizard.host.kernel import read_kernel, read_kernel_log
from kvmwizard.host.kvm_device import GuestRun, read_kvm_device
from kvmwizard.host.memory import read_disk, read_memory
from kvmwizard.host.modules import read_modules
from kvmwizard.host.processor import read_processor
from kvmwizard.host.qemu import read_qemu
from kvmwizard.host.reading import Reading
from kvmwizard.host.security import read_security
from kvmwizard.host.toolchain import read_toolchain
from kvmwizard.host.users import read_users


def gather(
    host: Host,
    build_directory: Path | None = None,
    guest: Callable[[], Reading[GuestRun]] = run_guest,
) -> Facts:
    """Read the machine, all subjects concurrently; never raises for what cannot be read.

    What waits for other programs runs in threads of its own; the rest are short
    reads of /proc and /sys, done meanwhile.

    `build_directory` is where builds would go; its file system's free space is
    read. By default the user's cache directory. `guest` runs our own guest, or
    waits for one that was started before; it is called where /dev/kvm opens.
    """
    accounts = Accounts(host)
    with ThreadPoolExecutor(max_workers=3) as pool:
        kvm = pool.submit(read_kvm_device, host, accounts, guest)
        toolchain = pool.submit(read_toolchain, host)
        processor = read_processor(host)
        qemu = pool.submit(read_qemu, host, processor.architecture)
        log = read_kernel_log(host)
        kernel = read_kernel(host, log)
        return Facts(
            live=host.live,
            host_name=_host_name(host),
            processor=processor,
            environment=read_environment(host, processor, log),
            firmware=read_firmware(host, processor, kernel),
            kernel=kernel,
            modules=read_modules(host, kernel),
            iommu=read_iommu(host, kernel),
            cgroups=read_cgroups(host, kernel),
            memory=read_memory(host),
            disk=read_disk(host, (build_directory or default_build_directory()).absolute()),
            distribution=read_distribution(host),
            security=read_security(host),
            kvm=kvm.result(),
            users=read_users(host, accounts, kvm.result().node),
            toolchain=toolchain.result(),
            qemu=qemu.result(),
        )


def default_build_directory() -> Path:
    """`kvmwizard` in the user's cache directory (the XDG Base Directory Specification)."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return base / "kvmwizard"


def _host_name(host: Host) -> str:
    if host.live:
        return os.uname().nodename
    stored = host.machine.host_name or host.read_word("/proc/sys/kernel/hostname")
    return stored if isinstance(stored, str) and stored else host.root.resolve().name
