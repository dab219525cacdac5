"""What a process with alice's rights tries while root works for her; and what bob tries."""

import json
import shlex
import stat
from collections.abc import Mapping, Sequence

import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.model import (
    Action,
    DeviceGroup,
    FileHolds,
    PackagesInstalled,
    RunCommand,
    SetDeviceGroup,
    UserInGroup,
    UserNotInGroup,
    WriteFile,
)
from kvmwizard.plan.software import run_command
from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import GROUP, RULES, WRITE, Runs, member, step, sudo

pytestmark = pytest.mark.root

TRAPPED_PROGRAMS = (
    *(
        "sudo",
        "python3",
        "apt-get",
        "dpkg",
        "groupadd",
        "gpasswd",
        "udevadm",
        "modprobe",
        "touch",
        "sh",
        "bash",
    ),
    *("busctl", "update-grub", "git", "make", "tar", "env", "setpriv"),
)
CAUGHT = "/tmp/caught"
TRAP = f'#!/bin/dash\necho "$0" >> {CAUGHT}\n'
PYTHON_TRAP = f"import os\nif os.geteuid() == 0: open({CAUGHT!r}, 'a').write(__file__)\n"
LIBRARY = """
#include <unistd.h>
#include <fcntl.h>
__attribute__((constructor)) static void caught(void) {
    if (geteuid() == 0 && getuid() == 0) close(open("/tmp/caught", O_CREAT | O_WRONLY, 0666));
}
"""
APT_TRAP = f'DPkg::Pre-Invoke {{"touch {CAUGHT}";}};\nAPT::Update::Pre-Invoke {{"touch {CAUGHT}";}};\n'
HOME = "/home/alice"


def write(machine: ThrowawayMachine, path: str, text: str, mode: int = 0o644) -> None:
    """A file of alice's in the machine."""
    machine.do(
        ["/bin/sh", "-c", f"cat > {shlex.quote(path)}; chmod {mode:o} {path}; chown alice {path}"], input=text
    )


def hostile_environment(machine: ThrowawayMachine) -> dict[str, str]:
    """Traps all over alice's home, and the environment that leads to them."""
    machine.do(["mkdir", "-p", f"{HOME}/bin", f"{HOME}/lib", f"{HOME}/.config/apt"])
    for name in TRAPPED_PROGRAMS:
        write(machine, f"{HOME}/bin/{name}", TRAP, 0o755)
    for name in ("sitecustomize", "usercustomize", "hashlib", "json", "socket", "startup"):
        write(
            machine, f"{HOME}/lib/{name}.py", PYTHON_TRAP + ("" if name != "json" else "raise SystemExit\n")
        )
    write(machine, f"{HOME}/apt.conf", APT_TRAP)
    write(machine, f"{HOME}/.bashrc", f"touch {CAUGHT}\n")
    return {
        "APT_CONFIG": f"{HOME}/apt.conf",
        "BASH_ENV": f"{HOME}/.bashrc",
        "DPKG_ROOT": f"{HOME}/root",
        "ENV": f"{HOME}/.bashrc",
        "GIT_EXEC_PATH": f"{HOME}/bin",
        "GIT_SSH_COMMAND": f"{HOME}/bin/sh",
        "LD_LIBRARY_PATH": f"{HOME}/lib",
        "MODPROBE_OPTIONS": f"-C {HOME}/lib",
        "PERL5OPT": f"-I{HOME}/lib -Mtrap",
        "TAR_OPTIONS": f"--to-command={HOME}/bin/sh",
        "XDG_CONFIG_HOME": f"{HOME}/.config",
    }


