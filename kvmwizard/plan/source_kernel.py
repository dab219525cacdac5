"""The steps from a kernel's source to its boot entry."""

from dataclasses import dataclass

from kvmwizard.catalog.chosen import ChosenKernel
from kvmwizard.catalog.costs import Cost, kernel_costs
from kvmwizard.catalog.feasibility import host_problems
from kvmwizard.catalog.features import (
    BOOT_TEST_ARCHITECTURES,
    chosen_features,
    debug_info_symbols,
    symbols_of,
)
from kvmwizard.catalog.images import KernelImage, image_of
from kvmwizard.catalog.jobs import jobs_for
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import Unknown
from kvmwizard.plan.build_model import (
    BootKernel,
    CompileKernel,
    ConfigureKernel,
    InstallTree,
    StageKernel,
    TreeInstalled,
)
from kvmwizard.plan.identity import UNKNOWN_IDENTITY, identified
from kvmwizard.plan.layout import ccache_folder
from kvmwizard.plan.model import Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.setting import PACKAGES_STEP, Remedies, Setting, remedies_for
from kvmwizard.plan.source_code import SourceTree, SourceWish, build_step, source_tree
from kvmwizard.words import Words, say

NOT_BOOTED = say(
    "The new kernel cannot be booted as a guest here before it is installed. Keep the present kernel in the "
    "boot menu until the new one has run."
)
BOOT_SECONDS = 180
"""Of the boot test; under TCG on a busy machine a kernel takes some ten."""


@dataclass(frozen=True)
class GuestQemu:
    """The QEMU that boots the built kernel before it is installed."""

    path: str
    firmware: tuple[str, ...]
    needs: tuple[str, ...]
    """Steps after which it is there."""
    made_from: tuple[str, ...]
    """Its identity, where it is built."""


@dataclass(frozen=True)
class KernelBuild:
    """What building the kernel adds to the plan."""

    steps: tuple[Step, ...]
    notes: tuple[Words, ...]
    settled: tuple[Words, ...]
    """Of the notes; see `Plan.settled`."""


def kernel_build(setting: Setting, chosen: ChosenKernel, qemu: GuestQemu | None) -> KernelBuild:
    """All steps of the chosen kernel; without `qemu` it is not booted beforehand. Raises PlanRefused."""
    image = _image(setting.facts)
    build = chosen.build
    remedies = remedies_for(setting, "linux", chosen.version, build.agreed, build.compiler)
    jobs = jobs_for(setting.facts, "linux", build.jobs, debug_info=build.debug_info)
    costs = kernel_costs(build, setting.workers(jobs.count))
    wish = SourceWish("linux", chosen.source, chosen.version, remedies.patches, costs)
    tree = source_tree(setting, wish)
    parts = _Parts(setting, chosen, tree, remedies, jobs.count, costs, image.path)
    guest = qemu if boots_in_a_guest(setting.facts) else None
    settled = (*tree.notes, *remedies.notes, *(() if jobs.words is None else (jobs.words,)))
    notes = (*settled, *_notes(setting.facts, chosen), *(() if guest is not None else (NOT_BOOTED,)))
    return KernelBuild((*tree.steps, *parts.steps(guest)), notes, settled)


def boots_in_a_guest(facts: Facts) -> bool:
    """Whether the built kernel can be booted as a guest before it is installed."""
    return facts.processor.architecture in BOOT_TEST_ARCHITECTURES


