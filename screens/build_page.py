"""What the pages of both builds have in common: changes to agree to, switches, and lines to type."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from kvmwizard.answers import AnswerModel, KernelBuildAnswer, QemuBuildAnswer
from kvmwizard.catalog.adviser import Remedy, Verdict
from kvmwizard.catalog.build_folder import usual_build_folder
from kvmwizard.catalog.jobs import Jobs, jobs_for
from kvmwizard.catalog.sources import Project
from kvmwizard.host.facts import Facts
from kvmwizard.words import Words, _, say
from screens.advice import DEFAULT_COMPILER, advice_of
from screens.choice_page import ChoicePage
from screens.field_rules import Parse, changed, number_or_none, rule_of, text_or_none
from screens.text_dialog import TextDialog
from screens.verdicts import verdict_parts
from screens.widgets.entries import Entry, Part, Sign

BuildAnswer = KernelBuildAnswer | QemuBuildAnswer

REMEDY_PREFIX = "remedy."
TOOLCHAIN = "toolchain"


@dataclass(frozen=True)
class Typed:
    """A field whose value is typed."""

    title: Words
    what: Words
    """What it is for, and what is typed."""
    parse: Parse


@dataclass(frozen=True)
class Switched:
    """A field that is on or off."""

    title: Words
    what: Words


JOBS = Typed(
    say("Jobs"),
    say(
        "How many compilers run at the same time. Empty: as many as this machine's processors and memory "
        "allow."
    ),
    number_or_none,
)
FOLDER = Typed(
    say("Build folder"),
    say(
        "Where sources are kept and built, never as root and readable by no other user. Empty: the "
        "folder that is proposed."
    ),
    text_or_none,
)


class BuildPage(ChoicePage):
    """A page on how something is built."""

    PROJECT: ClassVar[Project]
    TYPED: ClassVar[Mapping[str, Typed]]
    SWITCHED: ClassVar[Mapping[str, Switched]]

    @abstractmethod
    def current(self) -> BuildAnswer | None:
        """The page's answer."""

    @abstractmethod
    def version(self) -> str:
        """What is built."""

    @abstractmethod
    def shown(self, field: str, facts: Facts) -> str:
        """The value of a typed field as it is, or what stands for none."""

    def compiler(self) -> str:
        """What compiles."""
        return DEFAULT_COMPILER

    def verdict(self) -> Verdict | None:
        """What this machine's tools make of the version."""
        advice = advice_of(self.state)
        return advice.verdict(self.PROJECT, self.version(), self.compiler()) if advice is not None else None

    def verdict_entries(self) -> tuple[Entry, ...]:
        """First what stands in the way: another toolchain that is needed, or changes to agree to."""
        verdict, answer = self.verdict(), self.current()
        if verdict is None or answer is None:
            return ()
        if verdict.outcome == "other-toolchain":
            parts = verdict_parts(verdict)
            return (Entry(TOOLCHAIN, Sign.FAILED, str(verdict.words), explanation=parts, whole=True),)
        return tuple(remedy_entry(remedy, agreed=remedy.id in answer.agreed) for remedy in verdict.remedies)

    def first_selected(self) -> str | None:
        """The first change that is not agreed to."""
        return next((entry.id for entry in self.verdict_entries() if entry.sign is not Sign.TICKED), None)

    def typed_entry(self, field: str, facts: Facts) -> Entry:
        """A field to type."""
        typed = self.TYPED[field]
        parts = [Part(_("What"), str(typed.what))]
        if field == "jobs":
            parts += self._jobs_parts(facts)
        return Entry(field, Sign.NONE, str(typed.title), self.shown(field, facts), explanation=tuple(parts))

    def switched_entry(self, field: str) -> Entry:
        """A field to switch."""
        switched = self.SWITCHED[field]
        on = bool(getattr(self.current(), field))
        return Entry(
            field,
            Sign.TICKED if on else Sign.UNTICKED,
            str(switched.title),
            explanation=(Part(_("What"), str(switched.what)),),
        )

    def shown_common(self, field: str, facts: Facts) -> str:
        """Jobs and folder, as both pages show them."""
        answer = self.current()
        if field == "folder":
            return (answer.folder if answer is not None else None) or usual_build_folder(facts)
        jobs = self._jobs(facts)
        if answer is None or answer.jobs is None:
            return _("{count}, as this machine allows", count=jobs.count)
        return str(jobs.count)

    def _jobs(self, facts: Facts) -> Jobs:
        """As the plan will have it: with debugging symbols each compiler takes more memory."""
        answer = self.current()
        wanted = answer.jobs if answer is not None else None
        debug_info = isinstance(answer, KernelBuildAnswer) and answer.debug_info
        return jobs_for(facts, self.PROJECT, wanted, debug_info=debug_info)

    def _jobs_parts(self, facts: Facts) -> list[Part]:
        jobs = self._jobs(facts)
        return [Part(_("Note"), str(jobs.words))] if jobs.words is not None else []

    def press_label(self) -> str:
        """Space agrees, switches, steps or opens a line to type in."""
        selected = self.selected
        if selected is None:
            return super().press_label()
        if selected.id.startswith(REMEDY_PREFIX):
            return _("Agree") if selected.sign is Sign.UNTICKED else _("Take back")
        return _("Change") if selected.sign is Sign.NONE else super().press_label()

    def press(self, entry: Entry) -> None:
        """Type a value; or what the page does with a choice."""
        if entry.id in self.TYPED:
            self.ask(entry.id)
        else:
            super().press(entry)

    def ask(self, field: str) -> None:
        """Ask for a field's value."""
        answer, machine = self.current(), self.state.machine
        if answer is None or machine is None:
            return
        typed = self.TYPED[field]
        value = getattr(answer, field)
        text = " ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        dialog = TextDialog(str(typed.what), text, rule=rule_of(answer, field, typed.title, typed.parse))
        self.app.push_screen(dialog, partial(self._was_typed, field))

    def _was_typed(self, field: str, text: str | None) -> None:
        answer = self.current()
        if text is None or answer is None:
            return
        new = self.with_text(answer, field, text)
        if new is not None:
            self.show_notice("")
            self.post_message(self.Edited(new))

    def with_text(self, answer: BuildAnswer, field: str, text: str) -> BuildAnswer | None:
        """The answer with a typed field."""
        return changed(answer, field, self.TYPED[field].parse(text))

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """The answer with a change agreed to, or a field switched."""
        answer = self.current()
        if answer is None or entry.sign not in (Sign.TICKED, Sign.UNTICKED):
            return None
        if entry.id.startswith(REMEDY_PREFIX):
            remedy = entry.id.removeprefix(REMEDY_PREFIX)
            agreed = {*answer.agreed} ^ {remedy}
            # Only what is asked about now: an agreement for another version is none for this one.
            verdict = self.verdict()
            asked = verdict.remedies if verdict is not None else ()
            return answer.model_copy(update={"agreed": tuple(each.id for each in asked if each.id in agreed)})
        if entry.id in self.SWITCHED:
            return answer.model_copy(update={entry.id: not getattr(answer, entry.id)})
        return None


def remedy_entry(remedy: Remedy, *, agreed: bool) -> Entry:
    """A change that the version needs here, to agree to."""
    needed = Part(_("Needed"), _("Without it the plan cannot go on. Press Space to agree."))
    parts = (
        *(() if agreed else (needed,)),
        Part(_("What"), str(remedy.title)),
        Part(_("Why"), str(remedy.why)),
        Part(_("Source"), remedy.source),
    )
    return Entry(
        id=f"{REMEDY_PREFIX}{remedy.id}",
        sign=Sign.TICKED if agreed else Sign.UNTICKED,
        title=str(remedy.title),
        explanation=parts,
        whole=True,
    )
