"""Makes the .config of a kernel: a base, the chosen symbols merged in, every one of them checked."""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kvmwizard.build.kconfig import read_kconfig
from kvmwizard.build.kernel_make import KernelMake, KernelRefused, config_values
from kvmwizard.build.missing_symbols import MissingSymbol, missing_symbols, unsatisfied
from kvmwizard.build.torn import remove_torn
from kvmwizard.catalog.features import DRIVER_SYMBOLS, REQUIRED_SYMBOLS
from kvmwizard.job import Job, note
from kvmwizard.paths import write_atomically
from kvmwizard.plan.build_model import ConfigureKernel
from kvmwizard.product import write_stamp
from kvmwizard.words import Words, say, say_many

LARGEST_BASE_BYTES = 16 * 1024 * 1024
"""Of an unpacked configuration; real ones have a few hundred thousand."""
MODULE_LIST = Path("/proc/modules")
BASE_NAME, FRAGMENT_NAME, MODULES_NAME = "kvmwizard-base.config", "kvmwizard.config", "kvmwizard-modules"

DISTRIBUTION_KEYS = {
    "SYSTEM_TRUSTED_KEYS": '""',
    "SYSTEM_REVOCATION_KEYS": '""',
    "MODULE_SIG_KEY": '""',
    "MODULE_SIG_ALL": "n",
    "MODULE_SIG_FORCE": "n",
}
"""What of a distribution's configuration is cleared, and to what.

The first three name key files that only the distribution's own build has
(certs/Kconfig). Where no key is named, certs/Makefile would make one for every
build, so that no two builds were equal; an empty name means none. Without a key
modules are not signed, and must not be required to be.
"""

DEFAULT_SIGNING = {"MODULE_SIG_KEY": '"certs/signing_key.pem"', "MODULE_SIG_ALL": "y"}
"""What a configuration with signatures comes to where it does not say (certs/Kconfig)."""


def configure(job: Job) -> None:
    """Carry out a ConfigureKernel. Raises Refusal, OSError."""
    action = ConfigureKernel.model_validate(job.action)
    make = KernelMake(job, Path(action.tree), Path(action.build), action.make_variables)
    stamp = Path(action.stamp)
    stamp.unlink(missing_ok=True)
    make.refuse_odd_paths()
    job.progress.tell(say("Configuring Linux {version}", version=make.version))
    make.build.mkdir(parents=True, exist_ok=True)
    remove_torn(make.build)
    _clean_tree(make)
    _make_base(make, action)
    cleared = _merge(make, action)
    make.run("olddefconfig")
    got = config_values(make.build / ".config")
    missing, absent = _missing(make, action, got)
    _tell(job, missing, absent)
    options = sum(value in {"y", "m"} for value in got.values())
    about = {
        "release": f"{make.version}{action.local_version}",
        "options": options,
        "missing": {symbol.name: symbol.why.english for symbol in missing},
        "absent": absent,
        "cleared": cleared,
    }
    told = _done_words(options, [*(symbol.why for symbol in missing), *map(_left_out, absent)])
    write_stamp(stamp, action.identity, [make.build / ".config"], about, told)


def fragment_text(symbols: Mapping[str, str]) -> str:
    """The symbols as lines of a .config (Documentation/kbuild/kconfig.rst)."""
    return "".join(
        f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        for name, value in symbols.items()
    )


