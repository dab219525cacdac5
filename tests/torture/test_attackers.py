"""What a process with alice's rights tries while root works for her; and what bob tries."""

import json
import stat
from dataclasses import dataclass

import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.model import (
    ModuleLoaded,
    PackagesAbsent,
    PackagesInstalled,
    RunCommand,
    SetDeviceGroup,
    WriteFile,
)
from kvmwizard.plan.software import run_command
from tests.conftest import Counts
from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import GROUP, RULES, WRITE, Runs, member, step, sudo
from tests.run.trees import Root

pytestmark = pytest.mark.root

HOME = "/home/alice"
CAUGHT = "/tmp/caught"
TRAP = f'#!/bin/dash\necho "$0" >> {CAUGHT}\n'
TRAPPED_PROGRAMS = (
    *("sudo", "python3", "apt-get", "dpkg", "groupadd", "gpasswd", "udevadm", "modprobe", "touch", "sh"),
    *("bash", "busctl", "update-grub", "git", "make", "tar", "env", "setpriv", "git-trap"),
)
TRAPPED_MODULES = ("sitecustomize", "usercustomize", "hashlib", "json", "socket", "startup")
PYTHON_TRAP = f"import os\nif os.geteuid() == 0: open({CAUGHT!r}, 'a').write(__file__)\n"
LIBRARY = """
#include <unistd.h>
#include <fcntl.h>
unsigned la_version(unsigned version) { return version; }
__attribute__((constructor)) static void caught(void) {
    if (geteuid() == 0 && getuid() == 0) close(open("/tmp/caught", O_CREAT | O_WRONLY, 0666));
}
"""
TRAPS = {
    **{f"bin/{name}": TRAP for name in TRAPPED_PROGRAMS},
    **{f"lib/{name}.py": PYTHON_TRAP + "raise SystemExit\n" * (name == "json") for name in TRAPPED_MODULES},
    "lib/trap.pm": f"open(F, '>>{CAUGHT}'); 1;\n",
    "lib/trap.c": LIBRARY,
    "lib/modprobe.conf": f"install kvm /usr/bin/touch {CAUGHT}\n",
    "apt.conf": f'Dir::Bin::dpkg "{HOME}/bin/dpkg";\n',
    ".bashrc": f"touch {CAUGHT}\n",
    ".dpkg.cfg": f"pre-invoke=touch {CAUGHT}\n",
}
"""In alice's home: what root would run, read or load, if only it looked there."""


def write(machine: ThrowawayMachine, path: str, text: str, mode: int = 0o755) -> None:
    """A file of alice's in the machine."""
    script = f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode:o} {path}; chown alice {path}"
    machine.do(["/bin/sh", "-c", script], input=text)


@dataclass(frozen=True)
class Variable:
    """A variable that leads root into a trap, and the command that shows it: who takes it along is caught."""

    value: str
    falls: tuple[str, ...]


VARIABLES = {
    "PATH": Variable(f"{HOME}/bin:/usr/bin:/bin", ("/usr/bin/env", "apt-get")),
    "HOME": Variable(HOME, ("/usr/bin/dpkg", "--remove", "no-such-package")),
    "BASH_ENV": Variable(f"{HOME}/.bashrc", ("/bin/bash", "-c", "true")),
    "ENV": Variable(f"{HOME}/.bashrc", ("/bin/dash", "-i", "-c", "true")),
    "BASH_FUNC_true%%": Variable(f"() {{ touch {CAUGHT}; }}", ("/bin/bash", "-c", "true")),
    "APT_CONFIG": Variable(f"{HOME}/apt.conf", ("/usr/bin/apt-get", "check")),
    "GIT_EXEC_PATH": Variable(f"{HOME}/bin", ("/usr/bin/git", "trap")),
    "GIT_SSH_COMMAND": Variable(f"{HOME}/bin/sh", ("/usr/bin/git", "ls-remote", "ssh://127.0.0.1/x")),
    "TAR_OPTIONS": Variable(
        f"--use-compress-program={HOME}/bin/tar", ("/bin/tar", "-cf", "/tmp/x.tar", "/etc/hostname")
    ),
    "MAKEFLAGS": Variable(f"--eval=$$(shell\\ touch\\ {CAUGHT})", ("/usr/bin/make", "-f", "/dev/null")),
    "MODPROBE_OPTIONS": Variable(f"-C {HOME}/lib/modprobe.conf", ("/sbin/modprobe", "kvm")),
    "PERL5OPT": Variable(f"-I{HOME}/lib -Mtrap", ("/usr/bin/perl", "-e", "1")),
    "PYTHONPATH": Variable(f"{HOME}/lib", ("/usr/bin/python3", "-c", "")),
    "LD_PRELOAD": Variable(f"{HOME}/lib/trap.so", ("/bin/true",)),
    "LD_AUDIT": Variable(f"{HOME}/lib/trap.so", ("/bin/true",)),
}
FOR_PYTHON_AND_THE_LINKER = ("PYTHONPATH", "LD_PRELOAD", "LD_AUDIT")
"""Kept from the unprivileged half, which they would keep from running at all: handed to sudo itself alone."""
WATCHED_PROGRAMS = (
    *("/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/sbin/groupadd", "/usr/bin/gpasswd", "/usr/sbin/update-grub"),
    *("/sbin/modprobe", "/usr/bin/udevadm"),
)
WATCHER = """#!/bin/dash
(/usr/bin/env -0; printf 'argv=%s\\0' "$0") >> /root/seen
test ! -e "$0.real" || exec "$0.real" "$@"
"""
ROOTS_VARIABLES = {
    *("PATH", "LC_ALL", "DEBIAN_FRONTEND", "APT_LISTCHANGES_FRONTEND", "NEEDRESTART_SUSPEND"),
    *("PWD", "argv"),  # the watcher's own
}
PASSING_SUDO = "Defaults:alice !env_reset, !secure_path, !env_delete, !env_check\n"
"""A sudo that takes every variable along, so that nothing but the helper keeps them from root's commands."""


