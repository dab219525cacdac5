"""Every refusal of the root helper's is met by a test: those that no other file has are met here."""

import ast
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.plan.model import RemoveFile, RunCommand, WriteFile, canonical_json, plan_digest
from kvmwizard.run import root_helper
from kvmwizard.run.root_helper import Helper, Refused, Work
from kvmwizard.run.root_start import BOOTSTRAP, HELPER_PROGRAM, helper_argv, payload
from tests.machine.machine import ThrowawayMachine
from tests.run.test_root_helper import HelperProcess, ask, needs_root, plan_with
from tests.run.trees import QEMU, QEMU_NAME, Root, install_qemu, packed

TESTS = Path(__file__).parents[1]
UPDATE = plan_with(RunCommand(argv=("/usr/sbin/update-grub",)))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """A step's work whose log is a file of the test's; its commands are not the machine's to suffer."""
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    made = Work([log, os.dup(log)], "", "")

    def never(self: Work, argv: Any, *_: object, **__: object) -> None:
        raise AssertionError(f"{self} ran {argv}")

    monkeypatch.setattr(root_helper, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr(made, "run", never.__get__(made))
    yield made
    for descriptor in (made.log, made.progress):
        os.close(descriptor)


def acl_of_another_version(_: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getxattr", lambda *_: b"\x03\0\0\0")
    root_helper.read_acl("/dev/null")


def a_file_for_a_device(_: Work, __: pytest.MonkeyPatch) -> None:
    with root_helper.device("/etc/passwd"):
        pass


def a_group_with_members(work: Work, _: pytest.MonkeyPatch) -> None:
    work._remove_group({"group": "root"})


def a_lock_that_is_kept(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_helper, "lock_holder", lambda _: 1)
    work._wait_for_lock("/var/lib/dpkg/lock")


def a_command_that_does_not_end(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    os.dup2(work.progress, root_helper.PROGRESS_DESCRIPTOR + 200)
    monkeypatch.setattr(root_helper, "PROGRESS_DESCRIPTOR", root_helper.PROGRESS_DESCRIPTOR + 200)
    Work.run(work, ["/bin/sleep", "600"], 0.2)


def another_schema(_: Work, __: pytest.MonkeyPatch) -> None:
    content = canonical_json(UPDATE).replace(b'"schema_version":1', b'"schema_version":2')
    root_helper.checked_steps(content, hashlib.sha256(content).hexdigest())


def two_steps_at_once(_: Work, __: pytest.MonkeyPatch) -> None:
    helper = Helper({"a.step": []}, plan_digest(UPDATE), "20260101-000000-00000000", 0)
    over = threading.Event()
    helper._thread = threading.Thread(target=over.wait, daemon=True)
    helper._thread.start()
    try:
        helper._begin(None, {"step": "a.step", "attempt": 1}, [])  # type: ignore[arg-type]  # nobody is answered
    finally:
        over.set()


REFUSALS: dict[str, Callable[[Work, pytest.MonkeyPatch], object]] = {
    "acl": acl_of_another_version,
    "busy": two_steps_at_once,
    "device": a_file_for_a_device,
    "group": lambda *_: root_helper.group_id("no-such-group"),
    "lock": a_lock_that_is_kept,
    "members": a_group_with_members,
    "menu": lambda *_: root_helper.menu_entry("menuentry 'Debian' --class debian {", "6.1.0"),
    "path": lambda *_: root_helper.read_file("/tmp/nothing"),
    "schema": another_schema,
    "timed-out": a_command_that_does_not_end,
    "user": lambda *_: root_helper.account("no-such-user"),
}


@needs_root
@pytest.mark.parametrize("code", REFUSALS)
def test_it_is_refused(code: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused) as refused:
        REFUSALS[code](work, monkeypatch)
    assert refused.value.code == code


def test_nothing_is_begun_once_somebody_asked_for_a_stop(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    code = f"""
import os, runpy
helper = runpy.run_path({str(HELPER_PROGRAM)!r}, run_name="helper")
work = helper["Work"]([{log}, os.dup({log})], "", "")
work.stopping, report = True, {{}}
work.carry_out([{{"kind": "run-command", "argv": ["/bin/false"]}}], report)
print(report["outcome"]["code"])
"""
    # In a process of its own, as the descriptor of the progress is given a fixed number.
    argv = ["/usr/bin/python3", "-I", "-c", code]
    said = subprocess.run(argv, pass_fds=(log,), capture_output=True, text=True, check=True)
    os.close(log)
    assert said.stdout.strip() == "stopped"


def started(*changed: str, user: int = 0) -> dict[str, str]:
    """What a helper answers that is started by this user, its last arguments being others."""
    argv = [*helper_argv("/usr/bin/python3", UPDATE, "20260101-000000-00000000")]
    assert argv[4] == BOOTSTRAP
    argv[len(argv) - len(changed) :] = changed
    said = subprocess.run(argv, input=payload(UPDATE), capture_output=True, check=False, user=user)
    answer: dict[str, str] = json.loads(said.stdout)
    return answer


@needs_root
def test_a_helper_of_another_user_or_with_other_arguments_ends() -> None:
    assert started(user=65534)["refused"] == "not-root"
    assert started("../../etc")["refused"] == "arguments"
    assert started("0" * 63, "20260101-000000-00000000")["refused"] == "arguments"


@needs_root
def test_a_stop_is_answered_and_the_seventeenth_caller_is_sent_away() -> None:
    process = HelperProcess(UPDATE)
    callers = [process.connect() for _ in range(root_helper.CLIENTS)]
    try:
        assert ask(callers[0], {"verb": "stop"}) == {"stopping": False}
        with process.connect() as another:
            assert json.loads(another.recv(1000)) == {"refused": "busy"}
    finally:
        for caller in callers:
            caller.close()
        process.end()


@pytest.mark.root
def test_packages_are_not_touched_where_an_interrupted_dpkg_cannot_be_mended(
    machine: ThrowawayMachine,
) -> None:
    machine.path("/var/lib/dpkg/updates/0001").write_text("no stanza\n", encoding="ascii")
    before = machine.path("/var/lib/dpkg/status").read_bytes()
    root = Root(machine)
    assert root.do(RunCommand(argv=("/usr/bin/dpkg", "--remove", "--", "tmux"))) == "repair"
    assert machine.path("/var/lib/dpkg/status").read_bytes() == before


MODULES = "/etc/modules-load.d/kvmwizard.conf"
UNFINISHED = "/etc/modules-load.d/.kvmwizard.conf.unfinished"
WRITE, REMOVE = WriteFile(path=MODULES, text="kvm\n", mode=0o644), RemoveFile(path=MODULES)
ANOTHER_NAME = "/home/alice/another-name"


@pytest.mark.root
@pytest.mark.parametrize(
    ("path", "action"),
    [
        pytest.param(MODULES, WRITE, id="what is to be written"),
        pytest.param(UNFINISHED, WRITE, id="what an earlier writing left"),
        pytest.param(MODULES, REMOVE, id="what is to be removed"),
        pytest.param(UNFINISHED, REMOVE, id="what is to be removed with it"),
    ],
)
def test_a_file_that_has_another_name_is_neither_written_nor_removed(
    machine: ThrowawayMachine, path: str, action: WriteFile | RemoveFile
) -> None:
    # As the user can make one of a file of root's where fs.protected_hardlinks is off (proc_sys_fs(5)).
    machine.do(["/bin/sh", "-c", f"echo tun > {path} && ln {path} {ANOTHER_NAME}"])
    assert Root(machine).do(action) == "path"
    assert machine.path(path).samefile(machine.path(ANOTHER_NAME))
    assert machine.path(ANOTHER_NAME).read_text(encoding="ascii") == "tun\n"
    left = {each.name for each in machine.path(MODULES).parent.glob("*kvmwizard*")}
    assert left == {Path(path).name}


@pytest.mark.root
def test_a_tree_s_file_that_has_another_name_is_not_removed(
    machine: ThrowawayMachine, tmp_path: Path
) -> None:
    root = Root(machine)
    assert root.install(install_qemu(), packed(tmp_path, QEMU)) is None
    linked = next(f"/{name}" for name in QEMU)
    machine.do(["/bin/ln", linked, ANOTHER_NAME])
    assert root.remove(QEMU_NAME) == "path"
    assert machine.path(linked).samefile(machine.path(ANOTHER_NAME))
    machine.path(ANOTHER_NAME).unlink()
    assert root.remove(QEMU_NAME) is None
    assert not machine.path(linked).exists()


HERE, HELPER = "run/test_root_refusals.py", "run/test_root_helper.py"
TREES, RUNS = "run/test_root_trees.py", "run/test_restart_runs.py"
ELSEWHERE = {
    "action": f"{HELPER}::test_what_no_plan_of_ours_has_is_refused",
    "arguments": f"{HERE}::test_a_helper_of_another_user_or_with_other_arguments_ends",
    "descriptors": f"{HELPER}::"
    "test_a_helper_writes_only_to_plain_files_of_the_user_that_are_open_for_appending",
    "digest": f"{HELPER}::test_a_helper_refuses_another_plan",
    "done-already": f"{HELPER}::test_a_helper_remembers_what_came_of_a_step_and_does_no_attempt_twice",
    "not-root": f"{HERE}::test_a_helper_of_another_user_or_with_other_arguments_ends",
    "not-running": f"{RUNS}::test_root_makes_no_kernel_the_default_that_does_not_run",
    "payload": "torture/test_tree_attackers.py::test_another_payload_than_the_journaled_one_is_not_installed",
    "peer": f"{HELPER}::test_a_helper_answers_its_user_alone",
    "plan": f"{HELPER}::test_what_is_no_plan_is_refused",
    "program": f"{HELPER}::test_a_helper_refuses_a_program_that_is_not_the_plan_s",
    "repair": f"{HERE}::test_packages_are_not_touched_where_an_interrupted_dpkg_cannot_be_mended",
    "request": f"{HELPER}::test_a_helper_outlives_nonsense",
    "running": f"{TREES}::test_the_running_kernel_is_neither_replaced_nor_removed",
    "stopped": f"{HERE}::test_nothing_is_begun_once_somebody_asked_for_a_stop",
    "system": f"{TREES}::test_a_full_disk_leaves_nothing_behind",
    "taken": f"{TREES}::test_nothing_of_somebody_else_s_is_overwritten",
    "unknown-step": f"{HELPER}::test_a_helper_refuses_what_it_was_not_started_for",
}


def codes(text: str) -> set[str]:
    """Every code with which the helper refuses, as its own text has it."""
    found = set()
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
            name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
            place = {"require": 1, "Refused": 0, "_part": 1}.get(name)
            if place is not None and len(call.args) > place:
                constants = (each for each in ast.walk(call.args[place]) if isinstance(each, ast.Constant))
                found |= {each.value for each in constants if isinstance(each.value, str)}
    return found


def test_no_refusal_is_without_its_test() -> None:
    assert codes(HELPER_PROGRAM.read_text(encoding="utf-8")) == set(REFUSALS) | set(ELSEWHERE)
    for test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8"), test
