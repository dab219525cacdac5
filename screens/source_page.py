"""What the Kernel and the QEMU page have in common: versions to build, chosen on screens of their own."""

from abc import abstractmethod
from dataclasses import replace
from functools import partial
from typing import ClassVar

from kvmwizard.answers import AnswerModel, Answers
from kvmwizard.catalog.catalogue import VersionEntry
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.catalog.feasibility import known_source
from kvmwizard.catalog.sources import Project, tarball_name
from kvmwizard.catalog.version import parse_version
from kvmwizard.words import Words, _, say
from screens.advice import advice_of
from screens.choice_page import ChoicePage
from screens.field_rules import wrong_value
from screens.text_dialog import TextDialog
from screens.unverified import Unproven, naming_dialog, with_agreement
from screens.verdicts import verdict_parts
from screens.version_chooser import VersionChooser
from screens.widgets.entries import Entry, Part, Sign
from screens.wizard import BUILT_SOURCES

SOURCE_WORDS: dict[tuple[Project, str], tuple[Words, Words]] = {
    ("linux", "release"): (
        say("A release from kernel.org …"),
        say("A version of your choice, downloaded as a tarball, verified, and built here, never as root."),
    ),
    ("linux", "git"): (
        say("A git tag …"),
        say(
            "One tag of the stable repository, fetched without its history and built here, never as root. "
            "Later tags then take less to fetch."
        ),
    ),
    ("linux", "local-source"): (
        say("A tarball or folder of mine …"),
        say(
            "Sources that are on this machine already, built here, never as root. Nothing but you vouches "
            "for them."
        ),
    ),
    ("qemu", "release"): (
        say("A release from qemu.org …"),
        say("A version of your choice, downloaded as a tarball, verified, and built here, never as root."),
    ),
    ("qemu", "git"): (
        say("A git tag …"),
        say("One tag of QEMU's repository, fetched without its history and built here, never as root."),
    ),
    ("qemu", "local-source"): (
        say("A tarball or folder of mine …"),
        say(
            "Sources that are on this machine already, built here, never as root. Nothing but you vouches "
            "for them."
        ),
    ),
}
"""Each way to get sources: its name, and what it is."""

OTHER_PROJECT: dict[Project, Words] = {
    "linux": say("{path} holds QEMU's sources. Give the path of Linux's; QEMU has a page of its own."),
    "qemu": say("{path} holds Linux's sources. Give the path of QEMU's; the kernel has a page of its own."),
}


