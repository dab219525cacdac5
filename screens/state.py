"""What the pages share: the session, the machine as read, and what was offered."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvmwizard.paths import directory_option
from kvmwizard.words import Words
from screens.wizard import PageEntry, pages_for

if TYPE_CHECKING:  # pydantic and the engine's parts are read in after the first frame
    from kvmwizard.answers import AnswerModel, Answers
    from kvmwizard.catalog.sources import Project
    from kvmwizard.checks.results import CheckResult
    from kvmwizard.host.facts import Facts
    from kvmwizard.host.host import Host
    from kvmwizard.packages.offers import KernelOffer, PackageOffer
    from kvmwizard.plan.model import Plan
    from kvmwizard.session import PageName, Session, SessionStore, Way
    from screens.advice import Advice
    from screens.listing import Form, Listing

ANSWER_FIELDS = {
    "WelcomeAnswer": "welcome",
    "SourcesAnswer": "sources",
    "KernelAnswer": "kernel",
    "KernelBuildAnswer": "kernel_build",
    "KernelOptionsAnswer": "kernel_options",
    "QemuAnswer": "qemu",
    "QemuBuildAnswer": "qemu_build",
    "QemuOptionsAnswer": "qemu_options",
    "AccessAnswer": "access",
}
"""Which field of `Answers` each page's answer is, by its class's name."""


@dataclass(frozen=True)
class Machine:
    """The machine, read and judged."""

    facts: "Facts"
    results: "tuple[CheckResult, ...]"


@dataclass(frozen=True)
class Offers:
    """What the package manager offers; None where it offers nothing."""

    kernel: "KernelOffer | None"
    qemu: "PackageOffer | None"


@dataclass(frozen=True)
class Review:
    """The plan for the answers, and the evidence for its steps that already hold."""

    plan: "Plan"
    evidence: dict[str, Words]


class WizardState:
    """One wizard's knowledge, which pages read.

    Only the application changes the session, the machine and its offers. Pages and their screens write
    what they learn beside: `listings`, `advice`, and what is left on the terminal at the end.
    """

    def __init__(self, state_directory: Path, host: "Host | None" = None) -> None:
        self.state_directory = state_directory
        """Where sessions, runs and problem reports lie."""
        self.host = host
        self.notice: Words | None = None
        self.parting: Words | None = None
        """What is left on the terminal after the wizard, where the page knows better than the wizard."""
        self.guest_command = ""
        """The command line that starts a guest, once the proof is good; left on the terminal, too."""
        self.machine: Machine | None = None
        self.offers: Offers | None = None
        self.listings: dict[tuple[Project, Form], Listing] = {}
        """The lists of versions that servers gave: a chooser that is opened again shows them at once."""
        self.advice: Advice | None = None
        """What this machine's tools can build, as far as it was asked; see `screens.advice`."""
        self.opened = False
        """The session was loaded; before, only what needs no session can be shown."""
        self.watching_only = False
        """Another wizard holds the session: look on, change nothing."""
        self.moved = False
        """It keeps everything where other commands do not look by themselves."""
        self.store: SessionStore
        self.session: Session
        self.saved: Session
        """What the next wizard would open with."""
        self.save_refusal: Words | None = None
        """Why the last save failed; None where it did not."""

    @property
    def is_new(self) -> bool:
        """No wizard was ever opened on this directory, so that it begins at Welcome."""
        # Not Path.exists, which raises PermissionError for a directory that must not be searched.
        files = (self.state_directory / name for name in ("session.json", "session.lock"))
        return not any(os.path.lexists(file) for file in files)

    def open(self) -> None:
        """Take the session, or see that another wizard has it, and load it. Raises SessionRefused."""
        from kvmwizard.session import SessionStore  # noqa: PLC0415  -- pydantic would hold the first frame up

        self.store = SessionStore(self.state_directory)
        self.watching_only = not self.store.lock()
        loaded = self.store.load()
        self.session, self.notice = loaded.session, loaded.notice
        self.saved = self.session
        self.opened = True

    def move_to(self, place: Path) -> None:
        """Keep everything in another directory from now on, with the answers that can still be read.

        A run stays where it is: nothing can be journaled there. Raises SessionRefused.
        """
        from kvmwizard.session import Session, SessionRefused, SessionStore  # noqa: PLC0415  -- as in `open`

        try:
            left = SessionStore(self.state_directory).load().session
        except SessionRefused:
            left = Session()
        self.state_directory, self.moved = place, True
        self.open()
        if not self.watching_only and self.session == Session() != left:
            page = "review" if left.page in ("run", "proof") else left.page
            self.session = left.model_copy(update={"page": page, "run_id": None})
            self.store.save(self.session)
            self.saved = self.session

    @property
    def directory_option(self) -> str:
        """What a command needs to mean this session, a space before it; empty for the user's own place."""
        return directory_option(self.state_directory)

    @property
    def answers(self) -> "Answers":
        """What was answered, and the proposal where nothing was."""
        from kvmwizard.answers import completed_answers  # noqa: PLC0415  -- as in `open`

        answered = self.session.answers
        return answered if self.machine is None else completed_answers(answered, self.machine.facts)

    @property
    def way(self) -> tuple[PageEntry, ...]:
        """The pages of the way that the answers take."""
        return pages_for(self.answers if self.opened else None)

    @property
    def host_name(self) -> str:
        """The machine's name; empty until it was read."""
        return self.machine.facts.host_name if self.machine else ""

    def with_answer(self, answer: "AnswerModel") -> "Session":
        """The session with one page's answer changed."""
        answers = self.session.answers.model_copy(update={ANSWER_FIELDS[type(answer).__name__]: answer})
        return self.session.model_copy(update={"answers": answers})

    def with_way(self, way: "Way") -> "Session":
        """The session on another way in; the book's answers are those for this machine."""
        from screens.ways import on_way  # noqa: PLC0415  -- as in `open`

        book = None
        if way == "book" and self.machine is not None:
            from kvmwizard.catalog.book import book_answers  # noqa: PLC0415  -- only for the book's way

            book = book_answers(self.machine.facts)
        return on_way(self.session, way, book)

    def was_saved(self, session: "Session") -> None:
        """This is on disk; that something was not need not be told any longer."""
        if self.notice is self.save_refusal:
            self.notice = None
        self.saved, self.save_refusal = session, None

    def was_not_saved(self, why: Words) -> None:
        """The session is only in memory."""
        self.notice = self.save_refusal = why

    def with_page(self, page: "PageName") -> "Session":
        """The session at another page."""
        return self.session.model_copy(update={"page": page})
