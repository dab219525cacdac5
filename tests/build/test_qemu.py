"""The worker that builds QEMUs, on tiny trees with real make, ninja and cc."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build.qemu_trees import (
    FLAGS,
    PREFIX,
    PROGRAM,
    compile_action,
    configure_action,
    make_tree,
    ninja_tree,
    stage_action,
)
from tests.build.worker import IDENTITY, Ended, Worker, run_worker

MakeTree = Callable[[Path], Path]
BOTH = pytest.mark.parametrize("plant", [make_tree, ninja_tree])


def build(folder: Path) -> Ended:
    """Configure, compile and stage; each must go well."""
    for action in (configure_action(folder), compile_action(folder)):
        ended = run_worker(action, folder)
        assert ended.returncode == 0, ended.log
    return run_worker(stage_action(folder), folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a QEMU was built by make."""
    folder = tmp_path_factory.mktemp("built")
    make_tree(folder)
    assert build(folder).returncode == 0
    return folder


def packed(folder: Path) -> list[str]:
    """The paths in the payload."""
    with (folder / "payload").open("rb") as payload:
        return [entry[0] for entry in json.loads(payload.readline())]


def test_what_is_installed_is_built_staged_and_packed_and_nothing_else(tmp_path: Path) -> None:
    ninja_tree(tmp_path)
    staged = build(tmp_path)
    assert staged.returncode == 0, staged.log
    below = PREFIX.lstrip("/")
    paths = packed(tmp_path)
    assert f"{below}/bin/{PROGRAM}" in paths
    assert any(path.endswith("bios-256k.bin") for path in paths)
    assert f"{below}/share/licenses/qemu/COPYING" in paths
    assert staged.stamp is not None
    assert staged.stamp.whole
    assert staged.stamp.identity == IDENTITY
    assert staged.stamp.about["files"] == len(paths)
    assert not (tmp_path / "build/test-one").exists()


@BOTH
def test_compiling_tells_how_many_steps_are_done_of_how_many(plant: MakeTree, tmp_path: Path) -> None:
    plant(tmp_path)
    run_worker(configure_action(tmp_path), tmp_path)
    ended = run_worker(compile_action(tmp_path), tmp_path)
    counted = [line for line in ended.told if line.get("unit") == "steps"]
    assert counted[-1]["done"] == counted[-1]["total"] >= 5
    assert counted[-1]["total"] <= 6
    assert ended.stamp is not None
    assert ended.stamp.about["versions"] == ["QEMU emulator version 9.9.9"]


def test_an_unknown_flag_is_refused_with_the_nearest_that_is_known(tmp_path: Path) -> None:
    make_tree(tmp_path)
    ended = run_worker(configure_action(tmp_path, (*FLAGS, "--enable-vhost-nett")), tmp_path)
    assert ended.returncode == 1
    assert "--enable-vhost-nett" in ended.refused
    assert "--enable-vhost-net" in ended.refused.replace("--enable-vhost-nett", "")
    assert ended.stamp is None


def test_switching_off_what_a_version_does_not_have_is_left_out(tmp_path: Path) -> None:
    make_tree(tmp_path)
    ended = run_worker(configure_action(tmp_path, (*FLAGS, "--disable-glusterfs")), tmp_path)
    assert ended.returncode == 0, ended.log
    assert ended.stamp is not None
    assert ended.stamp.about["left_out"] == ["--disable-glusterfs"]


def test_configure_that_leaves_out_what_it_was_asked_for_is_told_on(tmp_path: Path) -> None:
    (make_tree(tmp_path) / "no-vhost-net").touch()
    ended = run_worker(configure_action(tmp_path), tmp_path)
    assert ended.returncode == 1
    assert "--enable-vhost-net" in ended.refused
    assert run_worker(configure_action(tmp_path, FLAGS[:3]), tmp_path).returncode == 0


def test_why_configure_failed_is_told_in_its_own_words(tmp_path: Path) -> None:
    (make_tree(tmp_path) / "no-glib").touch()
    ended = run_worker(configure_action(tmp_path), tmp_path)
    assert ended.returncode == 1
    assert "glib" in ended.refused


def test_configuring_begins_in_an_empty_folder(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/main.o").write_text("of other wishes")
    run_worker(configure_action(tmp_path), tmp_path)
    assert not (tmp_path / "build/main.o").exists()


@BOTH
def test_a_compile_error_is_named_and_once_it_is_mended_the_rest_is_kept(
    plant: MakeTree, tmp_path: Path
) -> None:
    tree = plant(tmp_path)
    mended = (tree / "three.c").read_text()
    (tree / "three.c").write_text("int three(void) { return nothing; }\n")
    run_worker(configure_action(tmp_path), tmp_path)
    failed = run_worker(compile_action(tmp_path), tmp_path)
    assert failed.returncode == 1
    assert "nothing" in failed.refused
    assert failed.stamp is None
    (tree / "three.c").write_text(mended)
    again = run_worker(compile_action(tmp_path), tmp_path)
    assert again.returncode == 0, again.log
    assert "-c -o one.o" not in again.log
    assert "torn" not in again.log


@BOTH
def test_a_build_that_was_killed_goes_on_to_the_same_bytes(plant: MakeTree, tmp_path: Path) -> None:
    tree = plant(tmp_path)
    build(tmp_path)
    expected = (tmp_path / "payload").read_bytes()
    run_worker(configure_action(tmp_path), tmp_path)
    (tree / "slow").touch()
    worker = Worker(compile_action(tmp_path), tmp_path)
    first = tmp_path / "build/main.o"
    deadline = time.monotonic() + 30
    while not (first.exists() and first.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.kill()
    assert not (tmp_path / "programs.stamp").exists()
    # As a compiler that was killed while it wrote leaves it.
    os.truncate(first, 10)
    (tree / "slow").unlink()
    ended = run_worker(compile_action(tmp_path), tmp_path)
    assert ended.returncode == 0, ended.log
    assert run_worker(stage_action(tmp_path), tmp_path).returncode == 0
    assert (tmp_path / "payload").read_bytes() == expected


def test_root_is_given_copies_in_place_of_links(built: Path) -> None:
    link = built / "stage" / PREFIX.lstrip("/") / "share/qemu/bios.bin"
    assert not link.is_symlink()
    assert link.read_text() == "firmware\n"


def test_nothing_is_installed_outside_of_the_prefix(built: Path) -> None:
    ended = run_worker(stage_action(built, prefix="/opt/kvmwizard/another"), built)
    assert ended.returncode == 1
    assert "outside" in ended.refused
    assert ended.stamp is None


def test_a_program_that_is_not_installed_is_missed(built: Path) -> None:
    ended = run_worker(stage_action(built, programs=(PROGRAM, "qemu-system-arm")), built)
    assert ended.returncode == 1
    assert "qemu-system-arm" in ended.refused


@pytest.mark.parametrize("name", ["with space", "$(touch hit)", "-dash;touch hit", "new\nline", "colon:"])
def test_a_folder_that_makes_tools_err_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    make_tree(folder)
    ended = run_worker(configure_action(folder), tmp_path)
    assert ended.returncode == 1
    assert "Choose another folder" in ended.refused
    assert not list(tmp_path.rglob("hit"))
