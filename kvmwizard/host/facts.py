"""All that was read of one machine."""

from kvmwizard.host.cgroups import CgroupFacts
from kvmwizard.host.distribution import DistributionFacts
from kvmwizard.host.environment import EnvironmentFacts
from kvmwizard.host.firmware import FirmwareFacts
from kvmwizard.host.iommu import IommuFacts
from kvmwizard.host.kernel import KernelFacts
from kvmwizard.host.kvm_device import KvmDeviceFacts
from kvmwizard.host.memory import DiskFacts, MemoryFacts
from kvmwizard.host.modules import ModulesFacts
from kvmwizard.host.processor import ProcessorFacts
from kvmwizard.host.qemu import QemuFacts
from kvmwizard.host.reading import FactModel
from kvmwizard.host.security import SecurityFacts
from kvmwizard.host.toolchain import ToolchainFacts
from kvmwizard.host.users import UsersFacts


class Facts(FactModel):
    """A machine, as read at one moment."""

    live: bool
    """False for a recorded machine."""
    host_name: str
    processor: ProcessorFacts
    environment: EnvironmentFacts
    firmware: FirmwareFacts
    kernel: KernelFacts
    modules: ModulesFacts
    kvm: KvmDeviceFacts
    iommu: IommuFacts
    cgroups: CgroupFacts
    memory: MemoryFacts
    disk: DiskFacts
    distribution: DistributionFacts
    qemu: QemuFacts
    toolchain: ToolchainFacts
    security: SecurityFacts
    users: UsersFacts
