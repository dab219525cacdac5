"""The wizard before and after the restart that a run waits for; the runner is the real one, without root."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import KernelRuns, SetNextBoot
from kvmwizard.plan.model import FileAbsent, Plan, RunCommand, Step
from kvmwizard.run.liveness import boot_id
from kvmwizard.run.model import EventModel, RestartNeeded, RootNeeded, RunEnded, StepDone, StepFailed
from kvmwizard.run.store import RunStore
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from screens.review import step_entry
from screens.run_watch import RunWatch
from screens.standing import parting, standing
from tests.screens.pilots import Walk, walking
from tests.screens.test_run_pages import add_run

RUNNING = os.uname().release
ABSENT = "9.9.9-absent"
LAST_BOOT = RestartNeeded(time=5.0, boot_id="6c1d8f1e-41cd-4a51-9c9d-2c5a8f6f0a11")
RESTARTED = StepDone(time=6.0, step="kernel.restart", evidence=say("it runs"), changes=())


def step(name: str, **fields: object) -> Step:
    usual = {
        "title": say("Do {step}", step=name),
        "root": False,
        "seconds": 1,
        "conditions": (),
        "actions": (),
    }
    return Step.model_validate({"id": name, **usual, **fields})


def plan(release: str) -> Plan:
    """Of a kernel that root has installed and named for the next start."""
    once = SetNextBoot(release=release, otherwise=RUNNING)
    nothing = FileAbsent(path="/nowhere")
    return Plan(
        user="alice",
        qemu=None,
        kernel_release=release,
        steps=(
            step("kernel.boot-once", root=True, conditions=(nothing,), actions=(once,)),
            step("kernel.restart", needs=("kernel.boot-once",), conditions=(KernelRuns(release=release),)),
            step(
                "kernel.after",
                needs=("kernel.restart",),
                conditions=(nothing,),
                actions=(RunCommand(argv=("/bin/true",)),),
            ),
        ),
    )


def stands(state_directory: Path, *events: EventModel, release: str = ABSENT) -> str:
    run_id = add_run(state_directory, events, plan(release))
    return str(standing(RunWatch(RunStore(state_directory), run_id).look(), ""))


async def until(walk: Walk, text: str) -> None:
    for _ in range(600):
        if text in " ".join(walk.text.split()):
            return
        await walk.pilot.pause(0.05)
    raise AssertionError(walk.text)


def waiting(state_directory: Path, events: Sequence[EventModel], release: str, page: str) -> None:
    run_id = add_run(state_directory, events, plan(release))
    SessionStore(state_directory).save(Session.model_validate({"run_id": run_id, "page": page}))


async def test_before_the_restart_it_is_asked_for_and_what_runs_can_be_proved(state_directory: Path) -> None:
    waiting(state_directory, (RestartNeeded(time=5.0, boot_id=boot_id()),), ABSENT, "run")
    async with walking(state_directory) as walk:
        await until(walk, "Restart this machine when it suits you")
        assert "Prove it" in walk.text
        await walk.pilot.press("home", "down")
        await until(walk, "you restart this machine, and it goes on")
        state = RunStore(state_directory).read(walk.saved.run_id or "")
        assert "Restart this machine" in str(parting(state, ""))
        await walk.press("enter")
        assert walk.place == "proof"
        await until(walk, "still running")
        (found,) = (entry.detail for entry in walk.entries.entries if entry.id == "kernel")
        assert found == f"Linux {RUNNING} is still running; {ABSENT} runs after a restart."


@pytest.mark.parametrize("page", ["run", "proof", "kernel"])
async def test_after_the_restart_the_wizard_opens_at_the_run_and_goes_on_by_itself(
    state_directory: Path, page: str
) -> None:
    waiting(state_directory, (LAST_BOOT,), RUNNING, page)
    async with walking(state_directory) as walk:
        assert walk.place == "run"
        await until(walk, "Every step is done")
    run = RunStore(state_directory).read(walk.saved.run_id or "")
    assert run.steps["kernel.restart"].status == "done"


async def test_of_a_kernel_that_did_not_come_up_the_wizard_says_so_and_how_to_see_why(
    state_directory: Path,
) -> None:
    waiting(state_directory, (LAST_BOOT,), ABSENT, "proof")
    async with walking(state_directory) as walk:
        await until(walk, f"Linux {ABSENT} did not come up")
        await until(walk, "journalctl -k -b -1")
        assert "Try again" in walk.text


def test_root_is_asked_for_only_once_the_new_kernel_runs_and_says_so(state_directory: Path) -> None:
    words = stands(state_directory, LAST_BOOT, RESTARTED, RootNeeded(time=7.0))
    assert "The new kernel runs" in words
    assert "it then becomes the default" in words


def test_at_review_the_restart_is_the_person_s_own() -> None:
    restart = plan(ABSENT).step("kernel.restart")
    told = [part.text for part in step_entry(restart, None).explanation]
    assert told == ["You restart this machine, when it suits you; the run waits for that."]


def test_a_failed_restart_is_told_from_other_failures(state_directory: Path) -> None:
    failed = StepFailed(time=6.0, step="kernel.restart", returncode=None, message=say("no"), changes=())
    assert "did not come up" in stands(state_directory, LAST_BOOT, failed, RunEnded(time=7.0, good=False))
    other = failed.model_copy(update={"step": "kernel.after"})
    assert "did not come up" not in stands(
        state_directory, LAST_BOOT, RESTARTED, other, RunEnded(time=7.0, good=False)
    )
