"""kill -9 of the wizard at any moment, on every page: what the screen has acknowledged is there again."""

import contextlib
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.answers import (
    AccessAnswer,
    Answers,
    DistributionQemu,
    KernelAnswer,
    KernelBuildAnswer,
    KernelOptionsAnswer,
    QemuAnswer,
    QemuBuildAnswer,
    QemuOptionsAnswer,
    ReleaseKernel,
    ReleaseQemu,
    SourcesAnswer,
    WelcomeAnswer,
)
from kvmwizard.run.launch import start_runner
from kvmwizard.run.model import RunStatus
from kvmwizard.run.store import RunStore
from kvmwizard.session import PageName, Session, SessionStore
from screens.wizard import PAGES, page_named
from tests.conftest import Counts, Tries
from tests.end_to_end.wizard import page_shown
from tests.run.plans import files, plan_of, removing_step, starts
from tests.torture.terminal import (
    LocalTerminal,
    NotShownError,
    cursor_line,
    go_to,
    is_settled,
    marks,
    open_here,
    wait_for_page_here,
)

RESUME_SECONDS = 2.0
"""From the start to the page, not counting how long others had the processors."""
OPENING_SECONDS = 1.0
ACTION_SECONDS = 0.4
EFFECT_SECONDS = 5.0
BREATH_SECONDS = 0.15
STABLE_TRIES = 40
RUN_SECONDS = 60.0
OPENINGS = 5
"""One kill in so many comes while the wizard opens, and not after a key."""
UNREACHABLE = SourcesAnswer(kernel_mirror="http://127.0.0.1:9/linux", qemu_mirror="http://127.0.0.1:9/qemu")
FROM_SOURCE = Answers(
    welcome=WelcomeAnswer(route="source"),
    sources=UNREACHABLE,
    kernel=KernelAnswer(kernel=ReleaseKernel(version="6.12.104")),
    kernel_build=KernelBuildAnswer(),
    kernel_options=KernelOptionsAnswer(),
    qemu=QemuAnswer(qemu=ReleaseQemu(version="10.1.0")),
    qemu_build=QemuBuildAnswer(),
    access=AccessAnswer(user="root"),
)
PACKAGES = Answers(
    welcome=WelcomeAnswer(),
    sources=UNREACHABLE,
    qemu=QemuAnswer(qemu=DistributionQemu()),
    qemu_options=QemuOptionsAnswer(),
    access=AccessAnswer(user="root"),
)
TYPED = {"kernel_build": ("Local version", "-k{number}"), "qemu_build": ("Jobs", "{number}")}
"""A line to type on these pages, and what is typed."""


ANSWERED_AT_ONCE = {
    "welcome": ("Packages", "From source"),
    "kernel": ("Keep the running kernel",),
    "qemu": ("The distribution's package",),
}
"""The choices of these pages that ask nothing more, as for a version; those of other pages never do."""


Effect = Callable[[str], bool]
"""Whether the screen shows what a key did."""


def shows_nothing(_: str) -> bool:
    """The effect of no key."""
    return False


@dataclass
class Keys:
    """What became of the keys, over all moments: where none is pressed, no kill comes after one."""

    pressed: int = 0
    shown: int = 0
    """Those that the screen answered before the wizard was killed."""
    before_kills: int = 0
    """Those that were a moment's last."""


@dataclass(frozen=True)
class Place:
    """Where a wizard is when it is killed: what was saved and shown before the last key."""

    saved: Session
    screen: str


def prepare(folder: Path, page: PageName) -> SessionStore:
    """A saved session on the page; its run, where the page is about one, removes files of this folder."""
    folder.mkdir()
    store = SessionStore(folder / "state")
    session = Session(page=page, answers=PACKAGES if page == "qemu_options" else FROM_SOURCE)
    if page in ("run", "proof"):
        runs = RunStore(store.state_directory)
        steps = [removing_step(path, script="sleep 0.2") for path in files(folder, "a", "b", "c")]
        run_id = runs.create(plan_of(*steps))
        session = session.model_copy(update={"run_id": run_id})
        if page == "proof":
            start_runner(runs, run_id)
            wait_for_run(runs, run_id)
    store.save(session)
    return store


