"""What the exported script does as the builder, done for real: it comes to the same as the workers."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kvmwizard.answers import (
    GitQemu,
    KeepKernel,
    KernelBuildAnswer,
    LocalQemu,
    QemuBuildAnswer,
    ReleaseKernel,
    SourcesAnswer,
)
from kvmwizard.build.payload import write_payload
from kvmwizard.host.host import command_environment
from kvmwizard.plan.build_model import BootKernel, BuilderAction, ConfigureKernel, ConfigureQemu, UnpackSource
from kvmwizard.plan.identity import UNKNOWN_IDENTITY
from kvmwizard.plan.kernel_shell import GUEST_SAYS
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan
from kvmwizard.plan.shell import plan_as_shell, shell_lines
from kvmwizard.run.workers import worker_argv, worker_environment
from tests.build.kernels import KVM_SYMBOLS, MINIATURE, why_no_miniature
from tests.build.qemu_trees import FLAGS, make_tree, ninja_tree
from tests.facts_builder import make_facts
from tests.mirror.mirror import Mirror
from tests.plan.builds import all_remedies, build_answers

NOBODY = 61183
QEMU_HERE = LocalQemu(path="/usr/bin/qemu-system-x86_64")
DISTRIBUTION = """\
CONFIG_64BIT=y
CONFIG_NET=y
CONFIG_MODULES=y
CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs/debian-uefi-certs.pem"
CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
CONFIG_MODULE_SIG_ALL=y
CONFIG_SOUND=m
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A build folder that anybody reaches, and whose path has nothing that make would take for its own."""
    made = Path(tempfile.mkdtemp(prefix="plan-"))
    made.chmod(0o755)
    yield made / "build"
    shutil.rmtree(made)


def builder_actions(plan: Plan) -> list[BuilderAction]:
    """What the builder does until something is installed, but for the boot."""
    actions = [action for step in plan.steps for action in step.actions if isinstance(action, BuilderAction)]
    return [action for action in actions if action.kind != "boot-kernel"]


def run_lines(lines: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As the script's `as_builder` runs them."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    return subprocess.run(
        ["/bin/sh", "-euc", "umask 077; " + "\n".join(lines)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def by_workers(actions: Sequence[BuilderAction], folder: Path) -> None:
    """As the runner has them done; for root by nobody."""
    builder = str(NOBODY) if os.geteuid() == 0 else None
    folder.mkdir(mode=0o700)
    if builder is not None:
        os.chown(folder, NOBODY, NOBODY)
    for action in actions:
        argv = worker_argv(action, builder, folder.parent / "progress", folder.parent / "log")
        environment = {**command_environment(), **worker_environment()}
        with (folder.parent / "log").open("wb") as log:
            ended = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False
            )
        assert ended.returncode == 0, (action.kind, (folder.parent / "log").read_text())


def by_script(actions: Sequence[BuilderAction]) -> None:
    for action in actions:
        ran = run_lines(shell_lines(action))
        assert ran.returncode == 0, (action.kind, ran.stdout, ran.stderr)


def packed(stage: Path) -> list[str]:
    """Path, mode, size and digest of every file that would be installed."""
    payload = stage.parent.parent.parent / "payload"
    for config in stage.glob("boot/config-*"):  # which the real tree's olddefconfig puts in order
        config.write_text("\n".join(sorted(config.read_text().splitlines())))
    write_payload(stage, payload)
    with payload.open("rb") as file:
        return [str(entry) for entry in json.loads(file.readline())]


def both_ways(actions: Sequence[BuilderAction], folder: Path, stage: Path) -> tuple[list[str], list[str]]:
    """What would be installed: built by the workers, and by the script."""
    by_workers(actions, folder)
    of_workers = packed(stage)
    shutil.rmtree(folder)
    by_script(actions)
    return of_workers, packed(stage)


def readable_key(mirror: Mirror, folder: Path) -> str:
    """The mirror's public key, where everybody can read it."""
    key = folder.parent / "key.asc"
    key.write_bytes(mirror.key.public.read_bytes())
    return str(key)


def kernel_plan(mirror: Mirror, folder: Path) -> Plan:
    """The kernel in miniature, from a mirror on loopback, with a distribution's configuration."""
    why_not = why_no_miniature()
    if why_not is not None:
        pytest.skip(why_not)
    mirror.layout.add_kernel("6.1.7", MINIATURE)
    base_file = folder.parent / "config"
    base_file.write_text(DISTRIBUTION)
    sources = SourcesAnswer(kernel_mirror=mirror.kernel_url, kernel_key=readable_key(mirror, folder))
    build = KernelBuildAnswer(base="file", base_file=str(base_file), folder=str(folder))
    answers = build_answers(
        kernel=ReleaseKernel(version="6.1.7"), kernel_build=build, qemu=QEMU_HERE, sources=sources
    )
    return make_plan(make_facts(), answers)


