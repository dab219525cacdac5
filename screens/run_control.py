"""Starting, stopping and undoing runs from a page: root is asked for on the real terminal."""

import asyncio
import contextlib
import signal
import sys
import termios
from collections.abc import Iterator

from textual.app import App

from kvmwizard.commands.output import show
from kvmwizard.plan.model import Plan
from kvmwizard.run.launch import open_root_helper, root_helper_needed, start_runner, stop_run
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.run.undo import last_changing_run, undo_plan
from kvmwizard.words import Words, say


async def begin(
    app: App[int], store: RunStore, run_id: str, *, retry: bool = False, left_out: str | None = None
) -> Words | None:
    """Get root where the run needs it, then start its runner; the refusal where either cannot be."""
    try:
        if await asyncio.to_thread(root_helper_needed, store, run_id, left_out):
            refused = _become_root(app, store, run_id)
            if refused is not None:
                return refused
        await asyncio.to_thread(start_runner, store, run_id, retry, left_out)
    except RunRefused as refusal:
        return refusal.words
    return None


async def go_on_quietly(store: RunStore, run_id: str) -> bool:
    """Start an interrupted run's runner again where nobody need be asked for a password."""
    try:
        if await asyncio.to_thread(root_helper_needed, store, run_id):
            return False
        await asyncio.to_thread(start_runner, store, run_id)
    except RunRefused:
        return False
    return True


async def stop(store: RunStore, run_id: str) -> Words | None:
    """Ask the run to stop; the refusal where it cannot be."""
    try:
        await asyncio.to_thread(stop_run, store, run_id)
    except RunRefused as refusal:
        return refusal.words
    return None


async def plan_undo(store: RunStore) -> Plan | Words:
    """What takes back what the last run changed, or the refusal."""
    try:
        return await asyncio.to_thread(_plan_undo, store)
    except RunRefused as refusal:
        return refusal.words


def _plan_undo(store: RunStore) -> Plan | Words:
    # The run in sight need not be it: begun again after a stop, it may have found all done by the first.
    changing = last_changing_run(store)
    if changing is None:
        return say("There is nothing to take back: no run has changed anything that still stands.")
    return undo_plan(store, changing)


def _become_root(app: App[int], store: RunStore, run_id: str) -> Words | None:
    """On the event loop and not in a thread: a suspended application must not run beside sudo."""
    with app.suspend(), interrupts_for_child():
        show(say("kvmwizard needs root for the steps that you agreed to."))
        discard_typed_ahead()
        refused = open_root_helper(store, run_id)
    return None if refused is None else refused.words


@contextlib.contextmanager
def interrupts_for_child() -> Iterator[None]:
    """Ctrl+C means the program that has the terminal now, sudo or a shell, which gets it by itself.

    Otherwise asyncio ends the wizard at its next step (asyncio.Runner, "Handling Keyboard Interruption").
    """
    # Not SIG_IGN, which that program would inherit (execve(2)).
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def discard_typed_ahead() -> None:
    """Forget keys pressed before the question, so that none of them answers it."""
    if sys.__stdin__ is not None and sys.__stdin__.isatty():
        termios.tcflush(sys.__stdin__, termios.TCIFLUSH)
