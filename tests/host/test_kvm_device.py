import json
import os
import stat
from pathlib import Path

import pytest

from kvmwizard.host.accounts import Accounts
from kvmwizard.host.host import Host
from kvmwizard.host.kvm_device import (
    AclEntry,
    DeviceNode,
    GuestRun,
    KvmDeviceFacts,
    OpenOutcome,
    read_kvm_device,
)
from kvmwizard.host.reading import Unknown
from tests.host.trees import make_host

GUEST = GuestRun(ran=True, instructions=1, exits=1, output="", milliseconds=1, problem=None)
NOBODY = 65534
KVM = Path("/dev/kvm")


def _read(host: Host) -> tuple[KvmDeviceFacts, int]:
    runs = []

    def run_guest() -> GuestRun:
        runs.append(1)
        return GUEST

    return read_kvm_device(host, Accounts(host), run_guest), len(runs)


@pytest.mark.skipif(not os.access(KVM, os.R_OK | os.W_OK), reason="this process may not open /dev/kvm")
def test_the_live_device_opens_and_a_guest_is_tried() -> None:
    kvm, runs = _read(Host())
    assert kvm.opened is OpenOutcome.OPENED
    assert kvm.open_error is None
    assert kvm.api_version == 12
    assert kvm.guest == GUEST
    assert runs == 1
    assert isinstance(kvm.node, DeviceNode)
    assert kvm.node.mode & 0o707 == stat.S_IMODE(KVM.stat().st_mode) & 0o707
    assert kvm.node.owner_id == KVM.stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
@pytest.mark.skipif(not KVM.exists(), reason="there is no /dev/kvm")
@pytest.mark.skipif(KVM.exists() and KVM.stat().st_mode & 0o006 == 0o006, reason="anyone may open /dev/kvm")
def test_an_ordinary_account_is_refused_and_no_guest_is_tried() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        kvm, runs = _read(Host())
        os.write(writer, json.dumps([kvm.opened, kvm.open_error, runs]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        opened, open_error, runs = json.load(answer)
    os.waitpid(child, 0)
    assert opened == OpenOutcome.NOT_PERMITTED
    assert open_error == "Permission denied"
    assert runs == 0


def test_a_recorded_device(tmp_path: Path) -> None:
    entry = {"kind": "user", "id": 1000, "permissions": "rw-"}
    device = {"mode": 432, "owner_id": 0, "group_id": 104, "acl": [entry]}
    host = make_host(
        tmp_path,
        {"/etc/group": "kvm:x:104:\n", "/etc/passwd": "root:x:0:0::/root:/bin/sh\n"},
        machine={"devices": {"/dev/kvm": device}},
    )
    kvm, runs = _read(host)
    assert kvm.node == DeviceNode(
        mode=0o660,
        owner_id=0,
        owner="root",
        group_id=104,
        group="kvm",
        acl=(AclEntry(kind="user", id=1000, permissions="rw-"),),
    )
    assert isinstance(kvm.opened, Unknown)
    assert isinstance(kvm.guest, Unknown)
    assert runs == 0
    assert kvm.vhost_net is None
    assert kvm.sev is False


def test_devices_that_were_not_recorded_are_unknown(tmp_path: Path) -> None:
    kvm, _ = _read(Host(tmp_path))
    for answer in (kvm.node, kvm.opened, kvm.vhost_net, kvm.sev):
        assert isinstance(answer, Unknown)


def test_a_recorded_machine_without_the_device(tmp_path: Path) -> None:
    kvm, _ = _read(make_host(tmp_path, {}, machine={"devices": {}}))
    assert kvm.node is None
    assert kvm.opened is OpenOutcome.ABSENT
