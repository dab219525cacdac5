"""What is saved: the session and the runs of one state directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kvmwizard.answers import Answers
from kvmwizard.answers_file import AnswersFileRefused, read_answers_file
from kvmwizard.commands.directory import asked_state_directory
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.output import complain
from kvmwizard.commands.parser import Options
from kvmwizard.paths import directory_option
from kvmwizard.run.model import RunState, RunStatus
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionRefused, SessionStore
from kvmwizard.words import say


def answers_from(path: Path) -> Answers:
    """The answers in a file. Raises CommandRefused."""
    try:
        return read_answers_file(path)
    except AnswersFileRefused as refused:
        raise CommandRefused(ExitCode.WRONG_USE, refused.words, refused.details) from refused


@contextmanager
def refusing_runs(exit_code: ExitCode = ExitCode.WRONG_USE) -> Iterator[None]:
    """Turn RunRefused into CommandRefused: by default as for what cannot be read."""
    try:
        yield
    except RunRefused as refused:
        raise CommandRefused(exit_code, refused.words) from refused


@dataclass(frozen=True)
class State:
    """The state directory of one command."""

    directory: Path
    sessions: SessionStore
    runs: RunStore

    @classmethod
    def of(cls, options: Options) -> Self:
        """The directory that was asked for, else the user's own. Raises CommandRefused."""
        directory = asked_state_directory(options)
        return cls(directory, SessionStore(directory), RunStore(directory))

    def session(self, *, agreed_to: bool = False) -> Session:
        """The saved session; a notice about it goes to standard error. Raises CommandRefused.

        Answers that were agreed to beforehand are refused, too, where they turn out to be unreadable:
        nobody has agreed to the defaults.
        """
        try:
            loaded = self.sessions.load()
        except SessionRefused as refused:
            raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
        if loaded.notice is not None:
            complain(loaded.notice)
            if agreed_to:
                raise CommandRefused(
                    ExitCode.WRONG_USE,
                    say(
                        "Nothing was changed, since --yes agreed to the answers that were saved. To go by "
                        "the defaults, run the same again; to see them first: {command}",
                        command=f"kvmwizard plan{directory_option(self.directory)}",
                    ),
                )
        return loaded.session

    def current_run(self, session: Session) -> str | None:
        """The session's run, else the last one; None where nothing was ever run. Raises CommandRefused."""
        with refusing_runs():
            runs = self.runs.runs()
        if session.run_id is not None and self.runs.has_remains(session.run_id):
            return session.run_id
        return runs[-1] if runs else None

    def unfinished_run(self, session: Session) -> RunState | None:
        """The run that was agreed to, if something of it is left to do. Raises CommandRefused.

        Of a session that was lost, with all of its answers, it is the last run, of which `status` tells.
        """
        run_id = self.current_run(session)
        if run_id is None or (run_id != session.run_id and session.answers != Answers()):
            return None
        with refusing_runs():
            try:
                state = self.runs.read(run_id)
            except RunRefused:
                if run_id == session.run_id:
                    raise
                return None
        return None if state.status is RunStatus.DONE else state

    def take(self) -> None:
        """Keep wizards and other commands from changing the session. Raises CommandRefused."""
        try:
            taken = self.sessions.lock()
        except SessionRefused as refused:
            raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
        if not taken:
            raise CommandRefused(
                ExitCode.NOT_GOOD,
                say(
                    "Another kvmwizard (process {process}) is at work on the same answers. Close it first; "
                    "where its terminal is gone, the wizard ({command} alone) offers to end it. Or name "
                    "another directory with --state-dir DIRECTORY.",
                    process=self.sessions.holder() or "?",
                    command=f"kvmwizard{directory_option(self.directory)}",
                ),
            )

    def save(self, session: Session) -> None:
        """Save the session. Raises CommandRefused."""
        try:
            self.sessions.save(session)
        except SessionRefused as refused:
            raise CommandRefused(ExitCode.WRONG_USE, refused.words) from refused
