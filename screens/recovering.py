"""A page on which a failed run is answered: skip the step, look into it, save a report, undo."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from kvmwizard.run.store import RunStore
from kvmwizard.words import Words, _, say
from screens.dialogs import Question
from screens.failure import Failure, choices, failure_in, shell_folder, skip_question
from screens.run_watch import RunSight
from screens.shell import open_shell, why_no_shell
from screens.undoing import UndoingPage
from screens.widgets.entries import Entry

if TYPE_CHECKING:  # a wizard that is opened again at a run must not wait for what packs reports
    from kvmwizard.report.collect import Report

RECOVERING_BINDINGS: tuple[BindingType, ...] = (
    Binding("s", "skip", _("Skip"), tooltip=_("Go on without the failed step and what needs it")),
    Binding("o", "open_shell", _("Shell"), tooltip=_("Open a shell where the step failed")),
    Binding("r", "save_report", _("Report"), tooltip=_("Save a report, to ask somebody for help with")),
)
"""For the end of a page's own, whose keys matter more."""


class RecoveringPage(UndoingPage):
    """A page with what can be done about a failure."""

    def run_in_sight(self) -> RunSight | None:
        """The run that the page shows, as last seen."""
        raise NotImplementedError

    def go_on_without(self, step_id: str) -> None:
        """Have the run go on without the step."""
        raise NotImplementedError

    @property
    def failure(self) -> Failure | None:
        """What the run failed for; None where it did not."""
        sight = self.run_in_sight()
        return failure_in(sight.state) if sight is not None else None

    def can_answer(self, action: str) -> bool:
        """Whether one of this page's actions can be done now."""
        failure = self.failure
        if action == "skip":
            return failure is not None and failure.why_not_skip is None
        if action == "open_shell":
            return failure is not None and why_no_shell() is None
        return self.run_in_sight() is not None

    def action_skip(self) -> None:
        """Go on without the step, if that is really wanted."""
        failure = self.failure
        if failure is None:
            return
        question = Question(
            str(skip_question(failure)),
            no=_("No, do not skip it"),
            yes=_("Yes, skip it"),
            details=tuple(str(step.title) for step in failure.behind),
        )
        self.app.push_screen(question, partial(self._skip_was_answered, failure.step.id))

    def _skip_was_answered(self, step_id: str, agreed: bool | None) -> None:
        if agreed:
            self.go_on_without(step_id)

    def action_open_shell(self) -> None:
        """Leave the terminal to a shell until it ends."""
        # An action runs in the application's own task, which must stay free while the shell is there.
        self.run_worker(self._open_shell(), group="shell", exclusive=True)

    async def _open_shell(self) -> None:
        sight, failure = self.run_in_sight(), self.failure
        if sight is None or failure is None:
            return
        folder = folder_of(failure, sight)
        sentence = say(
            "This is a shell of your own, in {folder}, where “{step}” failed. Its log: {log}. Type exit to "
            "come back to kvmwizard.",
            folder=str(folder),
            step=failure.step.title,
            log=str(sight.logs[failure.step.id]),
        )
        refused = open_shell(self.app, folder, sentence)
        self.show_notice("" if refused is None else str(refused))

    def action_save_report(self) -> None:
        """Show what a report holds, and write it if that is wanted."""
        self.run_worker(self._ask_for_report(), group="report", exclusive=True)

    async def _ask_for_report(self) -> None:
        # ruff: noqa: PLC0415  -- as above
        from kvmwizard.report.archive import usual_path
        from kvmwizard.report.collect import collect
        from kvmwizard.report.text import in_all, report_lines

        self.show_notice(_("Collecting what the report is to hold. This takes some seconds."))
        sight = self.run_in_sight()
        store = RunStore(self.state.state_directory)
        report = await asyncio.to_thread(collect, store, sight.state.run_id if sight is not None else None)
        self.show_notice("")
        path = usual_path()
        question = Question(
            _("Write this report to {path}? {taken}", path=str(path), taken=in_all(report)),
            no=_("No, write nothing"),
            yes=_("Yes, write it"),
            details=tuple(report_lines(report))[:-1],
        )
        self.app.push_screen(question, partial(self._report_was_answered, report, path))

    def _report_was_answered(self, report: "Report", path: Path, agreed: bool | None) -> None:
        if agreed:
            self.run_worker(self._write(report, path), group="report", exclusive=True)

    async def _write(self, report: "Report", path: Path) -> None:
        from kvmwizard.report.archive import ReportRefused, write_report

        try:
            await asyncio.to_thread(write_report, report, path)
        except ReportRefused as refused:
            self.show_notice(str(refused.words))
            return
        words: Words = say(
            "The report is in {path}, for you alone to read. Look at it before you send it.", path=str(path)
        )
        self.show_notice(str(words))


def choices_in(sight: RunSight, failure: Failure, *, undo: bool, unverified: str | None) -> tuple[Entry, ...]:
    """What can be done about the failure of the run in sight; the rest as of `choices`."""
    shell = why_no_shell() or folder_of(failure, sight)
    return choices(failure, shell=shell, undo=undo, unverified=unverified)


def folder_of(failure: Failure, sight: RunSight) -> Path:
    """Where one looks into the failure of the run in sight."""
    return shell_folder(sight.state.plan, failure.step, sight.logs[failure.step.id])
