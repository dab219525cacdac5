"""apt, asked and run for real in a folder of its own, changing nothing of this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kvmwizard.host.host import command_environment
from kvmwizard.packages.apt import LISTS_LOCK, STAMP, Apt

RECORDED = Path(__file__).with_name("recorded")
APT = Apt()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A dpkg with no package installed, and apt's folders beside it."""
    for folder in ("lib/apt/lists/partial", "lib/dpkg", "cache/apt/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/dpkg/status").touch()
    return tmp_path


def run_scratch(
    argv: tuple[str, ...], scratch: Path, *more: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """What the command prints, and what apt writes to the progress file."""
    options = (
        f"Dir::State={scratch}/lib/apt",
        f"Dir::State::status={scratch}/lib/dpkg/status",
        f"Dir::Cache={scratch}/cache/apt",
        *more,
    )
    words = [argv[0], *(word for option in options for word in ("-o", option)), *argv[1:]]
    progress = scratch / "progress"
    with progress.open("ab") as file:

        def hand_over() -> None:
            os.dup2(file.fileno(), 3)

        done = subprocess.run(
            words,
            env=command_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            preexec_fn=hand_over,
            close_fds=False,
            timeout=60,
        )
    return done, progress.read_text()


def test_installing_is_understood_by_apt(scratch: Path) -> None:
    (command,) = APT.install(["acl"])
    # The machine's own lists, read only; nothing is installed.
    done, _ = run_scratch(
        command.argv, scratch, "Dir::State::lists=/var/lib/apt/lists", "APT::Get::Simulate=1"
    )
    if "Unable to locate package" in done.stdout:
        pytest.skip("this machine has no package lists")
    assert done.returncode == 0, done.stdout
    assert "Inst acl" in done.stdout


def test_a_refresh_that_reaches_nobody_fails(scratch: Path) -> None:
    sources = scratch / "sources.list"
    sources.write_text("deb [trusted=yes] http://127.0.0.1:9/debian bookworm main\n")
    command, stamp = APT.refresh()
    own = (f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-", "Acquire::Retries=0")
    done, progress = run_scratch(command.argv, scratch, *own)
    assert done.returncode == 100, done.stdout
    assert all(APT.parse_progress(line) for line in progress.splitlines())
    assert stamp.argv == ("/usr/bin/touch", STAMP)


def test_a_refresh_from_a_folder_tells_its_progress(scratch: Path) -> None:
    repository = scratch / "repository"
    repository.mkdir()
    (repository / "Packages").write_text("")
    sources = scratch / "sources.list"
    sources.write_text(f"deb [trusted=yes] copy:{repository} ./\n")
    command, _ = APT.refresh()
    own = (f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-", "APT::Sandbox::User=root")
    done, progress = run_scratch(command.argv, scratch, *own)
    assert done.returncode == 0, done.stdout
    parsed = [APT.parse_progress(line) for line in progress.splitlines()]
    assert parsed
    assert all(each is not None and each.downloading for each in parsed)


HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held_lock(scratch: Path) -> Iterator[tuple[Path, int]]:
    """The frontend lock of the scratch dpkg, and the process that holds it."""
    lock = scratch / "lib/dpkg/lock-frontend"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield lock, holder.pid


def test_waiting_for_the_lock_names_the_holder(scratch: Path, held_lock: tuple[Path, int]) -> None:
    lock, holder = held_lock
    (command,) = APT.install(["acl"])
    waiting = tuple(word.replace("Timeout=600", "Timeout=1") for word in command.argv)
    done, _ = run_scratch(waiting, scratch, "Dir::State::lists=/var/lib/apt/lists")
    assert done.returncode == 100
    line = done.stdout.splitlines()[0]
    assert str(lock) in line
    found = APT.lock_holder(line)
    assert found is not None
    assert found.process == holder
    assert found.words.english == f"Waiting for apt's lock, held by process {holder} ({found.name})"


def test_a_lock_that_was_waited_for_is_no_news() -> None:
    line = "Waiting for cache lock: Could not get lock /x. It is held by process 7 (apt)..."
    assert APT.lock_holder(f"old\n{line}\n") is not None
    assert APT.lock_holder(f"{line}\nReading package lists...\n") is None
    assert APT.lock_holder("") is None


def test_the_lists_lock_is_waited_for_beforehand() -> None:
    update, _ = APT.refresh()
    assert update.locks == (LISTS_LOCK,)
    assert APT.remove(["x"])[0].locks == ("/var/lib/dpkg/lock-frontend",)


@pytest.mark.parametrize("name", ["apt-install.status", "apt-remove.status"])
def test_recorded_progress_only_grows_within_its_phase(name: str) -> None:
    lines = (RECORDED / name).read_text().splitlines()
    parsed = [progress for line in lines if (progress := APT.parse_progress(line))]
    assert len(parsed) == len(lines)
    fractions = [each.fraction(downloads_only=False) for each in parsed]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.94
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert all(each.english for each in parsed)


def test_a_download_is_half_of_an_installation() -> None:
    done = APT.parse_progress("dlstatus:9:100.0000:Retrieving file 9 of 9")
    assert done is not None
    assert (done.fraction(downloads_only=True), done.fraction(downloads_only=False)) == (1.0, 0.5)


@pytest.mark.parametrize(
    "line",
    ["", "\n", "pmstatus", "pmstatus:x", "pmerror:qemu:40:failed", "media-change:a:b:c", "dlstatus:1:abc:x"],
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert APT.parse_progress(line) is None


def test_a_package_name_with_an_architecture() -> None:
    progress = APT.parse_progress("pmstatus:libc6:amd64:40.5:Unpacking libc6:amd64")
    assert progress is not None
    assert (progress.percent, progress.downloading, progress.english) == (
        40.5,
        False,
        "Unpacking libc6:amd64",
    )


def test_installed_packages_of_this_machine() -> None:
    output = subprocess.run(
        APT.installed_query(), env=command_environment(), capture_output=True, text=True, check=True
    ).stdout
    installed = APT.parse_installed(output)
    assert "dpkg" in installed
    version = subprocess.run(
        ["/usr/bin/dpkg-query", "-W", "-f", "${Version}", "dpkg"], capture_output=True, text=True, check=True
    ).stdout
    assert installed["dpkg"] == version


def test_what_left_only_its_configuration_is_not_installed() -> None:
    output = "installed\tacl\t2.3.1-3\nconfig-files\tqemu-system-common\t1:7.2\nhalf-installed\tx\t1\n"
    assert APT.parse_installed(output) == {"acl": "2.3.1-3"}


@cache
def architecture() -> str:
    argv = ["/usr/bin/dpkg", "--print-architecture"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def make_package(folder: Path, name: str, version: str, postinst: str = "") -> Path:
    tree = folder / f"{name}_{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / f"etc/{name}.conf").write_text("tiny\n")
    (tree / "DEBIAN/conffiles").write_text(f"/etc/{name}.conf\n")
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture()}\nMulti-Arch: same\n"
        "Maintainer: nobody\nDescription: tiny\n"
    )
    if postinst:
        script = tree / "DEBIAN/postinst"
        script.write_text(f"#!/bin/sh\n{postinst}\n")
        script.chmod(0o755)
    subprocess.run(["/usr/bin/dpkg-deb", "--build", tree], check=True, capture_output=True)
    return tree.with_name(f"{tree.name}.deb")


def dpkg(scratch: Path, *words: str | Path) -> str:
    """What dpkg says when it works in a folder, of which it says the packages' architecture, too."""
    options = ("--admindir", scratch / "lib/dpkg", "--instdir", scratch, "--log", scratch / "dpkg.log")
    force = ("--force-not-root", "--force-script-chrootless", "--force-bad-path")
    return subprocess.run(
        ["/usr/bin/dpkg", *options, *force, *words],
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def test_what_dpkg_says_of_packages_that_are_there_in_part(scratch: Path) -> None:
    (scratch / "lib/dpkg/updates").mkdir()
    (scratch / "lib/dpkg/info").mkdir()
    whole, old, new, left = (
        make_package(scratch, name, version)
        for name, version in (("whole", "1"), ("upgraded", "1"), ("upgraded", "2"), ("left", "1"))
    )
    broken = make_package(scratch, "broken", "1", postinst="exit 1")
    said = dpkg(scratch, "--install", whole, old, left)
    assert APT.parse_unpacked(said) == frozenset({"whole", "upgraded", "left"}), said
    dpkg(scratch, "--remove", "left")
    said = dpkg(scratch, "--unpack", new)
    assert f"Unpacking upgraded:{architecture()} (2) over (1) ...\n" in said
    assert APT.parse_unpacked(said) == frozenset({"upgraded"})
    said = dpkg(scratch, "--install", broken)
    assert APT.parse_unpacked(said) == frozenset({"broken"}), said
    query, *words = APT.installed_query()
    output = subprocess.run(
        [query, f"--admindir={scratch}/lib/dpkg", *words], capture_output=True, text=True, check=True
    ).stdout
    assert APT.parse_installed(output) == {"whole": "1"}
    assert set(APT.parse_unfinished(output)) == {"upgraded", "broken"}


@pytest.mark.parametrize(
    ("log", "unpacked"),
    [
        ("Unpacking acl (2.3.1-3) ...\n", {"acl"}),
        ("Unpacking foo:amd64 (1.2) over (1.1) ...\n", {"foo"}),
        ("Unpacking libstdc++6:amd64 (12.2.0-14) ...\nUnpacking g++-12 (1) ...\n", {"libstdc++6", "g++-12"}),
        ("Preparing to unpack .../acl_2.3.1-3_amd64.deb ...\nSetting up acl (2.3.1-3) ...\n", set()),
        ("dpkg: Unpacking acl (1) ...\nUnpacking the rest ...\nUnpacking\n", set()),
        ("Selecting previously unselected package acl.\nRemoving acl (2.3.1-3) ...\n", set()),
        ("", set()),
    ],
)
def test_a_log_tells_which_packages_were_unpacked(log: str, unpacked: set[str]) -> None:
    assert APT.parse_unpacked(log) == frozenset(unpacked)


def test_a_package_is_there_in_part_in_every_state_between() -> None:
    states = ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
    rows = [f"{state}\t{state}\t1\n" for state in (*states, "installed", "config-files", "not-installed")]
    # Of a package whose preinst failed dpkg knows no version.
    assert APT.parse_unfinished("".join(rows) + "half-installed\tx\t\n") == (*states, "x")
    assert APT.parse_unfinished("") == ()


def test_candidates_of_this_machine() -> None:
    output = subprocess.run(
        APT.candidate_query(["dpkg", "no-such-package-at-all"]),
        env=command_environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    candidates = APT.parse_candidates(output)
    assert set(candidates) == {"dpkg"}
    assert candidates["dpkg"][0].isdigit()
