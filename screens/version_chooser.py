"""Choosing one version of Linux or QEMU among thousands: searching, and what this machine makes of each."""

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import ModalScreen

from kvmwizard.answers import SourcesAnswer
from kvmwizard.catalog.catalogue import VersionEntry
from kvmwizard.catalog.search import Found, VersionIndex
from kvmwizard.catalog.sources import Project
from kvmwizard.paths import cache_directory
from kvmwizard.words import Words, _, say
from screens.advice import advice_of
from screens.dialogs import TextScreen
from screens.listing import Form, Listing, list_project
from screens.mirrors import MirrorsScreen
from screens.page import Page
from screens.state import WizardState
from screens.verdicts import age_text, key_parts, marks_text, verdict_parts
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList
from screens.widgets.explanation import Explanation
from screens.widgets.frame import PROGRAM_BINDINGS, KeyLine, Notice, TitleLine
from screens.widgets.search_line import SearchLine

SEARCHED_AT_ONCE = "0123456789."
"""What begins a search without a key for it: no action has such a key."""

TITLES: dict[tuple[Project, Form], Words] = {
    ("linux", "release"): say("A release of Linux"),
    ("linux", "git"): say("A tag of Linux"),
    ("qemu", "release"): say("A release of QEMU"),
    ("qemu", "git"): say("A tag of QEMU"),
}


