"""The workers on a kernel tree in miniature, with real make and a real compiler."""

import gzip
import shutil
import time
from pathlib import Path

import pytest

from kvmwizard.run.workers import told_words
from tests.build.kernels import KVM_SYMBOLS, KernelFolder, why_no_miniature
from tests.build.worker import Ended, Worker, run_worker

why_not = why_no_miniature()
pytestmark = pytest.mark.skipif(why_not is not None, reason=why_not or "")

DISTRIBUTION = """\
CONFIG_64BIT=y
CONFIG_NET=y
CONFIG_MODULES=y
CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs/debian-uefi-certs.pem"
CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
CONFIG_MODULE_SIG_ALL=y
CONFIG_SOUND=m
CONFIG_BRIDGE=m
"""


@pytest.fixture
def kernel(tmp_path: Path) -> KernelFolder:
    return KernelFolder.miniature(tmp_path / "linux-6.1.7")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> KernelFolder:
    """Configured, compiled and staged, for tests to copy."""
    kernel = KernelFolder.miniature(tmp_path_factory.mktemp("template") / "linux-6.1.7")
    whole(kernel)
    return kernel


@pytest.fixture
def built(template: KernelFolder, tmp_path: Path) -> KernelFolder:
    """A kernel of this test's own, with everything done."""
    shutil.copytree(template.path, tmp_path / "built", symlinks=True)
    return KernelFolder(tmp_path / "built", template.version)


def configured(kernel: KernelFolder) -> list[str]:
    return (kernel.path / "build/.config").read_text().splitlines()


def whole(kernel: KernelFolder) -> Ended:
    for action in (kernel.configure(), kernel.compile(), kernel.stage()):
        ended = run_worker(action, kernel.path)
        assert ended.returncode == 0, ended.log
    return ended


