"""What the exported script does as root with a tree that was built, as far as it can be done anywhere."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from kvmwizard.plan.build_model import LISTS_OF_TREES, InstallTree, RemoveTree, SetNextBoot
from kvmwizard.plan.identity import UNKNOWN_IDENTITY
from kvmwizard.plan.shell import shell_lines

RELEASE = "6.12.104-kvmwizard"
MENU = """\
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-ab12' {
	linux	/boot/vmlinuz-6.12.104-kvmwizard root=UUID=ab12 ro  quiet
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-ab12' {
	menuentry 'Debian, with Linux 6.12.104-kvmwizard' $menuentry_id_option 'gnulinux-6.12.104-kvmwizard-advanced-ab12' {
	}
	menuentry 'Debian, with Linux 6.12.104-kvmwizard (recovery mode)' $menuentry_id_option 'gnulinux-6.12.104-kvmwizard-recovery-ab12' {
	}
	menuentry 'Debian, with Linux 6.1.0-49-amd64' $menuentry_id_option 'gnulinux-6.1.0-49-amd64-advanced-ab12' {
	}
}
"""  # noqa: E501  -- as grub-mkconfig writes it


def program(folder: Path, name: str, text: str) -> None:
    """A program of that name, found before the machine's own."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def run(lines: str, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    return subprocess.run(
        ["/bin/sh", "-eu"], input=lines, capture_output=True, text=True, check=False, env=environment
    )


def a_stage(folder: Path) -> Path:
    """A kernel's folder with what StageKernel leaves."""
    for path in (f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}/kernel/kvm.ko"):
        file = folder / "stage" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    return folder


def an_install(folder: Path, *, as_package: bool) -> InstallTree:
    return InstallTree(
        name=f"linux-image-{RELEASE}",
        tree="kernel",
        release=RELEASE,
        prefix="/",
        as_package=as_package,
        payload=str(folder / "payload"),
        identity=UNKNOWN_IDENTITY,
    )


@pytest.mark.parametrize("menu", [MENU, MENU.replace("submenu 'Adv", "# submenu 'Adv")])
def test_the_boot_entries_are_found_by_their_ids(tmp_path: Path, menu: str) -> None:
    (tmp_path / "grub.cfg").write_text(menu)
    programs = tmp_path / "programs"
    for name in ("grub-set-default", "grub-reboot"):
        program(programs, name, f'echo {name} "$@"')
    action = SetNextBoot(release=RELEASE, otherwise="6.1.0-49-amd64")
    lines = "\n".join(shell_lines(action)).replace("/boot/grub/grub.cfg", str(tmp_path / "grub.cfg"))
    ran = run(lines, programs)
    above = "gnulinux-advanced-ab12>" if menu == MENU else ""
    assert ran.stdout.splitlines() == [
        f"grub-set-default {above}gnulinux-6.1.0-49-amd64-advanced-ab12",
        f"grub-reboot {above}gnulinux-{RELEASE}-advanced-ab12",
    ]


def test_the_package_is_one_that_dpkg_reads(tmp_path: Path) -> None:
    folder = a_stage(tmp_path / "it's linux")
    programs, kept = tmp_path / "programs", tmp_path / "kept.deb"
    program(programs, "dpkg", f'test "$1" = --install || exec /usr/bin/dpkg "$@"; cp -- "$2" {kept}')
    ran = run("\n".join(shell_lines(an_install(folder, as_package=True))), programs)
    assert (ran.returncode, ran.stderr) == (0, "")
    listed = subprocess.run(
        ["/usr/bin/dpkg-deb", "--contents", kept], capture_output=True, text=True, check=True
    ).stdout
    assert f"./lib/modules/{RELEASE}/kernel/kvm.ko" in listed
    assert "root/root" in listed
    fields = subprocess.run(
        ["/usr/bin/dpkg-deb", "--field", kept], capture_output=True, text=True, check=True
    ).stdout
    assert f"Package: linux-image-{RELEASE}" in fields
    assert "Architecture: $(" not in fields
    unpacked = tmp_path / "control"
    subprocess.run(["/usr/bin/dpkg-deb", "--control", kept, unpacked], check=True)
    for name in ("postinst", "postrm"):
        subprocess.run(["/bin/sh", "-n", unpacked / name], check=True)
        assert f"--arg={RELEASE}" in (unpacked / name).read_text()


def test_plain_files_are_copied_and_the_hooks_run(tmp_path: Path) -> None:
    folder, root = a_stage(tmp_path / "linux"), tmp_path / "root"
    programs = tmp_path / "programs"
    program(programs, "run-parts", 'echo run-parts "$@"')
    program(programs, "depmod", 'echo depmod "$@"')
    for path in ("boot", "lib/modules", "etc/kernel/postinst.d"):
        (root / path).mkdir(parents=True)
    lines = "\n".join(shell_lines(an_install(folder, as_package=False)))
    for path in (" /boot", " /lib/modules", " /etc/kernel"):
        lines = lines.replace(path, f" {root}{path[1:]}")
    ran = run(lines, programs)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (root / f"boot/vmlinuz-{RELEASE}").is_file()
    assert (root / f"lib/modules/{RELEASE}/kernel/kvm.ko").is_file()
    assert ran.stdout.startswith(f"depmod {RELEASE}\nrun-parts --arg={RELEASE} ")


def test_only_what_is_still_what_was_installed_is_removed(tmp_path: Path) -> None:
    mine, changed = tmp_path / "mine", tmp_path / "changed"
    for file in (mine, changed):
        file.write_text("installed")
    digest = hashlib.sha256(b"installed").hexdigest()
    listed = tmp_path / "qemu-10.1.0.json"
    listed.write_text(json.dumps({"files": [[str(file), 0o644, 9, digest] for file in (mine, changed)]}))
    changed.write_text("edited")
    program(tmp_path / "programs", "dpkg-query", "exit 1")
    lines = "\n".join(shell_lines(RemoveTree(name="qemu-10.1.0"))).replace(LISTS_OF_TREES, str(tmp_path))
    ran = run(lines, tmp_path / "programs")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [path.exists() for path in (mine, changed, listed)] == [False, True, False]
