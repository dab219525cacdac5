"""Where state is kept, and how a file gets there whole or not at all."""

import errno
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_state_path

from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say

PRIVATE_MODE = 0o700
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
UNFINISHED_SUFFIX = ".unfinished"
OTHER_PLACES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108  -- sticky, and what lies there is checked before use


class DirectoryRefused(Refusal):
    """A directory that must not hold our state; `words` says which, why, and what to do next."""


class FileRefused(Refusal):
    """A file of ours that must not be believed; `words` says which, why, and what to do next."""


@dataclass(frozen=True)
class FileRead:
    """What a file held at one moment."""

    content: bytes
    status: os.stat_result
    whole: bool
    """False where it holds more than was to be read."""


class DirectoryNotWritable(DirectoryRefused):
    """A directory of this user's that nothing can be written to; another one would do."""


def state_directory(chosen: Path | None = None) -> Path:
    """The chosen directory, else the user's own as the XDG base directory specification has it.

    Links on the way to it are followed once, here, so that they cannot lead
    elsewhere later. Nothing is made or checked: see `private_directory`. Raises
    DirectoryRefused for a user without a home directory.
    """
    directory = user_state_path("kvmwizard") if chosen is None else chosen.absolute()
    if not directory.is_absolute():
        raise DirectoryRefused(
            say("There is no home directory to keep answers in. Name a directory with --state-dir DIRECTORY.")
        )
    return Path(os.path.realpath(directory.parent), directory.name)


def directory_option(directory: Path) -> str:
    """What a printed command needs so that it is about this state directory, a space before it.

    Empty for the user's own. `directory` is as `state_directory` gives it.
    """
    try:
        usual = directory == state_directory()
    except DirectoryRefused:
        usual = False
    return "" if usual else f" --state-dir {shlex.quote(str(directory))}"


def cache_directory() -> Path:
    """Where what can be had again is kept, as the XDG base directory specification has it; not made yet."""
    return user_cache_path("kvmwizard")


def private_directory(path: Path) -> Path:
    """The directory, made with mode 0700 where it is missing, and safe to keep state in.

    An existing directory's mode is left as it is. Raises DirectoryRefused as
    `trusted_directory` does, and DirectoryNotWritable for one that cannot be made or written to.
    """
    try:
        # Before root makes anything: a directory, too, is something to be led astray with.
        refusal = _untrusted_parent(path) if os.geteuid() == 0 else None
        if refusal is not None:
            raise DirectoryRefused(refusal)
        _make_directory(path)
    except OSError as error:
        raise DirectoryNotWritable(_cannot_use(path, error)) from error
    trusted_directory(path)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise DirectoryNotWritable(
            say(
                "{path} is not writable. Allow writing there, or name another directory with "
                "--state-dir DIRECTORY.",
                path=str(path),
            )
        )
    return path


def another_place() -> Path | None:
    """Where answers can be kept by who has no home to write to; not made yet. None where nowhere.

    /var/tmp outlasts a restart (file-hierarchy(7)), which a run may need.
    """
    for parent in OTHER_PLACES:
        place = parent / f"kvmwizard-{os.geteuid()}"
        try:
            if os.path.lexists(place):
                return private_directory(place)
        except DirectoryRefused:
            continue
        if os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            return place
    return None


