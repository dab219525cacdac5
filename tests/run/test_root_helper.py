"""What the root helper takes and refuses: as functions, and as a process in a namespace of its own."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.answers import AccessAnswer, Answers, KernelOptionsAnswer, proposed_answers
from kvmwizard.host.guest import guest_program_sha256
from kvmwizard.host.modules import MODULES
from kvmwizard.plan import access
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import (
    Action,
    FileAbsent,
    GrantDeviceAcl,
    Plan,
    RemoveEmptyGroup,
    RemoveFile,
    RevokeDeviceAcl,
    RunCommand,
    RunGuestAs,
    SetDeviceGroup,
    Step,
    WriteFile,
    canonical_json,
    plan_digest,
)
from kvmwizard.run.root_helper import BASE_GROUPS, GUEST_SHA256, POWERFUL_GROUPS, Refused, checked_steps
from kvmwizard.run.root_start import HELPER_PROGRAM, helper_argv, payload
from kvmwizard.words import say
from tests.facts_builder import make_facts

INSTALL = ("install", "--yes", "--no-install-recommends", "--")
APT = ("/usr/bin/apt-get", "-o", "APT::Cmd::Pattern-Only=true", *INSTALL)


def plan_with(*actions: Action, step_id: str = "a.step") -> Plan:
    step = Step(
        id=step_id,
        title=say("a step"),
        root=True,
        seconds=1,
        conditions=(FileAbsent(path="/nowhere"),),
        actions=actions,
    )
    return Plan(user="root", qemu=None, steps=(step,))


def accept(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    return checked_steps(canonical_json(plan), plan_digest(plan))


def test_every_plan_of_ours_is_accepted() -> None:
    facts = make_facts()
    answers = proposed_answers(facts)
    options = KernelOptionsAnswer(modules=("kvm", "kvm_intel", "vhost_net", "tun"), nested=True, iommu=True)
    for each in (
        answers,
        answers.model_copy(update={"kernel_options": options}),
        answers.model_copy(update={"access": AccessAnswer(user="root")}),
    ):
        assert isinstance(each, Answers)
        plan = make_plan(facts, each)
        assert set(accept(plan)) == {step.id for step in plan.steps if step.root}


DPKG_REMOVE = ("/usr/bin/dpkg", "--remove", "--")
GRUB = "/etc/default/grub.d/kvmwizard.cfg"
MODPROBE = "/etc/modprobe.d/kvmwizard.conf"
RULES = "/etc/udev/rules.d/99-kvmwizard.rules"


@pytest.mark.parametrize(
    "action",
    [
        RunCommand(argv=("/bin/sh", "-c", "id")),
        RunCommand(argv=("/usr/bin/apt-get", "install", "qemu-utils")),
        RunCommand(argv=("/usr/bin/apt-get", *INSTALL, "qemu-utils")),
        RunCommand(argv=(*APT, "qemu-utils", "sudo-")),
        RunCommand(argv=(*APT, "qemu-utils+")),
        RunCommand(argv=(*APT, "qemu-utils=1")),
        RunCommand(argv=(*APT, "qemu-utils/sid")),
        RunCommand(argv=(*APT, "standard^")),
        RunCommand(argv=(*APT, "~nqemu")),
        RunCommand(argv=(*APT, "^qemu")),
        RunCommand(argv=(*APT, "--allow-unauthenticated")),
        RunCommand(argv=(*APT, "-o", "Dpkg::Pre-Invoke::=id")),
        RunCommand(argv=(*APT, "/tmp/evil.deb")),
        RunCommand(argv=(*APT, "./evil.deb")),
        RunCommand(argv=(*APT, "qemu-utils extra")),
        RunCommand(argv=(*APT, "qemu-utils\n")),
        RunCommand(argv=(*APT,)),
        RunCommand(argv=("/usr/bin/apt-get", "-o", "APT::Status-Fd=9", "update")),
        RunCommand(argv=("/usr/bin/apt-get", "-c", "/tmp/apt.conf", "update")),
        RunCommand(argv=("/usr/bin/apt-get", "update"), environment={"LD_PRELOAD": "/tmp/evil.so"}),
        RunCommand(argv=("/usr/bin/apt-get", "update"), environment={"DEBIAN_FRONTEND": "readline"}),
        RunCommand(argv=("/usr/bin/apt-get", "update"), locks=("/etc/shadow",)),
        RunCommand(argv=("/usr/bin/touch", "/etc/nologin")),
        RunCommand(argv=("/sbin/modprobe", "-C", "/tmp/modprobe.d")),
        RunCommand(argv=("/sbin/modprobe", "../evil")),
        RunCommand(argv=("/sbin/modprobe", "n_hdlc")),
        RunCommand(argv=("/sbin/modprobe", "kvm", "nested=1")),
        RunCommand(argv=("/usr/bin/gpasswd", "--delete", "alice", "--root=/tmp")),
        WriteFile(path="/etc/modules-load.d/kvmwizard.conf", text="n_hdlc\n", mode=0o644),
        WriteFile(path=MODPROBE, text="options sg nested=1\n", mode=0o644),
        WriteFile(path=MODPROBE, text="", mode=-1),
        RunCommand(argv=("/usr/sbin/groupadd", "--system", "--force", "wheel")),
        RunCommand(argv=("/usr/bin/gpasswd", "--add", "-x", "kvm")),
        RunCommand(argv=("/usr/bin/gpasswd", "--add", "alice", "kvm", "sudo")),
        RunCommand(argv=("/usr/bin/dpkg", "--install", "--", "x")),
        RunCommand(argv=("/usr/sbin/update-grub", "-o", "/boot/x")),
        WriteFile(path="/etc/passwd", text="root::0:0::/:/bin/sh\n", mode=0o644),
        WriteFile(path="/etc/udev/rules.d/../../passwd", text="", mode=0o644),
        WriteFile(path=RULES, text='KERNEL=="kvm", RUN+="/tmp/evil"\n', mode=0o644),
        WriteFile(
            path=RULES,
            text='KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm", RUN+="x"\n',
            mode=0o644,
        ),
        WriteFile(path=GRUB, text="id\n", mode=0o644),
        WriteFile(path=GRUB, text="# harmless \\\nid\n", mode=0o644),
        WriteFile(
            path=GRUB,
            text='GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT $(id)"\n',
            mode=0o644,
        ),
        WriteFile(path=MODPROBE, text="install kvm /tmp/evil\n", mode=0o644),
        WriteFile(path=MODPROBE, text="", mode=0o4755),
        WriteFile(path=MODPROBE, text="", mode=0o666),
        WriteFile(path=MODPROBE, text="#\n" * 100_000, mode=0o644),
        RemoveFile(path="/etc/shadow"),
        RemoveEmptyGroup(group="sudo"),
        SetDeviceGroup(path="/dev/sda", group="kvm", mode=0o660),
        SetDeviceGroup(path="/dev/kvm", group="-R", mode=0o660),
        SetDeviceGroup(path="/dev/kvm", group="kvm", mode=0o4660),
        GrantDeviceAcl(path="/dev/mem", user="alice"),
        GrantDeviceAcl(path="/dev/kvm", user="../alice"),
        RevokeDeviceAcl(path="/dev/null", user="alice"),
        RunGuestAs(user="alice", program_sha256="0" * 63),
        RunGuestAs(user="root", program_sha256=hashlib.sha256(b"print('evil')").hexdigest()),
        RunGuestAs(user="-alice", program_sha256=guest_program_sha256()),
    ],
    ids=repr,
)
def test_what_no_plan_of_ours_has_is_refused(action: Action) -> None:
    with pytest.raises(Refused) as refused:
        accept(plan_with(action))
    assert refused.value.code == "action"


def test_the_only_program_run_as_somebody_is_our_guest() -> None:
    assert guest_program_sha256() == GUEST_SHA256, "tiny_guest.py was changed: set root_helper.GUEST_SHA256"


@pytest.mark.parametrize("name", [name for name, option in MODULES.items() if option is not None])
def test_every_module_for_guests_may_be_loaded(name: str) -> None:
    text = f"# Written by kvmwizard.\n{name}\n"
    load = RunCommand(argv=("/sbin/modprobe", name))
    assert accept(
        plan_with(load, WriteFile(path="/etc/modules-load.d/kvmwizard.conf", text=text, mode=0o644))
    )


@pytest.mark.parametrize(
    "name", ["qemu-system-x86", "linux-image-6.12.38+deb12-amd64", "linux-image-6.1.0-37-amd64"]
)
def test_names_of_packages_are_accepted(name: str) -> None:
    assert accept(plan_with(RunCommand(argv=(*APT, name)), RunCommand(argv=(*DPKG_REMOVE, name, "g++"))))


def test_the_planner_and_the_helper_know_the_same_groups() -> None:
    assert (access.BASE_GROUPS, access.POWERFUL_GROUPS) == (BASE_GROUPS, POWERFUL_GROUPS)


def test_two_steps_of_one_name_are_refused() -> None:
    step = plan_with(RunCommand(argv=("/usr/sbin/update-grub",))).steps[0]
    with pytest.raises(Refused) as refused:
        accept(Plan(user="root", qemu=None, steps=(step, step)))
    assert refused.value.code == "action"


def test_another_plan_than_the_agreed_one_is_refused() -> None:
    plan = plan_with(RunCommand(argv=("/usr/sbin/update-grub",)))
    assert accept(plan)
    with pytest.raises(Refused, match="digest"):
        checked_steps(canonical_json(plan) + b" ", plan_digest(plan))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema_version":1,"steps":[{"id":"a","root":true,"actions":[{"kind":"remove-file"}]}]}',
        b'{"schema_version":1,"steps":[{"id":"a","root":true,"actions":[{"kind":"shell"}]}]}',
        b'{"schema_version":1,"steps":[{"id":"../a","root":true,"actions":[]}]}',
        b'{"schema_version":2,"steps":[]}',
        b'{"schema_version":1,"steps":[{"id":"a","root":true,"actions":[{"kind":"remove-file","path":1}]}]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        checked_steps(content, hashlib.sha256(content).hexdigest())


def test_the_helper_is_one_short_file_of_the_standard_library() -> None:
    text = HELPER_PROGRAM.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 1000
    code = "import json, runpy, sys; runpy.run_path(sys.argv[1], run_name='helper');"
    code += "print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(HELPER_PROGRAM)],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {name.partition(".")[0] for name in json.loads(said.stdout)}
    assert not modules - set(sys.stdlib_module_names) - {"__main__", "__mp_main__"}


# As a process. /run is a file system of its own, so that nothing of the machine's is touched.

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the helper acts as root: run the tests as root")


class HelperProcess:
    """A helper in a mount namespace with an empty /run, and the namespace's way in."""

    def __init__(
        self,
        plan: Plan,
        *,
        digest: str | None = None,
        helper: bytes | None = None,
        surroundings: tuple[str, ...] = (),
    ) -> None:
        self.run_id = f"20260101-000000-{secrets.token_hex(4)}"
        self.plan = plan
        self.holder = subprocess.Popen(
            ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.first = children.read_text(encoding="ascii").strip()
        argv = list(helper_argv("/usr/bin/python3", plan, self.run_id))
        if digest is not None:
            argv[-2] = digest
        content = payload(plan) if helper is None else b"%d\n" % len(helper) + helper + canonical_json(plan)
        self.started = self.inside([*surroundings, *argv], content)

    def inside(self, argv: list[str], content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        enter = ["/usr/bin/nsenter", "--target", self.first, "--mount", "--pid", "--"]
        return subprocess.run([*enter, *argv], input=content, capture_output=True, check=False, timeout=30)

    @property
    def answer(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.started.stdout)
        return found

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(10)
        connection.connect(f"/proc/{self.first}/root{self.answer['listening']}")
        return connection

    def end(self) -> None:
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        self.holder.stdin.close()
        self.holder.wait(10)
        self.holder.stdout.close()


HOLD = "mount -t tmpfs -o mode=755 tmpfs /run && mount -t proc proc /proc && echo ready && read line"


@pytest.fixture
def helper() -> Iterator[HelperProcess]:
    guest = RunGuestAs(user="root", program_sha256=guest_program_sha256())
    process = HelperProcess(plan_with(guest, step_id="access.prove"))
    yield process
    process.end()


def ask(
    connection: socket.socket, request: dict[str, Any] | bytes, descriptors: tuple[int, ...] = ()
) -> dict[str, Any]:
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    socket.send_fds(connection, [content], list(descriptors))
    answer: dict[str, Any] = json.loads(connection.recv(1 << 17))
    return answer


def end_of_step(connection: socket.socket) -> dict[str, Any]:
    """The report of the only step, once it has ended."""
    deadline = time.monotonic() + 20
    while True:
        (report,) = ask(connection, {"verb": "hello"})["steps"]
        if report["outcome"] is not None:
            found: dict[str, Any] = report
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def log_files(folder: Path, flags: int = os.O_WRONLY | os.O_APPEND) -> Iterator[tuple[int, int]]:
    log = os.open(folder / "log", flags | os.O_CREAT, 0o600)
    progress = os.open(folder / "progress", flags | os.O_CREAT, 0o600)
    try:
        yield log, progress
    finally:
        os.close(log)
        os.close(progress)


@needs_root
def test_a_helper_with_another_text_is_not_run() -> None:
    process = HelperProcess(plan_with(), helper=b"print('evil')")
    process.end()
    assert process.started.returncode == 1
    assert process.started.stdout == b""
    assert b"not the one named" in process.started.stderr


@needs_root
def test_a_helper_refuses_another_plan() -> None:
    process = HelperProcess(plan_with(), digest="0" * 64)
    process.end()
    assert (process.started.returncode, process.answer["refused"]) == (1, "digest")


@needs_root
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "unknown-step"),
        ({"step": "packages.install"}, "unknown-step"),
        ({"step": ["x"]}, "unknown-step"),
        ({"step": "access.prove", "attempt": "1"}, "request"),
        ({"step": "access.prove", "attempt": True}, "request"),
        ({"step": "access.prove", "program": 7}, "request"),
        ({"verb": "shell"}, "request"),
        ({"step": "access.prove", "attempt": 0}, "request"),
        ({"step": "access.prove", "payload": 7}, "request"),
    ],
)
def test_a_helper_refuses_what_it_was_not_started_for(
    helper: HelperProcess, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    request = {"verb": "do", "step": "another", "attempt": 1, **change}
    with helper.connect() as connection, log_files(tmp_path) as files:
        assert ask(connection, request, files)["refused"] == code


@needs_root
@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b"{}", b"null", b"[" * 100_000, b"x" * (130 * 1024)]
)
def test_a_helper_outlives_nonsense(helper: HelperProcess, content: bytes) -> None:
    with helper.connect() as connection:
        assert ask(connection, content)["refused"] == "request"
        assert ask(connection, {"verb": "hello"})["protocol"] == 1


