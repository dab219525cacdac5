"""Whether there is room, and right, to build and install in the places that were chosen."""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.answers import AnswerProblem, Answers, BuildAnswer
from kvmwizard.catalog.build_folder import called_by_root, chosen_folders, usual_build_folder
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.costs import boot_needed, disk_needed
from kvmwizard.host.facts import Facts
from kvmwizard.host.reading import known
from kvmwizard.words import Words, say

PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_@+.~-]+)+", re.ASCII)
"""Of letters that no make or shell script takes for anything else: Linux and QEMU both refuse to be built
below a folder with a space or a colon (the kernel's top Makefile, QEMU's configure).
"""

PREFIXES = ("/opt/kvmwizard", "/usr/local")
"""Below these alone does root install what was built."""

MEGABYTE = 1000 * 1000


def folder_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    """What is wrong with the folders that things are built in."""
    builds = [
        (page, build)
        for page, build in (("kernel_build", _kernel_build(answers)), ("qemu_build", _qemu_build(answers)))
        if build is not None
    ]
    two = two_folders(answers)
    if two is not None:
        yield AnswerProblem("qemu_build", "folder", two)
        return
    folders = chosen_folders(answers) or {page: usual_build_folder(facts) for page, _ in builds}
    for page, folder in list(folders.items())[:1]:
        problem = (
            _plain_problem(folder) or _use_problem(folder, facts) or _room_problem(folder, answers, facts)
        )
        if problem is not None:
            yield AnswerProblem(page, "folder", problem)


def two_folders(answers: Answers) -> Words | None:
    """Why what is built has no single folder; None where it has."""
    chosen = chosen_folders(answers)
    if len(set(chosen.values())) < 2:  # noqa: PLR2004  -- one for each of the two
        return None
    return say(
        "The kernel would be built in {kernel}, and QEMU in {qemu}. Choose one folder for both.",
        kernel=chosen["kernel_build"],
        qemu=chosen["qemu_build"],
    )


def boot_problems(answers: Answers, facts: Facts) -> Iterator[AnswerProblem]:
    """Whether /boot has room for the kernel that is built."""
    needed, free = boot_needed(answers), known(facts.disk.boot_free, None)
    if free is not None and needed > free:
        yield AnswerProblem(
            "kernel",
            "kernel",
            say(
                "/boot has {free} MB free, and a kernel with its initramfs takes up to {needed} MB there. "
                "Remove a kernel that you no longer start, or keep the running one.",
                free=free // MEGABYTE,
                needed=_rounded_up(needed),
            ),
        )


def prefix_problem(prefix: str) -> Words | None:
    """Why QEMU cannot be installed there; None where it can."""
    if PLAIN_PATH.fullmatch(prefix) is None or posixpath.normpath(prefix) != prefix:
        return say(
            "QEMU cannot be installed in {prefix}. Give a path of letters, digits and . _ - + @ ~ alone, "
            "without .. in it and without a slash at its end.",
            prefix=repr(prefix),
        )
    if not any(prefix == allowed or prefix.startswith(f"{allowed}/") for allowed in PREFIXES):
        return say(
            "QEMU is installed below {places} alone, where it comes into no package's way. Choose a prefix "
            "there instead of {prefix}.",
            places=", ".join(PREFIXES),
            prefix=prefix,
        )
    return None


def _kernel_build(answers: Answers) -> BuildAnswer | None:
    chosen = chosen_kernel(answers)
    return None if chosen is None else chosen.build


def _qemu_build(answers: Answers) -> BuildAnswer | None:
    chosen = chosen_qemu(answers)
    return None if chosen is None else chosen.build


def _plain_problem(folder: str) -> Words | None:
    if PLAIN_PATH.fullmatch(folder.rstrip("/")) is not None and ".." not in folder.split("/"):
        return None
    return say(
        "Nothing can be built in {folder}: neither Linux nor QEMU builds below a folder whose name has "
        "spaces, colons or other signs of the shell in it. Choose another folder.",
        folder=repr(folder),
    )


def _use_problem(folder: str, facts: Facts) -> Words | None:
    """Why the one who builds could not use the folder; told of the live machine alone."""
    if not facts.live:
        return None
    nearest = _nearest(Path(folder))
    if not nearest.is_dir():
        return say(
            "{folder} cannot be made, since {nearest} is no folder. Choose another one.",
            folder=folder,
            nearest=str(nearest),
        )
    if _asks_for_itself(facts) and not os.access(nearest, os.W_OK | os.X_OK):
        return say(
            "You may not write in {nearest}, so nothing can be built in {folder}. Choose a folder of yours.",
            folder=folder,
            nearest=str(nearest),
        )
    if os.statvfs(nearest).f_flag & os.ST_NOEXEC:
        return say(
            "No program may be run from the file system that {folder} is on (it is mounted noexec), and a "
            "build runs programs that it has made. Choose a folder elsewhere.",
            folder=folder,
        )
    return None


def _asks_for_itself(facts: Facts) -> bool:
    """Whether this process has the rights of the one who builds; root has the runner make the folder."""
    account = facts.users.account(known(facts.users.caller, ""))
    return not called_by_root(facts) and account is not None and account.id == os.geteuid()


def _room_problem(folder: str, answers: Answers, facts: Facts) -> Words | None:
    needed = disk_needed(_still_to_build(folder, answers, facts))
    free = _free_bytes(folder, facts)
    if free is None or needed <= free:
        return None
    return say(
        "{folder} has {free} MB free, and building takes up to {needed} MB there. Make room, choose another "
        "folder, or build less.",
        folder=folder,
        free=free // MEGABYTE,
        needed=_rounded_up(needed),
    )


def _still_to_build(folder: str, answers: Answers, facts: Facts) -> Answers:
    """The answers without what has been begun in the folder: what it takes is mostly taken already."""
    if not facts.live:
        return answers
    kernel, qemu = chosen_kernel(answers), chosen_qemu(answers)
    begun: dict[str, None] = {}
    if kernel is not None and any(Path(folder).glob(f"linux-{kernel.version}-*/build")):
        begun["kernel"] = None
    if qemu is not None and any(Path(folder).glob(f"qemu-{qemu.version}-*/build")):
        begun["qemu"] = None
    return answers.model_copy(update=begun)


def _free_bytes(folder: str, facts: Facts) -> int | None:
    if folder == facts.disk.build_directory:
        return known(facts.disk.build_free, None)
    if not facts.live:
        return None
    status = os.statvfs(_nearest(Path(folder)))
    return status.f_bavail * status.f_frsize


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next((each for each in (path, *path.parents) if _exists(each)), Path("/"))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Its name is too long, or it lies where nobody may look.
        return False


def _rounded_up(size: int) -> int:
    return -(-size // MEGABYTE)
