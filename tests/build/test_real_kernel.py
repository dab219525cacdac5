"""A real kernel, trimmed: configured, compiled, staged, and booted under Debian's QEMU."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvmwizard.build import kernel_config
from kvmwizard.build.kernel_config import configure
from kvmwizard.catalog.features import chosen_features, debug_info_symbols, symbols_of
from kvmwizard.job import Job, Progress
from kvmwizard.plan.build_model import BootKernel, BuildAction
from kvmwizard.product import read_stamp
from tests.build.kernels import KernelFolder, distribution_source
from tests.build.worker import IDENTITY, Ended, Worker, run_worker
from tests.facts_builder import make_facts
from tests.machine.layers import PROGRAM_PYTHON, Layer, base_layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.machine.scratch import locked
from tests.proof.test_real_qemu import QEMU, install_qemu

SMALL = Path(__file__).with_name("small-kernel.config")
SOURCE = distribution_source()
FEATURES = ("kvm", "boot-test")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(SOURCE is None, reason="no kernel source is here (package linux-source-6.1)"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="module")
def tree(shared: Path) -> KernelFolder:
    """The source, unpacked once."""
    assert SOURCE is not None
    with locked(shared / "linux.lock"):
        if not (shared / "linux").is_dir():
            KernelFolder.of_distribution(shared / "linux.unfinished", SOURCE)
            (shared / "linux.unfinished").rename(shared / "linux")
        return KernelFolder.unpacked(shared / "linux")


def beside(tree: KernelFolder, folder: Path) -> KernelFolder:
    """Another folder that is built from the same source."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source").symlink_to(tree.path / "source")
    return KernelFolder(folder, tree.version)


def wanted(version: str, features: tuple[str, ...]) -> dict[str, str]:
    chosen = chosen_features(version, make_facts(), features)
    return {**symbols_of(chosen), **debug_info_symbols(version, wanted=False)}


@pytest.fixture(scope="module")
def built(tree: KernelFolder) -> dict[str, Ended]:
    """Each step of one undisturbed build, which whoever comes first does."""
    steps: dict[str, BuildAction] = {
        "configure": tree.configure("file", SMALL, wanted(tree.version, FEATURES)),
        "compile": tree.compile(),
        "stage": tree.stage(),
    }
    with locked(tree.path / "built.lock"):
        for name, action in steps.items():
            kept = tree.path / f"{name}.json"
            if not kept.exists():
                ended = run_worker(action, tree.path, 1500)
                assert ended.returncode == 0, ended.log[-3000:]
                kept.write_text(json.dumps(ended.told))
        return {
            name: Ended(
                0, "", json.loads((tree.path / f"{name}.json").read_text()), read_stamp(Path(action.stamp))
            )
            for name, action in steps.items()
        }


def test_every_symbol_is_there_and_the_files_are_staged(tree: KernelFolder, built: dict[str, Ended]) -> None:
    configured = built["configure"].stamp
    assert configured is not None
    assert configured.about["missing"] == {}
    assert configured.about["release"] == tree.release
    staged = {str(file.relative_to(tree.path / "stage")) for file in (tree.path / "stage").rglob("*")}
    assert f"boot/vmlinuz-{tree.release}" in staged
    modules = f"lib/modules/{tree.release}"
    assert {f"{modules}/modules.dep", f"{modules}/kernel/arch/x86/kvm/kvm-intel.ko"} <= staged
    assert not {f"{modules}/build", f"{modules}/source"} & staged


def test_the_steps_were_foreseen(built: dict[str, Ended]) -> None:
    told = [line for line in built["compile"].told if line.get("done") is not None]
    steps = told[-1]["done"]
    foreseen = [line["total"] for line in told if line["total"] is not None]
    assert foreseen, "nothing was foreseen before the build ended"
    assert 0.85 < foreseen[0] / steps < 1.15
    assert len(told) > 20


def test_killed_again_and_again_it_ends_the_same_byte_for_byte(
    tree: KernelFolder, built: dict[str, Ended], tmp_path: Path
) -> None:
    assert built
    kernel = beside(tree, tmp_path / "killed")
    configure_action = kernel.configure("file", SMALL, wanted(kernel.version, FEATURES))
    kills = 0
    for action, moments in (
        (configure_action, (r"HOSTCC", r"merge_config\.sh", r"olddefconfig")),
        (
            kernel.compile(),
            (r"CC      init/main\.o", r"CC .*kernel/fork\.o", r"LD +vmlinux|LD +\.tmp_vmlinux"),
        ),
        (kernel.stage(), (r"INSTALL", r"STRIP|DEPMOD")),
    ):
        for moment in moments:
            worker = Worker(action, kernel.path)
            kills += wait_for(lambda: re.search(moment, worker.log()) is not None, worker)  # noqa: B023  -- called at once
            worker.kill()
        ended = run_worker(action, kernel.path, 1500)
        assert ended.returncode == 0, ended.log[-3000:]
    assert kills >= 6, "most of the moments came while it ran"
    assert (kernel.path / "payload").read_bytes() == (tree.path / "payload").read_bytes()


