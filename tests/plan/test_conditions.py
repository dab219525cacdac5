"""What was observed, judged: does it hold, what shows it, what changed."""

import pytest
from pydantic import ValidationError

from kvmwizard.plan.base import PlanModel
from kvmwizard.plan.build_model import BootsNext
from kvmwizard.plan.changes import BootChosen, FileWritten, parse_change
from kvmwizard.plan.conditions import changes_between, evidence, holds
from kvmwizard.plan.model import (
    Condition,
    DeviceAclGrants,
    DeviceAclWithout,
    DeviceGroup,
    FileAbsent,
    FileHolds,
    FileMentions,
    GroupAbsent,
    GroupExists,
    GuestRanAs,
    ModuleLoaded,
    ModuleUnloaded,
    PackageListsFresh,
    PackagesAbsent,
    PackagesInstalled,
    UserInGroup,
    UserNotInGroup,
)
from kvmwizard.plan.observed import (
    ObservedBoot,
    ObservedDevice,
    ObservedDeviceAccess,
    ObservedFile,
    ObservedGroup,
    ObservedGuest,
    ObservedLists,
    ObservedMembership,
    ObservedModule,
    ObservedPackages,
)

QEMU = PackagesInstalled(manager="apt", names=("qemu-system-x86",))
KERNEL = PackagesInstalled(
    manager="apt", names=("linux-image-amd64",), at_least={"linux-image-amd64": "6.1.192-2"}
)
LISTS = PackageListsFresh(manager="apt", seconds=86400, wanted=QEMU)
FILE = FileHolds(path="/etc/x", text="a\n", mode=0o644)
MENU = FileMentions(path="/boot/grub/grub.cfg", text="intel_iommu=on")
DEVICE = DeviceGroup(path="/dev/kvm", group="kvm", mode=0o660)
ACL = DeviceAclGrants(path="/dev/kvm", user="bob")
READ_ONLY = DeviceAclGrants(path="/dev/kvm", user="bob", permissions="r--")


