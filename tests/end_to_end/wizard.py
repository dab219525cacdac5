"""The wizard in a real terminal, walked with arrows, Space, Enter and Esc alone."""

import re
import time
from collections.abc import Mapping, Sequence

from tests.machine.layers import PROGRAM_FOLDER
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal

KVMWIZARD = f"{PROGRAM_FOLDER}/bin/kvmwizard"
PAGES = (
    "Welcome",
    "Hardware",
    "Kernel",
    "Kernel options",
    "QEMU",
    "QEMU options",
    "Access",
    "Review",
    "Run",
    "Proof",
)
PAGE_SECONDS = 40
RUN_SECONDS = 240
MOVE_SECONDS = 0.1
MOST_LINES = 40
PROOF_SECONDS = 300
"""A page gives each of two disks 120 s; on an idle machine they take 3 s together."""


def open_wizard(
    machine: ThrowawayMachine,
    *words: str,
    user: str = "root",
    size: tuple[int, int] = (80, 24),
    env: Mapping[str, str] | None = None,
) -> Terminal:
    """Start kvmwizard in a new terminal of the user's."""
    return Terminal.open(machine, [KVMWIZARD, *words], user=user, size=size, env=env)


def kvmwizard(
    machine: ThrowawayMachine,
    words: Sequence[str],
    *,
    user: str = "root",
    env: Mapping[str, str] | None = None,
    timeout: float = PAGE_SECONDS,
) -> tuple[int, str, str]:
    """Run a kvmwizard command without a terminal: exit code, standard output, standard error."""
    result = machine.run([KVMWIZARD, *words], user=user, env=env, timeout=timeout)
    return result.returncode, result.stdout, result.stderr


def page_shown(screen: str) -> str | None:
    """The title of the page that the screen's first line tells."""
    first = screen.split("\n", 1)[0]
    found = re.search(r"  (\S[^ ]*(?: \S+)*)   \d+ of \d+\s*$", first)
    return found[1] if found else None


def wait_for_page(terminal: Terminal, title: str, seconds: float = PAGE_SECONDS) -> str:
    """Wait until the page is shown, and return the screen."""
    return terminal.wait_until(lambda screen: page_shown(screen) == title, f"page {title}", seconds)


def walk_to(terminal: Terminal, title: str, begin: str = "Welcome") -> str:
    """Press Enter from page to page until the page is shown; each page answers with what it proposes."""
    screen = wait_for_page(terminal, begin)
    for following in PAGES[PAGES.index(begin) + 1 : PAGES.index(title) + 1]:
        terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)
        terminal.press("Enter")
        screen = wait_for_page(terminal, following)
    return screen


def wait_for_run(terminal: Terminal) -> str:
    """Wait until the Run page says that every step is done, and return the screen; a failed step ends it."""
    wait_for_page(terminal, "Run")
    over = ("Every step is done", "A step failed", "Press Enter to")
    screen = terminal.wait_until(
        lambda shown: any(text in shown for text in over), "the end of the run", RUN_SECONDS
    )
    assert over[0] in screen, screen
    return screen


def wait_for_proof(terminal: Terminal) -> str:
    """Wait until the Proof page gives its verdict, which must be good, and return the screen."""
    wait_for_page(terminal, "Proof")
    screen = terminal.wait_until(lambda shown: "Finish" in shown, "the end of the proof", PROOF_SECONDS)
    assert "KVM works:" in screen, screen
    return screen


def is_settled(screen: str) -> bool:
    """Whether the page waits for the person and not for the machine: before that, it has no lines."""
    return "Reading this machine" not in screen and selected_line(screen) != ""


def selected_line(screen: str) -> str:
    """The line that the cursor is on; in the list of pages one space stands behind the same sign."""
    found = re.search(r"▸(?: {2,})?\S.*", screen)
    return found[0] if found else ""


def select(terminal: Terminal, text: str) -> None:
    """Move the cursor down, then up, to a line with the text."""
    for key in ("Down", "Up"):
        for _ in range(MOST_LINES):
            if text in selected_line(terminal.screen):
                return
            terminal.press(key)
            time.sleep(MOVE_SECONDS)
    raise AssertionError(f"no line with {text!r} on:\n{terminal.screen}")
