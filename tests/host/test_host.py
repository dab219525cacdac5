import json
import os
import time
from pathlib import Path

import pytest

from kvmwizard.host.host import Host
from kvmwizard.host.reading import CommandOutput, Unknown, UnknownReason
from kvmwizard.host.recording import HostRefused
from tests.host.trees import make_host


def test_the_live_machine_is_at_the_root() -> None:
    assert Host().live
    assert Host("/").live
    assert not Host("/usr").live


def test_a_missing_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostRefused) as refused:
        Host(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in refused.value.words.english


def test_a_file_as_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostRefused, match="not a directory"):
        Host(tmp_path / "file")


@pytest.mark.parametrize("name", ["machine.json", "commands.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"unheard_of": 1}', b"\xff\xfe"])
def test_a_description_that_does_not_parse_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / ".kvmwizard").mkdir()
    (tmp_path / ".kvmwizard" / name).write_bytes(content)
    with pytest.raises(HostRefused, match=name):
        Host(tmp_path)


def test_an_absent_file_is_known_to_be_absent(tmp_path: Path) -> None:
    host = make_host(tmp_path, {"/etc/hostname": "here\n"})
    assert host.read_text("/etc/hostname") == "here\n"
    assert host.read_text("/etc/passwd") is None
    assert host.read_text("/etc/hostname/below") is None
    assert host.list_directory("/nowhere") is None
    assert host.stat("/nowhere") is None


def test_an_unreadable_file_is_unknown() -> None:
    # A kernel file that even root cannot read: writing is all it takes.
    answer = Host().read_bytes("/proc/self/clear_refs")
    assert isinstance(answer, Unknown)
    assert "/proc/self/clear_refs" in answer.detail


def test_an_absolute_link_stays_inside_the_recorded_machine(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {"/usr/lib/os-release": "ID=recorded\n"},
        links={"/etc/os-release": "/usr/lib/os-release", "/lib": "/usr/lib"},
    )
    assert host.read_text("/etc/os-release") == "ID=recorded\n"
    assert host.read_text("/lib/os-release") == "ID=recorded\n"
    assert host.real_path("/lib/os-release") == "/usr/lib/os-release"
    assert host.real_path("/etc/os-release") == "/usr/lib/os-release"


def test_no_link_leads_to_the_live_machine(tmp_path: Path) -> None:
    host = make_host(
        tmp_path,
        {"/etc/hostname": "recorded\n"},
        links={"/out": "../../../../../../etc/passwd", "/etc/passwd": "/etc/shadow", "/up": "/../.."},
    )
    assert host.read_text("/out") is None
    assert host.read_text("/etc/passwd") is None
    assert host.read_text("/up/etc/hostname") == "recorded\n"
    assert host.read_text("/../../etc/hostname") == "recorded\n"


def test_links_in_a_circle_are_unknown(tmp_path: Path) -> None:
    host = make_host(tmp_path, {}, links={"/a": "/b", "/b": "/a"})
    answer = host.read_text("/a")
    assert isinstance(answer, Unknown)
    assert answer.unknown is UnknownReason.NOT_READABLE
    assert host.real_path("/a") == "/a"


def test_a_fifo_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc" / "cpuinfo")
    assert Host(tmp_path).read_text("/proc/cpuinfo") == ""


def test_undecodable_bytes_stay_visible(tmp_path: Path) -> None:
    assert make_host(tmp_path, {"/proc/cmdline": b"quiet \xff"}).read_text("/proc/cmdline") == "quiet \\xff"


def test_a_name_that_no_file_can_have_is_absent(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.read_text("/lib/modules/a\0b/config") is None
    assert isinstance(host.read_text("/" + "a" * 300), Unknown)


def test_a_link_is_read_without_following_it(tmp_path: Path) -> None:
    host = make_host(tmp_path, {"/file": ""}, links={"/proc/self/ns/pid": "pid:[4026531836]"})
    assert host.read_link("/proc/self/ns/pid") == "pid:[4026531836]"
    assert host.read_link("/file") is None
    assert host.read_link("/nowhere") is None
    assert Host().read_link("/proc/self/ns/pid") == str(Path("/proc/self/ns/pid").readlink())


def test_a_command_runs_with_the_c_locale_and_a_fixed_path() -> None:
    answer = Host().run(("/usr/bin/env",))
    assert isinstance(answer, CommandOutput)
    assert answer.returncode == 0
    assert set(answer.output.split("\n")) >= {"LC_ALL=C"}
    assert "HOME=" not in answer.output


def test_a_command_that_is_not_installed_is_absent() -> None:
    assert Host().run(("/usr/bin/no-such-program",)) is None


def test_a_failing_command_says_so() -> None:
    answer = Host().run(("/usr/bin/env", "false"))
    assert isinstance(answer, CommandOutput)
    assert answer.returncode == 1


def test_a_command_that_hangs_is_ended() -> None:
    started = time.monotonic()
    answer = Host().run(("/usr/bin/env", "sleep", "30"), seconds=0.2)
    assert isinstance(answer, Unknown)
    assert answer.unknown is UnknownReason.TIMED_OUT
    assert time.monotonic() - started < 5


def test_commands_run_at_the_same_time() -> None:
    started = time.monotonic()
    answers = Host().run_all([("/usr/bin/env", "sleep", "0.5")] * 8)
    assert all(isinstance(answer, CommandOutput) and answer.returncode == 0 for answer in answers)
    assert time.monotonic() - started < 2.5


def test_recorded_commands_are_looked_up(tmp_path: Path) -> None:
    host = make_host(tmp_path, {}, commands={"/usr/bin/gcc --version": "gcc 12.2.0\n"})
    assert host.run(("/usr/bin/gcc", "--version")) == CommandOutput(returncode=0, output="gcc 12.2.0\n")
    assert host.run(("/usr/bin/make", "--version")) is None


def test_without_recorded_commands_their_answers_are_unknown(tmp_path: Path) -> None:
    answer = Host(tmp_path).run(("/usr/bin/gcc", "--version"))
    assert isinstance(answer, Unknown)
    assert answer.unknown is UnknownReason.NOT_LIVE


def test_what_only_a_running_kernel_says_is_unknown_on_a_recorded_machine(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for answer in (host.kernel_log_records(), host.read_at("/dev/cpu/0/msr", 0x3A, 8)):
        assert isinstance(answer, Unknown)
        assert answer.unknown is UnknownReason.NOT_LIVE


def test_the_description_is_closed_and_documented(tmp_path: Path) -> None:
    host = make_host(
        tmp_path, {}, machine={"devices": {"/dev/kvm": {"mode": 432, "owner_id": 0, "group_id": 104}}}
    )
    assert host.machine.devices is not None
    assert host.machine.devices["/dev/kvm"].mode == 0o660
    assert (
        json.loads((tmp_path / ".kvmwizard/machine.json").read_text())["devices"]["/dev/kvm"]["mode"] == 432
    )