def wait_for_run(runs: RunStore, run_id: str) -> RunStatus:
    deadline = time.monotonic() + RUN_SECONDS
    while (status := runs.read(run_id).status) is RunStatus.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
    return status


def title_of(page: PageName) -> str:
    return page_named(page).title.english


def press_something(terminal: LocalTerminal, page: PageName, chance: random.Random) -> Effect:
    """Press one key that matters on the page, never the one that agrees to a plan; how its effect looks."""
    turns = {"welcome": ["Enter"], "review": ["Escape"], "run": ["Down"], "proof": ["Escape"]}
    markable = [
        title
        for title, mark in marks(terminal.screen).items()
        if title in ANSWERED_AT_ONCE.get(page, (title,)) and mark != "(●)"
    ]
    if page in TYPED and chance.random() < 0.5:
        return type_something(terminal, page, chance)
    if markable and chance.random() < 0.7:
        title = chance.choice(markable)
        go_to(terminal, title)
        mark = marks(terminal.screen)[title]
        terminal.press("Space")
        return lambda screen: marks(screen).get(title, mark) != mark
    key = chance.choice(turns.get(page, ["Enter", "Escape"]))
    terminal.press(key)
    return lambda screen: key == "Down" or page_shown(screen) not in {None, title_of(page)}


def type_something(terminal: LocalTerminal, page: PageName, chance: random.Random) -> Effect:
    line, text = TYPED[page]
    typed = text.format(number=chance.randrange(1, 1000))
    go_to(terminal, line)
    terminal.press("Space")
    terminal.wait_for("Enter Take this Esc Back")
    terminal.press("Emptied")
    # What is typed in the same breath comes before it: a letter is the line's, Ctrl+U goes by the screen.
    terminal.pass_by(BREATH_SECONDS)
    terminal.press(typed, "Enter")
    return lambda screen: typed in cursor_line(screen)


def killed_somewhere(
    store: SessionStore, chance: random.Random, keys: Keys, *, opening: bool
) -> tuple[Place, str]:
    """Open the wizard, press some keys, kill it; where it was before the last of them, and what it showed."""
    with open_here(store.state_directory) as terminal:
        if opening:
            place = Place(store.load().session, "")
            terminal.pass_by(chance.uniform(0, OPENING_SECONDS))
        else:
            for _ in range(chance.randrange(3)):
                # A page that refuses to be left shows no effect.
                with contextlib.suppress(NotShownError):
                    effect = press_something(terminal, settled_page(terminal, store), chance)
                    keys.pressed += 1
                    terminal.wait_until(effect, "what the key did", EFFECT_SECONDS)
                    keys.shown += 1
            page = settled_page(terminal, store)
            place = Place(store.load().session, terminal.screen)
            last: Effect = shows_nothing
            with contextlib.suppress(NotShownError):
                last = press_something(terminal, page, chance)
                keys.pressed += 1
                keys.before_kills += 1
            terminal.pass_by(chance.uniform(0, ACTION_SECONDS))
            keys.shown += last(terminal.screen)
        assert terminal.ended is None, terminal.screen
        terminal.kill()
        return place, terminal.screen


def settled_page(terminal: LocalTerminal, store: SessionStore) -> PageName:
    """The page that is shown and saved, once both are the same, with no dialog and the machine read."""

    def agrees(screen: str) -> bool:
        at_page = page_shown(screen) == title_of(store.load().session.page)
        return at_page and is_settled(screen) and "┌──" not in screen

    for _ in range(STABLE_TRIES):
        terminal.wait_until(agrees, "the page that is saved")
        saved, screen = store.load().session, terminal.screen
        terminal.pass_by(BREATH_SECONDS)
        if (saved, screen) == (store.load().session, terminal.screen):
            return saved.page
    raise NotShownError(f"always another page:\n{terminal.screen}")


