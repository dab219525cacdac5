"""Installs a built kernel into a folder, as it will lie below `/`, and packs that for the root helper."""

import shutil
from pathlib import Path

from kvmwizard.build.kernel_make import KernelMake, KernelRefused, config_values
from kvmwizard.build.payload import write_payload
from kvmwizard.job import Job
from kvmwizard.plan.build_model import StageKernel
from kvmwizard.product import write_stamp
from kvmwizard.words import say

LINKS = ("build", "source")
"""What modules_install links to the folders it was built from, which do not go with it."""
BUILT_IN_LISTS = ("modules.builtin", "modules.builtin.modinfo")


def stage(job: Job) -> None:
    """Carry out a StageKernel. Raises Refusal, OSError."""
    action = StageKernel.model_validate(job.action)
    make = KernelMake(job, Path(action.tree), Path(action.build), action.make_variables)
    place, payload, stamp = Path(action.stage), Path(action.payload), Path(action.stamp)
    stamp.unlink(missing_ok=True)
    make.refuse_odd_paths()
    job.progress.tell(say("Gathering what will be installed of {release}", release=action.release))
    # Made anew every time: it takes seconds, and then nothing of another build is in it.
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True, mode=0o700)
    modules = place / "lib/modules" / action.release
    _stage_modules(make, place, modules)
    _stage_boot(make, place / "boot", action.release)
    packed = write_payload(place, payload)
    about = {"digest": packed.digest, "files": packed.files, "bytes": packed.bytes}
    write_stamp(stamp, action.identity, [payload], about, packed.words)


def _stage_modules(make: KernelMake, place: Path, modules: Path) -> None:
    if config_values(make.build / ".config").get("MODULES") != "y":
        _stage_built_in_lists(make, modules)
        return
    make.run(f"INSTALL_MOD_PATH={place}", "INSTALL_MOD_STRIP=1", "modules_install")
    for name in LINKS:
        (modules / name).unlink(missing_ok=True)
    if not (modules / "modules.dep").is_file():
        raise KernelRefused(
            say(
                "The modules' dependencies were not listed, most likely since depmod is missing. Install "
                "kmod, then retry."
            )
        )


def _stage_built_in_lists(make: KernelMake, modules: Path) -> None:
    """For a kernel without modules: kmod finds what is built in there (modules.builtin in modprobe(8)).

    Old versions make no list without modules (4.8, top Makefile: only under CONFIG_MODULES); depmod and
    the makers of an initramfs want the folder all the same, so an empty list is put there.
    """
    modules.mkdir(parents=True)
    made = [name for name in BUILT_IN_LISTS if (make.build / name).is_file()]
    for name in made:
        shutil.copyfile(make.build / name, modules / name)
    if not made:
        (modules / BUILT_IN_LISTS[0]).touch()


def _stage_boot(make: KernelMake, boot: Path, release: str) -> None:
    boot.mkdir(parents=True)
    sources = {
        "vmlinuz": make.build / make.image.path,
        "System.map": make.build / "System.map",
        "config": make.build / ".config",
    }
    for name, source in sources.items():
        shutil.copyfile(source, boot / f"{name}-{release}")
