"""What of a distribution's kernel is left to compile when only what this machine uses is built."""

import os
import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kvmwizard.host.host import command_environment
from kvmwizard.job import FIXED_ENVIRONMENT
from kvmwizard.plan.build_model import ConfigureKernel
from kvmwizard.run.workers import worker_argv, worker_environment
from tests.bench.measure import Result
from tests.bench.source_runs import BuildSite
from tests.sources import distribution_configuration

LOADED = """\
ahci autofs4 bridge button coretemp crc16 crc32c_generic crc32c_intel dm_mod drm drm_kms_helper e1000e
efi_pstore efivarfs ehci_hcd ehci_pci evdev ext4 fuse hid hid_generic i2c_core i2c_i801 i2c_smbus igb
intel_rapl_common intel_rapl_msr ip_tables irqbypass iTCO_vendor_support iTCO_wdt ixgbe jbd2 joydev kvm
kvm_intel libahci libata libcrc32c llc loop lpc_ich mbcache md_mod mdio mei mei_me mgag200 nf_conntrack
nf_defrag_ipv4 nf_defrag_ipv6 nf_nat nf_tables nfnetlink nft_chain_nat nft_compat nvme nvme_core pcspkr
qemu_fw_cfg raid1 rapl scsi_common scsi_mod sd_mod sg sr_mod stp t10_pi tap tun usbcore usb_common usbhid
vhost vhost_iotlb vhost_net virtio_blk virtio_net watchdog x_tables xhci_hcd xhci_pci xt_MASQUERADE
"""
"""What a server with Debian has loaded that runs guests; the machine that measures may show no modules."""

WITH_THESE_MODULES = """\
import sys
from pathlib import Path
from kvmwizard.build import kernel, kernel_config
kernel_config.MODULE_LIST = Path(sys.argv.pop(1))
sys.exit(kernel.main(sys.argv[1:]))
"""
OBJECT = re.compile(r"(?:echo|printf) '  (?:CC|AS)[ \[].*?(\S+\.o)")
"""How `make -n` shows that an object would be compiled (scripts/Kbuild.include)."""
Base = Literal["localmodconfig", "file"]
BASES: tuple[Base, Base] = ("localmodconfig", "file")
SAMPLE = 24
"""Objects of each configuration that are compiled, spread evenly."""


@dataclass(frozen=True)
class Configured:
    """One configuration, and what it takes."""

    seconds: float
    """To configure."""
    objects: int
    processor_seconds: float
    """To compile them all, by the sample."""


def configuring_results(site: BuildSite) -> list[Result]:
    """Objects and times of both, without a target. Raises CannotBeHad."""
    base_file, modules = site.folder / "distribution.config", site.folder / "modules"
    base_file.write_bytes(distribution_configuration())
    modules.write_text("".join(f"{name} 1 0\n" for name in LOADED.split()), encoding="ascii")
    for path in (base_file, modules):
        path.chmod(0o644)
    ours, theirs = (_configured(site, base_file, base) for base in BASES)
    return [
        _beside("configure", "configure from the modules in use", "s", ours.seconds, theirs.seconds),
        _beside("objects", "objects of that configuration", "", float(ours.objects), float(theirs.objects)),
        _beside(
            "objects-time",
            "to compile them, by a sample",
            "processor minutes",
            ours.processor_seconds / 60,
            theirs.processor_seconds / 60,
        ),
    ]


def _beside(name: str, title: str, unit: str, value: float, other: float) -> Result:
    return Result(name, title, value, unit, (value,), None, "the distribution's", other, (other,))


def _configured(site: BuildSite, base_file: Path, base: Base) -> Configured:
    """Configure with the features that are proposed, and look at what is then to be compiled."""
    plan = site.plan("apart", base="file", base_file=str(base_file), features=None)
    (wanted,) = plan.step("kernel.configure").actions
    assert isinstance(wanted, ConfigureKernel)
    folder = site.folder / "builds" / f"from-{base}"
    site.make_folder(folder)
    action = wanted.model_copy(
        update={"base": base, "build": str(folder / "build"), "stamp": str(folder / "stamp")}
    )
    started = time.perf_counter()
    _configure(site, action, plan.builder, folder)
    seconds = time.perf_counter() - started
    make = ["/usr/bin/make", f"O={action.build}"]
    _output(site, [*make, f"-j{os.cpu_count()}", "prepare", "modules_prepare"], action.tree)
    # Some goals cannot be foreseen, so that make ends with an error for them.
    foreseen = _output(site, [*make, "-n", "-k", "bzImage", "modules"], action.tree, check=False)
    commands = {found[1]: line for line in foreseen.splitlines() if (found := OBJECT.search(line))}
    return Configured(seconds, len(commands), len(commands) * _mean_seconds(commands, action.build))


def _configure(site: BuildSite, action: ConfigureKernel, builder: str | None, folder: Path) -> None:
    log = folder / "log"
    _, _, _, *words = worker_argv(action, builder, folder / "progress", log)
    with log.open("ab") as file:
        subprocess.run(
            [sys.executable, "-c", WITH_THESE_MODULES, str(site.folder / "modules"), *words],
            env={**command_environment(), **worker_environment()},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=True,
        )


def _mean_seconds(commands: dict[str, str], build: str) -> float:
    """The processor's seconds that one object takes, over a sample of them."""
    sample = list(commands)[:: max(1, len(commands) // SAMPLE)]
    for path in sample:
        Path(build, path).parent.mkdir(parents=True, exist_ok=True)
    before = _processor_seconds()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # As make itself would run it; a few need what only the whole build makes.
        ended = pool.map(lambda path: _returncode(["/bin/sh", "-c", commands[path]], build), sample)
    return (_processor_seconds() - before) / sum(returncode == 0 for returncode in ended)


def _returncode(argv: list[str], directory: str) -> int:
    return subprocess.run(
        argv, cwd=directory, env=FIXED_ENVIRONMENT, capture_output=True, check=False
    ).returncode


def _processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _output(site: BuildSite, argv: list[str], directory: str, *, check: bool = True) -> str:
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        argv,
        cwd=directory,
        env=FIXED_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=check,
        **site.as_builder,
    )
    return ended.stdout
