"""A list of entries that sends a terminal little: a move repaints two markers and two titles."""

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kvmwizard.words import _
from screens.terminal import UNICODE_SIGNS, Signs
from screens.widgets.entries import Entry, Sign
from screens.widgets.painted import BLANK, WholeCells, changed_width, fitted

LEAST_DETAIL = 12
"""Cells below which the middle column is left out."""

ROOMY = 50
"""Cells of titles and details together from which details get two fifths."""


class EntryList(ScrollView, can_focus=True):
    """Entries under each other, one of them selected."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "entry--cursor",
        "entry--title",
        "entry--detail",
        *(f"entry--{sign.value}" for sign in Sign),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", _("Up"), show=False),
        Binding("down,j", "move(1)", _("Look"), key_display="up_down"),
        Binding("pageup", "page(-1)", _("Page up"), show=False),
        Binding("pagedown", "page(1)", _("Page down"), show=False),
        Binding("home", "end(-1)", _("First"), show=False),
        Binding("end", "end(1)", _("Last"), show=False),
        Binding(
            "space", "press", _("Read all"), key_display="space", tooltip=_("What the space bar does here")
        ),
    ]

    class Moved(Message):
        """Another entry is selected."""

        def __init__(self, entries: "EntryList", entry: Entry) -> None:
            super().__init__()
            self.entries = entries
            self.entry = entry

        @property
        def control(self) -> "EntryList":
            """The list, for `@on` selectors."""
            return self.entries

    class Pressed(Message):
        """Space, or a click on the selected entry."""

        def __init__(self, entries: "EntryList", entry: Entry) -> None:
            super().__init__()
            self.entries = entries
            self.entry = entry

        @property
        def control(self) -> "EntryList":
            """The list, for `@on` selectors."""
            return self.entries

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id)
        self.entries: tuple[Entry, ...] = ()
        self.cursor = 0
        self._lines: dict[int, Strip] = {}
        """As painted, by their rows; those that nobody saw are not painted."""
        self._columns: Columns | None = None

    def on_mount(self) -> None:
        """The scroll bar is one that every terminal can show."""
        self.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]  # declared for all, read from each

    @property
    def selected(self) -> Entry | None:
        """The entry the cursor is on."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def show_entries(self, entries: tuple[Entry, ...], select: str | None = None) -> None:
        """Show these; the cursor stays on its entry, or goes to the one of the id `select`."""
        before = self.selected
        wanted = select if select is not None else before.id if before else None
        grew = len(entries) != len(self.entries)
        self.entries = entries
        ids = [entry.id for entry in entries]
        self.cursor = ids.index(wanted) if wanted in ids else min(self.cursor, max(len(ids) - 1, 0))
        if grew:
            self.virtual_size = Size(0, len(entries))
            self.refresh(layout=True)
            # The scroll bar that comes or goes with the layout takes a column of the lines, or frees it.
            self.call_after_refresh(self._repaint)
        self._repaint()
        self._follow_cursor()
        after = self.selected
        if after is not None and after != before:
            self.post_message(self.Moved(self, after))

    def action_move(self, rows: int) -> None:
        """Select the entry so many rows further."""
        target = max(0, min(self.cursor + rows, len(self.entries) - 1))
        if target == self.cursor or not self.entries:
            return
        self.cursor = target
        self._repaint()
        self._follow_cursor()
        self.post_message(self.Moved(self, self.entries[target]))

    def action_page(self, direction: int) -> None:
        """Go a screenful up or down."""
        self.action_move(direction * max(1, self.size.height - 1))

    def action_end(self, direction: int) -> None:
        """Go to the first or the last entry."""
        self.action_move(direction * len(self.entries))

    def action_press(self) -> None:
        """Say that the selected entry was pressed."""
        if self.selected is not None:
            self.post_message(self.Pressed(self, self.selected))

    def on_click(self, event: events.Click) -> None:
        """The mouse selects; a click on what is selected presses."""
        row = event.y + self.scroll_offset.y
        if row == self.cursor:
            self.action_press()
        elif row < len(self.entries):
            self.action_move(row - self.cursor)

    def get_content_height(self, _container: Size, _viewport: Size, _width: int) -> int:
        """As high as there are entries, where the stylesheet says `auto`."""
        return len(self.entries)

    def on_resize(self, _event: events.Resize) -> None:
        """Columns depend on the width."""
        self._repaint()
        # Textual has marked the whole list without asking to send it; left so, the next key would.
        self.refresh()
        self._follow_cursor()

    def render_line(self, y: int) -> Strip:
        """Textual asks for a line."""
        return self._painted(y + self.scroll_offset.y)

    def _follow_cursor(self) -> None:
        first, height = self.scroll_offset.y, self.size.height
        # Textual repaints the whole list for every scroll, even for one to where it is already.
        if self.cursor < first:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif height and self.cursor >= first + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True, immediate=True)

    def _repaint(self) -> None:
        """Send of the lines in sight what differs; the others are painted when they come in sight."""
        if not self.is_mounted:
            return
        old, self._lines = self._lines, {}
        self._columns = Columns(self.entries, self.scrollable_content_region.width, self._signs)
        first = self.scroll_offset.y
        for row in range(first, first + self.size.height):
            width = changed_width(old.get(row, BLANK), self._painted(row))
            if width:
                self.refresh(Region(0, row - first, width, 1))

    def _painted(self, row: int) -> Strip:
        if row not in self._lines:
            if self._columns is None or row >= len(self.entries):
                return BLANK
            self._lines[row] = self._row(
                self.entries[row], self._columns, self._signs, selected=row == self.cursor
            )
        return self._lines[row]

    @property
    def _signs(self) -> Signs:
        signs = getattr(self.app, "signs", UNICODE_SIGNS)
        return signs if isinstance(signs, Signs) else UNICODE_SIGNS

    def _row(self, entry: Entry, columns: "Columns", signs: Signs, *, selected: bool) -> Strip:
        cursor = self.get_component_rich_style("entry--cursor", partial=True)
        title = cursor if selected else self.get_component_rich_style("entry--title", partial=True)
        sign = self.get_component_rich_style(f"entry--{entry.sign.value}", partial=True)
        detail = self.get_component_rich_style("entry--detail", partial=True)
        title_width = columns.whole if entry.whole else columns.title
        cells = [
            Segment(signs.cursor if selected else " ", cursor),
            Segment(set_cell_size(entry.sign.text(signs), columns.sign), sign),
            Segment(fitted(f" {entry.title}", title_width + 1, signs.more), title),
        ]
        if entry.whole:
            return Strip(cells)
        if columns.detail:
            cells.append(Segment("  " + fitted(entry.detail, columns.detail, signs.more), detail))
        if columns.aside:
            cells.append(Segment("  " + " " * (columns.aside - cell_len(entry.aside)) + entry.aside, detail))
        return Strip(cells)


class Columns:
    """How wide each column is: all lines align, and what matters least goes first."""

    def __init__(self, entries: tuple[Entry, ...], width: int, signs: Signs) -> None:
        self.sign = max((cell_len(entry.sign.text(signs)) for entry in entries), default=0)
        self.whole = max(width - 1 - self.sign - 1, 1)
        rows = [entry for entry in entries if not entry.whole]
        titles = max((cell_len(entry.title) for entry in rows), default=0)
        details = max((cell_len(entry.detail) for entry in rows), default=0)
        asides = max((cell_len(entry.aside) for entry in rows), default=0)
        room = self.whole
        self.aside = asides if asides and room >= asides + 2 + LEAST_DETAIL else 0
        room -= self.aside + 2 if self.aside else 0
        least = min(details, LEAST_DETAIL if room < ROOMY else room * 2 // 5)
        self.title = min(titles, room - least - 2 if details and room - least - 2 >= LEAST_DETAIL else room)
        room -= self.title
        self.detail = room - 2 if details and room - 2 >= min(LEAST_DETAIL, details) else 0
        if not self.detail:
            self.title += room
