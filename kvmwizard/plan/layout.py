"""Where everything lies below the build folder.

    downloads/linux-6.12.104.tar.xz and its stamp
    git/linux.git, git/qemu.git
    python2/
    linux-6.12.104-1f3a90c2/{source,build,stage,payload,totals} and a stamp for each product
    qemu-10.1.0-77b0e4d1/…

A version's own folder ends in the first digits of its source's identity: what was
patched, or vouched for by other keys, never meets objects that were compiled of
something else.
"""

from dataclasses import dataclass
from typing import Literal

from kvmwizard.answers import Answers
from kvmwizard.catalog.build_folder import chosen_folders, usual_build_folder
from kvmwizard.catalog.places import two_folders
from kvmwizard.catalog.version import Version
from kvmwizard.host.facts import Facts
from kvmwizard.plan.refused import PlanRefused

Product = Literal["source", "configuration", "image", "programs", "boot", "payload"]

IDENTITY_DIGITS = 8


@dataclass(frozen=True)
class SourceFolder:
    """The folder of one version of one source."""

    path: str

    @property
    def source(self) -> str:
        """The tree as it was unpacked and patched."""
        return f"{self.path}/source"

    @property
    def build(self) -> str:
        """What configure and make write."""
        return f"{self.path}/build"

    @property
    def stage(self) -> str:
        """What will be installed, as it will lie below `/`."""
        return f"{self.path}/stage"

    @property
    def payload(self) -> str:
        """The stage, packed for the root helper."""
        return f"{self.path}/payload"

    @property
    def totals(self) -> str:
        """How many steps earlier builds took."""
        return f"{self.path}/totals"

    def stamp(self, product: Product) -> str:
        """What says that the product is whole."""
        return f"{self.path}/{product}.stamp"


def source_folder(folder: str, project: str, version: Version, identity: str) -> SourceFolder:
    """The folder of a version whose source has this identity."""
    return SourceFolder(f"{folder}/{project}-{version}-{identity[:IDENTITY_DIGITS]}")


def download_path(folder: str, name: str) -> str:
    """Where a file is downloaded to."""
    return f"{folder}/downloads/{name}"


def repository_path(folder: str, project: str) -> str:
    """The bare repository that later tags reuse."""
    return f"{folder}/git/{project}.git"


def python2_folder(folder: str) -> str:
    """Where Python 2.7 is unpacked."""
    return f"{folder}/python2"


def ccache_folder(folder: str) -> str:
    """Where ccache keeps what was compiled (CCACHE_DIR in ccache(1))."""
    return f"{folder}/ccache"


def stamp_beside(path: str) -> str:
    """The stamp of a product that lies at `path`."""
    return f"{path}.stamp"


def build_folder(facts: Facts, answers: Answers) -> str:
    """Where kernel and QEMU are built. Raises PlanRefused where two different folders were chosen."""
    two = two_folders(answers)
    if two is not None:
        raise PlanRefused(two)
    return next(iter(chosen_folders(answers).values()), usual_build_folder(facts))