def lay_traps(machine: ThrowawayMachine) -> dict[str, str]:
    """The environment that leads to them; each was seen to catch who takes it along."""
    for name, text in TRAPS.items():
        write(machine, f"{HOME}/{name}", text)
    compiled = ["/usr/bin/gcc", "-shared", "-fPIC", "-o", f"{HOME}/lib/trap.so", f"{HOME}/lib/trap.c"]
    machine.do(compiled)
    for name, variable in VARIABLES.items():
        machine.run(variable.falls, env={name: variable.value})
        assert machine.path(CAUGHT).exists(), f"the trap of {name} catches nobody"
        machine.path(CAUGHT).unlink()
    return {name: variable.value for name, variable in VARIABLES.items()}


def handed_on_by_sudo(machine: ThrowawayMachine, environment: dict[str, str]) -> set[str]:
    """Which of these variables a command of Alice's by sudo finds."""
    machine.do(["/usr/sbin/visudo", "--check", "--strict"])
    argv = ["/usr/bin/sudo", "-S", "-p", "", "/usr/bin/env", "-0"]
    said = machine.run(argv, user="alice", env=environment, input=f"{ALICE_PASSWORD}\n")
    # Whoever started sudo with them fell for them.
    machine.path(CAUGHT).unlink(missing_ok=True)
    return {name for name, value in environment.items() if f"{name}={value}" in said.stdout.split("\0")}


def watch_programs(machine: ThrowawayMachine) -> None:
    """Have every program that root will run write down its environment first."""
    for path in WATCHED_PROGRAMS:
        machine.run(["/bin/mv", path, f"{path}.real"])
        machine.path(path).write_text(WATCHER, encoding="ascii")
        machine.path(path).chmod(0o755)


SUDO = f"""
import os, subprocess, sys
from pathlib import Path
from kvmwizard.plan.model import Plan
from kvmwizard.run.root_start import helper_argv, payload
plan = Plan.model_validate_json(Path(sys.argv[1]).read_bytes())
argv = ["/usr/bin/sudo", "-S", "-p", "", "--", *helper_argv("/usr/bin/python3", plan, sys.argv[2])]
os.chdir({f"{HOME}/lib"!r})
environment = dict(word.split("=", 1) for word in sys.argv[3:])
password = {ALICE_PASSWORD!r} + "\\n"
sys.exit(subprocess.run(argv, input=password.encode() + payload(plan), env=environment).returncode)
"""
"""Calls the helper by sudo without our own runner, which would clear the environment before."""


@pytest.fixture
def alice(program_machine: ThrowawayMachine) -> Runs:
    return Runs(program_machine, "alice")


