"""The smallest Textual application: what any wizard's start is measured against."""

from textual.app import App, ComposeResult
from textual.widgets import Static

LANDMARK = "a minimal application"


class MinimalApp(App[None]):
    """One line of text."""

    def compose(self) -> ComposeResult:
        """The line."""
        yield Static(LANDMARK)


if __name__ == "__main__":
    MinimalApp().run()
