"""Pages from which everything can be taken back: asked first, then a run of its own."""

from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _
from screens.dialogs import Question
from screens.page import Page
from screens.run_control import begin, undo_run


class UndoingPage(Page):
    """A page with the key for undo."""

    def action_undo(self) -> None:
        """Take everything back, if that is really wanted."""
        question = Question(
            _(
                "Take back what the run has changed? Packages it installed are removed, and files and "
                "groups are as before."
            ),
            no=_("No, leave it as it is"),
            yes=_("Yes, undo it"),
        )
        self.app.push_screen(question, self._undo_was_answered)

    def _undo_was_answered(self, agreed: bool | None) -> None:
        if agreed:
            self.run_worker(self._undo(), group="begin")

    async def _undo(self) -> None:
        store = RunStore(self.state.state_directory)
        made = await undo_run(store)
        if isinstance(made, Words):
            self.refused(made)
            return
        await self.choose_run(made)
        refusal = await begin(self.app, store, made)
        self.undo_began()
        if refusal is not None:
            self.refused(refusal)

    def refused(self, words: Words) -> None:
        """Say why it cannot be done."""
        self.show_notice(str(words))

    def undo_began(self) -> None:
        """The session's run is the one that takes everything back."""
