"""Every size, every encoding, and no terminal at all: readable or plain, and never a traceback."""

import os
import random
import shutil
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kvmwizard.answers import Answers, KernelAnswer, QemuAnswer, ReleaseKernel, ReleaseQemu, WelcomeAnswer
from kvmwizard.session import Session, SessionStore
from tests.cli.command import ESCAPE, environment
from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import page_shown
from tests.torture.terminal import (
    CHECKOUT,
    KVMWIZARD,
    go_to,
    open_here,
    run_here,
    seconds_of_pressure,
    wait_for_page_here,
)

SLOW = pytest.mark.slow
SMALLEST, LARGEST = (1, 1), (300, 100)
MORE_BYTES = 10 * 1024 * 1024
DRAW_SECONDS = 1.0
PLAIN_SECONDS = 1.0
PLAIN_TRIES = 5
"""A machine at work on other things only ever takes longer: the quickest try counts."""
END_SECONDS = 60.0
LATIN_1 = "en_US.ISO-8859-1"
PAGES_READ = ("Welcome", "Hardware", "Kernel", "Kernel options", "QEMU", "QEMU options", "Access", "Review")
FROM_SOURCE = Answers(
    welcome=WelcomeAnswer(route="source"),
    kernel=KernelAnswer(kernel=ReleaseKernel(version="6.12.104")),
    qemu=QemuAnswer(qemu=ReleaseQemu(version="10.1.0")),
)


def some_size(chance: random.Random) -> tuple[int, int]:
    """Small sizes as often as large ones, and the ends among them."""
    if chance.random() < 0.1:
        return chance.choice((SMALLEST, LARGEST, (1, LARGEST[1]), (LARGEST[0], 1)))
    spread = chance.choice((20, 100, LARGEST[0]))
    return chance.randint(1, spread), chance.randint(1, min(spread, LARGEST[1]))


def test_resized_again_and_again(tmp_path: Path, tries: Tries, counts: Counts, seed: int) -> None:
    resizes, chance = tries(short=8, full=300), random.Random(seed)  # noqa: S311  -- the same in every run
    store = SessionStore(tmp_path / "state")
    store.save(Session(page="kernel_build", answers=FROM_SOURCE))
    with open_here(store.state_directory) as terminal:
        wait_for_page_here(terminal, "Kernel build")
        # What the largest screen takes by itself is no leak.
        terminal.resize(*LARGEST)
        wait_for_page_here(terminal, "Kernel build")
        before = terminal.resident_bytes()
        most = 0
        for _ in range(resizes):
            terminal.resize(*some_size(chance))
            if chance.random() < 0.3:
                terminal.press(chance.choice(("Up", "Down")))
            terminal.wait_for_output(DRAW_SECONDS)
            assert terminal.ended is None, terminal.screen
            most = max(most, terminal.resident_bytes() - before)
        terminal.resize(80, 24)
        wait_for_page_here(terminal, "Kernel build")
        terminal.wait_for("How shall Linux 6.12.104 be built?", "Enter Next")
        counts("Resizes from 1x1 to 300x100", resizes=resizes, megabytes_more=round(most / 2**20, 1))
        assert most <= MORE_BYTES
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_a_terminal_that_is_gone_is_no_fault_of_the_wizard_s(tmp_path: Path) -> None:
    """Reading may tell it before SIGHUP does, which a terminal that controls nothing never sends."""
    state = tmp_path / "state"
    near, far = os.openpty()
    termios.tcsetwinsize(far, (24, 80))
    settings = environment(tmp_path, PYTHONPATH=str(CHECKOUT), TERM="xterm-256color")
    command = [*KVMWIZARD, "--state-dir", str(state)]
    with subprocess.Popen(
        command, stdin=far, stdout=far, stderr=far, env=settings, start_new_session=True
    ) as process:
        try:
            os.close(far)
            shown = b""
            while b"Welcome" not in shown:
                shown += os.read(near, 65536)
            os.close(near)
            # Whatever its exit code: nobody is there to see it.
            process.wait(END_SECONDS)
        finally:
            process.kill()
    assert list(state.glob("fault-*")) == []


