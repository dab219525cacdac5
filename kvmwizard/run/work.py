"""Carrying out one step's actions and waiting for their end; runs in a thread of the runner."""

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kvmwizard.host.guest_process import GUEST_PROGRAM
from kvmwizard.plan.build_model import BuilderAction, InstallTree, ProveGuests
from kvmwizard.plan.model import Action, RunCommand, RunGuestAs, Step
from kvmwizard.run.build_folder import make_build_folder
from kvmwizard.run.commands import Command, CommandFiles, note, wait_for_leftover
from kvmwizard.run.failures import ATTEMPT_MARK
from kvmwizard.run.payloads import payload_of
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.room import why_no_log, why_no_room
from kvmwizard.run.root_client import Handed, HelperGone, HelperRefused, Outcome, RootClient
from kvmwizard.run.workers import refusal, worker_argv, worker_environment

Connect = Callable[[], RootClient]
"""Connects to the root helper. Raises HelperGone."""


@dataclass(frozen=True)
class Attempt:
    """What shall be done, and what of the plan and the journal it takes."""

    step: Step
    number: int
    builder: str | None = None
    """The plan's."""
    build_folder: str | None = None
    """The plan's."""
    payload_digest: str = ""
    """What the journal says of the tree that the step installs."""


class StepWork:
    """One attempt at a step."""

    def __init__(self, attempt: Attempt, files: CommandFiles, progress: Path, connect: Connect) -> None:
        """Nothing is begun yet."""
        self._attempt = attempt
        self.step = attempt.step
        self._files = files
        self._progress = progress
        self._connect = connect
        self._stop = threading.Event()
        self._command: Command | None = None
        self._guard = threading.Lock()

    def do(self) -> Outcome | None:
        """Carry the actions out; None where the root helper is gone and nobody knows what came of them."""
        try:
            stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            note(self._files.log, f"{ATTEMPT_MARK}{self._attempt.number}, {stamp}")
            return self._do_as_root() if self.step.root else self._do_as_user()
        except RunRefused as refused:
            return Outcome(None, "refused", "", None, refused.words)
        except OSError as error:
            return Outcome(None, "system", str(error), None)

    def watch(self) -> Outcome | None:
        """Wait for what an earlier runner began; None where nobody knows what came of it."""
        if not self.step.root:
            wait_for_leftover(self._files, self._stop.is_set)
            # What has failed by its own account would fail again, maybe after an hour.
            told = None if self._stop.is_set() else refusal(self._progress)
            return None if told is None else Outcome(None, told.code or "refused", "", None, told.refused)
        try:
            with self._connect() as client:
                return client.watch(self.step.id, self._attempt.number)
        except (HelperGone, HelperRefused):
            return None

    def stop(self) -> None:
        """End the work as far as that does no harm; `do` and `watch` then return. For another thread.

        What the package manager has begun to install or remove is not cut off:
        packages half unpacked are worse than a minute of waiting. Waiting for
        its lock and downloading are.
        """
        self._stop.set()
        if self.step.root:
            self._stop_helper()
        with self._guard:
            if self._command is not None:
                self._command.stop()

    def _do_as_root(self) -> Outcome | None:
        guest = any(isinstance(action, RunGuestAs) for action in self.step.actions)
        program = GUEST_PROGRAM.read_text(encoding="utf-8") if guest else ""
        handed = Handed(program, payload_of(self.step), self._attempt.payload_digest)
        try:
            for action in self.step.actions:
                if isinstance(action, InstallTree) and (words := why_no_room(action)) is not None:
                    return Outcome(None, "room", "", None, words)
            with self._connect() as client:
                outcome = self._done_by_helper(client, handed)
            # What the package manager runs fails, too, where it cannot say a word.
            return outcome if outcome.good else replace(outcome, words=why_no_log(self._files.log))
        except (ValueError, TypeError) as error:
            return Outcome(None, "payload", str(error), None)
        except HelperRefused as refused:
            return Outcome(None, refused.code, refused.detail, None)
        except HelperGone:
            return None

    def _done_by_helper(self, client: RootClient, handed: Handed) -> Outcome:
        """What came of it. Raises HelperGone, HelperRefused, OSError."""
        if self._stop.is_set():
            return Outcome(None, "stopped", "", None)
        client.begin(self.step.id, self._attempt.number, (self._files.log, self._progress), handed)
        if self._stop.is_set():
            # A stop that came before the helper began was for no step, and the helper forgot it.
            client.stop()
        return client.watch(self.step.id, self._attempt.number)

    def _do_as_user(self) -> Outcome:
        returncode, code, words = 0, None, None
        folder, builder = self._attempt.build_folder, self._attempt.builder
        if folder is not None and any(isinstance(each, BuilderAction) for each in self.step.actions):
            make_build_folder(Path(folder), builder)
        for action in self.step.actions:
            argv, environment = self._command_of(action)
            # Whatever of an earlier attempt could not be ended must not keep a stop waiting.
            wait_for_leftover(self._files, self._stop.is_set)
            with self._guard:
                if self._stop.is_set():
                    return Outcome(None, "stopped", "", None)
                self._command = Command(argv, environment, self._files)
            returncode = self._command.wait()
            if returncode != 0:
                told = refusal(self._progress)
                code, words = (told.code, told.refused) if told else (None, why_no_log(self._files.log))
                break
        return Outcome(returncode, "stopped" if self._stop.is_set() else code, "", None, words)

    def _command_of(self, action: Action) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command that does the action. Raises RunRefused for a builder whom this machine lacks."""
        if isinstance(action, RunCommand):
            note(self._files.log, "+ " + " ".join(action.argv))
            return action.argv, action.environment
        if isinstance(action, ProveGuests):
            # As the person, or as root, who runs guests as whom they are for: never as the builder.
            return worker_argv(action, None, self._progress, self._files.log), worker_environment()
        if isinstance(action, BuilderAction):
            argv = worker_argv(action, self._attempt.builder, self._progress, self._files.log)
            return argv, worker_environment()
        raise TypeError(action.kind)

    def _stop_helper(self) -> None:
        try:
            with self._connect() as client:
                client.stop()
        except (HelperGone, HelperRefused):
            return
