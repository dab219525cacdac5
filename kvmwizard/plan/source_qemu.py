"""The steps from QEMU's source to its prefix."""

from dataclasses import dataclass

from kvmwizard.catalog.chosen import ChosenQemu
from kvmwizard.catalog.costs import Cost, qemu_costs
from kvmwizard.catalog.feasibility import own_target_problem
from kvmwizard.catalog.jobs import jobs_for
from kvmwizard.catalog.qemu_flags import (
    PROGRAM_PREFIX,
    TARGET_SUFFIX,
    build_targets,
    configure_flags,
    firmware_directories,
    install_prefix,
    programs,
)
from kvmwizard.catalog.version import Version
from kvmwizard.host.facts import Facts
from kvmwizard.host.qemu import emulator_architecture
from kvmwizard.host.security import SelinuxMode
from kvmwizard.packages.managers import package_manager
from kvmwizard.plan.build_model import (
    CompileQemu,
    ConfigureQemu,
    InstallTree,
    StageQemu,
    TreeInstalled,
    UnpackPackages,
)
from kvmwizard.plan.identity import UNKNOWN_IDENTITY, asset_digests, identified
from kvmwizard.plan.layout import python2_folder, stamp_beside
from kvmwizard.plan.model import Step
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.plan.setting import PACKAGES_STEP, Remedies, Setting, remedies_for
from kvmwizard.plan.source_code import SourceTree, SourceWish, build_step, source_tree
from kvmwizard.plan.source_kernel import GuestQemu
from kvmwizard.words import Words, say

MESON_SINCE = (5, 2)
"""Before, make builds each target in a folder of its own."""
PYTHON2_STEP = "python2.unpack"
PYTHON2_MANAGER = "apt"
PYTHON2_SUITE = "bullseye"
"""The last release of Debian with Python 2.7."""
PYTHON2_PACKAGES = ("libpython2.7-minimal", "libpython2.7-stdlib", "python2.7-minimal", "python2.7")
PYTHON2_PROGRAM = "python2.7"
"""What `build.packages` makes to run it, in its folder."""


@dataclass(frozen=True)
class QemuBuild:
    """What building QEMU adds to the plan."""

    steps: tuple[Step, ...]
    notes: tuple[Words, ...]
    settled: tuple[Words, ...]
    """Of the notes; see `Plan.settled`."""
    program: str
    """The emulator for this machine's own guests, once it is installed."""
    guest: GuestQemu
    """The same in its build folder, with which a new kernel is tried."""


def qemu_build(setting: Setting, chosen: ChosenQemu) -> QemuBuild:
    """All steps of the chosen QEMU. Raises PlanRefused."""
    facts, build = setting.facts, chosen.build
    own = _own_program(facts, chosen)
    remedies = remedies_for(setting, "qemu", chosen.version, build.agreed)
    jobs = jobs_for(facts, "qemu", build.jobs)
    costs = qemu_costs(chosen.version, build, setting.workers(jobs.count))
    wish = SourceWish("qemu", chosen.source, chosen.version, remedies.patches, costs)
    parts = _Parts(setting, chosen, source_tree(setting, wish), remedies, jobs.count, costs)
    program = f"{install_prefix(str(chosen.version), build)}/bin/{own}"
    settled = (
        *parts.tree.notes,
        *remedies.notes,
        *(() if jobs.words is None else (jobs.words,)),
        say("QEMU {version} will be {path}.", version=str(chosen.version), path=program),
    )
    notes = (*settled, *_confinement_notes(setting, program))
    return QemuBuild((*parts.tree.steps, *parts.steps()), notes, settled, program, parts.guest(own))


def built_program(build: str, program: str, version: Version) -> str:
    """Where make or ninja leaves a program."""
    if version.numbers >= MESON_SINCE:
        return f"{build}/{program}"
    return f"{build}/{program.removeprefix(PROGRAM_PREFIX)}{TARGET_SUFFIX}/{program}"


