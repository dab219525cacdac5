"""A kernel and a QEMU from source, from a mirror and from git: built, proven, installed, used, taken back."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.restart import restarted_into
from tests.end_to_end.wizard import (
    KVMWIZARD,
    PAGE_SECONDS,
    is_settled,
    kvmwizard,
    open_wizard,
    select,
    selected_line,
    wait_for_page,
    wait_for_proof,
)
from tests.end_to_end.world import differences, world_of
from tests.machine.layers import ALICE_PASSWORD
from tests.machine.machine import ThrowawayMachine
from tests.machine.terminal import Terminal
from tests.mirror.mirror import Mirror
from tests.sources import SourceTarball, kernel_tarball, qemu_tarball, unpacked

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(2400)]

KEY = "/srv/key.asc"
CONFIGURATION = "/srv/small.config"
SMALL = Path(__file__).parents[1] / "build/small-kernel.config"
RUN_SECONDS = 1800
UNDO_SECONDS = 300
LOCAL_VERSION = "-kvmwizard"
FIRMWARE_PACKAGES = ("seabios", "qemu-system-data")
"""Debian's QEMU source comes without firmware, which is in these."""
PLACES = ("/boot", "/usr/lib/modules", "/opt/kvmwizard")


@pytest.fixture(autouse=True, scope="module")
def needs_kvm() -> None:
    if not Path("/dev/kvm").exists():
        pytest.skip("no QEMU can be proven with KVM where there is no /dev/kvm")


@pytest.fixture(scope="module")
def kernel() -> SourceTarball:
    return kernel_tarball()


@pytest.fixture(scope="module")
def qemu() -> SourceTarball:
    return qemu_tarball()


@pytest.fixture
def source_machine(
    program_machine: ThrowawayMachine, mirror: Mirror, tmp_path: Path
) -> Iterator[ThrowawayMachine]:
    """A machine with the firmware, the configuration and the mirror's key at hand."""
    program_machine.do(
        ["apt-get", "-q", "-y", "install", "--no-install-recommends", *FIRMWARE_PACKAGES],
        env={"DEBIAN_FRONTEND": "noninteractive"},
        timeout=300,
    )
    program_machine.path(CONFIGURATION).write_bytes(SMALL.read_bytes())
    program_machine.path(KEY).write_bytes(mirror.key.public.read_bytes())
    yield program_machine
    # What pytest would keep of the last three runs is too much here.
    shutil.rmtree(tmp_path)


def files_of(machine: ThrowawayMachine) -> set[str]:
    """Every path where a kernel or a QEMU may be installed."""
    # One of them may not be there yet.
    found = machine.run(["find", *PLACES, "-not", "-name", "*.pyc", "-not", "-name", "__pycache__"])
    return set(found.stdout.splitlines())


def test_a_kernel_and_a_qemu_are_built_from_tarballs_proven_installed_and_taken_back(
    source_machine: ThrowawayMachine, mirror: Mirror, kernel: SourceTarball, qemu: SourceTarball
) -> None:
    machine = source_machine
    mirror.layout.add_kernel(kernel.version, kernel.path)
    mirror.layout.add_qemu(qemu.version, qemu.path)
    answers = {
        "welcome": {"route": "source"},
        "sources": {
            "kernel_mirror": mirror.kernel_url,
            "qemu_mirror": mirror.qemu_url,
            "kernel_key": KEY,
            "qemu_key": KEY,
        },
        "kernel": {"kernel": {"source": "release", "version": kernel.version}},
        "kernel_build": {
            "base": "file",
            "base_file": CONFIGURATION,
            "features": ["kvm", "boot-test"],
        },
        "kernel_options": {"modules": []},
        "qemu": {"qemu": {"source": "release", "version": qemu.version}},
        "access": {"user": "alice"},
    }
    machine.path("/srv/answers.json").write_text(json.dumps(answers))
    before, files = world_of(machine), files_of(machine)
    apply = ["apply", "--yes", "--answers", "/srv/answers.json"]
    code, output, complaints = kvmwizard(machine, apply, timeout=RUN_SECONDS)
    assert code == 3, output + complaints
    assert "Traceback" not in output + complaints
    # Its own kernel has booted under the QEMU that was built, and that boots our disk with KVM.
    release = f"{kernel.version}{LOCAL_VERSION}"
    assert f"Linux {release} booted as a guest" in " ".join(output.split()), output
    assert "waits for a restart" in output
    with restarted_into(machine, release):
        code, output, complaints = kvmwizard(machine, apply, timeout=RUN_SECONDS)
    assert code == 0, output + complaints
    assert f"guests run under Linux {release} as alice" in " ".join(output.split()), output
    assert "KVM works" in output, output
    assert f"/opt/kvmwizard/qemu-{qemu.version}/bin/qemu-system-x86_64" in output
    assert_installed(machine, files, release, qemu.version)
    assert_nothing_is_left_to_do(machine)

    code, output, complaints = kvmwizard(machine, ["undo", "--yes"], timeout=UNDO_SECONDS)
    assert code == 0, output + complaints
    assert differences(before, world_of(machine)) == set()
    assert files_of(machine) == files


