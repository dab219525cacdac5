"""What building takes: a kernel by the runner against bare make, and a whole plan against its steps in a row.

A kernel's smallest configuration with modules and KVM, from the distribution's source; each
build takes a minute or more, so that each is made as few times as it can be.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from kvmwizard.job import FIXED_ENVIRONMENT
from kvmwizard.plan.build_model import CompileKernel
from kvmwizard.plan.model import Plan
from tests.bench.configuring import configuring_results
from tests.bench.measure import Result, Target, compare
from tests.bench.source_runs import BuildSite, build_site, in_a_row, with_steps

KERNEL_STEPS = ("kernel.configure", "kernel.compile")


def build_results() -> list[Result]:
    """All of them. Raises CannotBeHad without the sources."""
    with build_site() as site:
        plan = site.plan("apart")
        # One after another is the first of the builds A B B A, too.
        apart = site.run(in_a_row(plan))
        kernel = KernelBuilds(site, plan)
        bare = [kernel.bare(), kernel.bare()]
        ours = [apart.steps["kernel.compile"], kernel.ours()]
        together = site.run(site.plan("together"))
        one_after_another = sum(apart.steps.values())
        compiled = compare(
            "kernel-build", "compile a kernel by the runner", "s", (ours, bare), f"make -j{kernel.jobs}"
        )
        whole = Result(
            id="whole-plan",
            title="get and build a kernel and a QEMU",
            value=together.whole,
            unit="s",
            samples=(together.whole,),
            target=Target(0.9, ""),
            compared_with="its steps one after another",
            other=one_after_another,
            other_samples=tuple(apart.steps.values()),
            target_is_on_ratio=True,
        )
        return [
            replace(compiled, target=Target(1.02, ""), target_is_on_ratio=True),
            whole,
            *configuring_results(site),
        ]


@dataclass(frozen=True)
class KernelBuilds:
    """One kernel, whose source is unpacked, compiled from its configuration on."""

    site: BuildSite
    plan: Plan

    @property
    def jobs(self) -> int:
        return self._compile.jobs

    def ours(self) -> float:
        """Seconds of the plan's own step."""
        self._begin()
        steps = [step for step in self.plan.steps if step.id in KERNEL_STEPS]
        return self.site.run(with_steps(self.plan, steps)).steps["kernel.compile"]

    def bare(self) -> float:
        """Seconds of make, from the same configuration."""
        configuration = (self._build / ".config").read_bytes()
        self._begin()
        self.site.make_folder(self._build)
        (self._build / ".config").write_bytes(configuration)
        self._make("olddefconfig")
        started = time.perf_counter()
        self._make(f"-j{self.jobs}", "bzImage", "modules")
        return time.perf_counter() - started

    def _begin(self) -> None:
        """As if it had never been compiled, nor its steps been counted."""
        shutil.rmtree(self._build)
        Path(self._compile.totals).unlink(missing_ok=True)

    def _make(self, *words: str) -> None:
        with (self.site.folder / "make.log").open("ab") as log:
            subprocess.run(
                ["/usr/bin/make", f"O={self._build}", *words],
                cwd=self._compile.tree,
                env=FIXED_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                **self.site.as_builder,
            )

    @property
    def _build(self) -> Path:
        return Path(self._compile.build)

    @property
    def _compile(self) -> CompileKernel:
        (action,) = self.plan.step("kernel.compile").actions
        assert isinstance(action, CompileKernel)
        return action
