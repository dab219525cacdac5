"""The settings of where one project's sources come from, and whose keys count beside its own."""

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from kvmwizard.answers import SourcesAnswer
from kvmwizard.catalog.sources import Project, Sources, sources_for
from kvmwizard.refusal import Refusal
from kvmwizard.words import Words, _, say
from screens.field_rules import changed, rule_of, text_or_none
from screens.text_dialog import TextDialog
from screens.verdicts import key_texts
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.explanation import Explanation
from screens.widgets.frame import PROGRAM_BINDINGS, KeyLine, Notice, TitleLine

FIELDS: dict[Project, tuple[str, str, str]] = {
    "linux": ("kernel_mirror", "kernel_git", "kernel_key"),
    "qemu": ("qemu_mirror", "qemu_git", "qemu_key"),
}

TITLES: dict[Project, Words] = {
    "linux": say("Where Linux comes from"),
    "qemu": say("Where QEMU comes from"),
}

WORDS: dict[str, tuple[Words, Words]] = {
    "kernel_mirror": (
        say("Mirror of its files"),
        say(
            "What stands in place of https://cdn.kernel.org/pub/linux/kernel, with v6.x and the like below "
            "it: an address that begins with https://, http:// or file://. Empty: kernel.org and its mirrors."
        ),
    ),
    "kernel_git": (
        say("Git repository"),
        say("The repository with Linux's tags. Empty: kernel.org's and copies of it."),
    ),
    "kernel_key": (
        say("One more key"),
        say(
            "A file with a public key of yours, as gpg --export writes it. What it signs counts like what "
            "Linux's own developers sign. Empty: theirs alone."
        ),
    ),
    "qemu_mirror": (
        say("Mirror of its files"),
        say(
            "What stands in place of https://download.qemu.org: an address that begins with https://, "
            "http:// or file://. Empty: qemu.org."
        ),
    ),
    "qemu_git": (
        say("Git repository"),
        say("The repository with QEMU's tags. Empty: the project's own and a copy of it."),
    ),
    "qemu_key": (
        say("One more key"),
        say(
            "A file with a public key of yours, as gpg --export writes it. What it signs counts like what "
            "QEMU's own release managers sign. Empty: theirs alone."
        ),
    ),
}
"""Each setting's name, and what it is for."""


class MirrorsScreen(ModalScreen[SourcesAnswer | None]):
    """Three settings; the result is None where they were left as they were."""

    AUTO_FOCUS = "EntryList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", _("Use these"), tooltip=_("Take the settings, and list versions anew")),
        Binding("escape,left", "leave", _("Back"), key_display="left", tooltip=_("Leave them as they were")),
        *PROGRAM_BINDINGS,
    ]

    def __init__(self, project: Project, answer: SourcesAnswer | None) -> None:
        super().__init__()
        self._project: Project = project
        self._answer = answer or SourcesAnswer()

    def compose(self) -> ComposeResult:
        """A title, the settings, what the selected one is for, the keys."""
        yield TitleLine("", str(TITLES[self._project]), "")
        yield Notice(id="notice")
        yield EntryList(id="entries")
        yield Explanation(id="explanation")
        yield KeyLine()

    def on_mount(self) -> None:
        """Show the settings."""
        self._show()

    def press_label(self) -> str:
        """Space opens the setting's line."""
        return _("Change")

    def _show(self) -> None:
        self.query_one(EntryList).show_entries(tuple(map(self._entry, FIELDS[self._project])))
        self._explain()

    def _entry(self, field: str) -> Entry:
        without = _("none") if field.endswith("_key") else _("the project's own")
        return Entry(field, Sign.NONE, str(WORDS[field][0]), getattr(self._answer, field) or without)

    @on(EntryList.Moved)
    def _moved(self, event: EntryList.Moved) -> None:
        event.stop()
        self._explain()

    def _explain(self) -> None:
        selected = self.query_one(EntryList).selected
        if selected is not None:
            parts = [Part(_("What"), str(WORDS[selected.id][1]))]
            if selected.id.endswith("_key"):
                parts += [Part(_("Key"), text) for text in self._fingerprints()]
            self.query_one(Explanation).explain(tuple(parts))

    def _fingerprints(self) -> tuple[str, ...]:
        """Those of the keys that count with these settings, or why the file cannot be used."""
        try:
            sources = sources_for(self._project, self._answer)
        except Refusal as refused:
            return (str(refused.words),)
        return key_texts(sources.keys)

    @on(EntryList.Pressed)
    def _pressed(self, event: EntryList.Pressed) -> None:
        event.stop()
        field = event.entry.id
        dialog = TextDialog(
            str(WORDS[field][1]),
            getattr(self._answer, field) or "",
            rule=rule_of(self._answer, field, WORDS[field][0], text_or_none),
            proposals=self._proposals(field),
        )
        self.app.push_screen(dialog, partial(self._was_typed, field))

    def _proposals(self, field: str) -> tuple[tuple[str, str], ...]:
        """The known servers, to choose from."""
        if field.endswith("_key"):
            return ()
        sources: Sources = sources_for(self._project, None)
        urls = sources.git if field.endswith("_git") else sources.bases
        return (("", _("the project's own")), *((url, url) for url in urls))

    def _was_typed(self, field: str, text: str | None) -> None:
        if text is None:
            return
        self._answer = changed(self._answer, field, text_or_none(text)) or self._answer
        self._show()

    def action_take(self) -> None:
        """Use these settings."""
        try:
            sources_for(self._project, self._answer)
        except Refusal as refused:
            self.query_one("#notice", Notice).say(str(refused.words))
            return
        self.dismiss(self._answer)

    def action_leave(self) -> None:
        """Leave them as they were."""
        self.dismiss(None)
