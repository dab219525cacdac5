"""The actions that build a kernel or a QEMU from source, and what they bring about.

All but the last few are carried out as the builder, never as root. Each writes a
stamp beside what it made (`kvmwizard.product`) that names the action's
`identity`: a digest of everything its product depends on, so that the same
wishes find their product again and other wishes do not take it for theirs.
"""

from typing import Annotated, Literal

from pydantic import Field

from kvmwizard.catalog.sources import Project
from kvmwizard.plan.base import PlanModel

IDENTITY = r"^[0-9a-f]{64}$"


class ProductMade(PlanModel):
    """The stamp at `path` names this identity, and all that it lists is still there, of the same size."""

    kind: Literal["product-made"] = "product-made"
    path: str
    identity: Annotated[str, Field(pattern=IDENTITY)]


class TreeInstalled(PlanModel):
    """Root's own list of what it installed under this name has this identity, and all of it is there."""

    kind: Literal["tree-installed"] = "tree-installed"
    name: str
    identity: Annotated[str, Field(pattern=IDENTITY)]


class TreeAbsent(PlanModel):
    """Root has no list of anything installed under this name."""

    kind: Literal["tree-absent"] = "tree-absent"
    name: str


class BootsNext(PlanModel):
    """The boot loader starts this kernel once, at the next start, or it runs already."""

    kind: Literal["boots-next"] = "boots-next"
    release: str


class BootsByDefault(PlanModel):
    """The boot loader starts this kernel whenever it was told nothing else."""

    kind: Literal["boots-by-default"] = "boots-by-default"
    release: str


class KernelRuns(PlanModel):
    """This kernel runs: what no action brings about, but the person's restart of the machine."""

    kind: Literal["kernel-runs"] = "kernel-runs"
    release: str


class GuestsProved(PlanModel):
    """Guests ran under this kernel, at every level of the proof; never holds beforehand."""

    kind: Literal["guests-proved"] = "guests-proved"
    release: str
    user: str


class BuildAction(PlanModel):
    """The base of what is done as the builder."""

    identity: Annotated[str, Field(pattern=IDENTITY)]
    stamp: str
    """Path of the stamp that is written when the product is whole."""


class TrustedKey(PlanModel):
    """A key whose signature counts."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")]
    file: str
    """The public key: a path below assets, as `keys/autosigner.asc`, or an absolute one of the person's."""


class ListedChecksum(PlanModel):
    """A signed list of SHA-256 sums names the file: kernel.org's sha256sums.asc."""

    kind: Literal["listed-checksum"] = "listed-checksum"
    urls: tuple[str, ...]
    """Of the list, one a mirror, tried in order."""
    keys: tuple[TrustedKey, ...]


class DetachedSignature(PlanModel):
    """A signature in a file of its own."""

    kind: Literal["detached-signature"] = "detached-signature"
    urls: tuple[str, ...]
    over: Literal["file", "uncompressed"]
    """`uncompressed`: over the tar that the file holds, as kernel.org's .tar.sign."""
    keys: tuple[TrustedKey, ...]


class PublishedChecksum(PlanModel):
    """The file's SHA-256 is known beforehand."""

    kind: Literal["published-checksum"] = "published-checksum"
    sha256: Annotated[str, Field(pattern=IDENTITY)]


SourceProof = Annotated[
    ListedChecksum | DetachedSignature | PublishedChecksum,
    Field(discriminator="kind"),
]


class DownloadSource(BuildAction):
    """Download a file and verify it; nothing unverified is left under its name.

    Of the proofs, each that can be had must hold, and one must be had. A bad one
    ends it, whatever the others say.
    """

    kind: Literal["download-source"] = "download-source"
    project: Project
    version: str
    urls: tuple[str, ...]
    """Mirrors of the same file, tried in order; http, https or file."""
    path: str
    proofs: tuple[SourceProof, ...]
    unverified: bool = False
    """The person said in words that this file may be used although no proof can be had."""


class UnpackSource(BuildAction):
    """Unpack a verified tarball, or copy a tree, into a new directory; renamed when whole."""

    kind: Literal["unpack-source"] = "unpack-source"
    archive: str
    """A tarball that `DownloadSource` verified, or a directory of the person's."""
    tree: str
    """Where the source tree will be."""
    patches: tuple[str, ...] = ()
    """Below assets, as `patches/linux-plt32.patch`, applied in this order before the rename."""


class FetchTag(BuildAction):
    """Fetch one tag into a repository that later tags reuse, verify it, and check it out."""

    kind: Literal["fetch-tag"] = "fetch-tag"
    project: Project
    urls: tuple[str, ...]
    """Of the repository, tried in order."""
    tag: str
    repository: str
    """The bare repository on this machine."""
    tree: str
    keys: tuple[TrustedKey, ...]
    unverified: bool = False
    submodules: tuple[str, ...] = ()
    """Their paths, where the version has them; the rest are not needed."""
    patches: tuple[str, ...] = ()
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """What the tag is known to point to: it proves the tag as a signature does; None: nobody published it."""