@pytest.mark.parametrize(
    ("condition", "observed", "expected", "words"),
    [
        (LISTS, ObservedLists(age_seconds=60, missing=("x",)), True, "less than an hour old"),
        (LISTS, ObservedLists(age_seconds=7200, missing=("x",)), True, "the package lists are 2 hours old"),
        (
            LISTS,
            ObservedLists(age_seconds=90000, missing=("x",)),
            False,
            "the package lists are 25 hours old",
        ),
        (LISTS, ObservedLists(age_seconds=None, missing=("x",)), False, "no package lists that are known"),
        (LISTS, ObservedLists(age_seconds=None, missing=()), True, "nothing has to be installed"),
        (
            QEMU,
            ObservedPackages(installed={"qemu-system-x86": "1:7.2"}),
            True,
            "installed: qemu-system-x86 1:7.2",
        ),
        (QEMU, ObservedPackages(installed={"acl": "2"}), False, "not installed, or too old: qemu-system-x86"),
        (KERNEL, ObservedPackages(installed={"linux-image-amd64": "6.1.99-1"}), False, "too old"),
        (KERNEL, ObservedPackages(installed={"linux-image-amd64": "6.1.200-1"}), True, "6.1.200-1"),
        (PackagesAbsent(manager="apt", names=("a",)), ObservedPackages(installed={}), True, "none of these"),
        (
            PackagesAbsent(manager="apt", names=("a", "b")),
            ObservedPackages(installed={"b": "1"}),
            False,
            "still installed: b",
        ),
        (
            PackagesAbsent(manager="apt", names=("a", "b")),
            ObservedPackages(installed={}, unfinished=("a",)),
            False,
            "still installed: a",
        ),
        (QEMU, ObservedPackages(installed={}, unfinished=("qemu-system-x86",)), False, "not installed"),
        (FILE, ObservedFile(exists=True, text="a\n", mode=0o644, owner_id=0), True, "/etc/x says so"),
        (FILE, ObservedFile(exists=True, text="a\n", mode=0o666, owner_id=0), False, "another"),
        (FILE, ObservedFile(exists=True, text="a\n", mode=0o644, owner_id=1000), False, "another"),
        (FILE, ObservedFile(exists=False), False, "does not exist"),
        (MENU, ObservedFile(exists=True, text="linux /vmlinuz intel_iommu=on"), True, "has intel_iommu=on"),
        (MENU, ObservedFile(exists=True, text="linux /vmlinuz"), False, "does not have intel_iommu=on"),
        (MENU, ObservedFile(exists=True), True, "cannot be read"),
        (MENU, ObservedFile(exists=False), False, "does not exist"),
        (FileAbsent(path="/etc/x"), ObservedFile(exists=False), True, "does not exist"),
        (FileAbsent(path="/etc/x"), ObservedFile(exists=True), False, "still there"),
        (GroupExists(group="kvm"), ObservedGroup(exists=True, id=106), True, "106"),
        (GroupExists(group="kvm"), ObservedGroup(exists=False), False, "no group kvm"),
        (GroupAbsent(group="kvm"), ObservedGroup(exists=False), True, "no group kvm"),
        (UserInGroup(user="bob", group="kvm"), ObservedMembership(groups=("bob", "kvm")), True, "is in"),
        (UserInGroup(user="bob", group="kvm"), ObservedMembership(groups=("bob",)), False, "not in"),
        (UserNotInGroup(user="bob", group="kvm"), ObservedMembership(groups=()), True, "not in"),
        (ModuleLoaded(name="tun"), ObservedModule(state="loaded"), True, "is loaded"),
        (ModuleLoaded(name="tun"), ObservedModule(state="built-in"), True, "built into"),
        (ModuleLoaded(name="tun"), ObservedModule(state="absent"), False, "not loaded"),
        (ModuleUnloaded(name="tun"), ObservedModule(state="absent"), True, "not loaded"),
        (DEVICE, ObservedDevice(exists=True, group="kvm", mode=0o660), True, "group kvm, mode 0660"),
        (DEVICE, ObservedDevice(exists=True, group="root", mode=0o600), False, "group root, mode 0600"),
        (DEVICE, ObservedDevice(exists=False), False, "does not exist"),
        (ACL, ObservedDeviceAccess(exists=True, entry="rw-"), True, "gives bob rw-"),
        (ACL, ObservedDeviceAccess(exists=True, anyway=True), True, "may use /dev/kvm already"),
        (ACL, ObservedDeviceAccess(exists=True, entry="r--"), False, "gives bob r--"),
        (ACL, ObservedDeviceAccess(exists=True), False, "does not name bob"),
        (READ_ONLY, ObservedDeviceAccess(exists=True, entry="rw-"), False, "gives bob rw-"),
        (READ_ONLY, ObservedDeviceAccess(exists=True, anyway=True), False, "may use"),
        (
            DeviceAclWithout(path="/dev/kvm", user="bob"),
            ObservedDeviceAccess(exists=True, anyway=True),
            True,
            "the access list of /dev/kvm does not name bob",
        ),
        (
            DeviceAclWithout(path="/dev/kvm", user="bob"),
            ObservedDeviceAccess(exists=False),
            True,
            "not exist",
        ),
        (GuestRanAs(user="bob"), ObservedGuest(), False, "only running a guest"),
        (GuestRanAs(user="bob"), ObservedGuest(ran=True), True, "a guest ran as bob"),
    ],
)
def test_judged(condition: Condition, observed: PlanModel, expected: bool, words: str) -> None:
    text = observed.model_dump_json()
    assert holds(condition, text) is expected
    assert words in evidence(condition, text).english


def test_what_was_observed_for_another_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        holds(FILE, "not JSON")
    with pytest.raises(ValidationError):
        holds(FILE, ObservedMembership(groups=()).model_dump_json())