@dataclass(frozen=True)
class _Parts:
    """What QEMU's own steps are made of."""

    setting: Setting
    chosen: ChosenQemu
    tree: SourceTree
    remedies: Remedies
    jobs: int
    costs: dict[str, Cost]

    @property
    def programs(self) -> tuple[str, ...]:
        """All that are built."""
        return programs(build_targets(self.chosen.build, self.setting.facts.processor.architecture))

    @property
    def prefix(self) -> str:
        """Where they are installed."""
        return install_prefix(str(self.chosen.version), self.chosen.build)

    def steps(self) -> tuple[Step, ...]:
        """All of QEMU's own, in their order."""
        stage = self._stage()
        return (
            *((self._python2_step(),) if self.remedies.python2 else ()),
            build_step(
                "qemu.configure",
                say("Configure QEMU {version}", version=str(self.chosen.version)),
                self._configure(),
                self.costs["configure"],
                needs=(self.tree.ready, PYTHON2_STEP, PACKAGES_STEP),
            ),
            build_step(
                "qemu.compile",
                say(
                    "Compile {programs}, {jobs} jobs at once",
                    programs=", ".join(self.programs),
                    jobs=self.jobs,
                ),
                self._compile(),
                self.costs["compile"],
                needs=("qemu.configure",),
                uses=self.setting.compiling,
            ),
            build_step(
                "qemu.stage",
                say("Gather QEMU's files for installing"),
                stage,
                self.costs["stage"],
                needs=("qemu.compile",),
            ),
            self._install_step(stage),
        )

    def guest(self, own: str) -> GuestQemu:
        """The program in the build folder, with the firmware of its tree."""
        folder = self.tree.folder
        return GuestQemu(
            path=built_program(folder.build, own, self.chosen.version),
            firmware=firmware_directories(folder.source),
            needs=("qemu.compile",),
            made_from=(self._compile().identity,),
        )

    def _python2(self) -> UnpackPackages:
        manager = package_manager(self.setting.facts.distribution)
        if manager is None or manager.name != PYTHON2_MANAGER:
            raise PlanRefused(
                say(
                    "QEMU {version} is configured by Python 2, which is not here, and kvmwizard can unpack "
                    "one only with apt. Install Python 2.7, or choose QEMU 2.12 or later.",
                    version=str(self.chosen.version),
                )
            )
        folder = python2_folder(self.setting.folder)
        action = UnpackPackages(
            identity=UNKNOWN_IDENTITY,
            stamp=stamp_beside(folder),
            manager=manager.name,
            suite=PYTHON2_SUITE,
            packages=PYTHON2_PACKAGES,
            folder=folder,
        )
        return identified(action)

    def _python2_step(self) -> Step:
        return build_step(
            PYTHON2_STEP,
            say("Unpack Python 2.7 of {release} into the build folder", release=PYTHON2_SUITE),
            self._python2(),
            self.costs["python2"],
            needs=(PACKAGES_STEP,),
            uses=("network",),
        )

    def _configure(self) -> ConfigureQemu:
        folder, build = self.tree.folder, self.chosen.build
        unpacked = self._python2() if self.remedies.python2 else None
        action = ConfigureQemu(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("configuration"),
            tree=folder.source,
            build=folder.build,
            flags=configure_flags(str(self.chosen.version), build, self.setting.facts.processor.architecture),
            shims=self.remedies.shims,
            python=self.remedies.python if unpacked is None else f"{unpacked.folder}/{PYTHON2_PROGRAM}",
        )
        used = () if unpacked is None else (unpacked.identity,)
        return identified(action, (self.tree.identity, *used, *asset_digests(self.remedies.shims)))

    def _compile(self) -> CompileQemu:
        folder, configure = self.tree.folder, self._configure()
        action = CompileQemu(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("programs"),
            tree=folder.source,
            build=folder.build,
            programs=self.programs,
            jobs=self.jobs,
        )
        return identified(action, (configure.identity,))

    def _stage(self) -> StageQemu:
        folder, compiled = self.tree.folder, self._compile()
        action = StageQemu(
            identity=UNKNOWN_IDENTITY,
            stamp=folder.stamp("payload"),
            tree=folder.source,
            build=folder.build,
            programs=self.programs,
            prefix=self.prefix,
            stage=folder.stage,
            payload=folder.payload,
        )
        return identified(action, (compiled.identity,))

    def _install_step(self, stage: StageQemu) -> Step:
        action = identified(
            InstallTree(
                identity=UNKNOWN_IDENTITY,
                name=f"qemu-{self.chosen.version}",
                tree="qemu",
                release=None,
                prefix=self.prefix,
                as_package=False,
                payload=stage.payload,
            ),
            (stage.identity,),
        )
        cost = self.costs["install"]
        return Step(
            id="qemu.install",
            title=say(
                "Install QEMU {version} into {prefix}", version=str(self.chosen.version), prefix=self.prefix
            ),
            needs=("qemu.stage",),
            root=True,
            seconds=cost.seconds,
            disk_bytes=cost.bytes,
            conditions=(TreeInstalled(name=action.name, identity=action.identity),),
            actions=(action,),
        )


def _own_program(facts: Facts, chosen: ChosenQemu) -> str:
    """The program for this machine's own guests, without which no guest can use KVM. Raises PlanRefused."""
    architecture = facts.processor.architecture
    problem = own_target_problem(chosen.build, architecture)
    if problem is not None:
        raise PlanRefused(problem)
    return PROGRAM_PREFIX + emulator_architecture(architecture)


def _confinement_notes(setting: Setting, program: str) -> tuple[Words, ...]:
    """What libvirt's profiles make of a QEMU that no package brought, whether libvirt is here yet or not."""
    security = setting.facts.security
    notes: list[Words] = []
    if security.apparmor is True:
        notes.append(
            say(
                "AppArmor keeps libvirt's guests to the distribution's QEMU. For {program} under libvirt, "
                "allow it in /etc/apparmor.d/local/abstractions/libvirt-qemu.",
                program=program,
            )
        )
    if security.selinux is SelinuxMode.ENFORCING:
        notes.append(
            say(
                "SELinux lets libvirt start only programs labelled as QEMU. For {program} under libvirt, "
                "label it: semanage fcontext -a -t qemu_exec_t {program}, then restorecon {program}.",
                program=program,
            )
        )
    return tuple(notes)