@needs_root
def test_a_helper_writes_only_to_plain_files_of_the_user_that_are_open_for_appending(
    helper: HelperProcess, tmp_path: Path
) -> None:
    request = {"verb": "do", "step": "access.prove", "attempt": 1}
    other = tmp_path / "another's"
    other.touch()
    os.chown(other, 1, 1)
    with helper.connect() as connection:
        assert ask(connection, request)["refused"] == "descriptors"
        with log_files(tmp_path, os.O_RDWR) as files:
            assert ask(connection, request, files)["refused"] == "descriptors"
        with log_files(tmp_path) as files, socket.socket() as plug:
            assert ask(connection, request, (files[0], plug.fileno()))["refused"] == "descriptors"
            assert ask(connection, request, (files[0],))["refused"] == "descriptors"
            anothers = os.open(other, os.O_WRONLY | os.O_APPEND)
            assert ask(connection, request, (files[0], anothers))["refused"] == "descriptors"
            os.close(anothers)
            # A file of the kernel's own, which acts on whoever writes to it.
            kernels = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_APPEND)
            assert ask(connection, request, (files[0], kernels))["refused"] == "descriptors"
            os.close(kernels)


@needs_root
def test_a_helper_refuses_a_program_that_is_not_the_plan_s(helper: HelperProcess, tmp_path: Path) -> None:
    request = {"verb": "do", "step": "access.prove", "attempt": 1, "program": "print('evil')"}
    with helper.connect() as connection, log_files(tmp_path) as files:
        assert ask(connection, request, files) == {"accepted": "access.prove"}
        finished = end_of_step(connection)
    assert finished["outcome"]["code"] == "program"
    assert "evil" not in (tmp_path / "log").read_text(encoding="utf-8")


