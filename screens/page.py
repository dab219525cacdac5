"""What every page is: a frame, one decision in the middle, and messages to the application."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from kvmwizard.words import _
from screens.state import WizardState
from screens.widgets.entries import Entry
from screens.widgets.entry_list import EntryList
from screens.widgets.explanation import Explanation
from screens.widgets.frame import KeyLine, Notice, PageList, TitleLine
from screens.wizard import page_named

if TYPE_CHECKING:  # pydantic is read in after the first frame
    from kvmwizard.answers import AnswerModel
    from kvmwizard.session import PageName, Way


class Page(Screen[None]):
    """A page of the wizard. It reads the state and posts what the person did.

    Session and pages are the application's to change; see `WizardState` for what a page writes itself.
    """

    PAGE: "ClassVar[PageName]"
    AUTO_FOCUS = "EntryList"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape,left,backspace",
            "back",
            _("Back"),
            key_display="left",
            tooltip=_("The page before; no answer is lost"),
        ),
        Binding("enter", "next", _("Next"), tooltip=_("What the Enter key does here")),
    ]

    class Turned(Message):
        """The person goes on, or back."""

        def __init__(self, page: "Page", direction: Literal["next", "back"]) -> None:
            super().__init__()
            self.page = page
            self.direction = direction

    class Edited(Message):
        """The person changed this page's answer; it is valid."""

        def __init__(self, answer: "AnswerModel") -> None:
            super().__init__()
            self.answer = answer

    class WayChosen(Message):
        """The person takes another way in."""

        def __init__(self, way: "Way") -> None:
            super().__init__()
            self.way = way

    class Sought(Message):
        """The person wants a certain page, as that of a problem."""

        def __init__(self, page: "PageName") -> None:
            super().__init__()
            self.page = page

    class RunChosen(Message):
        """A run was made for the plan that was agreed to; `saved` is set once the session names it."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id
            self.saved = asyncio.Event()

    class PartSought(Message):
        """Who only looks on wants to take part."""

    class CheckAgain(Message):
        """The person asks to read the machine once more."""

    def __init__(self, state: WizardState) -> None:
        super().__init__()
        self.state = state
        self._said = ""

    def compose(self) -> ComposeResult:
        """The frame of every page, around its body."""
        title = str(page_named(self.PAGE).title)
        yield TitleLine(self.state.host_name, title, self._number())
        with Horizontal(id="middle"):
            yield PageList(*self._list())
            with Vertical(id="content"):
                yield Notice(id="question")
                yield Notice(id="notice")
                yield from self.body()
        yield KeyLine()

    def body(self) -> Iterable[Widget]:
        """The page's own widgets: by default a list and the explanation of what is selected in it."""
        yield EntryList(id="entries")
        yield Explanation(id="explanation")

    def entries(self) -> tuple[Entry, ...]:
        """The lines of the page's list, from the state."""
        return ()

    def question(self) -> str:
        """The one thing that this page asks or says, above its list."""
        return ""

    @property
    def listed_actions(self) -> tuple[str, ...]:
        """Actions that are entries of the page's list, with their keys, and so not in the line of keys."""
        return ()

    def first_selected(self) -> str | None:
        """The id of the entry that the cursor starts at."""
        return None

    def on_mount(self) -> None:
        """Fill the page; what must be said about the session is said here first."""
        self.state_changed()

    def refresh_entries(self, select: str | None = None) -> None:
        """Show the list as the state is now."""
        for entries in self.query(EntryList):
            first = None if entries.entries else self.first_selected()
            entries.show_entries(self.entries(), select or first)
            if entries.selected is not None:
                self.explain(entries.selected)

    def state_changed(self, select: str | None = None) -> None:
        """The application learnt something, or saved an edit: show it."""
        self.query_one(TitleLine).renumber(self.state.host_name, self._number())
        self.query_one(PageList).relist(*self._list())
        self.query_one("#question", Notice).say(self.question())
        self._show_notice()
        self.refresh_entries(select)

    def show_notice(self, text: str) -> None:
        """Say something on the page until something else is said; the empty text ends it."""
        self._said = text
        self._show_notice()

    def _show_notice(self) -> None:
        words = self.state.notice
        self.query_one("#notice", Notice).say(self._said or (str(words) if words is not None else ""))

    @on(EntryList.Moved)
    def _selected_another(self, event: EntryList.Moved) -> None:
        event.stop()
        self.explain(event.entry)

    def explain(self, entry: Entry) -> None:
        """Show what the selected entry has to say."""
        for explanation in self.query(Explanation):
            explanation.explain(entry.explanation)
        # What Space and Enter do can depend on the entry; only what differs is sent.
        for keys in self.query(KeyLine):
            keys.repaint()

    @on(EntryList.Pressed)
    def _pressed(self, event: EntryList.Pressed) -> None:
        event.stop()
        self.press(event.entry)

    def press(self, entry: Entry) -> None:
        """Space on an entry: by default, all of its explanation on a screen of its own."""
        self.explain_all(entry)

    def explain_all(self, entry: Entry) -> None:
        """All of an entry's explanation on a screen of its own."""
        from screens.dialogs import TextScreen  # noqa: PLC0415  -- first used long after the first frame

        paragraphs = tuple((part.label, part.text) for part in entry.explanation)
        self.app.push_screen(TextScreen(entry.title, paragraphs))

    async def choose_run(self, run_id: str) -> None:
        """Have the session name the run before anything is done for it."""
        chosen = self.RunChosen(run_id)
        self.app.post_message(chosen)
        await chosen.saved.wait()

    def action_back(self) -> None:
        """Go back a page; no answer is lost."""
        self.post_message(self.Turned(self, "back"))

    def press_label(self) -> str:
        """What Space does on the selected entry."""
        return _("Read all")

    def next_label(self) -> str:
        """What Enter does here; empty where it does nothing."""
        return _("Next")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  -- Textual's signature
        """Textual asks which keys count; those that do not are not shown either."""
        return action != "next" or bool(self.next_label())

    async def action_next(self) -> None:
        """Go on."""
        self.post_message(self.Turned(self, "next"))

    def _number(self) -> str:
        pages = [page.name for page in self.state.way]
        return _("{page} of {pages}", page=pages.index(self.PAGE) + 1, pages=len(pages))

    def _list(self) -> tuple[tuple[str, ...], int]:
        pages = self.state.way
        return tuple(str(page.title) for page in pages), [page.name for page in pages].index(self.PAGE)
