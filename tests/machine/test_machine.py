import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.machine.layers import ALICE_PASSWORD, BOB_PASSWORD, Layer
from tests.machine.machine import ThrowawayMachine

pytestmark = pytest.mark.root


def test_is_a_machine_of_its_own(machine: ThrowawayMachine) -> None:
    assert machine.run(["hostname"]).stdout == "debian\n"
    assert machine.run(["hostname"]).stdout != os.uname().nodename
    assert machine.run(["cat", "/proc/1/comm"]).stdout.startswith("python3")
    assert machine.run(["sh", "-c", "command -v qemu-system-x86_64"]).returncode != 0


def test_what_it_writes_stays_in_it(machine: ThrowawayMachine) -> None:
    machine.do(["touch", "/etc/only-in-the-machine"])
    assert machine.path("/etc/only-in-the-machine").exists()
    assert not Path("/etc/only-in-the-machine").exists()


def test_users_and_sudo(machine: ThrowawayMachine) -> None:
    sudo = ["sudo", "--stdin", "id", "-u"]
    assert machine.run(["id", "-un"], user="alice").stdout == "alice\n"
    assert machine.run(["pwd"], user="alice").stdout == "/home/alice\n"
    allowed = machine.run(sudo, user="alice", input=f"{ALICE_PASSWORD}\n")
    assert allowed.stdout == "0\n", allowed.stderr
    refused = machine.run(sudo, user="bob", input=f"{BOB_PASSWORD}\n")
    assert refused.returncode == 1
    assert "not in the sudoers file" in refused.stderr


def test_its_kvm_device_is_not_the_live_one(machine: ThrowawayMachine) -> None:
    if not machine.path("/dev/kvm").exists():
        pytest.skip("this machine has no /dev/kvm")
    live = Path("/dev/kvm").stat()
    inside = machine.path("/dev/kvm").stat()
    assert inside.st_rdev == live.st_rdev
    assert (stat.S_IMODE(inside.st_mode), inside.st_uid, inside.st_gid) == (0o600, 0, 0)
    machine.do(["setfacl", "-m", "u:alice:rw", "/dev/kvm"])
    reading = ["/usr/bin/python3", "-c", "open('/dev/kvm', 'r+b', buffering=0)"]
    assert machine.run(reading, user="alice").returncode == 0
    assert machine.run(reading, user="bob").returncode == 1
    assert Path("/dev/kvm").stat().st_mode == live.st_mode
    assert "system.posix_acl_access" not in os.listxattr("/dev/kvm")


def test_a_new_login_has_the_groups_of_that_moment(machine: ThrowawayMachine) -> None:
    machine.do(["groupadd", "virtual"])
    assert "virtual" not in machine.run(["id", "-Gn"], user="alice").stdout.split()
    machine.do(["usermod", "-aG", "virtual", "alice"])
    assert "virtual" in machine.run(["id", "-Gn"], user="alice").stdout.split()


def test_the_live_kernel_is_out_of_reach(machine: ThrowawayMachine) -> None:
    effective = machine.run(["sh", "-c", "grep CapBnd /proc/self/status"]).stdout.split()[1]
    for capability in (16, 22, 25):
        assert not int(effective, 16) >> capability & 1
    for knob in ("/proc/sys/kernel/hostname", "/sys/kernel/mm/transparent_hugepage/enabled"):
        assert machine.run(["sh", "-c", f"echo never > {knob}"]).returncode != 0


def test_without_a_network_nothing_is_reached(machine_base: Layer) -> None:
    with ThrowawayMachine.start(machine_base.stack, network=False) as machine:
        assert machine.run(["sh", "-c", "ls /sys/class/net"]).stdout.split() == ["lo"]
        update = machine.run(["apt-get", "update", "-o", "APT::Update::Error-Mode=any"], timeout=120)
        assert update.returncode != 0


def test_a_command_that_takes_too_long_is_killed(machine: ThrowawayMachine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run(["sh", "-c", "sleep 600; echo never"], timeout=0.5)
    assert "sleep" not in machine.run(["ps", "-e", "-o", "comm"]).stdout.split()


def test_dropping_it_ends_everything_quickly(machine_base: Layer) -> None:
    begin = time.monotonic()
    machine = ThrowawayMachine.start(machine_base.stack)
    started = time.monotonic() - begin
    machine.do(["sh", "-c", "setsid sleep 1000 > /dev/null 2>&1 &"])
    folder = machine.folder.path
    machine.drop()
    machine.drop()
    assert started < 5
    assert not folder.exists()
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert str(folder) not in mounts


def test_a_killed_test_process_leaves_no_machine_behind(machine_base: Layer) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from tests.machine.machine import ThrowawayMachine\n"
        "machine = ThrowawayMachine.start([pathlib.Path(each) for each in sys.argv[1:]])\n"
        "machine.popen(['sleep', '1000'])\n"
        "print(machine.folder.path, machine._holder.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, machine_base.stack)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert tests.stdout is not None
    folder, holder = tests.stdout.readline().split()
    tests.kill()
    tests.communicate()
    for _ in range(100):
        if not Path("/proc", holder).exists() or "State:\tZ" in Path("/proc", holder, "status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the machine outlived its tests")
    ThrowawayMachine.start(machine_base.stack).drop()
    assert not Path(folder).exists()
