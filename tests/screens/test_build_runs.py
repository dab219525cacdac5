"""A run that builds, as it is watched: counts, logs, what nothing vouches for, how the kernel booted."""

from pathlib import Path

import pytest

from kvmwizard.answers import Answers, GitQemu, KernelAnswer, QemuAnswer, ReleaseKernel, WelcomeAnswer
from kvmwizard.fetch.proofs import Gathered, refuse_unproven
from kvmwizard.plan.build_model import BootKernel, DownloadSource, FetchTag, ProductMade
from kvmwizard.plan.model import Action, Plan, Step
from kvmwizard.product import write_stamp
from kvmwizard.run.expected import expected_seconds, expected_spans
from kvmwizard.run.model import (
    RunEnded,
    RunState,
    RunStatus,
    StepFailed,
    StepProgress,
    StepState,
    StepStatus,
)
from kvmwizard.run.store import RunStore
from kvmwizard.run.text import step_that_matters
from kvmwizard.session import Session, SessionStore
from kvmwizard.words import say
from screens.kernel_boot import boot_entry, kernel_boot
from screens.log_screen import LogScreen
from screens.run_watch import progress_count, seconds_left
from screens.text_dialog import TextDialog
from screens.unverified import Unproven, with_agreement
from tests.screens.pilots import walking
from tests.screens.test_run_pages import add_run, done, started

IDENTITY = "0" * 64
TARBALL = "linux-6.1.192.tar.xz"


def step(name: str, action: Action, seconds: float = 10, **fields: object) -> Step:
    stamp = getattr(action, "stamp", "/nowhere")
    return Step.model_validate(
        {
            "id": name,
            "title": say("Do {step}", step=name),
            "root": False,
            "seconds": seconds,
            "conditions": (ProductMade(path=stamp, identity=IDENTITY),),
            "actions": (action,),
            **fields,
        }
    )


def download(folder: Path) -> DownloadSource:
    path = folder / TARBALL
    return DownloadSource(
        identity=IDENTITY,
        stamp=f"{path}.stamp",
        project="linux",
        version="6.1.192",
        urls=("file:///nowhere",),
        path=str(path),
        proofs=(),
    )


def boot(folder: Path) -> BootKernel:
    return BootKernel(
        identity=IDENTITY,
        stamp=str(folder / "boot.stamp"),
        image=str(folder / "bzImage"),
        release="6.1.192-kvmwizard",
        qemu="/usr/bin/qemu-system-x86_64",
        seconds=60,
    )


async def test_a_file_that_nothing_vouches_for_is_used_once_its_name_is_typed(
    state_directory: Path, tmp_path: Path
) -> None:
    plan = Plan(user="alice", qemu=None, steps=(step("kernel.download", download(tmp_path)),))
    refused = refuse_unproven(Gathered(name=TARBALL))
    failed = StepFailed(
        time=2.0,
        step="kernel.download",
        returncode=1,
        code=refused.code,
        message=refused.words,
        changes=(),
    )
    run_id = add_run(
        state_directory, (started("kernel.download"), failed, RunEnded(time=3.0, good=False)), plan
    )
    answers = Answers(
        welcome=WelcomeAnswer(route="source"),
        kernel=KernelAnswer(kernel=ReleaseKernel(version="6.1.192")),
    )
    SessionStore(state_directory).save(Session(run_id=run_id, page="run", answers=answers))
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "unverified" in walk.text
        await walk.pilot.press("v")
        await walk.pilot.pause(0.1)
        assert isinstance(walk.app.screen, TextDialog)
        await walk.paste("linux")
        await walk.pilot.press("enter")
        await walk.pilot.pause(0.2)
        assert isinstance(walk.app.screen, TextDialog), "that is not the name"
        await walk.pilot.press("ctrl+u")
        await walk.paste(TARBALL)
        await walk.pilot.press("enter")
        await walk.pilot.pause(0.3)
        assert walk.place == "review"
        kernel = walk.saved.answers.kernel
        assert kernel == KernelAnswer(kernel=ReleaseKernel(version="6.1.192", unverified=TARBALL))


async def test_another_failure_offers_no_such_thing(state_directory: Path, tmp_path: Path) -> None:
    plan = Plan(user="alice", qemu=None, steps=(step("kernel.download", download(tmp_path)),))
    failed = StepFailed(
        time=2.0, step="kernel.download", returncode=1, message=say("No server answers."), changes=()
    )
    add_run(state_directory, (started("kernel.download"), failed, RunEnded(time=3.0, good=False)), plan)
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        assert "Use unverified" not in walk.text


def test_the_agreement_goes_to_the_project_that_it_is_about() -> None:
    answers = Answers(
        kernel=KernelAnswer(kernel=ReleaseKernel(version="6.1.192")),
        qemu=QemuAnswer(qemu=GitQemu(tag="v2.7.0")),
    )
    agreed = with_agreement(answers, Unproven("qemu", "v2.7.0"))
    assert agreed == QemuAnswer(qemu=GitQemu(tag="v2.7.0", unverified="v2.7.0"))
    assert with_agreement(Answers(), Unproven("qemu", "v2.7.0")) is None


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"done": 4310, "total": 7050, "unit": "steps"}, "4,310/7,050"),
        ({"done": 50e6, "total": 150e6, "unit": "bytes", "seconds_left": 10.0}, "10 MB/s"),
        ({"done": 50e6, "total": 150e6, "unit": "bytes"}, ""),
        ({}, ""),
    ],
)
def test_counts_and_rates_are_told_where_they_are_known(fields: dict[str, object], shown: str) -> None:
    progress = StepProgress.model_validate({"fraction": 0.5, "words": say("Compiling"), **fields})
    assert progress_count(progress) == shown