def assert_installed(machine: ThrowawayMachine, before: set[str], release: str, version: str) -> None:
    """The kernel is a package of its own with its modules; QEMU is in its prefix; each is what it says."""
    prefix = f"/opt/kvmwizard/qemu-{version}"
    installed = files_of(machine) - before
    assert {f"/boot/vmlinuz-{release}", f"/boot/config-{release}"} <= installed
    assert any(path.endswith("/kvm.ko") for path in installed)
    status = machine.do(["dpkg-query", "-W", "-f", "${Status}", f"linux-image-{release}"])
    assert status == "install ok installed"
    assert f"version {version}" in machine.do([f"{prefix}/bin/qemu-system-x86_64", "--version"])
    owners = machine.do(["find", prefix, "-not", "-user", "root"])
    assert owners == ""


def assert_nothing_is_left_to_do(machine: ThrowawayMachine) -> None:
    """A second plan finds every product and builds none of them again."""
    code, output, _ = kvmwizard(machine, ["plan", "--answers", "/srv/answers.json"])
    assert code == 0
    for line in ("Compile", "Install Linux", "Install QEMU"):
        found = re.search(rf"^ *\d+\. {line}.*\n +(.*)", output, re.MULTILINE)
        assert found is not None, output
        assert found[1].startswith("Already so"), output


def test_the_same_by_git_tags_in_the_wizard(
    source_machine: ThrowawayMachine,
    mirror: Mirror,
    kernel: SourceTarball,
    qemu: SourceTarball,
    tmp_path: Path,
) -> None:
    machine = source_machine
    for source, add_tag in ((kernel, mirror.add_kernel_tag), (qemu, mirror.add_qemu_tag)):
        tree = unpacked(source, tmp_path)
        add_tag(f"v{source.version}", tree)
        shutil.rmtree(tree)
    before, files = world_of(machine), files_of(machine)
    terminal = open_wizard(
        machine,
        *("--kernel-git", mirror.kernel_git, "--kernel-key", KEY),
        *("--qemu-git", mirror.qemu_git, "--qemu-key", KEY),
        user="alice",
        size=(80, 24),
    )
    wait_for_page(terminal, "Welcome")
    select(terminal, "From source")
    go_on(terminal, "Hardware", "Kernel")
    choose_tag(terminal, kernel.version)
    go_on(terminal, "Kernel build")
    configure_small(terminal)
    go_on(terminal, "Kernel options", "QEMU")
    choose_tag(terminal, qemu.version)
    go_on(terminal, "QEMU build", "Access", "Review")
    terminal.wait_for("Enter carries them out", seconds=PAGE_SECONDS)
    terminal.press("Enter")
    terminal.wait_for("password for alice")
    terminal.type(ALICE_PASSWORD)
    terminal.press("Enter")
    wait_for_page(terminal, "Run")
    over = ("All that comes before the restart is done", "A step failed", "Press Enter to")
    screen = terminal.wait_until(
        lambda shown: any(text in shown for text in over), "the end of the run", RUN_SECONDS
    )
    assert over[0] in screen, screen
    terminal.press("Enter")
    wait_for_proof(terminal)
    terminal.press("Enter")
    assert terminal.wait_for_end() == 0
    assert_installed(machine, files, f"{kernel.version}{LOCAL_VERSION}", qemu.version)

    undo = Terminal.open(machine, [KVMWIZARD, "undo", "--yes"], user="alice")
    undo.wait_for("password for alice")
    undo.type(ALICE_PASSWORD)
    undo.press("Enter")
    assert undo.wait_for_end(UNDO_SECONDS) == 0
    assert differences(before, world_of(machine)) == set()
    assert files_of(machine) == files


def go_on(terminal: Terminal, *titles: str) -> None:
    """Press Enter, from page to page."""
    for title in titles:
        terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)
        terminal.press("Enter")
        wait_for_page(terminal, title)


def choose_tag(terminal: Terminal, version: str) -> None:
    """On the page of a kernel or a QEMU, choose the tag of this version."""
    terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)
    select(terminal, "A git tag")
    terminal.press("Space")
    terminal.wait_for(f"▸ v{version} ", seconds=PAGE_SECONDS)
    terminal.press("Enter")
    wait_for_line(terminal, rf"\(●\) A git tag … +v{version}")


def configure_small(terminal: Terminal) -> None:
    """On the page of the kernel's build, start from a small file, and leave out what takes long."""
    terminal.wait_until(is_settled, "a page that has read the machine", PAGE_SECONDS)
    select(terminal, "Starts from")
    for shown in (
        r"Starts from +the running kernel's *$",
        r"Starts from +the arch",
        r"The path of the \.config",
    ):
        terminal.press("Space")
        wait_for_line(terminal, shown)
    terminal.type(CONFIGURATION)
    terminal.press("Enter")
    wait_for_line(terminal, rf"Configuration file +{CONFIGURATION}")
    while "Build folder" not in selected_line(terminal.screen):
        if "[✔]" in selected_line(terminal.screen):
            terminal.press("Space")
            wait_for_line(terminal, r"▸\[ \]")
        line = selected_line(terminal.screen)
        terminal.press("Down")
        terminal.wait_until(partial(differs, line), "the line below")


def differs(line: str, screen: str) -> bool:
    """Whether another line is selected."""
    return selected_line(screen) != line


def wait_for_line(terminal: Terminal, pattern: str) -> None:
    """Wait for a line that matches."""
    terminal.wait_until(
        lambda screen: re.search(pattern, screen, re.MULTILINE) is not None, pattern, PAGE_SECONDS
    )
