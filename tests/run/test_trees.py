"""What is seen of root's lists and of the boot loader, and what is judged from it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kvmwizard.plan.build_model import (
    BootsByDefault,
    BootsNext,
    GuestsProved,
    KernelRuns,
    TreeAbsent,
    TreeInstalled,
)
from kvmwizard.plan.changes import BootChosen, TreeAdded, parse_change
from kvmwizard.plan.conditions import changes_between, evidence, holds
from kvmwizard.plan.observed import ObservedBoot, ObservedKernel, ObservedProof, ObservedTree
from kvmwizard.run import trees
from kvmwizard.run.root_helper import Refused, menu_entry

IDENTITY, OTHER = "a" * 64, "b" * 64
INSTALLED = TreeInstalled(name="qemu-10.1.0", identity=IDENTITY)
ABSENT = TreeAbsent(name="qemu-10.1.0")


def listed(folder: Path, **changed: Any) -> Path:
    """A list of two files that are there."""
    for name in ("one", "two"):
        (folder / name).write_bytes(b"1234")
    said = {
        "identity": IDENTITY,
        "release": None,
        "package": False,
        "finished": True,
        "files": [[str(folder / name), 0o644, 4, "0" * 64] for name in ("one", "two")],
        "folders": [],
        **changed,
    }
    (folder / "qemu-10.1.0.json").write_text(json.dumps(said), encoding="ascii")
    return folder


def judged(observed: ObservedTree) -> tuple[bool, bool]:
    text = observed.model_dump_json()
    return holds(INSTALLED, text), holds(ABSENT, text)


def test_a_tree_that_is_all_there_is_installed(tmp_path: Path) -> None:
    seen = trees.tree(INSTALLED, listed(tmp_path))
    assert judged(seen) == (True, False)
    assert evidence(INSTALLED, seen.model_dump_json()).english == "qemu-10.1.0 is installed, 2 files"


def test_without_a_list_nothing_is_installed(tmp_path: Path) -> None:
    seen = trees.tree(INSTALLED, tmp_path / "none")
    assert judged(seen) == (False, True)
    assert evidence(ABSENT, seen.model_dump_json()).english == "qemu-10.1.0 is not installed"


@pytest.mark.parametrize("damage", ["missing", "cut", "unfinished", "another"])
def test_what_is_not_whole_is_not_installed_and_not_absent_either(tmp_path: Path, damage: str) -> None:
    changes: dict[str, dict[str, Any]] = {"unfinished": {"finished": False}, "another": {"identity": OTHER}}
    folder = listed(tmp_path, **changes.get(damage, {}))
    if damage == "missing":
        (folder / "one").unlink()
    elif damage == "cut":
        (folder / "two").write_bytes(b"123")
    assert judged(trees.tree(INSTALLED, folder)) == (False, False)


def test_depmod_s_lists_may_have_been_renewed(tmp_path: Path) -> None:
    modules = tmp_path / "lib/modules/6.1.0"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("renewed", encoding="ascii")
    files = [[str(modules / "modules.dep"), 0o644, 1, "0" * 64]]
    assert trees.tree(INSTALLED, listed(tmp_path, files=files)).whole
    (modules / "modules.dep").unlink()
    assert not trees.tree(INSTALLED, tmp_path).whole


def test_a_package_counts_only_once_it_is_configured(tmp_path: Path) -> None:
    assert not trees.tree(INSTALLED, listed(tmp_path, package=True)).whole


def tree_changes(before: ObservedTree, after: ObservedTree) -> list[Any]:
    found = changes_between(INSTALLED, before.model_dump_json(), after.model_dump_json())
    return [parse_change(text) for text in found]


def test_a_tree_that_came_or_was_finished_is_a_change() -> None:
    none, part = ObservedTree(), ObservedTree(identity=IDENTITY, release="6.1.0")
    whole = part.model_copy(update={"whole": True, "files": 2})
    added = [TreeAdded(name="qemu-10.1.0", release="6.1.0")]
    assert tree_changes(none, whole) == added
    assert tree_changes(none, part) == added
    assert tree_changes(part, whole) == added
    assert tree_changes(whole, whole) == []
    assert tree_changes(whole, none) == []


# The boot loader

RELEASE = "6.1.192-kvmwizard"
NEXT = BootsNext(release=RELEASE)
ENTRY = f"gnulinux-advanced-0f1e-2d3c>gnulinux-{RELEASE}-advanced-0f1e-2d3c"


def environment_block(*lines: str) -> str:
    """As grub-editenv writes it: 1024 bytes, filled up with #."""
    text = "# GRUB Environment Block\n" + "".join(f"{line}\n" for line in lines)
    return text + "#" * (1024 - len(text))


def seen_boot(monkeypatch: pytest.MonkeyPatch, path: Path) -> ObservedBoot:
    monkeypatch.setattr(trees, "GRUB_ENVIRONMENT", path)
    return trees.boot()


