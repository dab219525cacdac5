"""What was built, put in place and taken away by the root helper's own code, with real dpkg and hooks."""

import json
import os
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import RemoveTree
from tests.machine.machine import ThrowawayMachine
from tests.run.trees import (
    IDENTITY,
    KERNEL,
    KERNEL_NAME,
    PREFIX,
    QEMU,
    QEMU_NAME,
    RELEASE,
    Root,
    install_kernel,
    install_qemu,
    packed,
)

pytestmark = pytest.mark.root

HOOK = """#!/bin/sh
echo "$(basename $(dirname $0)) $* DEB_MAINT_PARAMS=$DEB_MAINT_PARAMS INITRD=$INITRD" >> /tmp/hooks
ls /usr/lib/modules/$1 > /tmp/modules-at-$(basename $(dirname $0)) 2>&1 || true
"""


@pytest.fixture
def root(machine: ThrowawayMachine) -> Root:
    """A machine with a hook that writes down how it was called."""
    for moment in ("postinst", "prerm", "postrm"):
        folder = f"/etc/kernel/{moment}.d"
        # A folder that is empty otherwise would be removed with the last package in it.
        machine.do(["/bin/mkdir", "-p", folder, "/usr/lib/modules/6.1.0-another"])
        machine.path(f"{folder}/zz-told").write_text(HOOK, encoding="ascii")
        machine.path(f"{folder}/zz-told").chmod(0o755)
    return Root(machine)


def hooks(root: Root) -> list[str]:
    told = root.machine.path("/tmp/hooks")
    return told.read_text(encoding="ascii").splitlines() if told.exists() else []


ARGUMENTS = f"{RELEASE} /boot/vmlinuz-{RELEASE}"


def installed(root: Root, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        root.machine.path(f"/var/lib/kvmwizard/installed/{name}.json").read_bytes()
    )
    return found


def test_a_qemu_is_put_in_place_and_taken_away_with_its_folders(root: Root, tmp_path: Path) -> None:
    before = root.world()
    assert root.install(install_qemu(), packed(tmp_path, QEMU)) is None
    program = root.machine.path(f"{PREFIX}/bin/qemu-system-x86_64")
    status = program.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, 0, 0)
    assert "10.1.0" in root.machine.do([f"{PREFIX}/bin/qemu-system-x86_64"])
    listed = installed(root, QEMU_NAME)
    assert (listed["identity"], listed["finished"], listed["package"]) == (IDENTITY, True, False)
    assert root.machine.path(f"/var/lib/kvmwizard/installed/{QEMU_NAME}.json").stat().st_mode & 0o777 == 0o644
    assert hooks(root) == []
    assert root.remove(QEMU_NAME) is None
    assert root.world() == before


def test_a_plain_kernel_gets_depmod_and_the_hooks_and_goes_with_them(root: Root, tmp_path: Path) -> None:
    before = root.world()
    assert root.install(install_kernel(), packed(tmp_path, KERNEL)) is None
    assert hooks(root) == [f"postinst.d {ARGUMENTS} DEB_MAINT_PARAMS= INITRD="]
    assert "modules.dep" in root.machine.path("/tmp/modules-at-postinst.d").read_text(encoding="ascii")
    assert root.machine.path(f"/boot/vmlinuz-{RELEASE}").read_bytes() == KERNEL[f"boot/vmlinuz-{RELEASE}"]
    assert root.remove(KERNEL_NAME) is None
    assert [line.split(" ", 1)[0] for line in hooks(root)] == ["postinst.d", "prerm.d", "postrm.d"]
    assert root.world() == before


def test_a_kernel_as_a_package_is_dpkg_s_own(root: Root, tmp_path: Path) -> None:
    before = root.world()
    assert root.install(install_kernel(as_package=True), packed(tmp_path, KERNEL)) is None
    status = root.machine.do(
        ["/usr/bin/dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Version}|${Architecture}", KERNEL_NAME]
    )
    assert status == f"ii |6.1.192|{root.machine.do(['/usr/bin/dpkg', '--print-architecture']).strip()}"
    owned = root.machine.do(["/usr/bin/dpkg", "-L", KERNEL_NAME]).splitlines()
    assert f"/boot/vmlinuz-{RELEASE}" in owned
    assert f"/var/lib/kvmwizard/installed/{KERNEL_NAME}.json" in owned
    assert root.machine.do(["/usr/bin/dpkg", "--verify", KERNEL_NAME]) == ""
    (told,) = hooks(root)
    assert told.split() == ["postinst.d", *ARGUMENTS.split(), "DEB_MAINT_PARAMS=configure", "INITRD=Yes"]
    assert "modules.dep" in root.machine.path("/tmp/modules-at-postinst.d").read_text(encoding="ascii")
    assert not root.machine.path("/var/lib/kvmwizard-packages").exists()
    assert root.remove(KERNEL_NAME) is None
    assert [line.split(" ", 1)[0] for line in hooks(root)][:3] == ["postinst.d", "prerm.d", "postrm.d"]
    assert "DEB_MAINT_PARAMS=remove" in hooks(root)[1]
    assert root.world() == before


