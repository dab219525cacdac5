"""How another toolchain can be had, nearest first: another compiler, or a build in another release. Pure."""

from collections.abc import Callable, Iterator

from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.tools import Tools, tools_of_release, with_compiler
from kvmwizard.packages.distributions import Release, families, releases
from kvmwizard.packages.ranges import numbers
from kvmwizard.words import Words, say

Outcome = Callable[[Tools], str]
"""What the adviser says of the same version with other tools."""

RUN = {
    "podman": "podman run --rm -it -v \"$PWD\":/source -w /source {image} sh -c '{commands}'",
    "docker": "docker run --rm -it -v \"$PWD\":/source -w /source {image} sh -c '{commands}'",
    "debootstrap": "sudo debootstrap --variant=minbase {suite} ~/{suite} && sudo cp -a . ~/{suite}/source && "
    "sudo chroot ~/{suite} sh -c 'cd /source && {commands}'",
}
INSTALL = {
    "apt": "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y {packages}",
    "dnf": "dnf install -y {packages}",
}
BUILD = {
    "linux": "make olddefconfig && make -j$(nproc)",
    "qemu": "mkdir -p build && cd build && ../configure --target-list={target}-softmmu --disable-docs && "
    "make -j$(nproc)",
}


def ways(project: Project, version: str, tools: Tools, outcome: Outcome) -> tuple[Words, ...]:
    """What the person can do about a toolchain that does not build this version.

    Args:
        project: what shall be built.
        version: of it.
        tools: those that do not build it.
        outcome: what becomes of it with other tools.
    """
    compilers = _compilers(tools, outcome) if project == "linux" else ()
    return (*compilers, *_containers(project, version, tools, outcome))


def _compilers(tools: Tools, outcome: Outcome) -> Iterator[Words]:
    """One that is installed, else one that is packaged; of several the newest."""
    numbered = [name for name in tools.compilers if name.startswith("gcc-")]
    newest_first = sorted(numbered, key=lambda name: numbers(name.removeprefix("gcc-")), reverse=True)
    fitting = [name for name in newest_first if outcome(with_compiler(tools, name)) != "other-toolchain"]
    here = [name for name in fitting if name in tools.installed_compilers]
    if here:
        yield say("Choose {compiler} as the compiler, which is installed.", compiler=here[0])
    elif fitting:
        yield say(
            "Choose {compiler} as the compiler: its package is installed with what else the build needs.",
            compiler=fitting[0],
        )


def _containers(project: Project, version: str, tools: Tools, outcome: Outcome) -> Iterator[Words]:
    release = _nearest(tools, outcome)
    if release is None:
        return
    usable = [name for name in tools.containers if name != "debootstrap" or release.suite]
    for name in usable[:1]:
        yield say(
            "Or build it by hand as {release} does, in the folder of its sources: {command}",
            release=release.name,
            command=_command(name, release, project, version, tools.architecture),
        )
    if not usable:
        yield say(
            "Or build it by hand on a machine with {release}, whose tools it knows.",
            release=release.name,
        )


def _nearest(tools: Tools, outcome: Outcome) -> Release | None:
    """The first of the table that builds it as it is, else the first that builds it with changes."""
    outcomes = [(release, outcome(tools_of_release(release, tools.architecture))) for release in releases()]
    for wanted in ("builds", "with-remedies"):
        for release, found in outcomes:
            if found == wanted and release.image is not None:
                return release
    return None


def _command(name: str, release: Release, project: Project, version: str, architecture: str) -> str:
    family = next(family for family in families().values() if release.ids[0] in family.ids)
    packages = family.build_packages(project, version, release=f"{release.ids[0]} {release.version}")
    commands = " && ".join(
        (
            INSTALL[family.manager].format(packages=" ".join(packages)),
            BUILD[project].format(target=architecture),
        )
    )
    return RUN[name].format(image=release.image, suite=release.suite, commands=commands)
