"""Unpacking a verified tarball, or copying a tree of the person's, into a new source tree.

By GNU tar, as the builder and never as root, into a new folder of mode 0700; looked over
afterwards, patched, and renamed when it is whole.
"""

import os
from pathlib import Path

from kvmwizard.fetch.archive import decompress_argv, unpacked_bytes
from kvmwizard.fetch.chain import run_chain
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.fetch.space import full_disk, is_full, require_space
from kvmwizard.fetch.sweep import sweep
from kvmwizard.fetch.unfinished import Label, flushing, marks_of, put_in_place, unfinished_folder
from kvmwizard.fetch.wishes import UnpackWish, unpack_wish
from kvmwizard.job import Job, Progress
from kvmwizard.words import Words, say

SPACE_FACTOR = 1.15
"""A kernel's 79,000 files fill 1.12 times their own size on ext4, whose blocks have 4 KB."""
TOP = "source"
"""What a copied tree is called on its way."""


def unpack_source(job: Job) -> None:
    """The action `unpack-source`. Raises FetchRefused, OSError."""
    unpack(unpack_wish(job.action), job.progress)


def unpack(wish: UnpackWish, progress: Progress) -> None:
    """Make the tree. Raises FetchRefused, OSError."""
    refuse_root()
    with unfinished_folder(wish.tree) as folder:
        with flushing(folder):
            if wish.archive.is_dir():
                _copy(wish, folder / TOP, progress)
            else:
                _unpack(wish, folder, progress)
            made = only_folder(folder, wish.archive.name)
            progress.tell(say("Looking over the source"))
            swept = sweep(made)
            apply_patches(made, wish.patches, progress)
        label = Label(wish.stamp, wish.identity, {"entries": swept.entries}, _done_words(wish))
        put_in_place(made, wish.tree, label)


def _done_words(wish: UnpackWish) -> Words:
    name = wish.archive.name
    if not wish.patches:
        return say("{name} is unpacked", name=name)
    return say(
        "{name} is unpacked; applied: {patches}",
        name=name,
        patches=", ".join(patch.name for patch in wish.patches),
    )


def refuse_root() -> None:
    """Refuse to unpack as root. Raises FetchRefused."""
    if os.geteuid() == 0:
        raise FetchRefused(
            say(
                "Sources are never unpacked or built as root. Start kvmwizard as a user without root's "
                "rights; it asks for them where they are needed."
            )
        )


def _unpack(wish: UnpackWish, folder: Path, progress: Progress) -> None:
    name = wish.archive.name
    require_space(folder, int(unpacked_bytes(wish.archive) * SPACE_FACTOR))
    words = say("Unpacking {name}", name=name)
    with wish.archive.open("rb") as source:
        size = os.fstat(source.fileno()).st_size
        ended = run_chain(
            [decompress_argv(name), extract_argv(folder)],
            source,
            lambda read: progress.tell(words, read, size, "bytes"),
        )
    if not ended.good:
        if is_full(folder):
            raise full_disk(folder.parent)
        raise FetchRefused(
            say(
                "{name} cannot be unpacked: the log says what tar found. Get it from another mirror.",
                name=name,
            )
        )
    progress.tell(words, size, size, "bytes")


def extract_argv(folder: Path) -> list[str]:
    """The command that unpacks a tar from its standard input, with nobody's owners and modes but ours."""
    options = ["--no-same-owner", "--no-same-permissions"]
    return ["tar", "--extract", "--file=-", f"--directory={folder}", *options]


def _copy(wish: UnpackWish, made: Path, progress: Progress) -> None:
    """Copy a tree of the person's, whose own stays as it is; its history is not needed."""
    progress.tell(say("Copying {path}", path=str(wish.archive)))
    made.mkdir()
    pack = ["tar", "--create", "--file=-", "--exclude=.git", f"--directory={wish.archive}", "."]
    ended = run_chain([pack, extract_argv(made)])
    if not ended.good:
        if is_full(made):
            raise full_disk(made.parent.parent)
        raise FetchRefused(
            say(
                "{path} cannot be copied: the log says what tar found. Let the user who builds read all of "
                "it, or name another tree.",
                path=str(wish.archive),
            )
        )


def only_folder(folder: Path, name: str) -> Path:
    """The one folder that a source's tarball holds. Raises FetchRefused where it is otherwise."""
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink() and marks_of(entries[0]):
        return entries[0]
    raise FetchRefused(
        say("{name} holds no source tree of Linux or QEMU. Name another tarball or tree.", name=name)
    )


def apply_patches(tree: Path, patches: tuple[Path, ...], progress: Progress) -> None:
    """Apply the patches in their order, each whole or not at all. Raises FetchRefused, OSError."""
    for patch in patches:
        progress.tell(say("Applying {name}", name=patch.name))
        options = ["--strip=1", "--forward", "--fuzz=0", "--batch", "--no-backup-if-mismatch"]
        argv = ["patch", *options, f"--directory={tree}", f"--input={patch}"]
        if not run_chain([argv]).good:
            raise FetchRefused(
                say(
                    "The patch {name} does not fit this source: the log says where. Do without it, or "
                    "choose another version.",
                    name=patch.name,
                )
            )
