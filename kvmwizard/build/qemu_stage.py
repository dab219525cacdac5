"""Puts a built QEMU into a folder as it will be installed, and packs that for the root helper."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvmwizard.build.payload import write_payload
from kvmwizard.build.qemu_installed import installed_files
from kvmwizard.build.qemu_tools import QemuTools
from kvmwizard.build.qemu_tree import BuildRefused, refuse_odd_paths, uses_ninja
from kvmwizard.job import Job
from kvmwizard.plan.build_model import StageQemu
from kvmwizard.product import write_stamp
from kvmwizard.words import say

LICENCES = ("LICENSE", "COPYING", "COPYING.LIB")
LICENCE_FOLDER = "share/licenses/qemu"


def stage_qemu(job: Job) -> None:
    """Carry out a StageQemu. Raises Refusal, OSError."""
    action = StageQemu.model_validate(job.action)
    tools = QemuTools(job, Path(action.tree), Path(action.build))
    stage, prefix, payload, stamp = map(Path, (action.stage, action.prefix, action.payload, action.stamp))
    stamp.unlink(missing_ok=True)
    refuse_odd_paths(tools.tree, tools.build, stage, prefix)
    job.progress.tell(say("Collecting what belongs to QEMU {version}", version=tools.version))
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    if uses_ninja(tools.build):
        _copy_installed(tools.build, stage)
    else:
        tools.run(("make", "install", f"DESTDIR={stage}"))
    _copy_licences(tools.tree, _below(stage, prefix))
    _make_plain(stage)
    _refuse_what_lies_elsewhere(stage, prefix)
    _refuse_without_programs(stage, action.programs)
    packed = write_payload(stage, payload)
    about = {"digest": packed.digest, "files": packed.files, "bytes": packed.bytes}
    write_stamp(stamp, action.identity, [payload], about, packed.words)


def _copy_installed(build: Path, stage: Path) -> None:
    for file in installed_files(build):
        destination = _below(stage, file.destination)
        destination.parent.mkdir(parents=True, exist_ok=True)
        if file.source.is_dir():
            shutil.copytree(file.source, destination, dirs_exist_ok=True)
        elif file.source.is_file():
            shutil.copy(file.source, destination)
        else:
            raise BuildRefused(
                say(
                    "{path} belongs to this QEMU and was not built. Retry; if that does not help, remove "
                    "{build}, then retry.",
                    path=str(file.source),
                    build=str(build),
                )
            )


def _copy_licences(tree: Path, prefix: Path) -> None:
    folder = prefix / LICENCE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in LICENCES:
        if (tree / name).is_file():
            shutil.copy(tree / name, folder)


def _make_plain(stage: Path) -> None:
    """Put a copy in place of each link, since root installs plain files alone."""
    for path in list(_files(stage)):
        if path.is_symlink():
            target = path.resolve()
            path.unlink()
            if target.is_file() and target.is_relative_to(stage.resolve()):
                shutil.copy(target, path)


def _refuse_what_lies_elsewhere(stage: Path, prefix: Path) -> None:
    for path in _files(stage):
        if not path.is_relative_to(_below(stage, prefix)):
            raise BuildRefused(
                say(
                    "{path} would be installed outside of {prefix}, where only what kvmwizard can remove "
                    "again may go. Leave the flag that says so out of the build options, then make a new "
                    "plan.",
                    path="/" + str(path.relative_to(stage)),
                    prefix=str(prefix),
                )
            )


def _refuse_without_programs(stage: Path, programs: Sequence[str]) -> None:
    staged = {path.name for path in _files(stage)}
    for program in programs:
        if program not in staged:
            raise BuildRefused(
                say(
                    "{program} is not among what this QEMU installs. Choose its target in the build "
                    "options, then make a new plan.",
                    program=program,
                )
            )


def _below(stage: Path, path: Path) -> Path:
    """Where an absolute path is in the stage."""
    return stage / path.relative_to("/")


def _files(stage: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(stage):
        yield from (Path(folder, name) for name in names)
