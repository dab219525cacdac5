"""Looks at the trees that root installed, and at what the boot loader starts next."""

import json
import re
from pathlib import Path
from typing import Any

from kvmwizard.host.host import Host
from kvmwizard.host.kernel import running_release
from kvmwizard.host.reading import CommandOutput
from kvmwizard.plan.build_model import LISTS_OF_TREES, TreeAbsent, TreeInstalled
from kvmwizard.plan.observed import ObservedBoot, ObservedTree

GRUB_ENVIRONMENT = Path("/boot/grub/grubenv")
KERNEL_ENTRY = re.compile(r"(?:.*>)?gnulinux-(.+)-advanced-[^>]+")
"""The id of a kernel's ordinary entry, as grub-mkconfig's 10_linux makes it, in its submenu or not."""
RENEWED = re.compile(r".*/modules/[^/]+/modules\.[a-z.]+")
"""depmod writes these anew whenever it runs, so that their sizes tell nothing (depmod(8))."""
QUERY_SECONDS = 60.0


def tree(condition: TreeInstalled | TreeAbsent, lists: Path = Path(LISTS_OF_TREES)) -> ObservedTree:
    """What root's list says, and whether it is all there. Raises OSError."""
    try:
        listed = json.loads((lists / f"{condition.name}.json").read_bytes())
    except FileNotFoundError:
        return ObservedTree()
    whole = listed["finished"] and all(_is_there(Path(path), size) for path, _, size, _ in listed["files"])
    return ObservedTree(
        identity=listed["identity"],
        whole=whole and (not listed["package"] or _is_configured(condition.name)),
        files=len(listed["files"]),
        package=listed["package"],
        release=listed["release"],
    )


def boot() -> ObservedBoot:
    """What GRUB remembers (grub-editenv(1)). Raises OSError."""
    running = running_release()
    try:
        text = GRUB_ENVIRONMENT.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ObservedBoot(running_release=running)
    except PermissionError:
        return ObservedBoot(running_release=running, readable=False)
    said = dict(line.partition("=")[::2] for line in text.splitlines() if not line.startswith("#"))
    return ObservedBoot(
        running_release=running,
        next_release=_release(said.get("next_entry")),
        default_release=_release(said.get("saved_entry")),
        default_entry=said.get("saved_entry") or None,
    )


def _is_there(path: Path, size: int) -> bool:
    try:
        found = path.lstat().st_size
    except OSError:
        return False
    return found == size or RENEWED.fullmatch(str(path)) is not None


def _is_configured(package: str) -> bool:
    """Whether dpkg has run the package's own scripts, too."""
    argv = ("/usr/bin/dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "--", package)
    said: Any = Host().run(argv, QUERY_SECONDS)
    return isinstance(said, CommandOutput) and said.output.startswith("ii")


def _release(entry: str | None) -> str | None:
    found = KERNEL_ENTRY.fullmatch(entry or "")
    return found[1] if found is not None else None