def wait_for(reached: Callable[[], bool], worker: Worker) -> bool:
    """Whether it came about while the worker ran; an earlier attempt may have done it already."""
    deadline = time.monotonic() + 900
    while not reached():
        if not worker.running:
            return False
        assert time.monotonic() < deadline, worker.log()[-3000:]
        time.sleep(0.05)
    return True


def test_what_a_small_base_blocks_is_named(tree: KernelFolder, tmp_path: Path) -> None:
    kernel = beside(tree, tmp_path / "missing")
    symbols = {**wanted(kernel.version, FEATURES), "VFIO_PCI": "m", "TUN": "m", "VHOST_VSOCK": "m"}
    ended = run_worker(kernel.configure("file", SMALL, symbols), kernel.path)
    assert ended.stamp is not None
    missing = ended.stamp.about["missing"]
    assert set(missing) == {"VFIO_PCI", "TUN", "VHOST_VSOCK"}
    assert "NET" in missing["TUN"]
    assert "PCI" in missing["VFIO_PCI"]


def test_without_64_bits_there_is_no_kvm_and_it_is_refused(tree: KernelFolder, tmp_path: Path) -> None:
    kernel = beside(tree, tmp_path / "refused")
    base = tmp_path / "base"
    base.write_text(
        SMALL.read_text().replace("CONFIG_HIGH_RES_TIMERS=y", "# CONFIG_HIGH_RES_TIMERS is not set")
    )
    ended = run_worker(kernel.configure("file", base, {"KVM": "m", "KVM_INTEL": "m"}), kernel.path)
    assert ended.refused.startswith("This configuration gives no KVM: KVM")
    assert "HIGH_RES_TIMERS" in ended.refused


def test_modules_that_are_not_loaded_are_left_out(
    tree: KernelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = beside(tree, tmp_path / "trimmed")
    ended = run_worker(
        kernel.configure(symbols=wanted(kernel.version, ("kvm", "tun", "macvtap"))), kernel.path
    )
    assert ended.returncode == 0, ended.log[-3000:]
    whole = tmp_path / "whole.config"
    (kernel.path / "build/.config").rename(whole)
    assert "CONFIG_MACVTAP=m" in whole.read_text()
    loaded = tmp_path / "modules"
    loaded.write_text("tun 49152 0 - Live 0x0000000000000000\nkvm 1 0 - Live 0x0000000000000000\n")
    monkeypatch.setattr(kernel_config, "MODULE_LIST", loaded)
    action = kernel.configure("localmodconfig", whole, {"KVM": "m"})
    with (tmp_path / "progress").open("ab") as progress:
        configure(Job(action.model_dump(mode="json"), Progress(progress.fileno()), -1))
    trimmed = (kernel.path / "build/.config").read_text()
    assert "CONFIG_TUN=m" in trimmed
    assert "CONFIG_MACVTAP=m" not in trimmed


@pytest.fixture
def with_qemu(program_base: Layer) -> Iterator[ThrowawayMachine]:
    qemu = prepared_layer("qemu", install_qemu, [], base_layer())
    with ThrowawayMachine.start((qemu.directory, *program_base.stack)) as machine:
        yield machine


@pytest.mark.root
def test_it_boots_as_a_guest_of_debians_qemu(
    tree: KernelFolder, built: dict[str, Ended], with_qemu: ThrowawayMachine
) -> None:
    assert built
    with_qemu.do(["mkdir", "-m", "777", "/home/bob/boot"])
    with_qemu.path("/home/bob/boot/bzImage").write_bytes(tree.image.read_bytes())
    action = BootKernel(
        identity=IDENTITY,
        stamp="/home/bob/boot/stamp",
        image="/home/bob/boot/bzImage",
        release=tree.release,
        qemu=QEMU,
        seconds=300,
    )
    argv = [PROGRAM_PYTHON, "-m", "kvmwizard.proof.kernel", "--progress", "/home/bob/boot/progress"]
    result = with_qemu.run([*argv, action.model_dump_json()], user="bob", timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"is Linux {tree.release}" in result.stdout
    said = json.loads(with_qemu.path("/home/bob/boot/stamp").read_text())
    assert said["about"]["release"] == tree.release
    assert said["about"]["accelerator"] == "tcg", "bob may not open /dev/kvm"
    stamp = read_stamp(with_qemu.path("/home/bob/boot/stamp"))
    assert stamp is not None
