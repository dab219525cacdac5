"""Pages from which everything can be taken back: asked first, then a run of its own."""

import asyncio
from functools import partial

from kvmwizard.plan.model import Plan
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _, say_many
from screens.dialogs import Question
from screens.page import Page
from screens.run_control import begin, plan_undo


class UndoingPage(Page):
    """A page with the key for undo."""

    def action_undo(self) -> None:
        """Take everything back, if that is really wanted."""
        self.run_worker(self._ask(), group="undo", exclusive=True)

    async def _ask(self) -> None:
        self.show_notice("")
        plan = await plan_undo(RunStore(self.state.state_directory))
        if isinstance(plan, Words):
            self.refused(plan)
            return
        question = Question(
            str(
                say_many(
                    "Take back what the run has changed? One step does it:",
                    "Take back what the run has changed? {count} steps do it:",
                    len(plan.steps),
                )
            ),
            no=_("No, leave it as it is"),
            yes=_("Yes, undo it"),
            details=tuple(str(step.title) for step in plan.steps),
        )
        self.app.push_screen(question, partial(self._undo_was_answered, plan))

    def _undo_was_answered(self, plan: Plan, agreed: bool | None) -> None:
        if agreed:
            self.run_worker(self._undo(plan), group="begin")

    async def _undo(self, plan: Plan) -> None:
        store = RunStore(self.state.state_directory)
        try:
            made = await asyncio.to_thread(store.create, plan)
        except RunRefused as refusal:
            self.refused(refusal.words)
            return
        await self.choose_run(made)
        if self.state.save_refusal is not None:
            # The next wizard would open, and go on with, what is being taken back.
            self.refused(self.state.save_refusal)
            return
        refused = await begin(self.app, store, made)
        self.undo_began()
        if refused is not None:
            self.refused(refused)

    def refused(self, words: Words) -> None:
        """Say why it cannot be done."""
        self.show_notice(str(words))

    def undo_began(self) -> None:
        """The session's run is the one that takes everything back."""
