"""What texts in answers look like, and what to say of one that does not.

Apart from the answers' models, since pydantic takes longer to read in than what
needs no more than these.
"""

import json
import re
from dataclasses import replace

from kvmwizard.words import Words, say

PACKAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9+._:~-]*$"
USER_NAME = r"^[a-z_][a-z0-9_.-]*\$?$"
MODULE_NAME = r"^[a-z0-9_]+$"
ABSOLUTE_PATH = r"^/[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"
"""Without what steers a terminal or makes text run backwards: plans show paths, to be agreed to."""
PACKAGE_VERSION = r"^[A-Za-z0-9][A-Za-z0-9.+:~_^-]*$"
"""What Debian policy (section 5.6.12), RPM (rpm-version(7)), Arch and Alpine have in versions."""
VERSION = r"^[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-rc[0-9]{1,3})?$"
TAG = r"^v[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-rc[0-9]{1,3})?$"
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,254}$"
REMEDY = r"^[a-z][a-z0-9]{0,29}(-[a-z0-9]{1,30}){0,9}$"
LOCAL_VERSION = r"^([-+.][a-z0-9][a-z0-9.+-]{0,30})?$"
"""In letters that a Debian package's name can have as well (Debian policy, section 5.6.7)."""
COMPILER = r"^(gcc|clang)(-[0-9]{1,2}(\.[0-9])?)?$"
TARGET = r"^[a-z0-9_]+-softmmu$"
CONFIGURE_FLAG = r"^--[A-Za-z0-9][A-Za-z0-9_-]*(=[A-Za-z0-9_,./:+@%=-]*)?$"
BASE_URL = r"^(https?|file)://[!-~]+$"
GIT_URL = r"^(https?|git|ssh|file)://[!-~]+$"

LONGEST_QUOTE = 60
"""Characters of a wrong value that are shown."""

WRONG_VERSION = say(
    "{key} is {value}, but must be a version in numbers, as 6.12.104, 4.8 or 7.3-rc2, without a leading v."
)
WRONG_BASE = say(
    "{key} is {value}, but must be an address that begins with https://, http:// or file://, without spaces."
)
WRONG_REPOSITORY = say(
    "{key} is {value}, but must be the address of a git repository that begins with https://, http://, "
    "git://, ssh:// or file://, without spaces."
)
WRONG_PATH = say("{key} is {value}, but must be a path that begins with / and has no invisible signs in it.")
WRONG_NAMES = say(
    "{key} is {value}, but must be one of the names that the page shows: small letters, digits and hyphens."
)

WRONG_TEXTS = {
    "user": say("{key} is {value}, but must be the name of a user."),
    "path": WRONG_PATH,
    "package": say("{key} is {value}, but must be the name of a package."),
    "release": say("{key} is {value}, but must be what uname -r says of that kernel."),
    "modules": say("{key} is {value}, but must be the name of a kernel module, with underscores."),
    "version": WRONG_VERSION,
    "tag": say("{key} is {value}, but must be a tag of a version, as v6.12.104 or v2.7.0."),
    "unverified": say(
        "{key} is {value}, but must be the name of the one file, or the tag, that may be used unverified."
    ),
    "kernel_mirror": WRONG_BASE,
    "qemu_mirror": WRONG_BASE,
    "kernel_git": WRONG_REPOSITORY,
    "qemu_git": WRONG_REPOSITORY,
    "kernel_key": WRONG_PATH,
    "qemu_key": WRONG_PATH,
    "folder": WRONG_PATH,
    "base_file": WRONG_PATH,
    "prefix": WRONG_PATH,
    "agreed": WRONG_NAMES,
    "features": WRONG_NAMES,
    "local_version": say(
        "{key} is {value}, but must be empty, or begin with -, + or . and go on in small letters, digits "
        "and -, + or ., at most 32 in all, as -kvmwizard."
    ),
    "compiler": say(
        "{key} is {value}, but must be gcc or clang, or one of them with its version, as gcc-12."
    ),
    "targets": say("{key} is {value}, but must be a target of QEMU's configure, as x86_64-softmmu."),
    "flags": say(
        "{key} is {value}, but must be one flag of QEMU's configure that begins with --, as --enable-lto or "
        "--extra-cflags=-O2, without spaces or quotation marks."
    ),
}
"""What to say where a text does not match the pattern of this key."""

SOURCE_PATTERNS = {
    "kernel_mirror": BASE_URL,
    "kernel_git": GIT_URL,
    "kernel_key": ABSOLUTE_PATH,
    "qemu_mirror": BASE_URL,
    "qemu_git": GIT_URL,
    "qemu_key": ABSOLUTE_PATH,
}
"""Of the fields of `SourcesAnswer`."""


def wrong_source(field: str, value: str, name: str) -> Words | None:
    """Why the text cannot be this field of `SourcesAnswer`; None where it can.

    Args:
        field: as `kernel_mirror`.
        value: what the person gave.
        name: what the person knows the field by, as `--kernel-mirror`.
    """
    # Not `match`: for it, a $ also stands before a newline at the end.
    matches = re.fullmatch(SOURCE_PATTERNS[field], value) is not None and not value.endswith("\n")
    if matches and _is_text(value):
        return None
    return replace(WRONG_TEXTS[field], places={"key": name, "value": quoted(value)})


def _is_text(value: str) -> bool:
    """Whether it can be written into a file: bytes of the command line that are no UTF-8 cannot (PEP 383)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(value: object) -> str:
    """A wrong value as the file has it, if it is short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