def kernel_actions(plan: Plan) -> list[BuilderAction]:
    """With the symbols that the miniature knows."""
    return [
        action.model_copy(update={"symbols": KVM_SYMBOLS}) if isinstance(action, ConfigureKernel) else action
        for action in builder_actions(plan)
    ]


def test_a_kernel(mirror: Mirror, folder: Path) -> None:
    actions = kernel_actions(kernel_plan(mirror, folder))
    assert [action.kind for action in actions] == [
        "download-source",
        "unpack-source",
        "configure-kernel",
        "compile-kernel",
        "stage-kernel",
    ]
    stage = Path(actions[-1].stamp).parent / "stage"
    of_workers, of_script = both_ways(actions, folder, stage)
    assert of_script == of_workers
    assert (stage / "boot/vmlinuz-6.1.7-kvmwizard").is_file()
    config = (stage / "boot/config-6.1.7-kvmwizard").read_text().splitlines()
    assert 'CONFIG_SYSTEM_TRUSTED_KEYS=""' in config
    assert "CONFIG_KVM_INTEL=m" in config


@pytest.mark.parametrize(("name", "place"), [("linux-6.1.7.tar.xz", -30), ("sha256sums.asc", 80)])
def test_what_is_not_genuine_stops_the_script(mirror: Mirror, folder: Path, name: str, place: int) -> None:
    download, *_ = kernel_actions(kernel_plan(mirror, folder))
    served = mirror.layout.folder / "pub/linux/kernel/v6.x" / name
    content = bytearray(served.read_bytes())
    content[place] ^= 1
    served.write_bytes(content)
    ran = run_lines(shell_lines(download))
    assert ran.returncode != 0
    assert not (folder / "downloads/linux-6.1.7.tar.xz").exists()


def test_another_key_counts_for_nothing(mirror: Mirror, folder: Path) -> None:
    plan = kernel_plan(mirror, folder)
    download, *_ = kernel_actions(plan)
    without = make_plan(
        make_facts(),
        build_answers(
            kernel=ReleaseKernel(version="6.1.7"),
            kernel_build=KernelBuildAnswer(folder=str(folder)),
            qemu=QEMU_HERE,
            sources=SourcesAnswer(kernel_mirror=mirror.kernel_url),
        ),
    )
    assert run_lines(shell_lines(download)).returncode == 0
    shutil.rmtree(folder)
    ran = run_lines(shell_lines(without.step("kernel.download").actions[0]))
    assert ran.returncode != 0
    assert "No public key" in ran.stderr
    assert not (folder / "downloads/linux-6.1.7.tar.xz").exists()


def qemu_actions(mirror: Mirror, folder: Path, tag: str) -> list[BuilderAction]:
    """A tiny QEMU of a tag, with the flags that it knows."""
    facts = make_facts()
    sources = SourcesAnswer(qemu_git=mirror.qemu_git, qemu_key=readable_key(mirror, folder))
    build = QemuBuildAnswer(folder=str(folder), agreed=all_remedies("qemu", tag[1:], facts))
    answers = build_answers(kernel=KeepKernel(), qemu=GitQemu(tag=tag), qemu_build=build, sources=sources)
    changed = {"flags": FLAGS, "shims": ("shims/memfd",), "python": None}
    prefix = {"prefix": FLAGS[0].partition("=")[2]}
    return [
        action.model_copy(
            update=changed
            if isinstance(action, ConfigureQemu)
            else prefix
            if action.kind == "stage-qemu"
            else {}
        )
        for action in builder_actions(make_plan(facts, answers))
        if action.kind != "unpack-packages"
    ]


def add_subprojects(mirror: Mirror, tree: Path, folder: Path) -> tuple[str, ...]:
    """Two parts in repositories of their own, as QEMU has them since 8.1; the first has an overlay."""
    for part, overlay in (("softfloat", "patch_directory = softfloat\n"), ("keycodes", "")):
        content = folder / part
        content.mkdir(parents=True)
        (content / "source.c").write_text(f"/* {part} */\n", encoding="utf-8")
        url, commit = mirror.add_part(part, content)
        over = tree / "subprojects/packagefiles" / part
        over.mkdir(parents=True)
        (over / "meson.build").write_text("project()\n", encoding="utf-8")
        wrap = f"[wrap-git]\nurl = {url}\nrevision = {commit}\n{overlay}depth = 1\n"
        (tree / f"subprojects/{part}.wrap").write_text(wrap, encoding="utf-8")
    return ("subprojects/softfloat", "subprojects/keycodes")


