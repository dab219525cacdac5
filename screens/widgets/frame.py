"""What surrounds every page: the title line, the list of pages and the line of keys."""

from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip

from kvmwizard.words import _
from kvmwizard.wrapping import wrapped
from screens.terminal import Signs
from screens.widgets.painted import PaintedLines, fitted, line

PROGRAM_BINDINGS = (
    Binding("question_mark", "app.help", _("Help"), tooltip=_("What the keys do")),
    # By itself: where one types, "?" is a character, and this key goes on without being shown.
    Binding("f1", "app.help", _("Help"), show=False),
    Binding("q", "app.quit", _("Quit"), tooltip=_("Leave; answers are saved, a run goes on")),
)
"""The program's own; a modal screen that looks like a page has them too, since Textual keeps them from it."""

CLOSING_ACTIONS = ("back", "next", "app.quit", "app.help")
"""The actions whose keys stand at the right end of the line, in this order."""

LEAVING_ORDER = ("app.quit", "back", "app.help")
"""The order in which these give way where there is no room: Enter stays to the last."""

WIDE_GAP = 3
NARROW_GAP = 2


class TitleLine(PaintedLines):
    """The program, the machine, the page and its number."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"title--program", "title--page", "title--quiet"}

    def __init__(self, host_name: str, title: str, number: str) -> None:
        super().__init__()
        self._host_name = host_name
        self._title = title
        self._number = number

    def renumber(self, host_name: str, number: str) -> None:
        """The machine's name became known, or a page joined or left the way."""
        self._host_name = host_name
        self._number = number
        self.repaint()

    def paint(self, width: int, height: int) -> list[Strip]:  # noqa: ARG002  -- always one line
        """The machine gives way first, then the program."""
        right = f"{self._title}   {self._number} "
        for left in ((" kvmwizard", f"   {self._host_name}"), (" kvmwizard", ""), ("", "")):
            gap = width - sum(map(cell_len, left)) - cell_len(right)
            if gap > 1 or not any(left):
                break
        quiet = self.style_named("title--quiet")
        return [
            line(
                (left[0], self.style_named("title--program")),
                (left[1] + " " * gap, quiet),
                (self._title, self.style_named("title--page")),
                (f"   {self._number} ", quiet),
            )
        ]


class PageList(PaintedLines):
    """The pages at the left of a wide terminal: done, current and to come."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"pages--done", "pages--current", "pages--later"}

    def __init__(self, titles: tuple[str, ...], current: int) -> None:
        super().__init__()
        self._titles = titles
        self._current = current

    def relist(self, titles: tuple[str, ...], current: int) -> None:
        """A page joined or left the way."""
        self._titles = titles
        self._current = current
        self.repaint()

    def paint(self, width: int, height: int) -> list[Strip]:  # noqa: ARG002  -- it is as long as it is
        """One line a page."""
        return [self._page(index, title, width) for index, title in enumerate(self._titles)]

    def _page(self, index: int, title: str, width: int) -> Strip:
        if index < self._current:
            sign, name = self.signs.passed, "pages--done"
        elif index == self._current:
            sign, name = self.signs.cursor, "pages--current"
        else:
            sign, name = " ", "pages--later"
        return line((fitted(f" {sign} {title}", width - 1, self.signs.more), self.style_named(name)))


class Notice(PaintedLines):
    """Sentences that stay until they no longer hold; hidden while there are none."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  -- Textual's name
        super().__init__(id=id, classes="-hidden")
        self._text = ""

    @property
    def text(self) -> str:
        """What is said."""
        return self._text

    def say(self, text: str) -> None:
        """Show the text; the empty text hides the notice."""
        self._change(text)

    def clear(self) -> None:
        """Say nothing, and take no room."""
        self._change("")

    def _change(self, text: str) -> None:
        if text == self._text:
            return
        self._text = text
        self.set_class(not text, "-hidden")
        self.refresh(layout=True)
        self.repaint()

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As many lines as the text takes."""
        return len(wrapped(self._text, width))

    def paint(self, width: int, height: int) -> list[Strip]:  # noqa: ARG002  -- the height follows the text
        """The text, wrapped."""
        return [line((text, Style())) for text in wrapped(self._text, width)]


class KeyLine(PaintedLines):
    """The keys that do something here; a click does the same."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--label"}

    def __init__(self) -> None:
        super().__init__()
        self._zones: list[tuple[int, int, DOMNode, str]] = []

    def on_mount(self) -> None:
        """Follow what the page allows."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _screen: Screen[Any]) -> None:
        self.repaint()

    def paint(self, width: int, height: int) -> list[Strip]:  # noqa: ARG002  -- always one line
        """Page keys at the left, the common ones at the right; as many as fit."""
        elsewhere = getattr(self.screen, "listed_actions", ())
        shown = [active for active in shown_bindings(self.screen) if active.binding.action not in elsewhere]
        left = [active for active in shown if active.binding.action not in CLOSING_ACTIONS]
        right = [active for action in CLOSING_ACTIONS for active in shown if active.binding.action == action]
        gap = WIDE_GAP if _width([*left, *right], self.signs, WIDE_GAP) <= width else NARROW_GAP
        while left and _width([*left, *right], self.signs, gap) > width:
            left.pop(0 if left[0].binding.key_display == "up_down" else -1)
        for action in LEAVING_ORDER:
            if _width(right, self.signs, gap) > width:
                right = [active for active in right if active.binding.action != action]
        self._zones = []
        parts = [Segment(" ")]
        for active in left:
            parts += self._key(active, parts, gap)
        parts.append(Segment(" " * max(width - _width([*left, *right], self.signs, gap), 0)))
        for active in right:
            parts += self._key(active, parts, gap)
        return [Strip(parts)]

    def _key(self, active: ActiveBinding, before: list[Segment], gap: int) -> list[Segment]:
        key, label = key_text(active.binding, self.signs), f" {key_label(active)}"
        column = sum(part.cell_length for part in before)
        self._zones.append((column, column + cell_len(key + label), active.node, active.binding.action))
        return [
            Segment(key, self.style_named("keys--key")),
            Segment(label + " " * gap, self.style_named("keys--label")),
        ]

    async def on_click(self, event: events.Click) -> None:
        """A click on a key is that key."""
        for start, end, node, action in self._zones:
            if start <= event.x < end:
                await self.app.run_action(action, node)
                return


def shown_bindings(screen: Screen[Any]) -> list[ActiveBinding]:
    """The bindings of the page, of its focused widget and of the program, that are for showing."""
    actions: dict[str, ActiveBinding] = {}
    for active in screen.active_bindings.values():
        if active.binding.show and active.enabled:
            actions.setdefault(active.binding.action, active)
    return list(actions.values())


def key_text(binding: Binding, signs: Signs) -> str:
    """How a key is called on the screen."""
    if binding.key_display == "up_down":
        return signs.up_down
    if binding.key_display == "left":
        return signs.left
    names = {"enter": _("Enter"), "space": _("Space"), "escape": _("Esc"), "question_mark": "?"}
    shown = binding.key_display or binding.key
    return names.get(shown, shown)


def key_label(active: ActiveBinding) -> str:
    """What a key does; on a page, the meaning of Enter and Space depends on how things stand."""
    label = getattr(active.node.screen, f"{active.binding.action}_label", None)
    return str(label()) if callable(label) else active.binding.description


def _width(shown: list[ActiveBinding], signs: Signs, gap: int) -> int:
    keys = sum(cell_len(f"{key_text(active.binding, signs)} {key_label(active)}") for active in shown)
    return 1 + keys + gap * len(shown)