@needs_root
def test_a_helper_remembers_what_came_of_a_step_and_does_no_attempt_twice(
    helper: HelperProcess, tmp_path: Path
) -> None:
    request = {"verb": "do", "step": "access.prove", "attempt": 1, "program": "x"}
    with helper.connect() as connection, log_files(tmp_path) as files:
        ask(connection, request, files)
        finished = end_of_step(connection)
        assert ask(connection, request, files)["refused"] == "done-already"
    with helper.connect() as another:
        assert ask(another, {"verb": "hello"})["steps"] == [finished]


@needs_root
def test_a_helper_answers_its_user_alone(helper: HelperProcess) -> None:
    path = helper.answer["listening"]
    stranger = f"""
import os, socket
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({path!r})
"""
    as_nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    said = helper.inside([*as_nobody, "/usr/bin/python3", "-c", stranger])
    assert b"PermissionError" in said.stderr
    # Were the socket's mode no obstacle, the kernel's word on who connects still is.
    helper.inside(["/bin/chmod", "0666", path])
    said = helper.inside([*as_nobody, "/usr/bin/python3", "-c", stranger + "print(connection.recv(999))"])
    assert b'{"refused": "peer"}' in said.stdout


@needs_root
def test_a_second_helper_of_a_run_leaves_the_first_one_alone(helper: HelperProcess) -> None:
    argv = list(helper_argv("/usr/bin/python3", helper.plan, helper.run_id))
    again = helper.inside(argv, payload(helper.plan))
    assert json.loads(again.stdout) == helper.answer
    assert helper.inside(["/usr/bin/pgrep", "-cf", helper.run_id]).stdout.strip() == b"1"