# Without a terminal


def printed(home: Path, redirections: str, words: Sequence[str], variables: Mapping[str, str]) -> bytes:
    """All that it prints into a pipe; its first word, or its end, has to come in time."""
    argv = ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *KVMWIZARD, *words]
    settings = environment(home, PYTHONPATH=str(CHECKOUT), **variables)
    quickest = END_SECONDS
    for _ in range(PLAIN_TRIES):
        began, pressure = time.monotonic(), seconds_of_pressure()
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=settings,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            said = process.stdout.read(1)
            quickest = min(quickest, time.monotonic() - began - (seconds_of_pressure() - pressure))
            said += process.stdout.read()
            assert process.wait(END_SECONDS) in {0, 1, 2}
        if quickest <= PLAIN_SECONDS:
            break
    assert quickest <= PLAIN_SECONDS
    return said


@pytest.mark.parametrize(
    "redirections", ["<&-", *(pytest.param(each, marks=SLOW) for each in ("", "2>&-", "< /dev/zero"))]
)
def test_a_pipe_gets_plain_text_at_once(tmp_path: Path, redirections: str, counts: Counts) -> None:
    said = printed(tmp_path, redirections, (), {})
    assert ESCAPE.encode() not in said
    assert b"Traceback" not in said
    assert b"/dev/kvm" in said
    counts(f"A pipe {redirections}".strip(), seconds=f"at most {PLAIN_SECONDS}", escape_bytes=said.count(27))


@pytest.mark.slow
def test_nowhere_to_write_is_an_end_at_once(tmp_path: Path) -> None:
    assert printed(tmp_path, ">&- 2>&-", (), {}) == b""


@pytest.mark.parametrize(
    ("words", "variables", "redirections"),
    [
        pytest.param((), {"TERM": "dumb"}, "", id="dumb"),
        pytest.param((), {"TERM": ""}, "", id="no TERM", marks=SLOW),
        pytest.param((), {}, "< /dev/null", id="no keyboard", marks=SLOW),
        pytest.param((), {}, "| cat", id="output to a pipe", marks=SLOW),
        pytest.param(("check",), {"TERM": "dumb"}, "", id="check", marks=SLOW),
        pytest.param(("plan",), {"TERM": "dumb"}, "", id="plan", marks=SLOW),
        pytest.param(("--help",), {"TERM": "dumb"}, "", id="help", marks=SLOW),
    ],
)
def test_a_terminal_that_can_show_no_wizard_gets_plain_text_at_once(
    tmp_path: Path, words: Sequence[str], variables: Mapping[str, str], redirections: str
) -> None:
    argv = ["/bin/sh", "-c", f'"$@" {redirections}', "sh", *KVMWIZARD, *words]
    quickest = END_SECONDS
    for _ in range(PLAIN_TRIES):
        pressure = seconds_of_pressure()
        with run_here(argv, tmp_path, variables=variables) as terminal:
            terminal.wait_until(lambda screen: screen.strip() != "", "anything")
            taken = time.monotonic() - terminal.started - (seconds_of_pressure() - pressure)
            quickest = min(quickest, taken)
            assert terminal.wait_for_end() in {0, 1}
            assert ESCAPE.encode() not in terminal.raw
            assert b"Traceback" not in terminal.raw
        if quickest <= PLAIN_SECONDS:
            break
    assert quickest <= PLAIN_SECONDS
    assert not (tmp_path / "state").exists(), "looking writes nothing"


