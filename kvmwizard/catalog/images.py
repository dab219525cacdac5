"""What a built kernel calls itself, and what its image is, by architecture."""

from dataclasses import dataclass

from kvmwizard.catalog.version import parse_version


@dataclass(frozen=True)
class KernelImage:
    """What boot loaders start."""

    source: str
    """The architecture's folder below arch/."""
    target: str
    """For make."""
    path: str
    """Below the build folder."""


IMAGES = {
    "x86_64": KernelImage("x86", "bzImage", "arch/x86/boot/bzImage"),
    "i686": KernelImage("x86", "bzImage", "arch/x86/boot/bzImage"),
    "aarch64": KernelImage("arm64", "Image.gz", "arch/arm64/boot/Image.gz"),
    "s390x": KernelImage("s390", "bzImage", "arch/s390/boot/bzImage"),
    "riscv64": KernelImage("riscv", "Image.gz", "arch/riscv/boot/Image.gz"),
    # GRUB and the firmware there start the ELF file itself.
    "ppc64le": KernelImage("powerpc", "vmlinux", "vmlinux"),
    "ppc64": KernelImage("powerpc", "vmlinux", "vmlinux"),
}
"""By what `uname -m` says (KBUILD_IMAGE in arch/*/Makefile)."""


def image_of(architecture: str) -> KernelImage | None:
    """The image that is built on this architecture; None where kernels are not built by the wizard."""
    return IMAGES.get(architecture)


def kernel_release(version: str, local_version: str) -> str:
    """What `uname -r` will say of a release of kernel.org's: 6.12 calls itself 6.12.0.

    The top Makefile counts three numbers always (KERNELVERSION). Raises ValueError for no version.
    """
    parsed = parse_version(version)
    if parsed is None:
        raise ValueError(version)
    numbers = ".".join(map(str, (*parsed.numbers, 0)[: max(3, len(parsed.numbers))]))
    candidate = "" if parsed.candidate is None else f"-rc{parsed.candidate}"
    return f"{numbers}{candidate}{local_version}"