HOSTILE = (
    *(
        "/usr/bin/prlimit",
        "--fsize=4096:",
        "--core=unlimited:",
        "--nofile=20:",
        "--data=200000000:",
    ),
    *("/bin/sh", "-c", 'umask 0; echo 900 > /proc/self/oom_score_adj; cd /tmp; exec "$@"', "sh"),
    *("/usr/bin/env", "--ignore-signal=CHLD", "--ignore-signal=TERM", "--block-signal=TERM"),
    *("LD_PRELOAD=", "PYTHONPATH=/tmp", "PYTHONSTARTUP=/tmp/x", "BASH_ENV=/tmp/x", "APT_CONFIG=/tmp/x"),
)


@needs_root
def test_nothing_that_the_caller_hands_down_to_its_children_lasts(tmp_path: Path) -> None:
    guest = RunGuestAs(user="root", program_sha256=guest_program_sha256())
    fails = RunCommand(argv=("/usr/bin/dpkg", "--remove", "--", "no-such-package-anywhere"))
    process = HelperProcess(plan_with(fails, guest), surroundings=HOSTILE)
    try:
        (number,) = process.inside(["/usr/bin/pgrep", "-f", process.run_id]).stdout.decode().split()
        told = process.inside(["/bin/cat", f"/proc/{number}/limits", f"/proc/{number}/oom_score_adj"]).stdout
        limits = told.decode().splitlines()
        assert limits.pop() == "0"
        values = {line[:26].strip(): line[26:].split()[:2] for line in limits}
        assert values["Max file size"] == values["Max data size"] == ["unlimited", "unlimited"]
        assert (values["Max core file size"], values["Max open files"]) == (["0", "0"], ["4096", "4096"])
        status = process.inside(["/bin/cat", f"/proc/{number}/status"]).stdout.decode()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        child, terminate = (1 << (each - 1) for each in (signal.SIGCHLD, signal.SIGTERM))
        assert int(fields["SigBlk"], 16) == 0
        assert int(fields["SigIgn"], 16) & (child | terminate) == 0
        assert fields["Umask"] == "0022"
        assert process.inside(["/bin/readlink", f"/proc/{number}/cwd"]).stdout == b"/\n"
        request = {"verb": "do", "step": "a.step", "attempt": 1}
        with process.connect() as connection, log_files(tmp_path) as files:
            assert ask(connection, request, files) == {"accepted": "a.step"}
            outcome = end_of_step(connection)["outcome"]
        # With SIGCHLD ignored, no command's failure would be seen.
        assert (outcome["code"], outcome["returncode"]) == ("program", 0)
    finally:
        process.end()


@needs_root
def test_a_helper_ends_when_told_and_leaves_no_socket(helper: HelperProcess) -> None:
    with helper.connect() as connection:
        assert ask(connection, {"verb": "end"}) == {"ending": True}
        assert connection.recv(10) == b""
    assert helper.inside(["/bin/ls", "/run/kvmwizard"]).stdout == b""


@needs_root
@pytest.mark.parametrize(
    "trap",
    [
        "ln -s /tmp /run/kvmwizard",
        "mkdir -m 777 /run/kvmwizard",
        "mkdir /run/kvmwizard; chown 1 /run/kvmwizard",
        "touch /run/kvmwizard",
    ],
)
def test_a_helper_listens_in_no_directory_that_others_can_change(helper: HelperProcess, trap: str) -> None:
    helper.inside(["/bin/sh", "-c", f"rm -rf /run/kvmwizard; {trap}"])
    argv = list(helper_argv("/usr/bin/python3", helper.plan, "20260101-000000-ffffffff"))
    said = helper.inside(argv, payload(helper.plan))
    assert said.returncode == 1
    assert json.loads(said.stdout)["refused"] in {"path", "system"}
