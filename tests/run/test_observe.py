"""Looks at this very machine."""

import grp
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.packages.protocol import PackageLists
from kvmwizard.plan.build_model import ProductMade
from kvmwizard.plan.conditions import evidence, holds
from kvmwizard.plan.model import (
    Condition,
    DeviceAclGrants,
    DeviceGroup,
    FileAbsent,
    FileHolds,
    GroupAbsent,
    GroupExists,
    GuestRanAs,
    ModuleLoaded,
    PackageListsFresh,
    PackagesAbsent,
    PackagesInstalled,
    UserInGroup,
    UserNotInGroup,
)
from kvmwizard.plan.observed import ObservedLists
from kvmwizard.product import write_stamp
from kvmwizard.run import observe as observe_module
from kvmwizard.run.observe import observe, plan_evidence
from kvmwizard.run.refused import RunRefused
from kvmwizard.words import Words, say
from tests.run.plans import files, plan_of, removing_step

PASSWD = Path("/etc/passwd")
NULL = Path("/dev/null")
ME = pwd.getpwuid(os.geteuid()).pw_name

needs_dpkg = pytest.mark.skipif(not Path("/usr/bin/dpkg-query").exists(), reason="this machine has no dpkg")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (FileHolds(path="/etc/passwd", text=PASSWD.read_text(encoding="utf-8"), mode=0o644), True),
        (FileHolds(path="/etc/passwd", text="another", mode=0o644), False),
        (FileHolds(path="/etc/no/such/file", text="", mode=0o644), False),
        (FileHolds(path="/etc", text="", mode=0o755), False),
        (FileAbsent(path="/etc/no/such/file"), True),
        (FileAbsent(path="/etc/passwd"), False),
        (GroupExists(group="root"), True),
        (GroupAbsent(group="no-such-group"), True),
        (UserInGroup(user="root", group="root"), True),
        (UserNotInGroup(user="no-such-user", group="root"), True),
        (UserInGroup(user="no-such-user", group="root"), False),
        (ModuleLoaded(name="no_such_module"), False),
        (DeviceGroup(path="/dev/null", group=grp.getgrgid(NULL.stat().st_gid).gr_name, mode=0o666), True),
        (DeviceGroup(path="/dev/null", group="no-such-group", mode=0o666), False),
        (DeviceGroup(path="/dev/no-such-device", group="root", mode=0o666), False),
        (DeviceAclGrants(path="/dev/null", user=ME), True),
        (DeviceAclGrants(path="/dev/no-such-device", user=ME), False),
        (DeviceAclGrants(path="/dev/null", user="no-such-user"), False),
        (GuestRanAs(user=ME), False),
    ],
    ids=repr,
)
def test_what_is_there_is_seen(condition: Condition, expected: bool) -> None:
    assert holds(condition, observe(condition)) is expected


@needs_dpkg
def test_installed_packages_are_those_that_dpkg_lists() -> None:
    assert holds(
        PackagesInstalled(manager="apt", names=("dpkg",)),
        observe(PackagesInstalled(manager="apt", names=("dpkg",))),
    )
    absent = PackagesAbsent(manager="apt", names=("no-such-package",))
    assert holds(absent, observe(absent))


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package manager keeps its lists in the temporary folder."""
    lists = PackageLists(str(tmp_path), "*_Packages*", None)
    monkeypatch.setattr(MANAGERS["apt"], "lists", lists)
    monkeypatch.setattr(observe_module, "_installed", lambda _: {})


FRESH = PackageListsFresh(
    manager="apt", seconds=60, wanted=PackagesInstalled(manager="apt", names=("no-such-package",))
)


def seen_age() -> float | None:
    return ObservedLists.model_validate_json(observe(FRESH)).age_seconds


@pytest.mark.usefixtures("lists")
def test_a_list_that_vanishes_while_it_is_looked_at_is_not_there(tmp_path: Path) -> None:
    # As for one that apt replaces: the name is listed, but what it names is gone.
    (tmp_path / "gone_Packages").symlink_to(tmp_path / "nowhere")
    assert seen_age() is None
    (tmp_path / "debian_Packages").touch()
    age = seen_age()
    assert age is not None
    assert age < 60


@pytest.mark.usefixtures("lists")
def test_lists_that_cannot_be_looked_at_are_refused_in_words(tmp_path: Path) -> None:
    endless = tmp_path / "endless_Packages"
    endless.symlink_to(endless)
    with pytest.raises(RunRefused) as refused:
        observe(FRESH)
    assert f"{endless} cannot be looked at" in refused.value.words.english


def test_a_link_is_not_the_file_that_it_leads_to(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(PASSWD)
    condition = FileHolds(path=str(link), text=PASSWD.read_text(encoding="utf-8"), mode=0o644)
    assert not holds(condition, observe(condition))


@pytest.mark.skipif(os.geteuid() != 0, reason="a device of one's own takes root: run the tests as root")
def test_an_access_list_is_seen_as_the_kernel_keeps_it(tmp_path: Path) -> None:
    device = tmp_path / "null"
    os.mknod(device, 0o020660, NULL.stat().st_rdev)
    device.chmod(0o640)
    done = subprocess.run(["/usr/bin/setfacl", "-m", "u:daemon:rw", str(device)], check=False)
    if done.returncode != 0:
        pytest.skip("no access lists on this file system")
    granted = DeviceAclGrants(path=str(device), user="daemon")
    assert holds(granted, observe(granted))
    # stat(2) shows the mask, rw-, in the group's place; the group itself has r--.
    assert device.stat().st_mode & 0o777 == 0o660
    group = DeviceGroup(path=str(device), group="root", mode=0o640)
    assert holds(group, observe(group))


def test_the_evidence_of_a_plan_is_of_the_steps_that_have_nothing_to_do(tmp_path: Path) -> None:
    (there,) = files(tmp_path, "there")
    evidence = plan_evidence(plan_of(removing_step(there), removing_step(tmp_path / "gone")))
    assert set(evidence) == {"gone"}
    assert "does not exist" in evidence["gone"].english


@pytest.mark.parametrize("told", [say("{name} is here, unverified", name="x.tar.xz"), None])
def test_of_a_product_its_maker_says_what_came_of_it(tmp_path: Path, told: Words | None) -> None:
    stamp = tmp_path / "stamp"
    write_stamp(stamp, "1e" * 32, [], {}, told)
    condition = ProductMade(path=str(stamp), identity="1e" * 32)
    seen = observe(condition)
    assert holds(condition, seen)
    expected = "x.tar.xz is here, unverified" if told is not None else f"made, as {stamp} says"
    assert evidence(condition, seen).english == expected


def test_what_a_maker_says_in_no_known_way_is_not_told(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    write_stamp(stamp, "1e" * 32, [], {}, say("whole"))
    stamp.write_text(stamp.read_text(encoding="ascii").replace("template", "temple"), encoding="ascii")
    condition = ProductMade(path=str(stamp), identity="1e" * 32)
    assert evidence(condition, observe(condition)).english == f"made, as {stamp} says"