@pytest.mark.slow
@pytest.mark.parametrize(
    "sudoers",
    [pytest.param("", id="usual sudo"), pytest.param(PASSING_SUDO, id="sudo that passes all on")],
)
def test_nothing_of_the_users_environment_reaches_roots_commands(
    alice: Runs, sudoers: str, counts: Counts
) -> None:
    machine = alice.machine
    environment = lay_traps(machine)
    machine.path("/etc/sudoers.d/passing").write_text(sudoers, encoding="ascii")
    machine.path("/etc/sudoers.d/passing").chmod(0o440)
    handed_on = handed_on_by_sudo(machine, environment)
    # The linker takes its own ones from every program that has more rights than its caller (ld.so(8)).
    assert not sudoers or handed_on == {name for name in environment if not name.startswith("LD_")}
    # A package and a module that there are none of: these steps fail, once root's commands were run.
    (apt_get,) = map(run_command, MANAGERS["apt"].install(("no-such-package",)))
    wanted = PackagesInstalled(manager="apt", names=("no-such-package",))
    gone = PackagesAbsent(manager="apt", names=("tmux",))
    run_id = alice.take(
        GROUP,
        WRITE,
        step("packages.install", wanted, apt_get),
        step("packages.remove", gone, *map(run_command, MANAGERS["apt"].remove(gone.names))),
        step("modules.load", ModuleLoaded(name="kvm_hv"), RunCommand(argv=("/sbin/modprobe", "kvm_hv"))),
        member("kvm").model_copy(update={"needs": ("access.group",)}),
    )
    watch_programs(machine)
    words = [f"{name}={value}" for name, value in environment.items()]
    plan = f"{HOME}/state/runs/{run_id}/plan.json"
    said = machine.run([alice.argv("", "")[0], "-c", SUDO, plan, run_id, *words], user="alice")
    assert json.loads(said.stdout).get("listening"), said.stderr
    usual = {name: value for name, value in environment.items() if name not in FOR_PYTHON_AND_THE_LINKER}
    started = machine.run(alice.argv("start", run_id), user="alice", env=usual)
    assert started.returncode == 0, started.stderr
    state = alice.end(run_id)
    ended = {name: each["status"] for name, each in state["steps"].items()}
    failed = [name for name, status in ended.items() if status != "done"]
    assert failed == ["packages.install", "modules.load"], state
    seen = [word.partition("=") for word in machine.path("/root/seen").read_text().split("\0")[:-1]]
    programs = {value for name, _, value in seen if name == "argv"}
    assert {"/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/bin/gpasswd", "/sbin/modprobe"} <= programs
    names = {name for name, _, _ in seen if not name.startswith(("DPKG_", "APT_"))}
    led_astray = [value for _, _, value in seen if HOME in value]
    caught = machine.path(CAUGHT).exists()
    counts(
        "attackers: variables that lead root astray",
        tries=len(environment),
        handed_on_by_sudo=len(handed_on),
        variables_that_reached_root=len(names - ROOTS_VARIABLES),
        successes=len(led_astray) + caught,
    )
    assert names <= ROOTS_VARIABLES, names - ROOTS_VARIABLES
    assert led_astray == []
    assert not caught


KVM = "/dev/kvm"
ORDINARY_GROUPS = ("finance", "messagebus", "nogroup")
POWERFUL_GROUPS = ("root", "sudo", "disk", "shadow", "docker")


def give(group: str) -> SetDeviceGroup:
    return SetDeviceGroup(path=KVM, group=group, mode=0o660)


def join(group: str) -> RunCommand:
    return RunCommand(argv=("/usr/bin/gpasswd", "--add", "bob", group))


def rule(group: str) -> WriteFile:
    text = f'KERNEL=="kvm", GROUP="{group}", MODE="0660", OPTIONS+="static_node=kvm"\n'
    return WriteFile(path=RULES, text=text, mode=0o644)


@pytest.fixture
def root(machine: ThrowawayMachine) -> Root:
    for group in (*ORDINARY_GROUPS, *POWERFUL_GROUPS):
        machine.do(["/usr/sbin/groupadd", "-f", group])
    return Root(machine)


def test_the_device_is_no_way_into_a_group(root: Root, counts: Counts) -> None:
    machine = root.machine
    groups = ["/usr/bin/id", "-nG", "bob"]
    before = machine.do(groups)
    tries = {
        f"{action.kind} {group}": action
        for group in ORDINARY_GROUPS
        for action in (give(group), join(group), rule(group))
    }
    done = [name for name, action in tries.items() if root.do(action) is None]
    assert machine.do(["/usr/bin/stat", "-c", "%G", KVM]).strip() == "root"
    # Groups whose members are root by another name are not joined even where they have the device.
    for group in POWERFUL_GROUPS:
        machine.do(["/bin/chgrp", group, KVM])
        tries[f"join {group}, which has the device"] = join(group)
        if root.do(join(group)) is None:
            done.append(group)
    tries["leave"] = leave = RunCommand(argv=("/usr/bin/gpasswd", "--delete", "alice", "sudo"))
    if root.do(leave) is None:
        done.append("leave")
    counts("attackers: ways into a group and out of one", tries=len(tries), successes=len(done))
    assert done == []
    assert machine.do(groups) == before
    assert "sudo" in machine.do(["/usr/bin/id", "-nG", "alice"]).split()