def resumed(store: SessionStore) -> tuple[str, float, float]:
    """Open the wizard again: what it shows, the seconds it took, and of these those with a processor."""
    with open_here(store.state_directory) as terminal:
        title = title_of(store.load().session.page)
        wait_for_page_here(terminal, title, settled=False)
        wall = time.monotonic() - terminal.started
        own = wall - terminal.seconds_without_processor()
        screen = wait_for_page_here(terminal, title)
        terminal.pass_by(0.1)
        return terminal.screen or screen, wall, own


def acknowledged_answers_lost(place: Place, last: str, saved: Session, shown_again: str) -> list[str]:
    """What the screen had acknowledged and the session does not have, in words."""
    lost = []
    touched = set(Answers.model_fields) if place.saved.page == "welcome" else {place.saved.page}
    lost += [
        f"{field} is {getattr(saved.answers, field)}"
        for field in set(Answers.model_fields) - touched
        if getattr(saved.answers, field) != getattr(place.saved.answers, field)
    ]
    page = page_shown(last)
    if page not in {None, title_of(saved.page), page_shown(place.screen)}:
        lost.append(f"{page} was shown and {saved.page} is saved")
    if page is not None and page == page_shown(shown_again):
        before, after = marks(place.screen), marks(shown_again)
        for title, mark in marks(last).items():
            if after.get(title, mark) != mark and before.get(title) != mark:
                lost.append(f"{title} was shown as {mark} and is {after[title]}")
    if saved == place.saved and page == page_shown(shown_again) == page_shown(place.screen):
        before, after = marks(place.screen), marks(shown_again)
        lost += [title for title in before.keys() & after.keys() if before[title] != after[title]]
    return lost


def test_the_wizard_killed_at_any_moment_on_every_page(
    tmp_path: Path, tries: Tries, counts: Counts, seed: int
) -> None:
    moments = tries(short=2, full=400)
    pages: set[PageName] = set()
    lost: list[str] = []
    walls, owns, keys = [], [], Keys()
    order = [page.name for page in PAGES]
    random.Random(seed).shuffle(order)  # noqa: S311  -- the same in every run
    for number in range(moments):
        chance = random.Random(f"{seed} {number}")  # noqa: S311  -- the same in every run
        page = order[number % len(order)]
        folder = tmp_path / str(number)
        store = prepare(folder, page)
        place, last = killed_somewhere(store, chance, keys, opening=number % OPENINGS == OPENINGS - 1)
        saved = store.load()
        assert saved.notice is None, (number, page, saved.notice)
        shown_again, wall, own = resumed(store)
        pages.add(place.saved.page)
        walls.append(wall)
        owns.append(own)
        losses = acknowledged_answers_lost(place, last, saved.session, shown_again)
        lost += [f"try {number}, on {place.saved.page}: {each}" for each in losses]
        if page == "run" and saved.session.run_id is not None:
            runs = RunStore(store.state_directory)
            # Where the wizard died before it had begun the run, the next one does.
            start_runner(runs, saved.session.run_id)
            assert wait_for_run(runs, saved.session.run_id) is RunStatus.DONE
            assert [starts(folder / name) for name in "abc"] == [1, 1, 1], "no step was done twice"
        shutil.rmtree(folder)
    counts(
        "kill -9 of the wizard",
        moments=moments,
        pages=len(pages),
        keys_pressed=keys.pressed,
        keys_before_kills=keys.before_kills,
        keys_that_the_screen_answered=keys.shown,
        lost=len(lost),
        slowest_resume_in_seconds=round(max(owns), 2),
        with_the_wait_for_a_processor=round(max(walls), 2),
    )
    assert lost == []
    # All but the kills of a wizard that opens come after a key; a page may refuse one, or be killed first.
    assert keys.before_kills >= moments / 2, keys
    assert keys.shown >= moments / 2, keys
    assert max(owns) <= RESUME_SECONDS
    assert moments < len(PAGES) * OPENINGS or pages == set(order)
