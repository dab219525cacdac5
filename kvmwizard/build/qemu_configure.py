"""Runs QEMU's configure in a build folder of its own."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from kvmwizard.build.failures import build_failure
from kvmwizard.build.qemu_options import chosen_flags, known_options
from kvmwizard.build.qemu_tools import QemuTools
from kvmwizard.build.qemu_tree import (
    CONFIGURED,
    BuildRefused,
    distribution_has_firmware,
    lacks_firmware,
    refuse_odd_paths,
)
from kvmwizard.catalog.qemu_flags import DISTRIBUTION_FIRMWARE
from kvmwizard.job import Job, note, proxy_environment
from kvmwizard.plan.build_model import ConfigureQemu
from kvmwizard.product import write_stamp
from kvmwizard.resources import asset_path
from kvmwizard.words import Words, say

OPTION_SCRIPTS = ("configure", "scripts/meson-buildoptions.sh")
CONFIGURATION = ("config-host.mak", "config-host.h")
ASKED_FOR = {"vhost-net": "CONFIG_VHOST_NET(_USED)?", "slirp": "CONFIG_SLIRP"}
"""Flags, without --enable-, that some versions take and then do not follow; and what the configuration has
where they did: `_USED` until 3.1.
"""
DOWNLOADED_PARTS = "subprojects/keycodemapdb/meson.build"
"""From 8.1 on, what a tarball has and a checkout does not."""
PC_TARGETS = ("i386-softmmu", "x86_64-softmmu")


def configure_qemu(job: Job) -> None:
    """Carry out a ConfigureQemu, in an empty build folder. Raises Refusal, OSError."""
    action = ConfigureQemu.model_validate(job.action)
    tools = QemuTools(job, Path(action.tree), Path(action.build))
    stamp = Path(action.stamp)
    stamp.unlink(missing_ok=True)
    refuse_odd_paths(tools.tree, tools.build)
    job.progress.tell(say("Configuring QEMU {version}", version=tools.version))
    # Nothing of other wishes, nor of an attempt that was cut off, may be built from.
    shutil.rmtree(tools.build, ignore_errors=True)
    tools.build.mkdir(parents=True)
    python = () if action.python is None else (f"--python={action.python}",)
    known = _known_options(tools, python)
    chosen = chosen_flags((*_flags_for_tree(action, known), *action.flags), known)
    if chosen.left_out:
        note("This version has none of: " + " ".join(chosen.left_out))
    compiler_flags = (*_shim_flags(action), *_mapped_paths(tools))
    argv = (
        str(tools.tree / "configure"),
        *python,
        *chosen.given,
        *(f"--extra-cflags={flag}" for flag in compiler_flags),
    )
    tools.run(argv, proxy_environment())
    _refuse_what_is_missing(chosen.given, tools.build)
    (tools.build / CONFIGURED).touch()
    outputs = (tools.build / name for name in ("config-host.mak", "build.ninja", CONFIGURED))
    made = [path for path in outputs if path.is_file()]
    told = _done_words(tools.version, chosen.left_out)
    write_stamp(stamp, action.identity, made, {"left_out": list(chosen.left_out)}, told)


def _done_words(version: str, left_out: Sequence[str]) -> Words:
    if not left_out:
        return say("QEMU {version} is configured", version=version)
    return say(
        "QEMU {version} is configured, without {flags}, which it does not know",
        version=version,
        flags=" ".join(left_out),
    )


def _known_options(tools: QemuTools, python: tuple[str, ...]) -> frozenset[str]:
    """What this tree's configure knows. Raises BuildRefused where it does not even say that."""
    # Some versions make folders where they are asked for help.
    scratch = tools.build / "help"
    scratch.mkdir()
    returncode, text = tools.ask((str(tools.tree / "configure"), *python, "--help"), scratch)
    shutil.rmtree(scratch)
    if returncode != 0:
        note(text)
        raise BuildRefused(build_failure("qemu", tools.version, text, jobs=1))
    scripts = (tools.tree / name for name in OPTION_SCRIPTS)
    parsers = [path.read_text(encoding="utf-8", errors="replace") for path in scripts if path.is_file()]
    return known_options(text, parsers)


def _flags_for_tree(action: ConfigureQemu, known: frozenset[str]) -> tuple[str, ...]:
    """What this tree needs beside what was asked for; the person's flags come behind and win."""
    tree, flags = Path(action.tree), []
    if "--disable-download" in known and (tree / DOWNLOADED_PARTS).is_file():
        # All is here and was verified; nothing else shall come in.
        flags.append("--disable-download")
    if lacks_firmware(tree):
        _refuse_without_firmware(action)
        flags += [flag for flag in ("--disable-install-blobs", "--disable-blobs") if flag in known][:1]
        flags.append("--firmwarepath=" + ":".join(DISTRIBUTION_FIRMWARE))
    return tuple(flags)


def _refuse_without_firmware(action: ConfigureQemu) -> None:
    targets = [flag for flag in action.flags if flag.startswith("--target-list=")][-1]
    is_for_pcs = any(target in PC_TARGETS for target in targets.partition("=")[2].split(","))
    if is_for_pcs and not distribution_has_firmware():
        raise BuildRefused(
            say(
                "{tree} came without firmware, as distributions repack QEMU, and the distribution's own is "
                "not installed. Install it (on Debian and Ubuntu: seabios and qemu-system-data), or choose "
                "the release as QEMU publishes it.",
                tree=action.tree,
            )
        )


def _shim_flags(action: ConfigureQemu) -> tuple[str, ...]:
    """The compiler's flags for our headers, copied to where no path has a space."""
    folders = [Path(action.build, shim) for shim in action.shims]
    for shim, folder in zip(action.shims, folders, strict=True):
        shutil.copytree(asset_path(shim), folder)
    return tuple(f"-I{folder}" for folder in folders)


def _mapped_paths(tools: QemuTools) -> tuple[str, ...]:
    """What keeps the names of these folders out of the programs, where the compiler can (GCC 8)."""
    flags = (f"-ffile-prefix-map={tools.tree}=source", f"-ffile-prefix-map={tools.build}=build")
    try:
        returncode, _ = tools.ask(("cc", *flags, "-E", "-x", "c", "/dev/null"))
    except FileNotFoundError:
        return ()
    return flags if returncode == 0 else ()


def _refuse_what_is_missing(flags: Sequence[str], build: Path) -> None:
    files = (build / name for name in CONFIGURATION)
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file())
    for name, setting in ASKED_FOR.items():
        switches = [flag for flag in flags if flag in (f"--enable-{name}", f"--disable-{name}")]
        wanted = switches[-1:] == [f"--enable-{name}"]
        if wanted and re.search(rf"^(#define )?{setting}\b", text, re.MULTILINE) is None:
            raise BuildRefused(
                say(
                    "configure took {flag} and then left it out. The step's log says what it did not find; "
                    "install that, or leave it out of the build options, then make a new plan.",
                    flag=switches[-1],
                )
            )