def base_text(path: Path) -> str:
    """A configuration, packed with gzip or not. Raises KernelRefused for what is none."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BASE_BYTES)
        if content.startswith(b"\x1f\x8b"):
            content = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(content, LARGEST_BASE_BYTES)
    except OSError as error:
        raise KernelRefused(_no_base(path, error.strerror or str(error))) from error
    except zlib.error as error:
        raise KernelRefused(_no_base(path, str(error))) from error
    text = content.decode("utf-8", "replace")
    if re.search(r"^(?:# )?CONFIG_\w+(?:=| is not set$)", text, re.MULTILINE) is None:
        raise KernelRefused(
            say(
                "{path} is no kernel configuration: it has no line that begins with CONFIG_. Choose another "
                "file or another base.",
                path=str(path),
            )
        )
    return text


def _no_base(path: Path, error: str) -> Words:
    return say(
        "The configuration to start from, {path}, cannot be read: {error}. Choose another base.",
        path=str(path),
        error=error,
    )


def _clean_tree(make: KernelMake) -> None:
    """Remove what was built within the tree: kbuild refuses a build folder beside it (its top Makefile)."""
    leftovers = (make.tree / ".config", make.tree / "include/config")
    if any(leftover.exists() for leftover in leftovers):
        _note(say("The source tree was built in before, so it is cleaned."))
        argv = ["make", "mrproper"]
        make.job.run(argv, make.tree, make.environment)


def _make_base(make: KernelMake, action: ConfigureKernel) -> None:
    config = make.build / ".config"
    if action.base == "defconfig" or action.base_file is None:
        if action.base != "defconfig":
            _note(say("This machine does not keep its kernel's configuration, so the default one is taken."))
        make.run("defconfig")
        return
    write_atomically(config, base_text(Path(action.base_file)).encode())
    if action.base == "localmodconfig":
        # What this version asks anew is answered first: localmodconfig would ask it here.
        make.run("olddefconfig")
        _trim(make)


def _trim(make: KernelMake) -> None:
    """Leave out the modules that are not loaded now (scripts/kconfig/streamline_config.pl)."""
    if config_values(make.build / ".config").get("MODULES") != "y":
        _note(say("This configuration has no modules, so there is nothing to trim; it is taken as it is."))
        return
    try:
        loaded = MODULE_LIST.read_bytes()
    except OSError:
        loaded = b""
    if not loaded:
        _note(
            say(
                "The running kernel shows no loaded modules, so nobody can say which ones are needed; the "
                "configuration is taken untrimmed."
            )
        )
        return
    modules = make.build / MODULES_NAME
    write_atomically(modules, loaded)
    make.run("localmodconfig", environment={"LSMOD": str(modules)})


def _merge(make: KernelMake, action: ConfigureKernel) -> list[str]:
    """Merge by the kernel's own script; which of the distribution's settings were cleared."""
    config, base = make.build / ".config", make.build / BASE_NAME
    before = config_values(config)
    if before.get("MODULE_SIG") == "y":
        before = {**DEFAULT_SIGNING, **before}
    cleared = {name: value for name, value in DISTRIBUTION_KEYS.items() if before.get(name, value) != value}
    if cleared:
        _note(
            say(
                "Cleared, since they name keys that only the distribution has, or ask for signatures that a "
                "kernel built here cannot give: {symbols}. Secure Boot would not start it either way.",
                symbols=", ".join(cleared),
            )
        )
    own = {"LOCALVERSION": f'"{action.local_version}"', "LOCALVERSION_AUTO": "n"}
    config.replace(base)
    text = fragment_text({**action.symbols, **cleared, **own})
    write_atomically(make.build / FRAGMENT_NAME, text.encode("ascii"))
    script = make.tree / "scripts/kconfig/merge_config.sh"
    # Names without folders: the script takes a path with a space for two.
    argv = ["/bin/sh", str(script), "-m", "-O", ".", BASE_NAME, FRAGMENT_NAME]
    ended = make.job.run(argv, make.build)
    if ended.returncode != 0 or not config.exists():
        raise KernelRefused(
            say(
                "The kernel's own script {script} could not merge the chosen settings into the "
                "configuration. Its log says why.",
                script=str(script),
            )
        )
    return list(cleared)


def _missing(
    make: KernelMake, action: ConfigureKernel, got: Mapping[str, str]
) -> tuple[list[MissingSymbol], list[str]]:
    """What is missing, and what this version does not have. Raises KernelRefused where KVM is among it."""
    unmet = unsatisfied(action.symbols, got)
    if not unmet:
        return [], []
    missing, absent = missing_symbols(unmet, got, read_kconfig(make.tree, make.image.source))
    required = [symbol for symbol in missing if symbol.name in _required(action.symbols, unmet)]
    if required:
        raise KernelRefused(
            say(
                "This configuration gives no KVM: {why} Choose another base, or another version.",
                why=required[0].why,
            )
        )
    for name in _required(action.symbols, unmet):
        raise KernelRefused(
            say(
                "Linux {version} does not know {symbol}, without which it is no KVM host on this machine. "
                "Choose another version.",
                version=make.version,
                symbol=name,
            )
        )
    return missing, absent


def _required(wanted: Mapping[str, str], unmet: Mapping[str, str]) -> list[str]:
    """The unmet symbols without which there is no KVM: KVM itself, and the last of its drivers."""
    needed = [name for name in REQUIRED_SYMBOLS if name in unmet]
    drivers = [name for name in DRIVER_SYMBOLS if name in wanted]
    return [*needed, *(drivers if drivers and all(name in unmet for name in drivers) else [])]


def _tell(job: Job, missing: Iterable[MissingSymbol], absent: Iterable[str]) -> None:
    lines = [symbol.why for symbol in missing]
    for line in lines:
        _note(line)
    for name in absent:
        _note(_left_out(name))
    if lines:
        job.progress.tell(
            say_many(
                "{count} setting was not taken; the log says why.",
                "{count} settings were not taken; the log says why.",
                len(lines),
            ),
            1,
            1,
        )


def _left_out(name: str) -> Words:
    return say("{symbol} is left out: this version of Linux has no such symbol.", symbol=name)


def _done_words(options: int, not_taken: Sequence[Words]) -> Words:
    if not not_taken:
        return say_many(
            "{count} option is on; all is as it was asked for",
            "{count} options are on; all is as it was asked for",
            options,
        )
    if len(not_taken) == 1:
        return not_taken[0]
    return say_many(
        "{why} {count} more setting was not taken; the log says why.",
        "{why} {count} more settings were not taken; the log says why.",
        len(not_taken) - 1,
        why=not_taken[0],
    )


def _note(words: Words) -> None:
    note(words.english)