@pytest.mark.parametrize(("tag", "tree"), [("v4.9.9", make_tree), ("v9.9.9", ninja_tree)])
def test_a_qemu(mirror: Mirror, folder: Path, tmp_path: Path, tag: str, tree: object) -> None:
    assert callable(tree)
    made = tree(tmp_path / "tree")
    parts = add_subprojects(mirror, made, tmp_path / "parts")
    mirror.add_qemu_tag(tag, made)
    actions = [
        action.model_copy(update={"submodules": parts}) if action.kind == "fetch-tag" else action
        for action in qemu_actions(mirror, folder, tag)
    ]
    assert [action.kind for action in actions] == [
        "fetch-tag",
        "configure-qemu",
        "compile-qemu",
        "stage-qemu",
    ]
    stage = Path(actions[-1].stamp).parent / "stage"
    of_workers, of_script = both_ways(actions, folder, stage)
    assert (stage / FLAGS[0].partition("=/")[2] / "bin/qemu-system-x86_64").is_file()
    assert of_script == of_workers
    source = stage.parent / "source"
    assert (source / "subprojects/softfloat/source.c").is_file()
    assert (source / "subprojects/softfloat/meson.build").is_file()
    assert not list((source / "subprojects/keycodes").glob("meson.build"))


def test_a_tag_that_nobody_signed_stops_the_script(mirror: Mirror, folder: Path, tmp_path: Path) -> None:
    mirror.add_qemu_tag("v9.9.9", ninja_tree(tmp_path / "tree"), signed=False)
    fetch, *_ = qemu_actions(mirror, folder, "v9.9.9")
    assert run_lines(shell_lines(fetch)).returncode != 0
    assert not Path(fetch.stamp).with_name("source").exists()


def test_a_folder_of_ones_own_is_copied_and_patched(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "it's $(mine)"
    (own / "sub").mkdir(parents=True)
    (own / "sub/file").write_text("kept\n")
    action = UnpackSource(
        identity=UNKNOWN_IDENTITY,
        stamp=str(folder / "source.stamp"),
        archive=str(own),
        tree=str(folder / "source"),
    )
    by_script([action])
    by_script([action])
    assert (folder / "source/sub/file").read_text() == "kept\n"
    assert [path.name for path in folder.iterdir()] == ["source"]


@pytest.mark.parametrize(("release", "good"), [("6.1.7-own", True), ("6.1.7", False), ("6.1.7-own-2", False)])
def test_a_kernel_must_name_itself(folder: Path, release: str, good: bool) -> None:
    """With a QEMU and a maker of initramfs that only say what the real ones do."""
    says = f"kvmwizard: this kernel runs programs, and is Linux {release}"
    program(folder / "qemu", f"printf 'Linux version {release}\\r\\n{says}\\r\\n'")
    program(folder / "build/usr/gen_init_cpio", 'exec cat "$1"')
    action = BootKernel(
        identity=UNKNOWN_IDENTITY,
        stamp=str(folder / "boot.stamp"),
        image=str(folder / "build/arch/x86/boot/bzImage"),
        release="6.1.7-own",
        qemu=str(folder / "qemu"),
        seconds=10,
    )
    ran = run_lines(shell_lines(action))
    assert (ran.returncode == 0) is good, ran.stderr
    assert GUEST_SAYS.encode() in (folder / "init").read_bytes()


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


NOT_BUILDING = {"kernel.boot", "kernel.restart", "kernel.proof"}


@pytest.mark.root
def test_the_script_builds_as_somebody_else_than_root(mirror: Mirror, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    plan = kernel_plan(mirror, folder)
    steps = tuple(
        step.model_copy(update={"actions": (action,)})
        for step, action in zip(
            [step for step in plan.steps if not step.root and step.id not in NOT_BUILDING],
            kernel_actions(plan),
            strict=True,
        )
    )
    script = plan_as_shell(plan.model_copy(update={"builder": str(NOBODY), "steps": steps}))
    ran = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    made = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    assert len(made) > 50
    assert {path.stat().st_uid for path in made} == {NOBODY}
    assert folder.stat().st_mode & 0o777 == 0o700