@pytest.mark.parametrize(
    ("condition", "before", "after", "expected"),
    [
        (
            QEMU,
            ObservedPackages(installed={"acl": "1", "libc6": "2.36"}),
            ObservedPackages(installed={"acl": "1", "libc6": "2.37", "qemu-system-x86": "7", "libaio1": "0"}),
            {"kind": "packages-added", "manager": "apt", "names": ("libaio1", "qemu-system-x86")},
        ),
        (
            QEMU,
            ObservedPackages(installed={}, unfinished=("acl",)),
            ObservedPackages(installed={"acl": "2"}, unfinished=("qemu-system-x86",)),
            {"kind": "packages-added", "manager": "apt", "names": ("qemu-system-x86",)},
        ),
        (
            FILE,
            ObservedFile(exists=False),
            ObservedFile(exists=True, text="a\n", mode=0o644, owner_id=0),
            {"kind": "file-written", "path": "/etc/x", "previous_text": None, "previous_mode": None},
        ),
        (
            FILE,
            ObservedFile(exists=True, text="old", mode=0o600, owner_id=0),
            ObservedFile(exists=True, text="a\n", mode=0o644, owner_id=0),
            {"kind": "file-written", "path": "/etc/x", "previous_text": "old", "previous_mode": 0o600},
        ),
        (
            GroupExists(group="kvm"),
            ObservedGroup(exists=False),
            ObservedGroup(exists=True, id=106),
            {"kind": "group-created", "group": "kvm"},
        ),
        (
            UserInGroup(user="bob", group="kvm"),
            ObservedMembership(groups=("bob",)),
            ObservedMembership(groups=("bob", "kvm")),
            {"kind": "member-added", "user": "bob", "group": "kvm"},
        ),
        (
            ModuleLoaded(name="tun"),
            ObservedModule(state="absent"),
            ObservedModule(state="loaded"),
            {"kind": "module-inserted", "name": "tun"},
        ),
        (
            DEVICE,
            ObservedDevice(exists=True, group="4242", mode=0o600),
            ObservedDevice(exists=True, group="kvm", mode=0o660),
            {"kind": "device-given", "path": "/dev/kvm", "previous_group": "4242", "previous_mode": 0o600},
        ),
        (
            ACL,
            ObservedDeviceAccess(exists=True, entry="r--"),
            ObservedDeviceAccess(exists=True, entry="rw-"),
            {"kind": "acl-granted", "path": "/dev/kvm", "user": "bob", "previous": "r--"},
        ),
    ],
)
def test_changes(
    condition: Condition, before: PlanModel, after: PlanModel, expected: dict[str, object]
) -> None:
    (change,) = changes_between(condition, before.model_dump_json(), after.model_dump_json())
    assert parse_change(change).model_dump() == expected
    assert changes_between(condition, after.model_dump_json(), after.model_dump_json()) == ()


def test_a_file_that_could_not_be_read_is_remembered_as_one_that_was_there() -> None:
    before = ObservedFile(exists=True, text=None, mode=0o600, owner_id=0).model_dump_json()
    after = ObservedFile(exists=True, text="a\n", mode=0o644, owner_id=0).model_dump_json()
    (change,) = changes_between(FILE, before, after)
    assert parse_change(change) == FileWritten(path="/etc/x", previous_text=None, previous_mode=0o600)


def test_a_default_that_was_set_before_the_choice_for_one_start_failed_is_remembered() -> None:
    before = ObservedBoot(running_release="6.1", default_release=None, default_entry="0")
    after = before.model_copy(update={"default_release": "6.1", "default_entry": "gnulinux-6.1"})
    (change,) = changes_between(BootsNext(release="6.12"), before.model_dump_json(), after.model_dump_json())
    assert parse_change(change) == BootChosen(previous_default="0")


def test_a_device_that_was_not_there_is_not_given_back() -> None:
    before = ObservedDevice(exists=False).model_dump_json()
    after = ObservedDevice(exists=True, group="kvm", mode=0o660).model_dump_json()
    assert changes_between(DEVICE, before, after) == ()


def test_an_entry_that_is_gone_was_not_given() -> None:
    before = ObservedDeviceAccess(exists=True, entry="r--").model_dump_json()
    assert changes_between(ACL, before, ObservedDeviceAccess(exists=True).model_dump_json()) == ()
