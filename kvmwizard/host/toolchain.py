"""The programs and libraries that builds need."""

import os
import re

from kvmwizard.host.host import Host, command_environment
from kvmwizard.host.parsing import not_understood, version_number
from kvmwizard.host.qemu import read_version
from kvmwizard.host.reading import CommandOutput, FactModel, Reading, Unknown, UnknownReason

TOOLS = {
    "gcc": ("gcc",),
    "make": ("make",),
    "ld": ("ld",),
    "python3": ("python3",),
    "python2": ("python2.7", "python2"),
    "perl": ("perl",),
    "git": ("git",),
    "flex": ("flex",),
    "bison": ("bison",),
    "ninja": ("ninja", "ninja-build"),
    "meson": ("meson",),
}
"""Each with the names it is installed under; EPEL 7 calls ninja `ninja-build`."""

SOURCE_TOOLS = ("gpgv", "xz", "patch")
CONTAINER_TOOLS = ("podman", "docker", "debootstrap")
COMPILER = re.compile(r"(?:gcc|clang)(?:-[0-9]{1,2}(?:\.[0-9])?)?")
COMPILER_DIRECTORIES = ("/usr/local/bin", "/usr/bin")
LIBRARY_DIRECTORIES = ("/usr/lib64", "/usr/lib")
OPENSSL_HEADER = "/usr/include/openssl/opensslv.h"
ENGINE_HEADER = "/usr/include/openssl/engine.h"
DEFAULT_PIE = "--enable-default-pie"

_MESON_RECORD = re.compile(r"meson-([0-9]+(?:\.[0-9]+)+)(?:\.(?:dist|egg)-info|-py.*\.egg-info)")
_PERL_VERSION = re.compile(r"\(v([0-9]+(?:\.[0-9]+)+)\)")
_OPENSSL_TEXT = re.compile(r'# *define +OPENSSL_VERSION_(?:STR|TEXT) +"(?:OpenSSL )?([0-9]+(?:\.[0-9]+)+)')
_GLIB_VERSION = re.compile(r"^Version: *([0-9]+(?:\.[0-9]+)+)", re.MULTILINE)


class Tool(FactModel):
    """One program; `version` is the number it prints."""

    name: str
    path: str | None
    version: Reading[str] | None
    """None where the program is absent."""


class ToolchainFacts(FactModel):
    """What is installed of what builds need."""

    tools: dict[str, Tool]
    """gcc, make, ld, python3, python2, perl, git, flex, bison, ninja, meson, by name."""
    default_pie: Reading[bool] | None = None
    """Whether gcc makes position-independent programs unless told otherwise; None without gcc."""
    compilers: tuple[str, ...] = ()
    """All that are named like gcc, gcc-11, clang or clang-14."""
    glibc: Reading[str] | None = None
    """None where the C library is another one."""
    glib: str | None = None
    """The version of its development files; None where there are none."""
    openssl: str | None = None
    """The version of its headers; None where there are none."""
    openssl_engine: bool = False
    """Whether its header engine.h is there."""
    source_tools: tuple[str, ...] = ()
    """Which of gpgv, xz and patch are there, which make a verified source tree of a download."""
    containers: tuple[str, ...] = ()
    """Which of podman, docker and debootstrap are there."""


def read_toolchain(host: Host) -> ToolchainFacts:
    """The programs on the fixed search path that commands run with, the libraries, and their versions."""
    paths = {name: find_program(host, names) for name, names in TOOLS.items()}
    present = {name: path for name, path in paths.items() if path is not None}
    gcc = present.get("gcc")
    # Meson takes longer to say its version than all the others together.
    versions: dict[str, Reading[str]] = {"meson": meson} if (meson := _meson(host)) else {}
    asked = [(name, path) for name, path in present.items() if name not in versions]
    commands = [(path, "--version") for _, path in asked]
    outputs = host.run_all(commands if gcc is None else [*commands, (gcc, "-v")])
    for (name, path), output in zip(asked, outputs, strict=False):
        versions[name] = _tool_version(name, output, path)
    return ToolchainFacts(
        tools={
            name: Tool(name=name, path=path, version=versions.get(name) if path else None)
            for name, path in paths.items()
        },
        default_pie=None if gcc is None else _default_pie(outputs[-1], gcc),
        compilers=_compilers(host),
        glibc=_glibc(host),
        glib=_glib(host),
        openssl=_found(_OPENSSL_TEXT, host.read_text(OPENSSL_HEADER)),
        openssl_engine=host.exists(ENGINE_HEADER) is True,
        source_tools=tuple(name for name in SOURCE_TOOLS if find_program(host, (name,))),
        containers=tuple(name for name in CONTAINER_TOOLS if find_program(host, (name,))),
    )


def find_program(host: Host, names: tuple[str, ...]) -> str | None:
    """The first program of one of these names on the fixed search path."""
    directories = command_environment()["PATH"].split(":")
    candidates = (f"{directory}/{name}" for name in names for directory in directories)
    return next((path for path in candidates if host.is_program(path)), None)


def _tool_version(name: str, output: CommandOutput | Unknown | None, path: str) -> Reading[str]:
    """Perl alone begins with a sentence, and gives its version in parentheses."""
    if name == "perl" and isinstance(output, CommandOutput):
        return _found(_PERL_VERSION, output.output) or not_understood(output.output, path)
    return read_version(output, path)


def _meson(host: Host) -> str | None:
    """From the name of what its installation left beside the system's Python modules."""
    libraries = host.list_directory("/usr/lib")
    names = libraries if isinstance(libraries, tuple) else ()
    own = [f"/usr/lib/{name}/site-packages" for name in names if name.startswith("python3.")]
    for directory in ("/usr/lib/python3/dist-packages", *own):
        modules = host.list_directory(directory)
        for name in modules if isinstance(modules, tuple) else ():
            if found := _MESON_RECORD.fullmatch(name):
                return found[1]
    return None


def _default_pie(output: CommandOutput | Unknown | None, path: str) -> Reading[bool]:
    """From how gcc itself was configured (gcc -v)."""
    if isinstance(output, CommandOutput):
        return DEFAULT_PIE in output.output.split()
    return output or Unknown(unknown=UnknownReason.NOT_SHOWN, detail=f"{path} -v")


def _compilers(host: Host) -> tuple[str, ...]:
    listings = (host.list_directory(directory) for directory in COMPILER_DIRECTORIES)
    names = {name for listing in listings if isinstance(listing, tuple) for name in listing}
    return tuple(sorted(name for name in names if COMPILER.fullmatch(name)))


def _glibc(host: Host) -> Reading[str] | None:
    """As the library itself says to this process (confstr(3)), on the live machine alone."""
    if not host.live:
        return Unknown(unknown=UnknownReason.NOT_LIVE, detail="confstr(_CS_GNU_LIBC_VERSION)")
    try:
        answer = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):  # another C library, as musl
        return None
    return version_number(answer) if answer else None


def _glib(host: Host) -> str | None:
    """From the file that pkg-config reads; Debian has it in a directory named after the architecture."""
    names = host.list_directory("/usr/lib")
    own = [f"/usr/lib/{name}" for name in names if "-linux-" in name] if isinstance(names, tuple) else []
    files = (f"{directory}/pkgconfig/glib-2.0.pc" for directory in (*own, *LIBRARY_DIRECTORIES))
    return next((found for file in files if (found := _found(_GLIB_VERSION, host.read_text(file)))), None)


def _found(pattern: re.Pattern[str], text: str | Unknown | None) -> str | None:
    found = pattern.search(text) if isinstance(text, str) else None
    return found[1] if found else None