def test_the_group_that_the_device_has_is_joined_and_left(root: Root) -> None:
    machine = root.machine
    machine.do(["/bin/sh", "-c", f"chgrp finance {KVM}; chmod 660 {KVM}"])
    assert root.do(join("finance")) is None
    assert "finance" in machine.do(["/usr/bin/id", "-nG", "bob"]).split()
    assert root.do(RunCommand(argv=("/usr/bin/gpasswd", "--delete", "bob", "finance"))) is None
    assert "finance" not in machine.do(["/usr/bin/id", "-nG", "bob"]).split()


def test_a_name_that_apt_would_take_for_a_pattern_or_a_removal_changes_nothing(root: Root) -> None:
    """Names that apt itself must refuse: it is told to take none for a pattern, and none for a removal."""
    before = root.machine.do(["/usr/bin/dpkg-query", "-W"])
    for name in ("qemu.utils", "sud[o]", "qemu-utils/stable"):
        (install,) = map(run_command, MANAGERS["apt"].install((name,)))
        assert root.do(install) is not None, name
    assert root.machine.do(["/usr/bin/dpkg-query", "-W"]) == before


STOP_SWAPPING = "/tmp/stop-swapping"
SWAPPER_ENDS_SECONDS = 30.0
LEAST_SWAPS = 100
SWAPPER = f"""
import collections, contextlib, itertools, json, os, stat, sys
hard = os.stat("/tmp/hard").st_ino
traps = (
    lambda path: os.symlink("/etc/passwd", path),
    os.mkfifo,
    lambda path: os.link("/tmp/hard", path),
)
counted = collections.Counter(swaps=0, logs_taken=0)
def swap(path, trap):
    with contextlib.suppress(OSError):
        os.truncate(path, 0)
    with contextlib.suppress(OSError):
        there = os.lstat(path)
        os.unlink(path)
        counted["logs_taken"] += stat.S_ISREG(there.st_mode) and there.st_ino != hard
    with contextlib.suppress(OSError):
        trap(path)
        counted["swaps"] += 1
first, second = (f"{{sys.argv[1]}}/{{name}}.log" for name in ("access.group", "access.rule"))
at_work = False
while not os.path.exists({STOP_SWAPPING!r}):
    # Where a trap is first, root is handed no log: the one is let be until root's command stands in it.
    at_work = at_work or os.path.exists(first) and "groupadd" in open(first).read()
    for path, trap in itertools.product((first, second) if at_work else (second,), traps):
        swap(path, trap)
print(json.dumps(counted))
"""


def test_the_log_may_be_cut_replaced_or_swapped_and_root_writes_nowhere_else(
    alice: Runs, counts: Counts
) -> None:
    """Alice holds the same open file as root, and may do with it and its name what she likes."""
    machine = alice.machine
    run_id = alice.take(GROUP, WRITE)
    sudo(alice, run_id, ALICE_PASSWORD)
    before = machine.path("/etc/passwd").read_bytes()
    write(machine, "/tmp/hard", "")
    argv = ["/usr/bin/python3", "-c", SWAPPER, f"{HOME}/state/runs/{run_id}/logs"]
    attacker = machine.popen(argv, user="alice")
    try:
        alice.ask("start", run_id)
        state = alice.end(run_id)
    finally:
        machine.path(STOP_SWAPPING).touch()
        said, complaints = attacker.communicate(timeout=SWAPPER_ENDS_SECONDS)
    assert attacker.returncode == 0, complaints
    counted = json.loads(said)
    leaks = machine.path("/etc/passwd").read_bytes() != before
    counts("attackers: the log swapped while root writes to it", **counted, leaks=int(leaks))
    assert state["status"] in {"done", "failed"}
    assert state["steps"]["access.group"]["status"] == "done"
    assert not leaks
    assert counted["swaps"] >= LEAST_SWAPS
    assert counted["logs_taken"] >= 1


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
