"""A kernel and a QEMU built from real sources by the real runner; what each step took is in its journal.

Root's steps are left out, the restart and what comes after it, and the boot as a guest,
which takes firmware that Debian's QEMU source does not have.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmwizard.answers import Answers, completed_answers
from kvmwizard.build.qemu_tree import PC_FIRMWARE
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan, Step
from kvmwizard.run.build_folder import builder_ids
from kvmwizard.run.launch import start_runner, stop_run
from kvmwizard.run.model import RunStatus
from kvmwizard.run.store import RunStore
from tests.mirror.layout import pack
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey
from tests.sources import SourceTarball, source_tarball, unpacked

SMALL_KERNEL = Path(__file__).parents[1] / "build/small-kernel.config"
FEATURES = ("kvm", "boot-test")
QUICK_QEMU = (
    "--without-default-features",
    "--without-default-devices",
    "--disable-tcg",
    "--disable-install-blobs",
    "--extra-cflags=-O0",
)
"""It is no QEMU to use: the least to compile that still is a whole build of it."""
USER = "root"
"""Whom the host would be for; the builder is somebody else then."""
LEFT_OUT = frozenset({"kernel.boot", "kernel.restart", "kernel.proof"})
RUN_SECONDS = 3600
LOOK_SECONDS = 0.2


class RunFailedError(Exception):
    """A run did not end well."""


@dataclass(frozen=True)
class Took:
    """What a run took, in seconds."""

    whole: float
    """From before its runner was started to the end of its last step."""
    steps: Mapping[str, float]


class BuildSite:
    """A folder that plans are carried out in, and a mirror of the sources beside it."""

    def __init__(self, folder: Path, mirror: Mirror, kernel: SourceTarball, qemu: SourceTarball) -> None:
        self.folder = folder
        self._mirror = mirror
        self._kernel = kernel
        self._qemu = qemu
        self._store = RunStore(folder / "state")
        self._facts = gather(Host())

    def plan(self, name: str, **kernel_build: Any) -> Plan:
        """What the builder does of building both in a folder of this name.

        Args:
            name: plans of the same name find each other's products.
            kernel_build: what differs in how the kernel is built.
        """
        answers = self._answers(self.folder / "builds" / name, kernel_build)
        whole = make_plan(self._facts, completed_answers(answers, self._facts))
        return with_steps(whole, [step for step in whole.steps if not step.root and step.id not in LEFT_OUT])

    def run(self, plan: Plan) -> Took:
        """Carry it out. Raises RunFailedError."""
        started = time.time()
        run_id = self._store.create(plan)
        start_runner(self._store, run_id)
        try:
            state = self._store.read(run_id)
            while state.status is RunStatus.RUNNING:
                if time.time() > started + RUN_SECONDS:
                    raise RunFailedError(f"{run_id} goes on and on")
                time.sleep(LOOK_SECONDS)
                state = self._store.read(run_id)
        finally:
            stop_run(self._store, run_id)
        taken = {name: (step.started, step.ended) for name, step in state.steps.items()}
        if state.status is not RunStatus.DONE or any(None in times for times in taken.values()):
            said = {name: step.words and step.words.english for name, step in state.steps.items()}
            raise RunFailedError(f"{state.status}: {said}")
        ends = {name: (begun or 0, ended or 0) for name, (begun, ended) in taken.items()}
        return Took(
            max(ended for _, ended in ends.values()) - started,
            {name: ended - begun for name, (begun, ended) in ends.items()},
        )

    @property
    def as_builder(self) -> dict[str, Any]:
        """How a process of the builder's is started (subprocess.Popen)."""
        if os.geteuid() != 0:
            return {}
        user, group = self._builder()
        return {"user": user, "group": group, "extra_groups": ()}

    def make_folder(self, path: Path) -> None:
        """A new folder of the builder's."""
        path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(path, *self._builder())

    def _builder(self) -> tuple[int, int]:
        return builder_ids(self.plan("nothing").builder)

    def _answers(self, folder: Path, kernel_build: Mapping[str, Any]) -> Answers:
        key = str(self.folder / "key.asc")
        return Answers.model_validate(
            {
                "welcome": {"route": "source"},
                "sources": {
                    "kernel_mirror": self._mirror.kernel_url,
                    "qemu_mirror": self._mirror.qemu_url,
                    "kernel_key": key,
                    "qemu_key": key,
                },
                "kernel": {"kernel": {"source": "release", "version": self._kernel.version}},
                "kernel_build": {
                    "folder": str(folder),
                    "base": "file",
                    "base_file": str(self.folder / "small.config"),
                    "features": FEATURES,
                    **kernel_build,
                },
                "kernel_options": {"modules": ()},
                "qemu": {"qemu": {"source": "release", "version": self._qemu.version}},
                "qemu_build": {"folder": str(folder), "flags": QUICK_QEMU},
                "access": {"user": USER},
            }
        )


def with_steps(plan: Plan, steps: Sequence[Step]) -> Plan:
    """The plan with these steps alone, which wait only for each other."""
    ids = {step.id for step in steps}
    kept = (
        step.model_copy(update={"needs": tuple(need for need in step.needs if need in ids)}) for step in steps
    )
    return plan.model_copy(update={"steps": tuple(kept)})


def in_a_row(plan: Plan) -> Plan:
    """The plan with each step waiting for the one before it."""
    before = (None, *plan.steps)
    steps = (
        step.model_copy(update={"needs": () if last is None else (last.id,)})
        for last, step in zip(before, plan.steps, strict=False)
    )
    return plan.model_copy(update={"steps": tuple(steps)})


@contextmanager
def build_site() -> Iterator[BuildSite]:
    """A site, removed afterwards. Raises CannotBeHad without the sources."""
    kernel, qemu = source_tarball("linux"), source_tarball("qemu")
    folder = Path(tempfile.mkdtemp(prefix="kvmwizard-builds-"))
    try:
        folder.chmod(0o755)
        with SigningKey.make() as key, Mirror(folder / "mirror", key) as mirror:
            _publish(mirror, kernel, _with_firmware(qemu, folder))
            for name, content in (("key.asc", key.public), ("small.config", SMALL_KERNEL)):
                (folder / name).write_bytes(content.read_bytes())
                (folder / name).chmod(0o644)
            site = BuildSite(folder, mirror, kernel, qemu)
            site.make_folder(folder / "builds")
            yield site
    finally:
        shutil.rmtree(folder)


def _with_firmware(qemu: SourceTarball, folder: Path) -> SourceTarball:
    """With an empty file for the firmware that Debian's source lacks, without which nothing is configured."""
    tree = unpacked(qemu, folder)
    (tree / "pc-bios" / PC_FIRMWARE).touch()
    tarball = folder / qemu.path.name
    pack(tree, tree.name, tarball)
    shutil.rmtree(tree)
    return SourceTarball(qemu.version, tarball)


def _publish(mirror: Mirror, kernel: SourceTarball, qemu: SourceTarball) -> None:
    series = mirror.layout.kernels / f"v{kernel.version.split('.', maxsplit=1)[0]}.x"
    series.mkdir()
    # Without the signature over the uncompressed tar, which takes longest to make: its sum is signed.
    shutil.copyfile(kernel.path, series / kernel.path.name)
    mirror.layout.sign_sums(series)
    mirror.layout.add_qemu(qemu.version, qemu.path)