# Other encodings than UTF-8


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of somebody whose terminal shows ISO 8859-1."""
    localedef = shutil.which("localedef")
    if localedef is None or not Path("/usr/share/i18n/charmaps").is_dir():
        pytest.skip("no locale in ISO 8859-1 can be made here: Debian's package locales has what it takes")
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run([localedef, "-i", "en_US", "-f", "ISO-8859-1", str(folder / LATIN_1)], check=True)
    return {"LOCPATH": str(folder), "LC_ALL": LATIN_1}


def read_through(home: Path, pages: Sequence[str], variables: Mapping[str, str]) -> bytes:
    """Walk through the pages; all that came."""
    with open_here(home / "state", encoding="latin-1", variables=variables) as terminal:
        for page in pages:
            wait_for_page_here(terminal, page)
            # Rules that are drawn in ASCII, and the keys.
            terminal.wait_for("-" * 80, "Enter ")
            terminal.press("?")
            terminal.wait_until(lambda screen: page_shown(screen) is None, "the keys, explained")
            terminal.press("Escape")
            wait_for_page_here(terminal, page)
            if page != pages[-1]:
                terminal.press("Enter")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert b"Traceback" not in terminal.raw
        return bytes(terminal.raw)


def count_unreadable(locale: str, pages: Sequence[str], shown: bytes, counts: Counts) -> None:
    """All but ASCII, which alone has the same meaning in every one of these encodings."""
    unreadable = bytes(byte for byte in shown if byte >= 0x80)
    counts(locale, pages=len(pages), bytes_shown=len(shown), unreadable=len(unreadable))
    assert unreadable == b""


@pytest.mark.parametrize("name", ["C", pytest.param("POSIX", marks=SLOW)])
def test_an_ascii_locale_can_read_every_page(tmp_path: Path, tries: Tries, counts: Counts, name: str) -> None:
    pages = PAGES_READ[: tries(short=1, full=len(PAGES_READ))]
    shown = read_through(tmp_path, pages, {"LC_ALL": name})
    count_unreadable(f"LC_ALL={name}", pages, shown, counts)


@pytest.mark.slow
def test_a_latin_1_terminal_can_read_every_page(
    tmp_path: Path, tries: Tries, counts: Counts, latin_1: Mapping[str, str]
) -> None:
    pages = PAGES_READ[: tries(short=1, full=len(PAGES_READ))]
    shown = read_through(tmp_path, pages, latin_1)
    count_unreadable(f"LC_ALL={LATIN_1}", pages, shown, counts)


def line_typed(home: Path, typed: bytes, encoding: str, variables: Mapping[str, str]) -> str:
    """What the dialog for a line shows when these bytes were typed into it."""
    store = SessionStore(home / "state")
    store.save(Session(page="kernel_build", answers=FROM_SOURCE))
    with open_here(store.state_directory, encoding=encoding, variables=variables) as terminal:
        wait_for_page_here(terminal, "Kernel build")
        go_to(terminal, "Local version")
        terminal.press("Space")
        terminal.wait_for("Take this")
        terminal.press("Emptied")
        terminal.wait_until(lambda screen: "-kvmwizard" not in screen, "an empty line")
        terminal.write(typed + b"z")
        terminal.wait_until(lambda screen: "z " in screen, "the last letter typed")
        terminal.press("Enter")
        terminal.wait_for("Local version is")
        assert terminal.ended is None
        return terminal.screen


@pytest.mark.slow
def test_letters_typed_on_a_latin_1_terminal_are_those_letters(
    tmp_path: Path, latin_1: Mapping[str, str]
) -> None:
    assert "\N{LATIN SMALL LETTER E WITH ACUTE}z" in line_typed(tmp_path, b"\xe9", "latin-1", latin_1)


@pytest.mark.slow
@pytest.mark.parametrize("typed", [b"\xe9", b"\xff\xfe", b"\xc3\x28", b"\xf0\x9f"], ids=repr)
def test_bytes_that_are_no_letters_end_nothing(tmp_path: Path, typed: bytes) -> None:
    assert "Traceback" not in line_typed(tmp_path, typed, "utf-8", {})