def test_who_removes_the_package_by_hand_removes_all_of_it(root: Root, tmp_path: Path) -> None:
    before = root.world()
    assert root.install(install_kernel(as_package=True), packed(tmp_path, KERNEL)) is None
    root.machine.do(["/usr/bin/dpkg", "--purge", KERNEL_NAME])
    assert root.world() == before


def test_a_qemu_as_a_package_has_no_scripts(root: Root, tmp_path: Path) -> None:
    before = root.world()
    assert root.install(install_qemu(as_package=True), packed(tmp_path, QEMU)) is None
    scripts = root.machine.do(["/bin/sh", "-c", f"ls /var/lib/dpkg/info/{QEMU_NAME}.*"]).split()
    assert {Path(script).suffix for script in scripts} <= {".list", ".md5sums"}
    assert root.remove(QEMU_NAME) is None
    assert root.world() == before


def test_another_build_of_the_same_name_takes_the_place_of_the_first(root: Root, tmp_path: Path) -> None:
    before = root.world()
    for as_package in (False, True, True, False):
        number = len(hooks(root))
        files = {
            **KERNEL,
            f"boot/vmlinuz-{RELEASE}": f"MZ {number}".encode(),
            f"lib/modules/{RELEASE}/kernel/only-{number}.ko": b"x",
        }
        payload = packed(tmp_path / str(number), files)
        assert root.install(install_kernel(as_package=as_package, identity=f"{number:064x}"), payload) is None
        modules = [each.name for each in root.machine.path(f"/usr/lib/modules/{RELEASE}/kernel").glob("*.ko")]
        assert modules == [f"only-{number}.ko"]
        assert installed(root, KERNEL_NAME)["package"] is as_package
    assert root.remove(KERNEL_NAME) is None
    assert root.world() == before


def test_what_somebody_changed_since_stays_and_is_told(root: Root, tmp_path: Path) -> None:
    assert root.install(install_qemu(), packed(tmp_path, QEMU)) is None
    keymap = f"{PREFIX}/share/qemu/keymaps/en-us"
    root.machine.path(keymap).write_text("mine\n", encoding="ascii")
    assert root.remove(QEMU_NAME) is None
    assert f"{keymap} was changed since it was installed, so it stays." in root.log()
    left = root.machine.do(["/usr/bin/find", "/opt/kvmwizard", "-type", "f"]).split()
    assert left == [keymap]


def test_what_a_power_cut_left_torn_of_a_tree_is_taken_away_with_it(root: Root, tmp_path: Path) -> None:
    """Of a tree that is not finished, only its list is sure to be on the disk as it was written."""
    before, payload = root.world(), packed(tmp_path, QEMU)
    assert root.install(install_qemu(), payload) is None
    path = root.machine.path(f"/var/lib/kvmwizard/installed/{QEMU_NAME}.json")
    path.write_text(json.dumps({**installed(root, QEMU_NAME), "finished": False}), encoding="ascii")
    root.machine.path(f"{PREFIX}/share/qemu/keymaps/en-us").write_bytes(b"")
    assert root.remove(QEMU_NAME) is None
    assert root.world() == before
    assert root.install(install_qemu(), payload) is None


def test_nothing_of_somebody_else_s_is_overwritten(root: Root, tmp_path: Path) -> None:
    root.machine.path(f"/boot/vmlinuz-{RELEASE}").write_text("theirs", encoding="ascii")
    before = root.world()
    payload = packed(tmp_path, KERNEL)
    assert root.install(install_kernel(), payload) == "taken"
    assert root.install(install_kernel(as_package=True), payload) == "taken"
    assert root.world() == before