class SourcePage(ChoicePage):
    """A page whose choices are builds, too, unless the way in is packages."""

    PROJECT: ClassVar[Project]

    @abstractmethod
    def with_source(self, kind: str, text: str, version: str) -> AnswerModel:
        """The page's answer for a release's version, a tag, or a path with the version that it holds."""

    @abstractmethod
    def built(self) -> tuple[str, str, str] | None:
        """Of what is built: its `source`, what names it (version, tag or path), and its version."""

    def source_entries(self) -> tuple[Entry, ...]:
        """The ways to get sources; none where the distribution's packages were chosen."""
        welcome = self.state.session.answers.welcome
        if welcome is None or welcome.route == "packages":
            return ()
        built = self.built()
        return tuple(self._source_entry(kind, built) for kind in BUILT_SOURCES)

    def _source_entry(self, kind: str, built: tuple[str, str, str] | None) -> Entry:
        title, what = SOURCE_WORDS[self.PROJECT, kind]
        parts = [Part(_("What"), str(what))]
        chosen = built is not None and built[0] == kind
        if built is not None and chosen:
            advice = advice_of(self.state)
            parts += verdict_parts(advice.verdict(self.PROJECT, built[2])) if advice is not None else ()
        return Entry(
            id=kind,
            sign=Sign.CHOSEN if chosen else Sign.UNCHOSEN,
            title=str(title),
            detail=built[1] if built is not None and chosen else "",
            explanation=tuple(parts),
        )

    def first_selected(self) -> str | None:
        """On the way by source, where nothing was chosen yet, the cursor starts at the releases."""
        answers = self.state.session.answers
        answered = answers.kernel if self.PROJECT == "linux" else answers.qemu
        entries = self.source_entries()
        return entries[0].id if entries and answered is None else super().first_selected()

    def press_label(self) -> str:
        """Versions are chosen on a screen of their own."""
        if self._selects_a_source() and self._selected_sign() is Sign.CHOSEN:
            return _("Another version")
        return super().press_label()

    def next_label(self) -> str:
        """A source needs its version before one can go on."""
        if self._selects_a_source() and self._selected_sign() is Sign.UNCHOSEN:
            return _("Choose a version")
        return super().next_label()

    def _selects_a_source(self) -> bool:
        selected = self.selected
        return selected is not None and selected.id in BUILT_SOURCES

    def press(self, entry: Entry) -> None:
        """Ask which version, for a source."""
        if entry.id in BUILT_SOURCES:
            self._ask(entry.id)
        else:
            super().press(entry)

    async def action_next(self) -> None:
        """Ask which version where the cursor is on another source; else go on."""
        selected = self.selected
        if selected is not None and selected.id in BUILT_SOURCES and selected.sign is Sign.UNCHOSEN:
            self._ask(selected.id)
        else:
            await super().action_next()

    def _ask(self, kind: str) -> None:
        if self.state.machine is None:
            return
        built = self.built()
        if kind == "local-source":
            self._ask_for_a_path(built[1] if built is not None and built[0] == kind else "")
        else:
            chooser = VersionChooser(
                self.state,
                self.PROJECT,
                "git" if kind == "git" else "release",
                built[2] if built is not None else None,
            )
            self.app.push_screen(chooser, lambda entry: self._was_chosen(kind, entry))

    def _was_chosen(self, kind: str, entry: VersionEntry | None) -> None:
        if entry is None:
            return
        text = entry.tag if kind == "git" else entry.version
        version = parse_version(entry.version)
        if kind == "release" and entry.candidate and self.PROJECT == "linux" and version is not None:
            # Nobody signs those, so the choice is asked for in words at once.
            unproven = Unproven(self.PROJECT, tarball_name(self.PROJECT, version))
            self.app.push_screen(
                naming_dialog(unproven.name), partial(self._was_named, unproven, text, entry.version)
            )
        else:
            self._take(kind, text, entry.version)

    def _was_named(self, unproven: Unproven, text: str, version: str, name: str | None) -> None:
        answers = self.state.with_answer(self.with_source("release", text, version)).answers
        answer = with_agreement(answers, unproven)
        if name is not None and answer is not None:
            self.show_notice("")
            self.post_message(self.Edited(answer))

    def _take(self, kind: str, text: str, version: str) -> None:
        self.show_notice("")
        self.post_message(self.Edited(self.with_source(kind, text, version)))

    def _ask_for_a_path(self, path: str) -> None:
        found: dict[str, str] = {}

        def rule(text: str) -> Words | None:
            """Runs in a thread: reading a tarball takes its time."""
            source = known_source(text)
            if isinstance(source, Words):
                return source
            if source.project != self.PROJECT:
                return replace(OTHER_PROJECT[self.PROJECT], places={"path": text})
            try:
                self.with_source("local-source", text, source.version)
            except ValueError:
                return wrong_value("path", say("The path"), text)
            found[text] = source.version
            return None

        def typed(text: str | None) -> None:
            if text is not None:
                self._take("local-source", text, found[text])

        question = _("The path of the tarball, or of the folder with the sources. It must begin with /.")
        self.app.push_screen(TextDialog(question, path, rule=rule), typed)


def built_by(answers: Answers, project: Project) -> tuple[str, str, str] | None:
    """Of what is built: its `source`, what names it (version, tag or path), and its version."""
    chosen = chosen_kernel(answers) if project == "linux" else chosen_qemu(answers)
    if chosen is None:
        return None
    source, version = chosen.source, chosen.version.text
    if source.source == "git":
        return source.source, source.tag, version
    return source.source, source.path if source.source == "local-source" else version, version