def test_configured_compiled_and_staged(kernel: KernelFolder) -> None:
    ended = run_worker(kernel.configure(), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.about["release"] == "6.1.7-own"
    assert ended.stamp.about["missing"] == {}
    assert ended.stamp.told["plural"].endswith("all is as it was asked for")
    assert {'CONFIG_LOCALVERSION="-own"', "CONFIG_KVM=m"} <= set(configured(kernel))
    assert "CONFIG_LOCALVERSION_AUTO=y" not in configured(kernel)
    ended = run_worker(kernel.compile(), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.whole
    assert b"kvmwizard" in kernel.image.read_bytes()
    assert ended.said[0].startswith("Compiling ")
    ended = run_worker(kernel.stage(), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.about["files"] == 5
    staged = {
        str(file.relative_to(kernel.path / "stage")) for file in (kernel.path / "stage").rglob("*-own*")
    }
    assert {"boot/vmlinuz-6.1.7-own", "boot/System.map-6.1.7-own", "boot/config-6.1.7-own"} <= staged
    modules = kernel.path / "stage/lib/modules/6.1.7-own"
    assert sorted(entry.name for entry in modules.iterdir()) == ["kernel", "modules.dep"]


def test_the_second_time_is_the_same_byte_for_byte(built: KernelFolder) -> None:
    before = (built.path / "payload").read_bytes()
    (built.path / "stage/boot/left-over").write_text("of another build")
    whole(built)
    assert (built.path / "payload").read_bytes() == before


def test_a_distributions_keys_are_cleared_and_it_is_said(kernel: KernelFolder, tmp_path: Path) -> None:
    base = tmp_path / "config.gz"
    base.write_bytes(gzip.compress(DISTRIBUTION.encode()))
    ended = run_worker(kernel.configure("running", base), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.about["cleared"] == ["SYSTEM_TRUSTED_KEYS", "MODULE_SIG_KEY", "MODULE_SIG_ALL"]
    assert 'CONFIG_SYSTEM_TRUSTED_KEYS=""' in configured(kernel)
    assert not any("signing_key.pem" in line or "SIG_ALL" in line for line in configured(kernel))
    assert "Cleared, since they name keys that only the distribution has" in ended.log


def test_a_key_that_would_be_made_for_this_build_alone_is_cleared_too(kernel: KernelFolder) -> None:
    base = kernel.path / "base"
    base.write_text("CONFIG_64BIT=y\nCONFIG_MODULES=y\nCONFIG_MODULE_SIG=y\n")
    ended = run_worker(kernel.configure("file", base), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.about["cleared"] == ["MODULE_SIG_KEY", "MODULE_SIG_ALL"]
    assert {"CONFIG_MODULE_SIG=y", 'CONFIG_MODULE_SIG_KEY=""'} <= set(configured(kernel))


def test_a_missing_symbol_is_named_with_what_blocked_it(kernel: KernelFolder) -> None:
    symbols = {**KVM_SYMBOLS, "KVM_AMD": "m", "BRIDGE": "m", "NO_SUCH": "y"}
    ended = run_worker(kernel.configure(symbols=symbols), kernel.path)
    assert ended.returncode == 0
    assert ended.stamp is not None
    assert ended.stamp.about["missing"] == {
        "KVM_AMD": "KVM_AMD needs NET, which is off. Switch that on in the configuration that this one "
        "starts from.",
        "BRIDGE": "BRIDGE needs NET, which is off. Switch that on in the configuration that this one "
        "starts from.",
    }
    assert ended.stamp.about["absent"] == ["NO_SUCH"]
    assert "NO_SUCH is left out: this version of Linux has no such symbol." in ended.log
    assert ended.said[-1] == "2 settings were not taken; the log says why."
    told = told_words(ended.stamp.told)
    assert told is not None
    assert told.english == (
        "KVM_AMD needs NET, which is off. Switch that on in the configuration that this one starts from. "
        "2 more settings were not taken; the log says why."
    )


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        ({"KVM": "m"}, "This configuration gives no KVM: KVM needs VIRTUALIZATION"),
        (
            {"VIRTUALIZATION": "y", "KVM": "m", "KVM_AMD": "m"},
            "This configuration gives no KVM: KVM_AMD needs NET",
        ),
        (
            {"VIRTUALIZATION": "y", "KVM": "m", "KVM_BOOK3S_64_HV": "m"},
            "Linux 6.1.7 does not know KVM_BOOK3S_64_HV",
        ),
    ],
)
def test_without_kvm_it_is_refused(kernel: KernelFolder, symbols: dict[str, str], words: str) -> None:
    base = kernel.path / "base"
    base.write_text("CONFIG_64BIT=y\nCONFIG_MODULES=y\n")
    ended = run_worker(kernel.configure("file", base, symbols), kernel.path)
    assert ended.returncode == 1
    assert ended.refused.startswith(words)
    assert ended.stamp is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\x1f\x8bnonsense", "cannot be read"),
        (b"hello\n", "is no kernel configuration"),
    ],
)
def test_a_base_that_is_none_is_refused(kernel: KernelFolder, content: bytes | None, words: str) -> None:
    base = kernel.path / "base"
    if content is not None:
        base.write_bytes(content)
    ended = run_worker(kernel.configure("file", base), kernel.path)
    assert words in ended.refused
    assert "Choose another" in ended.refused


def test_a_path_that_make_would_take_apart_is_refused(tmp_path: Path) -> None:
    kernel = KernelFolder.miniature(tmp_path / "with space")
    ended = run_worker(kernel.configure(), tmp_path)
    assert ended.refused.startswith("Kernels cannot be built in")


def test_a_tree_that_was_built_in_is_cleaned(kernel: KernelFolder) -> None:
    (kernel.path / "source/.config").write_text("CONFIG_OLD=y\n")
    ended = run_worker(kernel.configure(), kernel.path)
    assert ended.returncode == 0, ended.log
    assert "it is cleaned" in ended.log


def test_no_kernel_source_is_refused(kernel: KernelFolder) -> None:
    (kernel.path / "source/Makefile").unlink()
    ended = run_worker(kernel.configure(), kernel.path)
    assert "is no kernel source" in ended.refused


def test_another_name_than_the_planned_one_is_refused(built: KernelFolder) -> None:
    ended = run_worker(built.compile(release="6.1.7-other"), built.path)
    assert ended.refused.startswith("This kernel calls itself 6.1.7-own, and 6.1.7-other was planned.")
    (built.path / "source/localversion").write_text("-rt3\n")
    ended = run_worker(built.compile(), built.path)
    assert ended.refused.startswith("This kernel calls itself 6.1.7-rt3-own, and 6.1.7-own was planned.")
    assert ended.stamp is None


def test_a_compiler_error_is_pulled_out_of_the_log(kernel: KernelFolder) -> None:
    (kernel.path / "source/virt/kvm.c").write_text("int kvm(void) { return nonsense; }\n")
    run_worker(kernel.configure(), kernel.path)
    ended = run_worker(kernel.compile(), kernel.path)
    assert ended.returncode == 1
    assert "virt/kvm.c:1:24: error: " in ended.refused
    assert "nonsense" in ended.refused
    assert "What was built so far is kept." in ended.refused


def test_a_compiler_that_was_killed_means_fewer_jobs(built: KernelFolder) -> None:
    shutil.rmtree(built.path / "build/init")
    compiler = built.path / "cc"
    compiler.write_text(
        "#!/bin/sh\necho 'gcc: fatal error: Killed signal terminated program cc1' >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    ended = run_worker(built.compile(jobs=4, CC=str(compiler)), built.path)
    assert "memory ran out with 4 at the same time. Choose 2 jobs" in ended.refused


def test_a_full_disk_is_told_as_one(built: KernelFolder) -> None:
    shutil.rmtree(built.path / "build/init")
    compiler = built.path / "cc"
    compiler.write_text("#!/bin/sh\necho 'Fatal error: cannot close: No space left on device' >&2\nexit 1\n")
    compiler.chmod(0o755)
    ended = run_worker(built.compile(CC=str(compiler)), built.path)
    assert ended.refused.startswith("The disk is full.")


def test_without_depmod_it_is_not_staged(built: KernelFolder) -> None:
    ended = run_worker(built.stage(NO_DEPMOD="1"), built.path)
    assert "Install kmod" in ended.refused


@pytest.mark.parametrize("listed", ["kernel/virt/kvm.ko\n", None])
def test_a_kernel_without_modules_is_staged_too(kernel: KernelFolder, listed: str | None) -> None:
    base = kernel.path / "base"
    base.write_text("CONFIG_64BIT=y\nCONFIG_VIRTUALIZATION=y\nCONFIG_KVM=y\n")
    for action in (kernel.configure("file", base, {"KVM": "y"}), kernel.compile()):
        assert run_worker(action, kernel.path).returncode == 0
    if listed is not None:
        (kernel.path / "build/modules.builtin").write_text(listed)
    ended = run_worker(kernel.stage(), kernel.path)
    assert ended.stamp is not None
    assert ended.stamp.about["files"] == 4
    # Without the folder depmod fails, and with it the kernel's installation.
    assert (kernel.path / "stage/lib/modules/6.1.7-own/modules.builtin").read_text() == (listed or "")


def test_the_total_is_remembered_and_told(kernel: KernelFolder) -> None:
    run_worker(kernel.configure(), kernel.path)
    first = run_worker(kernel.compile(), kernel.path)
    assert first.stamp is not None
    total = first.stamp.about["steps"]
    assert total == 5
    shutil.rmtree(kernel.path / "build")
    run_worker(kernel.configure(), kernel.path)
    again = run_worker(kernel.compile(), kernel.path)
    assert {line["total"] for line in again.told if line["done"] is not None} == {total}


def wait_for(text: str, worker: Worker) -> None:
    """Until the text is in the log, or the worker has ended with it there."""
    deadline = time.monotonic() + 30
    while text not in worker.log():
        assert worker.running or text in worker.log(), worker.log()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_at_any_command_it_ends_the_same(kernel: KernelFolder, template: KernelFolder) -> None:
    moments = (
        (kernel.configure(), ("defconfig", "merge_config.sh", "olddefconfig")),
        (kernel.compile(SLOWLY="sleep 0.3;"), ("bzImage", "CC  ")),
        (kernel.stage(), ("modules_install",)),
    )
    for action, words in moments:
        for word in words:
            worker = Worker(action, kernel.path)
            wait_for(word, worker)
            worker.kill()
        ended = run_worker(action, kernel.path)
        assert ended.returncode == 0, ended.log
    assert (kernel.path / "payload").read_bytes() == (template.path / "payload").read_bytes()


def test_an_object_that_was_torn_is_compiled_anew(built: KernelFolder) -> None:
    """The compiler writes half of it and is killed, where a whole one with the same command was before."""
    good = built.image.read_bytes()
    (built.path / "source/init/main.c").touch()
    compiler = built.path / "tearing"
    compiler.write_text('#!/bin/sh\necho half >"$3"\necho torn\nexec sleep 60\n')
    compiler.chmod(0o755)
    worker = Worker(built.compile(CC=str(compiler)), built.path)
    wait_for("torn", worker)
    worker.kill()
    ended = run_worker(built.compile(), built.path)
    assert "CC      init/main.o" in ended.log
    assert built.image.read_bytes() == good