def catches(machine: ThrowawayMachine, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether the trap works on who does take the environment along."""
    machine.run(argv, env=environment)
    caught = machine.path(CAUGHT).exists()
    machine.path(CAUGHT).unlink(missing_ok=True)
    return caught


def start_as_alice(runs: Runs, run_id: str, environment: dict[str, str]) -> None:
    """Start the runner and sudo in that environment, after which nothing of it may have reached root."""
    sudo(runs, run_id, ALICE_PASSWORD, environment=environment)
    runs.machine.run(runs.argv("start", run_id), user="alice", env=environment)


@pytest.fixture
def alice(program_machine: ThrowawayMachine) -> Runs:
    return Runs(program_machine, "alice")


def test_nothing_of_the_users_environment_reaches_roots_commands(alice: Runs) -> None:
    machine = alice.machine
    environment = hostile_environment(machine)
    install = step(
        "packages.install",
        PackagesInstalled(manager="apt", names=("qemu-utils",)),
        *map(run_command, MANAGERS["apt"].install(("qemu-utils",))),
    )
    run_id = alice.take(GROUP, WRITE, install, member("kvm").model_copy(update={"needs": ("access.group",)}))
    # What Python itself would read is kept from the unprivileged half only so that it can run at all.
    search = {"PATH": f"{HOME}/bin:/usr/bin:/bin"}
    assert catches(machine, ["/usr/bin/env", "apt-get"], search)
    assert catches(machine, ["/usr/bin/apt-get", "update"], environment)
    assert catches(machine, ["/bin/bash", "-c", "true"], environment)
    start_as_alice(alice, run_id, {**environment, **search})
    state = alice.end(run_id)
    assert state["status"] == "done", state
    assert not machine.path(CAUGHT).exists()


@pytest.mark.parametrize("variable", ["PYTHONPATH", "LD_PRELOAD"])
def test_no_variable_of_python_s_or_the_linker_s_reaches_the_helper(alice: Runs, variable: str) -> None:
    machine = alice.machine
    hostile_environment(machine)
    write(machine, f"{HOME}/trap.c", LIBRARY)
    machine.run(["/usr/bin/gcc", "-shared", "-fPIC", "-o", f"{HOME}/trap.so", f"{HOME}/trap.c"])
    value = f"{HOME}/trap.so" if variable == "LD_PRELOAD" else f"{HOME}/lib"
    assert catches(machine, ["/usr/bin/python3", "-c", ""], {variable: value})
    run_id = alice.take(GROUP)
    # Handed to sudo itself, as somebody would who calls the helper without our runner.
    plan = machine.path(f"{HOME}/state/runs/{run_id}/plan.json")
    program = f"""
import os, subprocess, sys
from pathlib import Path
from kvmwizard.plan.model import Plan
from kvmwizard.run.root_start import helper_argv, payload
plan = Plan.model_validate_json(Path({f"{HOME}/state/runs/{run_id}/plan.json"!r}).read_bytes())
argv = ["/usr/bin/sudo", "-S", "-p", "", "--", *helper_argv("/usr/bin/python3", plan, {run_id!r})]
os.chdir({f"{HOME}/lib"!r})
environment = {{**os.environ, {variable!r}: {value!r}}}
password = {ALICE_PASSWORD!r} + "\\n"
sys.exit(subprocess.run(argv, input=password.encode() + payload(plan), env=environment).returncode)
"""
    assert plan.exists()
    said = machine.run([alice.argv("", "")[0], "-c", program], user="alice")
    assert json.loads(said.stdout).get("listening"), said.stderr
    assert alice.carry_out(run_id)["status"] == "done"
    assert not machine.path(CAUGHT).exists()


FINANCE = ("/usr/sbin/groupadd", "finance")


def carried_out(runs: Runs, condition: object, *actions: Action) -> bool:
    """Whether root did it, in a run of its own."""
    return bool(runs.carry_out(runs.take(step("a.step", condition, *actions)))["status"] == "done")


@pytest.fixture
def runs(program_machine: ThrowawayMachine) -> Runs:
    program_machine.do(list(FINANCE))
    return Runs(program_machine)


@pytest.mark.parametrize("group", ["finance", "messagebus", "nogroup"])
def test_the_device_cannot_be_used_to_join_another_group(runs: Runs, group: str) -> None:
    runs.machine.do(["/usr/sbin/groupadd", "-f", group])
    give = SetDeviceGroup(path="/dev/kvm", group=group, mode=0o660)
    join = RunCommand(argv=("/usr/bin/gpasswd", "--add", "bob", group))
    assert not carried_out(runs, DeviceGroup(path="/dev/kvm", group=group, mode=0o660), give)
    assert not carried_out(runs, UserInGroup(user="bob", group=group), give, join)
    rule = f'KERNEL=="kvm", GROUP="{group}", MODE="0660", OPTIONS+="static_node=kvm"\n'
    written = WriteFile(path=RULES, text=rule, mode=0o644)
    assert not carried_out(runs, FileHolds(path=RULES, text=rule, mode=0o644), written)
    assert group not in runs.machine.do(["/usr/bin/id", "-nG", "bob"]).split()
    assert runs.machine.do(["/usr/bin/stat", "-c", "%G", "/dev/kvm"]).strip() == "root"


@pytest.mark.parametrize("group", ["root", "sudo", "disk", "shadow", "docker"])
def test_a_powerful_group_is_not_joined_even_where_it_has_the_device(runs: Runs, group: str) -> None:
    runs.machine.do(["/usr/sbin/groupadd", "-f", group])
    runs.machine.do(["/bin/chgrp", group, "/dev/kvm"])
    join = RunCommand(argv=("/usr/bin/gpasswd", "--add", "bob", group))
    assert not carried_out(runs, UserInGroup(user="bob", group=group), join)
    assert group not in runs.machine.do(["/usr/bin/id", "-nG", "bob"]).split()


def test_nobody_is_put_out_of_a_group_that_has_nothing_to_do_with_guests(runs: Runs) -> None:
    leave = RunCommand(argv=("/usr/bin/gpasswd", "--delete", "alice", "sudo"))
    assert not carried_out(runs, UserNotInGroup(user="alice", group="sudo"), leave)
    assert "sudo" in runs.machine.do(["/usr/bin/id", "-nG", "alice"]).split()


def test_the_group_that_the_device_has_is_joined_and_left(runs: Runs) -> None:
    runs.machine.do(["/bin/sh", "-c", "chgrp finance /dev/kvm; chmod 660 /dev/kvm"])
    run_id = runs.take(member("finance", "bob"))
    assert runs.carry_out(run_id)["status"] == "done"
    assert "finance" in runs.machine.do(["/usr/bin/id", "-nG", "bob"]).split()
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert "finance" not in runs.machine.do(["/usr/bin/id", "-nG", "bob"]).split()


def test_a_name_that_apt_would_take_for_a_pattern_or_a_removal_changes_nothing(runs: Runs) -> None:
    before = runs.machine.do(["/usr/bin/dpkg-query", "-W"])
    for name in ("qemu.utils", "sudo-", "sudo+", "qemu-utils/stable"):
        install = map(run_command, MANAGERS["apt"].install((name,)))
        assert not carried_out(runs, PackagesInstalled(manager="apt", names=(name,)), *install), name
    assert runs.machine.do(["/usr/bin/dpkg-query", "-W"]) == before


def test_the_log_may_be_cut_replaced_or_swapped_and_root_writes_nowhere_else(alice: Runs) -> None:
    """Alice holds the same open file as root, and may do with it and its name what she likes."""
    machine = alice.machine
    run_id = alice.take(GROUP, WRITE)
    sudo(alice, run_id, ALICE_PASSWORD)
    swapper = f"""
import contextlib, os
folder = {f"{HOME}/state/runs/{run_id}/logs"!r}
while True:
    for name in ("access.group", "access.rule"):
        path = f"{{folder}}/{{name}}.log"
        traps = (
            lambda: os.symlink("/etc/passwd", path),
            lambda: os.mkfifo(path),
            lambda: os.link("/tmp/hard", path),
        )
        for trap in traps:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
            with contextlib.suppress(OSError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                trap()
"""
    before = machine.path("/etc/passwd").read_bytes()
    write(machine, "/tmp/hard", "")
    attacker = machine.popen(["/usr/bin/python3", "-c", swapper], user="alice")
    try:
        alice.ask("start", run_id)
        state = alice.end(run_id)
    finally:
        machine.run(["/usr/bin/pkill", "-KILL", "-u", "alice", "-f", "os.link"])
        attacker.communicate()
    assert state["status"] in {"done", "failed"}
    assert machine.path("/etc/passwd").read_bytes() == before


def test_what_a_run_leaves_behind_is_its_users_alone(alice: Runs) -> None:
    run_id = alice.take(GROUP)
    sudo(alice, run_id, ALICE_PASSWORD)
    alice.machine.run(
        ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh", *alice.argv("start", run_id)], user="alice"
    )
    assert alice.end(run_id)["status"] == "done"
    found = list(alice.directory(run_id).rglob("*"))
    assert found
    for each in found:
        assert stat.S_IMODE(each.lstat().st_mode) == (0o700 if each.is_dir() else 0o600), each
    assert alice.machine.run(["/bin/ls", f"{HOME}/state"], user="bob").returncode != 0
