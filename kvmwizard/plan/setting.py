"""What every step of a build is made with."""

from dataclasses import dataclass

from kvmwizard.answers import Answers
from kvmwizard.catalog.adviser import Remedy, advise, tools_of
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.feasibility import toolchain_problems
from kvmwizard.catalog.jobs import jobs_for, why_not_together
from kvmwizard.catalog.sources import Project
from kvmwizard.catalog.version import Version
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import known
from kvmwizard.plan.layout import build_folder
from kvmwizard.plan.model import Resource
from kvmwizard.plan.refused import PlanRefused
from kvmwizard.words import Words, say

STEP_PREFIXES: dict[Project, str] = {"linux": "kernel", "qemu": "qemu"}
"""What the ids of a project's steps begin with."""
PACKAGES_STEP = "build.packages"


@dataclass(frozen=True)
class Setting:
    """The machine, the wishes, and where it is built."""

    facts: Facts
    answers: Answers
    folder: str

    def has_tools(self, *names: str) -> bool:
        """Whether these programs are known to be here already."""
        toolchain = self.facts.toolchain
        present = {name for name, tool in toolchain.tools.items() if tool.path is not None}
        return present.union(toolchain.source_tools).issuperset(names)

    @property
    def compiling(self) -> tuple[Resource, ...]:
        """What a step that compiles uses."""
        return ("processor",) if self.why_not_together is None else ("processor", "memory")

    @property
    def why_not_together(self) -> Words | None:
        """Why a kernel and a QEMU are compiled one after the other, where both are; else None."""
        kernel, qemu = chosen_kernel(self.answers), chosen_qemu(self.answers)
        if kernel is None or qemu is None:
            return None
        debug_info = kernel.build.debug_info
        linux_jobs = jobs_for(self.facts, "linux", kernel.build.jobs, debug_info=debug_info)
        qemu_jobs = jobs_for(self.facts, "qemu", qemu.build.jobs)
        return why_not_together(self.facts, linux_jobs.count, qemu_jobs.count, debug_info=debug_info)

    def workers(self, jobs: int) -> int:
        """How many compilers really run at once."""
        return min(jobs, max(1, known(self.facts.processor.processors, 1)))


def setting_of(facts: Facts, answers: Answers) -> Setting:
    """The setting of whatever these answers build. Raises PlanRefused."""
    return Setting(facts, answers, build_folder(facts, answers))


@dataclass(frozen=True)
class Remedies:
    """What is done so that a version builds here: needed, and agreed to."""

    chosen: tuple[Remedy, ...]
    python: str | None
    """The Python of this machine that configure must be told of."""

    @property
    def patches(self) -> tuple[str, ...]:
        """In the order in which they are applied."""
        return tuple(patch for remedy in self.chosen for patch in remedy.patches)

    @property
    def shims(self) -> tuple[str, ...]:
        """For QEMU."""
        return tuple(shim for remedy in self.chosen for shim in remedy.shims)

    @property
    def symbols(self) -> dict[str, str]:
        """For the kernel's configuration."""
        return {name: value for remedy in self.chosen for name, value in remedy.symbols.items()}

    @property
    def make_variables(self) -> dict[str, str]:
        """For every make of the kernel; flags of several remedies are given together."""
        together: dict[str, str] = {}
        for remedy in self.chosen:
            for name, value in remedy.make_variables.items():
                joined = name.endswith("FLAGS") and name in together
                together[name] = f"{together[name]} {value}" if joined else value
        return together

    @property
    def python2(self) -> bool:
        """Whether a Python 2.7 must be unpacked."""
        return any(remedy.python2 for remedy in self.chosen)

    @property
    def notes(self) -> tuple[Words, ...]:
        """What is done, each with its reason."""
        return tuple(
            say("{title}, as you agreed: {why}", title=remedy.title, why=remedy.why) for remedy in self.chosen
        )


def remedies_for(
    setting: Setting, project: Project, version: Version, agreed: tuple[str, ...], compiler: str = "gcc"
) -> Remedies:
    """The remedies that this version needs here. Raises PlanRefused where one was not agreed to."""
    for problem in toolchain_problems(project, version, agreed, setting.facts, compiler):
        raise PlanRefused(problem.words)
    verdict = advise(project, version.text, tools_of(setting.facts, compiler))
    return Remedies(verdict.remedies, verdict.python)
