"""Parts of QEMU's source that are kept in repositories of their own: git submodules, and meson's wraps.

What they are is fixed by the commit that the tree itself names, so that it does not matter
whose mirror gives them.
"""

import configparser
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kvmwizard.fetch.client import split_address
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.words import say

COMMIT = re.compile(r"[0-9a-f]{40}")
LARGEST_LIST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """A part of the tree that has to be fetched by itself."""

    path: str
    """In the tree, as `subprojects/keycodemapdb`."""
    commit: str
    urls: tuple[str, ...]
    """Tried in order."""
    overlay: str | None = None
    """A folder of the tree whose files are put over the part's (meson's `patch_directory`)."""


def submodule_urls(url: str, base: str) -> tuple[str, ...]:
    """Where a submodule may be had from.

    Args:
        url: what .gitmodules says: absolute, or relative to the repository that holds it.
        base: where the repository itself was fetched from.

    Returns:
        A repository of the same name beside that one first: projects keep theirs together, mirrors
        mirror all of them, and the addresses in old releases are dead.
    """
    if url.startswith(("./", "../")):
        return (_joined(base, url),)
    beside = _joined(base, f"../{_name_of(url)}")
    return tuple(dict.fromkeys((beside, url)))


def listed_submodules(gitmodules: str, base: str) -> dict[str, tuple[str, ...]]:
    """The submodules' addresses by path, from .gitmodules' text (gitmodules(5)); odd ones are left out."""
    found: dict[str, tuple[str, ...]] = {}
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string("\n".join(line.strip() for line in gitmodules.splitlines()))
    except configparser.Error:
        return {}
    for section in parser.values():
        path, url = section.get("path"), section.get("url")
        if path and url and is_inside(path):
            found[path] = submodule_urls(url, base)
    return found


def wrapped(tree: Path, path: str, base: str) -> Part | None:
    """The part that `PATH.wrap` describes (meson's manual, "Wrap format"); None where there is none."""
    try:
        with tree.joinpath(f"{path}.wrap").open("rb") as file:
            text = file.read(LARGEST_LIST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
        wrap = parser["wrap-git"]
        url, commit = wrap["url"], wrap["revision"]
    except (configparser.Error, KeyError):
        return None
    if COMMIT.fullmatch(commit) is None:
        return None
    overlay = wrap.get("patch_directory")
    folder = str(PurePosixPath(path).parent / "packagefiles" / overlay) if overlay else None
    if folder is not None and not is_inside(folder):
        return None
    return Part(path=path, commit=commit, urls=submodule_urls(url, base), overlay=folder)


def is_inside(path: str) -> bool:
    """Whether a path stays in the tree, and can be no option of a command."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith(("/", "-")) and ".." not in parts and ".git" not in parts


def refuse_part(path: str) -> FetchRefused:
    """The refusal for a part that no server gave."""
    return FetchRefused(
        say(
            "{path}, which this version is built with, cannot be fetched: the log says why. Try again, "
            "choose a repository that has it beside it, or take the release's tarball, which holds it.",
            path=path,
        )
    )


def _joined(base: str, relative: str) -> str:
    """A relative address against a repository's, as git-submodule(1) does it."""
    scheme, separator, rest = base.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    joined = posixpath.normpath(posixpath.join("/", path, relative))
    return f"{scheme}{separator}{host}{joined if slash else relative}"


def _name_of(url: str) -> str:
    name = posixpath.basename(split_address(url).path.rstrip("/"))
    return name if name.endswith(".git") else f"{name}.git"
