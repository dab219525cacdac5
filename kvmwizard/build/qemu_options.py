"""Which options the configure of a QEMU tree knows, and which of the wanted ones it is given. Pure."""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kvmwizard.catalog.qemu_flags import ALWAYS_OFF, OUTSIDE_LIBRARIES
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, say, say_many

HELP_OPTION = re.compile(r"^ +(--[A-Za-z0-9][A-Za-z0-9-]*)", re.MULTILINE)
HELP_FEATURE = re.compile(r"^  ([a-z0-9][a-z0-9-]*)(?: |$)", re.MULTILINE)
FEATURES_BEGIN = "--disable-FEATURE"
"""Below this, the help lists names that go with --enable- and --disable- (configure, show_help)."""
PARSER_LABEL = re.compile(r"(?:^ *|\| *)(--[a-z0-9][a-z0-9-]*)(?:=\*)? *(?=\)|\|)", re.MULTILINE)
"""An option where configure, and what meson-buildoptions.py generates for it, takes it."""

NEAR_ENOUGH = 0.7
NAMES_SHOWN = 3


class FlagRefused(Refusal):
    """This QEMU's configure knows no such option."""


@dataclass(frozen=True)
class ChosenFlags:
    """What configure is called with."""

    given: tuple[str, ...]
    left_out: tuple[str, ...]
    """What would have switched something off that this version does not have."""


def known_options(help_text: str, parsers: Sequence[str]) -> frozenset[str]:
    """All options, without their values.

    Not every release lists all it takes in its help, so what its scripts take counts too.

    Args:
        help_text: what `./configure --help` prints.
        parsers: the scripts that take the options apart.
    """
    listed, _, features = help_text.partition(FEATURES_BEGIN)
    options = {*HELP_OPTION.findall(listed), *HELP_OPTION.findall(features)}
    names = HELP_FEATURE.findall(features)
    for text in parsers:
        options.update(PARSER_LABEL.findall(text))
    return frozenset(
        (*options, *(f"--{switch}-{name}" for name in names for switch in ("enable", "disable")))
    )


def chosen_flags(wanted: Sequence[str], known: Collection[str]) -> ChosenFlags:
    """The wanted flags that this configure is given.

    Raises:
        FlagRefused: one is unknown, and leaving it out would change what is built.
    """
    ours = {f"--disable-{name}" for name in (*ALWAYS_OFF, *OUTSIDE_LIBRARIES)}
    unknown = [flag for flag in wanted if _name(flag) not in known]
    refused = [flag for flag in unknown if flag not in ours]
    if refused:
        raise FlagRefused(_refusal(refused[0], known))
    return ChosenFlags(given=tuple(flag for flag in wanted if flag not in unknown), left_out=tuple(unknown))


def _refusal(flag: str, known: Collection[str]) -> Words:
    near = difflib.get_close_matches(_name(flag), sorted(known), NAMES_SHOWN, NEAR_ENOUGH)
    if not near:
        return say(
            "This QEMU's configure knows no option {flag}. Leave it out of the build options, or choose "
            "another version.",
            flag=flag,
        )
    return say_many(
        "This QEMU's configure knows no option {flag}. The nearest that it knows is {near}. Mend the build "
        "options, then make a new plan.",
        "This QEMU's configure knows no option {flag}. The nearest that it knows are {near}. Mend the build "
        "options, then make a new plan.",
        len(near),
        flag=flag,
        near=", ".join(near),
    )


def _name(flag: str) -> str:
    return flag.partition("=")[0]
