"""What the pages share: the session, the machine as read, and what was offered."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvmwizard.answers import (
    AccessAnswer,
    AnswerModel,
    Answers,
    KernelAnswer,
    KernelOptionsAnswer,
    QemuAnswer,
    QemuOptionsAnswer,
    WelcomeAnswer,
    completed_answers,
)
from kvmwizard.session import LoadedSession, PageName, Session, SessionStore
from kvmwizard.words import Words

if TYPE_CHECKING:  # the engine's parts are read in after the first frame
    from kvmwizard.checks.results import CheckResult
    from kvmwizard.host.facts import Facts
    from kvmwizard.host.host import Host
    from kvmwizard.packages.offers import KernelOffer, PackageOffer
    from kvmwizard.plan.model import Plan

ANSWER_FIELDS: dict[type[AnswerModel], str] = {
    WelcomeAnswer: "welcome",
    KernelAnswer: "kernel",
    KernelOptionsAnswer: "kernel_options",
    QemuAnswer: "qemu",
    QemuOptionsAnswer: "qemu_options",
    AccessAnswer: "access",
}
"""Which field of `Answers` each page's answer is."""


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
    """One wizard's knowledge; pages read it, and only the application changes it."""

    def __init__(self, store: SessionStore, loaded: LoadedSession, host: "Host | None" = None) -> None:
        self.store = store
        self.session: Session = loaded.session
        self.notice: Words | None = loaded.notice
        self.resumed = loaded.session != Session()
        self.host = host
        self.machine: Machine | None = None
        self.offers: Offers | None = None
        self.watching_only = False
        """Another wizard holds the session: look on, change nothing."""

    @property
    def state_directory(self) -> Path:
        """Where sessions, runs and problem reports lie."""
        return self.store.state_directory

    @property
    def answers(self) -> Answers:
        """What was answered, and the proposal where nothing was."""
        answered = self.session.answers
        return answered if self.machine is None else completed_answers(answered, self.machine.facts)

    @property
    def host_name(self) -> str:
        """The machine's name; empty until it was read."""
        return self.machine.facts.host_name if self.machine else ""

    def with_answer(self, answer: AnswerModel) -> Session:
        """The session with one page's answer changed."""
        answers = self.session.answers.model_copy(update={ANSWER_FIELDS[type(answer)]: answer})
        return self.session.model_copy(update={"answers": answers})

    def with_page(self, page: PageName) -> Session:
        """The session at another page."""
        return self.session.model_copy(update={"page": page})