@pytest.mark.parametrize("entry", [ENTRY, ENTRY.partition(">")[2]])
def test_the_kernel_of_the_next_start_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str
) -> None:
    path = tmp_path / "grubenv"
    path.write_text(environment_block(f"next_entry={entry}", "saved_entry=0"), encoding="ascii")
    seen = seen_boot(monkeypatch, path)
    assert (seen.next_release, seen.default_release, seen.default_entry) == (RELEASE, None, "0")
    assert holds(NEXT, seen.model_dump_json())
    assert evidence(NEXT, seen.model_dump_json()).english == f"the next start is Linux {RELEASE}"


@pytest.mark.parametrize(
    "lines", [(), ("next_entry=",), ("next_entry=gnulinux-6.1.0-advanced-0f1e",), (f"saved_entry={ENTRY}",)]
)
def test_another_choice_is_not_the_wanted_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    path = tmp_path / "grubenv"
    path.write_text(environment_block(*lines), encoding="ascii")
    assert not holds(NEXT, seen_boot(monkeypatch, path).model_dump_json())


def test_without_a_boot_loader_s_memory_nothing_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = seen_boot(monkeypatch, tmp_path / "none")
    assert seen == ObservedBoot(running_release=os.uname().release)


def test_the_kernel_that_runs_need_not_be_chosen() -> None:
    running = ObservedBoot(running_release=RELEASE)
    assert holds(NEXT, running.model_dump_json())


def test_what_the_boot_loader_remembered_is_kept_for_undo() -> None:
    before = ObservedBoot(running_release="6.1.0", default_entry="0")
    after = before.model_copy(update={"next_release": RELEASE, "default_entry": "gnulinux-6.1.0-advanced-x"})
    (change,) = changes_between(NEXT, before.model_dump_json(), after.model_dump_json())
    assert parse_change(change) == BootChosen(previous_default="0")
    assert changes_between(NEXT, after.model_dump_json(), after.model_dump_json()) == ()


def test_the_default_is_judged_by_what_the_boot_loader_remembers() -> None:
    default = BootsByDefault(release=RELEASE)
    old = ObservedBoot(running_release=RELEASE, default_release="6.1.0", default_entry="gnulinux-6.1.0-x")
    new = old.model_copy(update={"default_release": RELEASE, "default_entry": ENTRY})
    first, hidden = ObservedBoot(running_release=RELEASE), ObservedBoot(running_release="", readable=False)
    said = [evidence(default, seen.model_dump_json()).english for seen in (new, old, first, hidden)]
    assert [holds(default, seen.model_dump_json()) for seen in (new, old, first)] == [True, False, False]
    assert said[0] == f"the boot loader starts Linux {RELEASE} by default"
    assert said[1:] == [
        "the boot loader starts Linux 6.1.0 by default",
        "the boot loader starts the first kernel of its menu",
        "what the boot loader starts by default cannot be read",
    ]
    (change,) = changes_between(default, old.model_dump_json(), new.model_dump_json())
    assert parse_change(change) == BootChosen(previous_default="gnulinux-6.1.0-x")
    assert changes_between(default, new.model_dump_json(), new.model_dump_json()) == ()


def test_only_the_kernel_that_runs_counts_as_running() -> None:
    runs = KernelRuns(release=RELEASE)
    assert holds(runs, ObservedKernel(release=RELEASE).model_dump_json())
    assert not holds(runs, ObservedKernel(release="6.1.0").model_dump_json())
    proved = GuestsProved(release=RELEASE, user="alice")
    assert not holds(proved, ObservedProof().model_dump_json()), "never beforehand"
    good = ObservedProof(good=True).model_dump_json()
    assert evidence(proved, good).english == f"guests run under Linux {RELEASE} as alice"


MENU = """
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-0f1e-2d3c' {
	linux	/boot/vmlinuz-6.1.192-kvmwizard root=UUID=0f1e-2d3c ro  quiet
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-0f1e-2d3c' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.192-kvmwizard' --class os \
$menuentry_id_option 'gnulinux-6.1.192-kvmwizard-advanced-0f1e-2d3c' {
		linux	/boot/vmlinuz-6.1.192-kvmwizard root=UUID=0f1e-2d3c ro  quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.192-kvmwizard (recovery mode)' --class os \
$menuentry_id_option 'gnulinux-6.1.192-kvmwizard-recovery-0f1e-2d3c' {
		linux	/boot/vmlinuz-6.1.192-kvmwizard root=UUID=0f1e-2d3c ro single
	}
}
menuentry 'Other, with Linux 5.10' --class os $menuentry_id_option 'osprober-gnulinux-/boot/vmlinuz-5.10--a' {
}
"""


def test_the_entry_of_a_kernel_is_found_in_its_submenu() -> None:
    assert menu_entry(MENU, RELEASE) == ENTRY


def test_the_entry_of_a_kernel_is_found_without_a_submenu() -> None:
    flat = MENU.replace("\tmenuentry", "menuentry")
    assert menu_entry(flat, RELEASE) == ENTRY.partition(">")[2]


@pytest.mark.parametrize("release", ["6.1.192", "kvmwizard", "5.10", "6.1.192-kvmwizard-advanced", ".*"])
def test_no_other_kernel_s_entry_is_taken_for_it(release: str) -> None:
    with pytest.raises(Refused) as refused:
        menu_entry(MENU, release)
    assert refused.value.code == "menu"
