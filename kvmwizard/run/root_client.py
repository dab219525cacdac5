"""Speaks to the root helper: one JSON message a packet over its socket.

What the helper understands is told in `root_helper`. Log and progress files
are opened here, by the user, and handed over as descriptors.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kvmwizard.run.commands import open_for_appending
from kvmwizard.run.root_helper import MESSAGE_BYTES, PROTOCOL, socket_path
from kvmwizard.words import Words

ANSWER_SECONDS = 20.0
LOOK_SECONDS = 0.1
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HelperGone(Exception):  # noqa: N818  -- an event, expected whenever the helper's time is over
    """No root helper answers."""


class HelperRefused(Exception):  # noqa: N818  -- an answer of the helper's
    """The helper does not do this; `code` as in `root_helper`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Outcome:
    """What came of one step's actions."""

    returncode: int | None
    """Of the last command; minus the signal's number where one killed it."""
    code: str | None
    """What went wrong beside commands, in the helper's, the runner's or a worker's word; else None."""
    detail: str
    output: str | None
    """What our own guest printed, where the step ran it."""
    words: Words | None = None
    """Why it could not be done, where the worker or the runner knows it."""

    @property
    def good(self) -> bool:
        """Whether every action was carried out and every command succeeded."""
        return self.code is None and self.returncode == 0


@dataclass(frozen=True)
class Handed:
    """What a step needs of the runner."""

    program: str = ""
    """The text of our own guest, where the step runs it."""
    payload: Path | None = None
    """The packed tree, where the step installs one."""
    payload_digest: str = ""
    """What the payload's head must hash to."""


NOTHING = Handed()


@dataclass(frozen=True)
class HelperStep:
    """One step that the helper began, as it remembers it."""

    step: str
    attempt: int
    outcome: Outcome | None
    """None while it runs."""


class RootClient:
    """A connection to the helper of one run."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, run_id: str, plan_digest: str, stay: bool = False) -> Self:
        """Connect to the helper of this user's run. Raises HelperGone.

        A helper counts only if it is root's, and holds this very plan. With
        `stay`, it makes this process outlive its login session.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(socket_path(os.geteuid(), run_id))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            _, owner, _ = struct.unpack("3i", credentials)
            client = cls(connection)
            greeting = client.ask({"verb": "hello", "stay": stay})
        except (OSError, HelperRefused) as error:
            connection.close()
            raise HelperGone(str(error)) from error
        if owner != 0 or (greeting["protocol"], greeting["plan"]) != (PROTOCOL, plan_digest):
            connection.close()
            raise HelperGone("another plan's")
        return client

    def close(self) -> None:
        """Let go; the helper stays."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def steps(self) -> dict[str, HelperStep]:
        """Every step that the helper began, by id. Raises HelperGone."""
        reports = self.ask({"verb": "hello"})["steps"]
        return {report["step"]: _step(report) for report in reports}

    def begin(self, step: str, attempt: int, files: Sequence[Path], handed: Handed = NOTHING) -> None:
        """Have a step begun; `watch` waits for its end, and from now on `stop` is for this step.

        `files` are the log and the progress file. Raises HelperGone, HelperRefused, OSError.
        """
        request = {"verb": "do", "step": step, "attempt": attempt}
        request |= {"program": handed.program, "payload": handed.payload_digest}
        descriptors: list[int] = []
        try:
            for path in files:
                descriptors.append(open_for_appending(path))  # noqa: PERF401  -- closed below, whichever fails
            if handed.payload is not None:
                descriptors.append(os.open(handed.payload, READING))
            self.ask(request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def watch(self, step: str, attempt: int) -> Outcome:
        """Wait for the end of an attempt that the helper began, however long that is.

        Raises HelperGone, HelperRefused.
        """
        while True:
            known = self.steps().get(step)
            if known is None or known.attempt != attempt:
                raise HelperRefused("unknown-step", step)
            if known.outcome is not None:
                return known.outcome
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Ask for the running step to be stopped, as far as that does no harm. Raises HelperGone.

        It is not for a step that is begun only later.
        """
        self.ask({"verb": "stop"})

    def end(self) -> None:
        """Tell the helper that nothing more is to come. Raises HelperGone."""
        self.ask({"verb": "end"})

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """One question, one answer. Raises HelperGone, HelperRefused."""
        self._send(request, descriptors)
        return self._receive()

    def _send(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._connection, [json.dumps(request).encode("ascii")], list(descriptors))
        except OSError as error:
            raise HelperGone(str(error)) from error

    def _receive(self) -> dict[str, Any]:
        try:
            content = self._connection.recv(MESSAGE_BYTES)
        except OSError as error:
            raise HelperGone(str(error)) from error
        if not content:
            raise HelperGone("it has ended")
        answer: dict[str, Any] = json.loads(content)
        if "refused" in answer:
            raise HelperRefused(answer["refused"], answer.get("detail", ""))
        return answer


def _step(report: dict[str, Any]) -> HelperStep:
    outcome = report["outcome"]
    return HelperStep(report["step"], report["attempt"], None if outcome is None else Outcome(**outcome))