def test_a_package_of_the_distribution_s_is_not_replaced(root: Root, tmp_path: Path) -> None:
    for kept in ("list", "md5sums"):
        path = root.machine.path(f"/var/lib/dpkg/info/{KERNEL_NAME}.{kept}")
        path.write_text("/.\n", encoding="ascii")
    assert root.install(install_kernel(as_package=True), packed(tmp_path, KERNEL)) == "taken"


def test_a_package_that_was_removed_and_not_purged_is_installed_again(root: Root, tmp_path: Path) -> None:
    """As `apt remove` leaves it: dpkg still knows it, but has none of its files."""
    before, payload = root.world(), packed(tmp_path, KERNEL)
    assert root.install(install_kernel(as_package=True), payload) is None
    root.machine.do(["/usr/bin/dpkg", "--remove", KERNEL_NAME])
    # Purged later, it would run its hooks for the files of the other.
    assert root.install(install_kernel(), payload) == "taken"
    assert root.install(install_kernel(as_package=True), payload) is None
    assert root.machine.do(["/usr/bin/dpkg", "--verify", KERNEL_NAME]) == ""
    assert root.remove(KERNEL_NAME) is None
    assert root.world() == before


def test_what_a_killed_helper_was_packing_goes_into_no_later_package(root: Root, tmp_path: Path) -> None:
    dropped = f"lib/modules/{RELEASE}/kernel/drivers/a/dropped.ko"
    first = packed(tmp_path / "first", {**KERNEL, dropped: b"\x7fELF of the first build"})
    assert root.ask("cut", *first, install_kernel(as_package=True)) is True
    assert root.machine.path(f"/var/lib/kvmwizard-packages/{KERNEL_NAME}/usr/{dropped}").exists()
    second = packed(tmp_path / "second", KERNEL)
    assert root.install(install_kernel(as_package=True, identity="b" * 64), second) is None
    assert "dropped.ko" not in root.machine.do(["/usr/bin/dpkg", "-L", KERNEL_NAME])


def test_the_running_kernel_is_neither_replaced_nor_removed(root: Root, tmp_path: Path) -> None:
    running = os.uname().release
    files = {name.replace(RELEASE, running): content for name, content in KERNEL.items()}
    action = install_kernel().model_copy(update={"release": running})
    before = root.world()
    assert root.install(action, packed(tmp_path / "first", files)) == "running"
    assert root.world() == before
    # As if it had been installed before it was started.
    assert root.install(install_kernel(), packed(tmp_path / "second", KERNEL)) is None
    path = root.machine.path(f"/var/lib/kvmwizard/installed/{KERNEL_NAME}.json")
    path.write_text(
        path.read_text(encoding="ascii").replace(f'"{RELEASE}"', f'"{running}"'), encoding="ascii"
    )
    before = root.world()
    assert root.remove(KERNEL_NAME) == "running"
    assert root.world() == before


def test_a_hook_that_fails_is_the_step_s_failure_and_the_next_try_runs_it_again(
    root: Root, tmp_path: Path
) -> None:
    failing = root.machine.path("/etc/kernel/postinst.d/aa-fails")
    failing.write_text("#!/bin/sh\nexit 7\n", encoding="ascii")
    failing.chmod(0o755)
    payload = packed(tmp_path, KERNEL)
    assert root.install(install_kernel(), payload) == "returned 1"
    assert installed(root, KERNEL_NAME)["finished"] is False
    failing.unlink()
    assert root.install(install_kernel(), payload) is None
    assert installed(root, KERNEL_NAME)["finished"] is True


@pytest.mark.slow
def test_killed_at_every_change_of_a_file_the_next_try_ends_the_same(root: Root, tmp_path: Path) -> None:
    payload = packed(tmp_path, dict(list(QEMU.items())[1:]))
    said = root.ask("kill", *payload, install_qemu(), RemoveTree(name=QEMU_NAME))
    assert said["amiss"] == []
    assert min(said["kills"]) > 20, said["kills"]


def test_a_full_disk_leaves_nothing_behind(root: Root, tmp_path: Path) -> None:
    root.machine.do(
        [
            "/bin/sh",
            "-c",
            "mkdir -p /opt/kvmwizard && mount -t tmpfs -o size=64k,mode=755 tmpfs /opt/kvmwizard",
        ]
    )
    before = root.world()
    files = {**QEMU, f"{PREFIX[1:]}/share/qemu/large": b"x" * 200_000}
    assert root.install(install_qemu(), packed(tmp_path, files)) == "system"
    assert root.world() == before