@dataclass(frozen=True)
class _Parts:
    """What the kernel's own steps are made of."""

    setting: Setting
    chosen: ChosenKernel
    tree: SourceTree
    remedies: Remedies
    jobs: int
    costs: dict[str, Cost]
    image: str
    """Below the build folder."""

    def steps(self, qemu: GuestQemu | None) -> tuple[Step, ...]:
        """All of the kernel's own, in their order."""
        configure = self._configure()
        compiled = self._compile(configure)
        stage = self._stage(compiled)
        boot = () if qemu is None else (self._boot_step(compiled, qemu),)
        return (
            self._configure_step(configure),
            self._compile_step(compiled),
            *boot,
            self._stage_step(stage),
            self._install_step(stage),
        )

    def _configure(self) -> ConfigureKernel:
        build, folder = self.chosen.build, self.tree.folder
        action = ConfigureKernel(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("configuration"),
            tree=folder.source,
            build=folder.build,
            base=build.base,
            base_file=_base_file(self.setting.facts, self.chosen),
            symbols=_symbols(self.setting.facts, self.chosen, self.remedies),
            local_version=build.local_version,
            make_variables=_make_variables(self.setting, self.chosen, self.remedies),
        )
        # The running kernel's configuration does not count: after the restart it is another
        # kernel's, and the same wishes must find the same product.
        own = (build.base_file,) if build.base == "file" and build.base_file else ()
        return identified(action, (self.tree.identity, *own))

    def _configure_step(self, action: ConfigureKernel) -> Step:
        return build_step(
            "kernel.configure",
            say("Configure Linux {version}", version=str(self.chosen.version)),
            action,
            self.costs["configure"],
            needs=(self.tree.ready, PACKAGES_STEP),
        )

    def _compile(self, configure: ConfigureKernel) -> CompileKernel:
        folder = self.tree.folder
        action = CompileKernel(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("image"),
            tree=folder.source,
            build=folder.build,
            release=self.chosen.release,
            jobs=self.jobs,
            make_variables=configure.make_variables,
            totals=folder.totals,
        )
        return identified(action, (configure.identity,))

    def _compile_step(self, action: CompileKernel) -> Step:
        return build_step(
            "kernel.compile",
            say(
                "Compile Linux {version}, {jobs} jobs at once",
                version=str(self.chosen.version),
                jobs=self.jobs,
            ),
            action,
            self.costs["compile"],
            needs=("kernel.configure",),
            uses=self.setting.compiling,
        )

    def _boot_step(self, compiled: CompileKernel, qemu: GuestQemu) -> Step:
        folder = self.tree.folder
        action = BootKernel(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("boot"),
            image=f"{folder.build}/{self.image}",
            release=self.chosen.release,
            qemu=qemu.path,
            firmware=qemu.firmware,
            seconds=BOOT_SECONDS,
        )
        return build_step(
            "kernel.boot",
            say("Boot the new kernel as a guest"),
            identified(action, (compiled.identity, *qemu.made_from)),
            self.costs["boot"],
            needs=("kernel.compile", *qemu.needs),
        )

    def _stage(self, compiled: CompileKernel) -> StageKernel:
        folder = self.tree.folder
        action = StageKernel(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("payload"),
            tree=folder.source,
            build=folder.build,
            release=self.chosen.release,
            stage=folder.stage,
            payload=folder.payload,
            make_variables=compiled.make_variables,
        )
        return identified(action, (compiled.identity,))

    def _stage_step(self, action: StageKernel) -> Step:
        return build_step(
            "kernel.stage",
            say("Gather the kernel and its modules for installing"),
            action,
            self.costs["stage"],
            needs=("kernel.compile",),
        )

    def _install_step(self, stage: StageKernel) -> Step:
        release, as_package = self.chosen.release, self.chosen.build.install == "package"
        action = identified(
            InstallTree(
                identity=UNKNOWN_IDENTITY,
                name=f"linux-image-{release}",
                tree="kernel",
                release=release,
                prefix="/",
                as_package=as_package,
                payload=stage.payload,
            ),
            (stage.identity,),
        )
        title = (
            say("Install Linux {release} as the package {name}", release=release, name=action.name)
            if as_package
            else say("Install Linux {release}", release=release)
        )
        cost = self.costs["install"]
        return Step(
            id="kernel.install",
            title=title,
            # A kernel that nobody saw boot is not installed.
            needs=("kernel.stage", "kernel.boot"),
            root=True,
            uses=("packages",) if as_package else (),
            seconds=cost.seconds,
            disk_bytes=cost.bytes,
            conditions=(TreeInstalled(name=action.name, identity=action.identity),),
            actions=(action,),
        )


def _image(facts: Facts) -> KernelImage:
    """What a kernel built here boots from. Raises PlanRefused where none can be built or run."""
    image = image_of(facts.processor.architecture)
    for problem in host_problems(facts):
        raise PlanRefused(problem)
    if image is None:  # host_problems tells of that
        raise ValueError(facts.processor.architecture)
    return image


def _base_file(facts: Facts, chosen: ChosenKernel) -> str | None:
    if chosen.build.base == "file":
        return chosen.build.base_file
    if chosen.build.base == "defconfig" or isinstance(facts.kernel.options, Unknown):
        return None
    return facts.kernel.configuration_source


def _symbols(facts: Facts, chosen: ChosenKernel, remedies: Remedies) -> dict[str, str]:
    version, build = str(chosen.version), chosen.build
    return {
        **symbols_of(chosen_features(version, facts, build.features)),
        **debug_info_symbols(version, wanted=build.debug_info),
        **remedies.symbols,
    }


def _make_variables(setting: Setting, chosen: ChosenKernel, remedies: Remedies) -> dict[str, str]:
    """The compiler where it is not the usual one, the cache, and what the remedies ask for."""
    build = chosen.build
    variables: dict[str, str] = {}
    if build.compiler != "gcc" or build.ccache:
        compiler = f"ccache {build.compiler}" if build.ccache else build.compiler
        variables = {"CC": compiler, "HOSTCC": compiler}
    if build.ccache:
        # make hands on what stands on its command line.
        variables["CCACHE_DIR"] = ccache_folder(setting.folder)
    return {**variables, **remedies.make_variables}


def _notes(facts: Facts, chosen: ChosenKernel) -> tuple[Words, ...]:
    notes: list[Words] = []
    wants_running = chosen.build.base in {"running", "localmodconfig"}
    if wants_running and _base_file(facts, chosen) is None:
        notes.append(
            say(
                "The running kernel's configuration is not kept on this machine, so the new kernel starts "
                "from the architecture's default."
            )
        )
    return tuple(notes)