def test_the_time_left_is_by_the_rate_of_late_where_that_is_known() -> None:
    words = say("Compiling")
    assert seconds_left(StepProgress(fraction=0.5, words=words, seconds_left=7.0), 100.0) == 7.0
    assert seconds_left(StepProgress(fraction=0.5, words=words), 100.0) == 100.0
    assert seconds_left(StepProgress(fraction=None, words=words), 100.0) == 0.0


def test_of_several_steps_under_way_the_selected_one_is_in_sight(tmp_path: Path) -> None:
    plan = Plan(
        user="alice", qemu=None, steps=(step("first", download(tmp_path)), step("second", boot(tmp_path)))
    )
    running = StepState(status=StepStatus.RUNNING, attempts=1, started=1.0)
    state = RunState(
        run_id="1",
        plan=plan,
        status=RunStatus.RUNNING,
        steps={"first": running, "second": running},
        began=0,
        ended=None,
    )
    assert step_that_matters(state) == "first"
    assert step_that_matters(state, "second") == "second"
    over = state.model_copy(update={"steps": {"first": running, "second": StepState(status=StepStatus.DONE)}})
    assert step_that_matters(over, "second") == "first"
    failed = StepState(status=StepStatus.FAILED, attempts=1, started=1.0)
    both_failed = state.model_copy(update={"steps": {"first": failed, "second": failed}})
    assert step_that_matters(both_failed, "second") == "second"


async def test_the_log_grows_while_it_is_read(state_directory: Path, tmp_path: Path) -> None:
    plan = Plan(user="alice", qemu=None, steps=(step("kernel.boot", boot(tmp_path)),))
    ended = (started("kernel.boot"), done("kernel.boot"), RunEnded(time=9.0, good=True))
    run_id = add_run(state_directory, ended, plan)
    log = RunStore(state_directory).log_path(run_id, "kernel.boot")
    log.write_text("the first line\n", encoding="ascii")
    async with walking(state_directory) as walk:
        await walk.pilot.pause(0.6)
        await walk.pilot.press("l")
        await walk.pilot.pause()
        assert isinstance(walk.app.screen, LogScreen)
        await walk.pilot.pause(0.5)
        assert "the first line" in walk.text
        with log.open("a", encoding="ascii") as file:
            file.write("\n".join(f"line {number}" for number in range(60)) + "\nthe last line\n")
        await walk.pilot.pause(0.8)
        assert "the last line" in walk.text
        await walk.pilot.press("escape")
        await walk.pilot.pause()
        assert not walk.app.query(LogScreen)
        assert walk.place == "run"


def test_how_the_kernel_booted_is_read_from_what_its_step_left(tmp_path: Path) -> None:
    action = boot(tmp_path)
    plan = Plan(user="alice", qemu=None, steps=(step("kernel.boot", action),))
    assert kernel_boot(plan) is None, "it has not booted yet"
    about = {"accelerator": "tcg", "release": "6.1.192-kvmwizard", "seconds": 2.25}
    write_stamp(Path(action.stamp), IDENTITY, (), about)
    booted = kernel_boot(plan)
    assert booted is not None
    entry = boot_entry(booted)
    assert entry.detail == "6.1.192-kvmwizard, without KVM"
    assert any("emulated" in part.text for part in entry.explanation)
    write_stamp(Path(action.stamp), "1" * 64, (), about)
    assert kernel_boot(plan) is None, "that was another kernel"


def test_steps_side_by_side_take_the_time_of_the_longer(tmp_path: Path) -> None:
    fetch = FetchTag(
        identity=IDENTITY,
        stamp="/nowhere",
        project="qemu",
        urls=(),
        tag="v1.0",
        repository="/nowhere",
        tree="/nowhere",
        keys=(),
    )
    steps = (
        step("a", download(tmp_path), 100, uses=("network",)),
        step("b", fetch, 60, uses=("network",)),
        step("c", boot(tmp_path), 50, uses=("processor",), needs=("a",)),
        step("d", boot(tmp_path), 30, uses=("processor",), needs=("b",)),
    )
    plan = Plan(user="alice", qemu=None, steps=steps)
    assert expected_seconds(plan) == 150
    assert expected_seconds(plan, {"a"}) == 90, "d waits for b alone, while c is done long before"
    assert expected_seconds(plan, {step.id for step in steps}) == 0


def test_steps_that_want_the_processors_at_the_same_time_share_them(tmp_path: Path) -> None:
    steps = (
        step("a", boot(tmp_path), 50, uses=("processor",)),
        step("b", boot(tmp_path), 30, uses=("processor",)),
        step("c", boot(tmp_path), 20),
    )
    plan = Plan(user="alice", qemu=None, steps=steps)
    spans = expected_spans(plan)
    assert spans == {"a": (0, 80), "b": (0, 60), "c": (0, 20)}
    assert expected_seconds(plan) == 80
