"""The boot of a built kernel, with programs in QEMU's place; tests/build has a real one."""

import os
import re
import time
from pathlib import Path

import pytest

from kvmwizard.job import Job, Progress
from kvmwizard.plan.build_model import BootKernel
from kvmwizard.product import Stamp, read_stamp
from kvmwizard.proof import kernel
from kvmwizard.proof.kernel import KernelNotBooted, boot_kernel, kvm_runs_linux
from tests.proof.emulators import HANGS, shell_emulator

IDENTITY = "ab" * 32
COMES_UP = "printf 'kvmwizard: this kernel runs programs, and is Linux 6.1.7-own\\r\\n'"
ONLY_WITHOUT_KVM = f'case "$*" in *accel=kvm*) exec sleep 600 ;; *) {COMES_UP} ;; esac'
STOPPED_BY_KVM = ONLY_WITHOUT_KVM.replace("exec", "echo 'KVM internal error. Suberror: 1'; exec", 1)
PANICS = "printf 'Kernel panic - not syncing: Fatal exception\\r\\n'"


pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="our initramfs is for x86-64")


def boot(folder: Path, script: str, seconds: int = 20, firmware: tuple[str, ...] = ()) -> Stamp:
    image = folder / "bzImage"
    image.write_bytes(b"kernel")
    action = BootKernel(
        identity=IDENTITY,
        stamp=str(folder / "boot.stamp"),
        image=str(image),
        release="6.1.7-own",
        qemu=shell_emulator(folder, script),
        firmware=firmware,
        seconds=seconds,
    )
    with (folder / "progress").open("ab") as progress:
        boot_kernel(Job(action.model_dump(mode="json"), Progress(progress.fileno()), -1))
    stamp = read_stamp(folder / "boot.stamp")
    assert stamp is not None
    return stamp


@pytest.fixture
def with_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "kvm_runs_linux", lambda: True)
    monkeypatch.setattr(kernel, "END_SECONDS", 0.5)


@pytest.fixture
def without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "kvm_runs_linux", lambda: False)
    monkeypatch.setattr(kernel, "END_SECONDS", 0.5)


@pytest.mark.usefixtures("with_kvm")
def test_with_kvm_where_it_runs_an_ordinary_linux(tmp_path: Path) -> None:
    stamp = boot(tmp_path, f'echo "$*"; stat -c %s initramfs; {COMES_UP}', firmware=("/of/qemu",))
    assert stamp.whole
    assert stamp.about["accelerator"] == "kvm"
    assert stamp.about["release"] == "6.1.7-own"
    assert " -machine accel=kvm -cpu host -L /of/qemu -kernel " in stamp.about["console"][0]
    assert int(stamp.about["console"][1]) > 300
    assert (
        "booted as a guest with KVM" in (tmp_path / "progress").read_text()
        or "{release} booted" in (tmp_path / "progress").read_text()
    )


@pytest.mark.usefixtures("without_kvm")
def test_without_where_it_does_not(tmp_path: Path) -> None:
    assert boot(tmp_path, COMES_UP).about["accelerator"] == "tcg"


@pytest.mark.usefixtures("with_kvm")
@pytest.mark.parametrize("script", [ONLY_WITHOUT_KVM, STOPPED_BY_KVM])
def test_where_kvm_comes_to_no_end_it_is_booted_without(tmp_path: Path, script: str) -> None:
    started = time.monotonic()
    assert boot(tmp_path, script, seconds=4).about["accelerator"] == "tcg"
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("with_kvm")
def test_a_kernel_that_panics_with_kvm_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(KernelNotBooted, match=r"It panics: Fatal exception\. It is not installed"):
        boot(tmp_path, f"{PANICS}; echo x >>{tmp_path}/tries")
    assert (tmp_path / "tries").read_text() == "x\n"
    assert read_stamp(tmp_path / "boot.stamp") is None


@pytest.mark.usefixtures("without_kvm")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f"echo Booting the kernel.; {HANGS}", "It said last: Booting the kernel"),
        (HANGS, "The kernel said nothing for"),
        (
            COMES_UP.replace("6.1.7-own", "6.1.7-other"),
            "calls itself 6.1.7-other, and 6.1.7-own was to be built",
        ),
        ("echo \"qemu: could not load PC BIOS 'bios-256k.bin'\" >&2; exit 1", "does not find its firmware"),
        ("echo 'qemu: invalid accelerator tcg' >&2; exit 1", "runs guests with KVM alone"),
    ],
)
def test_every_other_end_is_a_refusal_with_its_cause(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(KernelNotBooted, match=re.escape(words)):
        boot(tmp_path, script, seconds=2)


@pytest.mark.usefixtures("without_kvm")
def test_a_kernel_that_cannot_restart_the_machine_has_booted_all_the_same(tmp_path: Path) -> None:
    assert boot(tmp_path, f"{COMES_UP}; {HANGS}").about["accelerator"] == "tcg"


def test_an_image_that_is_gone_is_told(tmp_path: Path) -> None:
    action = BootKernel(
        identity=IDENTITY,
        stamp=str(tmp_path / "boot.stamp"),
        image=str(tmp_path / "bzImage"),
        release="6.1.7-own",
        qemu=shell_emulator(tmp_path, COMES_UP),
        seconds=2,
    )
    with pytest.raises(KernelNotBooted, match="is not there, which is the built kernel"):
        boot_kernel(Job(action.model_dump(mode="json"), Progress(1), -1))


def test_where_nobody_may_open_kvm_it_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel, "KVM_DEVICE", str(tmp_path / "absent"))
    assert kvm_runs_linux() is False