def trusted_directory(path: Path) -> Path:
    """The existing directory, in which only this user can have put anything.

    Raises DirectoryRefused for a link, for somebody else's directory, for one
    that others may write to, and for one that cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise DirectoryRefused(_cannot_use(path, error)) from error
    try:
        refusal = _distrust(path, os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if refusal is not None:
        raise DirectoryRefused(refusal)
    return path


def read_own_file(path: Path, most_bytes: int) -> FileRead:
    """What a plain file holds that this user alone can have written, as far as `most_bytes`.

    Nothing is waited for, whatever is in the file's place, and no more memory is
    taken than `most_bytes`. Raises FileRefused for a link, a second name, what is
    no plain file, somebody else's, and what others may write to; OSError for what
    cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileRefused(_is_a_link(path)) from error
        if error.errno == errno.ENXIO:  # a socket
            raise FileRefused(_not_plain(path)) from error
        raise
    try:
        status = os.fstat(descriptor)
        refuse_untrusted_file(path, status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    return FileRead(content[:most_bytes], status, whole=len(content) <= most_bytes)


def is_file(path: str) -> bool:
    """Whether there is such a file; False, too, for a name that none can have."""
    return os.path.isfile(path)  # noqa: PTH113  -- Path.is_file raises for a name that is too long


def refuse_untrusted_file(path: Path, status: os.stat_result) -> None:
    """Raises FileRefused unless it is a plain file of this user's own, which nobody else may write to."""
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(_not_plain(path))
    if status.st_uid != os.geteuid():
        raise FileRefused(
            say(
                "{path} belongs to the user with id {owner}, and you are the user with id {user}. "
                "Name a directory of your own with --state-dir DIRECTORY.",
                path=str(path),
                owner=status.st_uid,
                user=os.geteuid(),
            )
        )
    if status.st_nlink > 1:
        raise FileRefused(
            say(
                "{path} has a second name elsewhere (a hard link), so it may be changed from there. "
                "Move it away and start again.",
                path=str(path),
            )
        )
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise FileRefused(
            say(
                "Other users may write to {path}, so what it says may not be yours. "
                "Look at it, then take that right away with: chmod go-w {path}",
                path=str(path),
            )
        )


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file so that, even after a power cut, it holds the old or the new content whole.

    The mode holds whatever the umask. Raises OSError, nothing then being left
    behind, and the old content untouched; or, where the directory alone could
    not be synced, the new content there, which a power cut may take back.
    """
    unfinished = path.with_name(f".{path.name}.{os.urandom(8).hex()}{UNFINISHED_SUFFIX}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names that were made, renamed or removed in a directory outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; only for who alone may write it."""
    for unfinished in path.parent.glob(f".{path.name}.*{UNFINISHED_SUFFIX}"):
        unfinished.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> Words:
    """The sentence for a file or directory of ours that the system does not let us read or write."""
    if error.errno == errno.ELOOP:
        return _is_a_link(path)
    return say(
        "{path} cannot be used: {error}. Make room or allow reading and writing there, or name another "
        "directory with --state-dir DIRECTORY.",
        path=str(path),
        error=error.strerror or str(error),
    )


def make_parents(path: Path, mode: int = PRIVATE_MODE) -> None:
    """The directories above, each made with this mode where it is missing. Raises OSError.

    Whatever the umask: `Path.mkdir(parents=True)` would let everybody write there under umask 000.
    The private mode is the XDG base directory specification's for what is missing.
    """
    for parent in reversed(path.parents):
        try:
            parent.mkdir(mode=mode)
        except OSError:
            # On a file system that is read-only mkdir says that of what is there, too.
            if not os.path.lexists(parent):
                raise
            if not parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent)) from None
        else:
            parent.chmod(mode)


def _make_directory(path: Path) -> None:
    make_parents(path)
    try:
        path.mkdir(mode=PRIVATE_MODE)
    except FileExistsError:
        return
    # The umask may have taken even our own rights away.
    path.chmod(PRIVATE_MODE)
    sync_directory(path.parent)


def _distrust(path: Path, status: os.stat_result) -> Words | None:
    if status.st_uid != os.geteuid():
        return say(
            "{path} belongs to the user with id {owner}, and you are the user with id {user}. "
            "Name a directory of your own with --state-dir DIRECTORY.",
            path=str(path),
            owner=status.st_uid,
            user=os.geteuid(),
        )
    if status.st_mode & WRITABLE_BY_OTHERS:
        return say(
            "Other users may write to {path}, and could change your answers there. "
            "Name a directory of your own with --state-dir DIRECTORY.",
            path=str(path),
        )
    return _untrusted_parent(path) if os.geteuid() == 0 else None


def _untrusted_parent(path: Path) -> Words | None:
    """Who owns a directory above could put another in our place: root must not follow."""
    for parent in dict.fromkeys((*Path(os.path.realpath(path)).parents, *path.parents)):
        if not parent.exists():
            continue
        status = parent.stat()
        others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0)
        if status.st_uid != 0 or (others and not status.st_mode & stat.S_ISVTX):
            return say(
                "{parent}, in which {path} lies, is not root's alone, so root must not trust what is "
                "kept there. Name a directory of root's with --state-dir DIRECTORY.",
                parent=str(parent),
                path=str(path),
            )
    return None


def _cannot_use(path: Path, error: OSError) -> Words:
    if path.is_symlink():
        return say(
            "{path} is a symbolic link, and answers are kept in real directories only. "
            "Name the directory that it leads to with --state-dir DIRECTORY.",
            path=str(path),
        )
    return cannot_write(path, error)


def _is_a_link(path: Path) -> Words:
    return say(
        "{path} is a symbolic link, and answers are kept in real files only. Move it away and start again.",
        path=str(path),
    )


def _not_plain(path: Path) -> Words:
    return say("{path} is not a plain file. Move it away and start again.", path=str(path))