class VersionChooser(ModalScreen[VersionEntry | None]):
    """A list of versions to search in. The result is None where none was taken."""

    AUTO_FOCUS = "EntryList"
    BINDINGS: ClassVar[list[BindingType]] = [
        # The list has these for itself; here they are for while one types.
        Binding("up", "look(-1)", _("Up"), show=False),
        Binding("down", "look(1)", _("Look"), key_display="up_down"),
        Binding("pageup", "look_far(-1)", _("Page up"), show=False),
        Binding("pagedown", "look_far(1)", _("Page down"), show=False),
        Binding("slash", "search", _("Search"), key_display="/", tooltip=_("Search by number or by mark")),
        Binding("c", "candidates", _("Candidates"), tooltip=_("Show release candidates, or leave them out")),
        Binding(
            "m", "mirrors", _("Mirrors"), tooltip=_("From which servers versions come, and whose keys count")
        ),
        Binding(
            "r",
            "list_again",
            _("Relist"),
            tooltip=_("Ask the servers once more which versions there are"),
        ),
        Binding("escape,left", "back", _("Back"), key_display="left", tooltip=_("Choose none")),
        Binding("enter", "next", _("Take"), tooltip=_("Take the selected version")),
        *PROGRAM_BINDINGS,
    ]

    class Listed(Message):
        """A list came, or why there is none."""

        def __init__(self, outcome: Listing | Words, *, asks_on: bool) -> None:
            super().__init__()
            self.outcome = outcome
            self.asks_on = asks_on
            """The servers are still being asked for a newer one."""

    def __init__(self, state: WizardState, project: Project, form: Form, chosen: str | None) -> None:
        """`chosen` is the version that is chosen already."""
        super().__init__()
        self._state = state
        self._project: Project = project
        self._form: Form = form
        self._chosen = chosen
        self._answer = state.answers.sources
        self._listing: Listing | None = None
        self._releases = VersionIndex(())
        self._with_candidates = VersionIndex(())
        self._candidates_shown = chosen is not None and "-rc" in chosen
        self._asking = True
        self._refusal: Words | None = None
        self._shown: dict[str, VersionEntry] = {}

    def compose(self) -> ComposeResult:
        """A title, the line to search with, the list, what the selected version means, the keys."""
        yield TitleLine(self._state.host_name, str(TITLES[self._project, self._form]), "")
        yield Notice(id="notice")
        yield SearchLine(id="search")
        yield EntryList(id="entries")
        yield Explanation(id="explanation")
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what is known already, then ask the servers."""
        kept = self._state.listings.get((self._project, self._form))
        if kept is not None and kept.answer == self._answer:
            self._show(kept, asks_on=False)
        else:
            self._list()

    def _list(self) -> None:
        self._asking = True
        self._tell()
        self.run_worker(self._ask, thread=True, group="listing", exclusive=True)

    def _ask(self) -> None:
        answer, folder = self._answer, cache_directory()
        kept = list_project(self._project, self._form, answer, folder, offline=True)
        self.post_message(self.Listed(kept, asks_on=True))
        asked = list_project(self._project, self._form, answer, folder)
        self.post_message(self.Listed(asked, asks_on=False))

    @on(Listed)
    def _was_listed(self, event: Listed) -> None:
        event.stop()
        if isinstance(event.outcome, Words):
            self._refusal = event.outcome
            self._asking = False
            self._tell()
            return
        self._refusal = None
        if not event.asks_on:
            self._state.listings[self._project, self._form] = event.outcome
        self._show(event.outcome, asks_on=event.asks_on)

    def _show(self, listing: Listing, *, asks_on: bool) -> None:
        entries = listing.catalogue.entries
        first = self._listing is None
        self._listing = listing
        self._asking = asks_on
        self._with_candidates = VersionIndex(entries)
        self._releases = VersionIndex(tuple(entry for entry in entries if not entry.candidate))
        self._tell()
        selected = self._selected
        self._search(select=self._chosen if first or selected is None else selected.version)

    def _tell(self) -> None:
        age = age_text(self._listing.catalogue) if self._listing is not None else ""
        self.query_one(TitleLine).renumber(self._state.host_name, age)
        self.query_one("#notice", Notice).say(self._notice())

    def _notice(self) -> str:
        """What is being waited for, or what is the matter with the list."""
        if self._refusal is not None:
            return str(self._refusal)
        if self._asking:
            return (
                _("Asking the servers which versions there are. Esc goes back.")
                if self._listing is None or not self._listing.catalogue.entries
                else _("Asking the servers for the newest list; you can choose from this one meanwhile.")
            )
        if self._listing is not None and self._listing.catalogue.origin != "live":
            return " ".join(map(str, self._listing.catalogue.notices))
        return ""

    @on(SearchLine.Typed)
    def _was_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        self._search()

    def _search(self, select: str | None = None) -> None:
        line = self.query_one(SearchLine)
        index = self._with_candidates if self._candidates_shown else self._releases
        found = index.search(line.text)
        self._shown = {entry.version: entry for entry in found.entries}
        self.query_one(EntryList).show_entries(
            tuple(self._line(entry) for entry in found.entries),
            select or (found.entries[0].version if found.entries else None),
        )
        line.tell(self._found(found))
        self._explain()

    def _found(self, found: Found) -> str:
        if self._listing is None:
            return ""
        if not found.total:
            return _("none")
        if len(found.entries) < found.total:
            return _("the first {shown} of {total}", shown=len(found.entries), total=f"{found.total:,}")
        return f"{found.total:,}"

    def _line(self, entry: VersionEntry) -> Entry:
        return Entry(
            id=entry.version,
            sign=Sign.CHOSEN if entry.version == self._chosen else Sign.NONE,
            title=entry.tag if self._form == "git" else entry.version,
            detail=marks_text(entry),
            aside=entry.released or "",
        )

    @on(EntryList.Moved)
    def _moved(self, event: EntryList.Moved) -> None:
        event.stop()
        self._explain()

    @property
    def _selected(self) -> VersionEntry | None:
        selected = self.query_one(EntryList).selected
        return self._shown.get(selected.id) if selected is not None else None

    def _explain(self) -> None:
        entry = self._selected
        self.query_one(Explanation).explain(self._parts(entry) if entry is not None else ())

    def _parts(self, entry: VersionEntry) -> tuple[Part, ...]:
        """What this machine makes of the version, and what vouches for it."""
        advice = advice_of(self._state)
        verdict = verdict_parts(advice.verdict(self._project, entry.version)) if advice is not None else ()
        if self._listing is None:
            return verdict
        return (*verdict, *key_parts(self._listing.sources, self._form, entry))

    @on(EntryList.Pressed)
    def _pressed(self, event: EntryList.Pressed) -> None:
        event.stop()
        entry = self._selected
        if entry is not None:
            paragraphs = tuple((part.label, part.text) for part in self._parts(entry))
            self.app.push_screen(TextScreen(event.entry.title, paragraphs))

    def on_key(self, event: events.Key) -> None:
        """A digit typed in the list begins a search."""
        if event.character is not None and event.character in SEARCHED_AT_ONCE:
            event.stop()
            self.action_search()
            self.query_one(SearchLine).type(event.character)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  -- Textual's signature
        """While one types, / is a letter."""
        return action != "search" or not any(line.has_focus for line in self.query(SearchLine))

    @property
    def listed_actions(self) -> tuple[str, ...]:
        """On a narrow terminal, what help says of every screen leaves its room to this screen's own keys."""
        return ("press", "app.quit") if self.has_class("-narrow") else ()

    def press_label(self) -> str:
        """Space reads all of what is said of the version."""
        return _("More")

    def action_look(self, rows: int) -> None:
        """Select another version while one types."""
        self.query_one(EntryList).action_move(rows)

    def action_look_far(self, direction: int) -> None:
        """Go a screenful up or down while one types."""
        self.query_one(EntryList).action_page(direction)

    def action_search(self) -> None:
        """Type what to search for."""
        self.query_one(SearchLine).focus()

    def action_candidates(self) -> None:
        """Show release candidates among the rest, or leave them out."""
        self._candidates_shown = not self._candidates_shown
        selected = self._selected
        self._search(select=selected.version if selected is not None else None)
        for keys in self.query(KeyLine):
            keys.repaint()

    def candidates_label(self) -> str:
        """What the key does now."""
        return _("Hide candidates") if self._candidates_shown else _("Candidates")

    def action_mirrors(self) -> None:
        """Set from which servers versions come."""
        self.app.push_screen(MirrorsScreen(self._project, self._answer), self._mirrors_were_set)

    async def _mirrors_were_set(self, answer: SourcesAnswer | None) -> None:
        if answer is not None and answer != self._answer:
            self._answer = answer
            self.post_message(Page.Edited(answer))
            self._list()

    def action_list_again(self) -> None:
        """Ask the servers once more."""
        self._list()

    def action_back(self) -> None:
        """From typing to the list; from the list back to the page."""
        if self.query_one(SearchLine).has_focus:
            self.query_one(EntryList).focus()
        else:
            self.dismiss(None)

    def action_next(self) -> None:
        """Take the selected version."""
        entry = self._selected
        if entry is not None:
            self.dismiss(entry)
