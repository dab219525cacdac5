"""Review: every step, who does it, and exactly what will run; then the agreement."""

import asyncio
from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer

from kvmwizard.answers import AnswerProblem
from kvmwizard.plan.model import Plan, Step, plan_digest
from kvmwizard.plan.shell import shell_lines
from kvmwizard.plan.spans import size_words, span_words
from kvmwizard.plan.text import duration
from kvmwizard.run.expected import expected_seconds
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import not_begun
from kvmwizard.session import PageName
from kvmwizard.words import Words, _, say, say_many
from screens.page import Page
from screens.planning import Unfeasible, plan_for
from screens.run_control import begin
from screens.state import Review, WizardState
from screens.widgets.entries import Entry, Part, Sign
from screens.widgets.entry_list import EntryList
from screens.wizard import PAGES, page_named

REST_SECONDS = 1.0
"""Longer than a key that is kept pressed takes to repeat itself, and than who hurries on takes to see."""


class ReviewPage(Page):
    """What will be done. Enter agrees to exactly this plan."""

    PAGE = "review"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "to_run", _("To the run"), tooltip=_("Go to the run that is not finished")),
    ]

    class Planned(Message):
        """The plan is made, or refused."""

        def __init__(self, outcome: Review | Unfeasible) -> None:
            super().__init__()
            self.outcome = outcome

    class RunUnfinished(Message):
        """The session has a run that is not finished."""

        def __init__(self, run: RunState) -> None:
            super().__init__()
            self.run = run

    def __init__(self, state: WizardState) -> None:
        super().__init__(state)
        self._review: Review | None = None
        self._refusal: Unfeasible | None = None
        self._read_before = state.machine
        """The machine as other pages know it, which runs and other programs may have changed since."""
        self._planning = False
        self._starting = False
        self._resting: Timer | None = None
        """Runs from the plan's appearance, and from each Enter that came too early."""
        self._run: RunState | None = None
        """The session's, where it is not finished: it can be gone on with, or taken back."""

    def on_mount(self) -> None:
        """Fill the page, and look whether there is a run to go back to, and at the machine once more."""
        super().on_mount()
        self._look_at_run()
        if self._read_before is not None:
            self.post_message(self.CheckAgain())

    def _look_at_run(self) -> None:
        self.run_worker(self._read_run, thread=True, group="run")

    def _read_run(self) -> None:
        run_id = self.state.session.run_id
        if run_id is None:
            return
        try:
            run = RunStore(self.state.state_directory).read(run_id)
        except RunRefused:
            return
        if run.status is not RunStatus.DONE:
            self.post_message(self.RunUnfinished(run))

    @on(RunUnfinished)
    def _run_is_unfinished(self, event: RunUnfinished) -> None:
        self._run = event.run
        self.refresh_bindings()
        self.state_changed()

    def state_changed(self, select: str | None = None) -> None:
        """The machine was read: plan for it, once."""
        told = self._review is not None or self._refusal is not None
        read = self.state.machine is not None and self.state.machine is not self._read_before
        if read and not self._planning and not told:
            self._planning = True
            self.run_worker(self._plan, thread=True)
        super().state_changed(select)

    def _plan(self) -> None:
        machine = self.state.machine
        if machine is not None:
            self.post_message(self.Planned(plan_for(self.state, machine)))

    @on(Planned)
    def _was_planned(self, event: Planned) -> None:
        self._planning = False
        if isinstance(event.outcome, Review):
            self._review = event.outcome
            self._refusal = None
            self._wait_for_rest()
        else:
            self._refusal = event.outcome
        self.refresh_bindings()
        self.state_changed()

    def on_screen_resume(self) -> None:
        """What a dialog covered was not seen."""
        if self._review is not None:
            self._wait_for_rest()
            self.refresh_bindings()
            self.state_changed()

    def on_key(self) -> None:
        """A key that does nothing yet, as Enter."""
        if self._resting is not None:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        """Nobody agrees to what he has not seen by a key that he pressed before, or keeps pressed."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST_SECONDS, self._has_rested)

    def _has_rested(self) -> None:
        self._resting = None
        self.refresh_bindings()
        self.state_changed()

    def question(self) -> str:
        """What agreeing means, or why there is nothing to agree to; and that there is a run already."""
        if self._run is None:
            return self._agreement()
        return _("{agreement} {run}", agreement=self._agreement(), run=unfinished_words(self._run))

    def _agreement(self) -> str:
        if self._refusal is not None:
            return str(self._refusal.words or PROBLEMS_WORDS)
        if self._review is None:
            return _("Making the plan, and looking at what of it holds already. This takes a few seconds.")
        if self._resting is not None:
            return _("This is what will be done. It can be agreed to when no key was pressed for a moment.")
        return str(summary(self._review.plan, self._review.evidence))

    def entries(self) -> tuple[Entry, ...]:
        """Steps, then what should be known, then the plan's digest; or what keeps it from being made."""
        if self._refusal is not None:
            return tuple(problem_entry(index, each) for index, each in enumerate(self._refusal.problems))
        if self._review is None:
            return ()
        plan, evidence = self._review.plan, self._review.evidence
        steps = tuple(step_entry(step, evidence.get(step.id)) for step in plan.steps)
        notes = tuple(note_entry(index, note) for index, note in enumerate(plan.notes))
        return (*steps, *notes, digest_entry(plan))

    def next_label(self) -> str:
        """Enter agrees, once there is something to agree to; of a problem it opens the page."""
        if self._refusal is not None and self._refusal.problems:
            return _("Go there")
        return _("Carry out") if self._review is not None and self._resting is None else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no way back between the agreement and its run, which no session would know of."""
        if action in ("back", "to_run") and self._starting:
            return False
        if action == "to_run":
            return self._run is not None
        return super().check_action(action, parameters)

    async def action_next(self) -> None:
        """Agree: make the run, name it in the session, get root, start. Of a problem, open its page."""
        if self._refusal is not None:
            self._go_to_the_problem(self._refusal.problems)
        elif self._review is not None and not self._starting:
            # An action runs in the application's own task, which has the session to save meanwhile.
            self.run_worker(self._agree(self._review.plan), group="start")

    def _go_to_the_problem(self, problems: tuple[AnswerProblem, ...]) -> None:
        selected = self.query_one(EntryList).selected
        for index, problem in enumerate(problems):
            if selected is not None and selected.id == problem_id(index):
                self.post_message(self.Sought(page_of(problem)))

    def action_to_run(self) -> None:
        """Open the page of the run that is not finished."""
        self.post_message(self.Sought("run"))

    async def _agree(self, plan: Plan) -> None:
        self._starting = True
        try:
            refusal = await self._start(plan)
        finally:
            self._starting = False
        if refusal is None:
            self.post_message(self.Turned(self, "next"))
        else:
            self.show_notice(str(refusal))
            # The refusal can be root's, of a run that was made.
            self._look_at_run()

    async def _start(self, plan: Plan) -> Words | None:
        self.show_notice(_("Starting …"))
        store = RunStore(self.state.state_directory)
        try:
            run_id = await asyncio.to_thread(store.create, plan)
        except RunRefused as refused:
            return refused.words
        await self.choose_run(run_id)
        return await begin(self.app, store, run_id)


def unfinished_words(run: RunState) -> Words:
    """That a run is not finished, and where it is gone on with."""
    if run.status is RunStatus.RUNNING:
        return say("Run {run} is under way; r leads to it.", run=run.run_id)
    if run.plan.undoes is not None:
        return say("To take run {run} back is not finished; r leads to it.", run=run.plan.undoes)
    if not_begun(run):
        return say("Run {run} was agreed to, but has not begun; r leads to it.", run=run.run_id)
    return say("Run {run} is not finished; r leads to it.", run=run.run_id)


def summary(plan: Plan, evidence: Collection[str]) -> Words:
    """How much there is to do; the disk is not spoken of where nothing is put on it."""
    left = [step for step in plan.steps if step.id not in evidence]
    time = span_words(expected_seconds(plan, evidence))
    disk = sum(step.disk_bytes for step in left)
    if not disk:
        return say_many(
            "One step to do, about {time}. Enter carries it out.",
            "{count} steps to do, about {time}. Enter carries them out.",
            len(left),
            time=time,
        )
    return say_many(
        "One step to do, about {time} and {disk} of disk. Enter carries it out.",
        "{count} steps to do, about {time} and {disk} of disk. Enter carries them out.",
        len(left),
        time=time,
        disk=size_words(disk),
    )


PROBLEMS_WORDS = say(
    "These answers cannot be carried out on this machine. Enter goes to the page of the selected one."
)

PAGES_OF_NO_NAME: dict[str, PageName] = {"sources": "kernel"}
"""Where an answer is given that has no page of its own."""


def page_of(problem: AnswerProblem) -> PageName:
    """The page on which the problem's answer is given."""
    return page_of_answer(problem.page)