class ConfigureKernel(BuildAction):
    """Make the .config: a base, the chosen symbols merged in, and every one of them checked afterwards."""

    kind: Literal["configure-kernel"] = "configure-kernel"
    tree: str
    build: str
    """make's O=."""
    base: Literal["running", "defconfig", "localmodconfig", "file"]
    base_file: str | None = None
    """For `running` and `file`, and for `localmodconfig` what it trims; None: defconfig."""
    symbols: dict[str, str]
    """Without CONFIG_, with the value wanted: y, m, n, or a text in quotation marks."""
    local_version: str
    make_variables: dict[str, str] = Field(default_factory=dict)


class CompileKernel(BuildAction):
    """Build the image and the modules; goes on where an earlier try was ended."""

    kind: Literal["compile-kernel"] = "compile-kernel"
    tree: str
    build: str
    release: str
    jobs: int
    make_variables: dict[str, str] = Field(default_factory=dict)
    totals: str
    """A file that remembers how many steps a build of an identity took."""


class BootKernel(BuildAction):
    """Boot the built image as a guest with our own tiny initramfs."""

    kind: Literal["boot-kernel"] = "boot-kernel"
    image: str
    release: str
    """What the guest's kernel must say of itself."""
    qemu: str
    firmware: tuple[str, ...] = ()
    """Directories for QEMU's -L, where it finds its firmware."""
    seconds: int


class StageKernel(BuildAction):
    """Install modules and image into a folder, and pack that for the root helper."""

    kind: Literal["stage-kernel"] = "stage-kernel"
    tree: str
    build: str
    release: str
    stage: str
    payload: str
    make_variables: dict[str, str] = Field(default_factory=dict)


class UnpackPackages(BuildAction):
    """Unpack packages of another release of the distribution into a folder of ours, installing nothing.

    The package manager downloads and verifies them as the builder, from the mirror
    that this machine uses.
    """

    kind: Literal["unpack-packages"] = "unpack-packages"
    manager: str
    suite: str
    packages: tuple[str, ...]
    folder: str


class ConfigureQemu(BuildAction):
    """Run QEMU's configure in a build folder."""

    kind: Literal["configure-qemu"] = "configure-qemu"
    tree: str
    build: str
    flags: tuple[str, ...]
    """Each checked against what this tree's `./configure --help` knows."""
    shims: tuple[str, ...] = ()
    """Below assets: folders of headers put before the system's, as `shims/memfd`."""
    python: str | None = None
    """What `--python=` names, where the version needs another than the system's."""


class CompileQemu(BuildAction):
    """Build the chosen programs alone."""

    kind: Literal["compile-qemu"] = "compile-qemu"
    tree: str
    build: str
    programs: tuple[str, ...]
    """As `qemu-system-x86_64`."""
    jobs: int


class StageQemu(BuildAction):
    """Put the programs and what they load at run time into a folder, and pack that for the root helper."""

    kind: Literal["stage-qemu"] = "stage-qemu"
    tree: str
    build: str
    programs: tuple[str, ...]
    prefix: str
    stage: str
    payload: str


LISTS_OF_TREES = "/var/lib/kvmwizard/installed"
"""Where root keeps its lists of what it installed, NAME.json each, for everybody to read."""


class InstallTree(PlanModel):
    """As root: put a packed tree in place, every file checked against the digest the stage step journaled.

    As a package, the helper makes it of the tree itself, with maintainer scripts of
    its own, so that nothing that was built is run while it is installed.
    """

    kind: Literal["install-tree"] = "install-tree"
    name: str
    """`linux-image-RELEASE` or `qemu-VERSION`; also the package's name."""
    tree: Literal["kernel", "qemu"]
    release: str | None
    """The kernel's; None for QEMU."""
    prefix: str
    """Where the files belong: `/` for a kernel, else as `/opt/kvmwizard/qemu-10.1.0`."""
    as_package: bool
    payload: str
    identity: Annotated[str, Field(pattern=IDENTITY)]


class RemoveTree(PlanModel):
    """As root: remove what is on the list of that name, as far as it is still what was installed."""

    kind: Literal["remove-tree"] = "remove-tree"
    name: str


class SetNextBoot(PlanModel):
    """As root: start this kernel once, at the next start; the one after that is `otherwise` again."""

    kind: Literal["set-next-boot"] = "set-next-boot"
    release: str
    otherwise: str


class SetDefaultBoot(PlanModel):
    """As root: start this kernel from now on; refused unless it is the one that runs."""

    kind: Literal["set-default-boot"] = "set-default-boot"
    release: str


class ProveGuests(PlanModel):
    """As whoever runs the wizard: every level of the proof, and only under this kernel."""

    kind: Literal["prove-guests"] = "prove-guests"
    release: str
    user: str
    qemu: str | None


BuilderAction = (
    DownloadSource
    | UnpackSource
    | FetchTag
    | ConfigureKernel
    | CompileKernel
    | BootKernel
    | StageKernel
    | UnpackPackages
    | ConfigureQemu
    | CompileQemu
    | StageQemu
)
"""What a worker process does as the builder (`run.workers`)."""
