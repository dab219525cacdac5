"""What the terminal can show: signs for those with Unicode, and signs for the rest."""

import locale
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Signs:
    """The marks beside an entry; a colour is never the only sign."""

    passed: str
    warned: str
    failed: str
    unknown: str
    not_applicable: str
    waiting: str
    running: str
    cursor: str
    chosen: str
    unchosen: str
    ticked: str
    unticked: str
    bar_full: str
    bar_empty: str
    up_down: str
    left: str
    more: str
    border: str
    """The name of a Textual border type for the rules."""


UNICODE_SIGNS = Signs(
    passed="✔",
    warned="!",
    failed="✖",
    unknown="?",
    not_applicable="-",
    waiting="○",
    running="●",
    cursor="▸",
    chosen="(●)",
    unchosen="( )",
    ticked="[✔]",
    unticked="[ ]",
    bar_full="━",
    bar_empty="─",
    up_down="↑↓",
    left="←",
    more="…",
    border="solid",
)

ASCII_SIGNS = Signs(
    passed="+",
    warned="!",
    failed="x",
    unknown="?",
    not_applicable="-",
    waiting=".",
    running="*",
    cursor=">",
    chosen="(*)",
    unchosen="( )",
    ticked="[x]",
    unticked="[ ]",
    bar_full="=",
    bar_empty="-",
    up_down="Up/Down",
    left="Esc",
    more="~",
    border="ascii",
)


def terminal_codeset() -> str:
    """The character set of the reader's locale, as `UTF-8`."""
    return locale.nl_langinfo(locale.CODESET)


def terminal_signs(environment: Mapping[str, str], codeset: str) -> Signs:
    """The signs this terminal can show.

    The Linux console (TERM=linux) draws from a font of 256 or 512 shapes that
    lacks most of ours.
    """
    unicode = codeset.upper().replace("-", "") == "UTF8" and environment.get("TERM") != "linux"
    return UNICODE_SIGNS if unicode else ASCII_SIGNS


def over_ssh(environment: Mapping[str, str]) -> bool:
    """Whether each byte to the terminal travels over SSH."""
    return "SSH_CONNECTION" in environment or "SSH_TTY" in environment