def page_of_answer(field: str) -> PageName:
    """The page on which the answer of that name is given."""
    fallback = PAGES_OF_NO_NAME.get(field, "welcome")
    return next((page.name for page in PAGES if page.name == field), fallback)


def problem_id(index: int) -> str:
    """The id of a problem's line."""
    return f"problem.{index}"


def problem_entry(index: int, problem: AnswerProblem) -> Entry:
    """An answer that cannot be carried out, under its page's name."""
    page = str(page_named(page_of(problem)).title)
    return Entry(
        problem_id(index),
        Sign.FAILED,
        page,
        str(problem.words),
        explanation=(
            Part(_("Why"), str(problem.words)),
            Part(_("Enter"), _("Opens the page {page}.", page=page)),
        ),
    )


def step_entry(step: Step, evidence: Words | None) -> Entry:
    """One step as a line."""
    parts = []
    if evidence is not None:
        parts.append(Part(_("Already"), str(evidence)))
    parts += [Part(_("Runs") if not index else "", text) for index, text in enumerate(step_shell(step))]
    if step.awaits_restart:
        parts.append(
            Part(_("You"), _("You restart this machine, when it suits you; the run waits for that."))
        )
    if step.lasting is not None:
        parts.append(Part(_("Undo"), str(step.lasting)))
    if not step.required:
        parts.append(
            Part(_("Note"), _("If it fails, the rest is good without it, and it ends as a warning."))
        )
    return Entry(
        id=step.id,
        sign=Sign.WAITING if evidence is None else Sign.PASSED,
        title=str(step.title),
        # The evidence is told below: beside the titles it would leave them no room.
        detail=_("already so") if evidence is not None else str(duration(step)),
        aside=_("root") if step.root and evidence is None else "",
        explanation=tuple(parts),
    )


def step_shell(step: Step) -> tuple[str, ...]:
    """What the step runs, as lines of shell."""
    return tuple(text for action in step.actions for text in shell_lines(action))


def note_entry(index: int, note: Words) -> Entry:
    """Something that the person should know."""
    return Entry(
        f"note.{index}", Sign.WARNED, str(note), explanation=(Part(_("Note"), str(note)),), whole=True
    )


def digest_entry(plan: Plan) -> Entry:
    """The digest that root insists on."""
    digest = plan_digest(plan)
    return Entry(
        id="digest",
        sign=Sign.NONE,
        title=_("The plan's digest: {digest}", digest=digest),
        whole=True,
        explanation=(
            Part(_("SHA-256"), digest),
            Part(_("Why"), _("What runs as root refuses every plan but the one with this digest.")),
        ),
    )
